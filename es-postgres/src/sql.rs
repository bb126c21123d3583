//! Every statement of the store, each in a file of its own, with the names filled in once.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::config::Layout;

/// A statement that is ready to be sent; cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Statement(Arc<str>);

impl Statement {
    /// The text. The only way in is [`fill`], whose names cannot change a statement.
    pub(crate) fn sql(&self) -> SqlStr {
        AssertSqlSafe(Arc::clone(&self.0)).into_sql_str()
    }
}

/// Puts the names of a layout into a statement: `{schema}` and `{events}`, which are
/// [`Identifier`](crate::Identifier)s, and `{id}`, a type of two.
pub(crate) fn fill(template: &str, layout: &Layout) -> Statement {
    let text = template
        .replace("{schema}", layout.schema.as_str())
        .replace("{events}", layout.events.as_str())
        .replace("{id}", layout.ids.sql_type());
    Statement(text.into())
}

/// Declares the statements by the names of their files.
macro_rules! statements {
    ($($name:ident)*) => {
        /// The statements with the names of one layout.
        #[derive(Debug)]
        pub(crate) struct Statements {
            $(pub(crate) $name: Statement,)*
        }

        impl Statements {
            pub(crate) fn new(layout: &Layout) -> Self {
                Self {
                    $($name: fill(
                        include_str!(concat!("sql/", stringify!($name), ".sql")),
                        layout,
                    ),)*
                }
            }

            /// All of them with their names.
            #[cfg(test)]
            pub(crate) fn all(&self) -> Vec<(&'static str, &Statement)> {
                vec![$((stringify!($name), &self.$name),)*]
            }
        }
    };
}

statements! {
    announce
    append
    append_event
    append_events
    append_within
    delete_snapshots
    find_request
    version_until
    frontier
    inspect
    latest_snapshot
    latest_with_tail
    list_snapshots
    prune_snapshots
    projection_abandon
    projection_acquire
    projection_checkpoints
    projection_commit
    projection_discard
    projection_load
    projection_lock
    projection_parked
    projection_parked_of_key
    projection_reached
    projection_release
    projection_remove_row
    projection_renew
    projection_report
    projection_request_retry
    projection_row
    projection_rows
    projection_set_row
    projection_status
    projection_switch
    raise_watermark
    read_log
    read_log_filtered
    read_stream_backwards
    read_stream_forwards
    save_snapshot
    used_event_ids
}

#[cfg(test)]
mod tests {
    use es_pgtest::Server;
    use sqlx::{ConnectOptions, Executor};

    use super::*;
    use crate::config::{IdType, PostgresConfig};
    use crate::migrate::Migrations;

    #[tokio::test]
    async fn every_statement_prepares_on_a_migrated_database() {
        let database = Server::shared().database().await;
        for (schema, ids) in [("texts", IdType::Text), ("select", IdType::Int)] {
            let layout =
                Layout { schema: schema.parse().unwrap(), events: "table".parse().unwrap(), ids };
            let config = PostgresConfig::new(database.options()).layout(layout.clone());
            Migrations::of_store(&layout).apply(&config).await.unwrap();
            let mut connection = database.options().connect().await.unwrap();
            for (name, statement) in Statements::new(&layout).all() {
                let prepared = (&mut connection).prepare(statement.sql()).await;
                assert!(prepared.is_ok(), "{name} with {ids:?}: {:?}", prepared.err());
            }
        }
    }

    #[test]
    fn every_statement_is_used() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql")).unwrap();
        let statements = Statements::new(&Layout::default());
        let mut declared: Vec<_> = statements.all().into_iter().map(|(name, _)| name).collect();
        // these are no statements on a store's tables
        declared.extend(["has_schema", "newest_migration"]);
        for file in files {
            let name = file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(declared.contains(&name.as_str()), "{name}.sql is not used");
        }
    }
}
