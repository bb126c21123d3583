//! The statements of cutovers, each in a file of its own, with the store's names filled in once.

use es_postgres::Layout;
use es_postgres::sqlx::postgres::PgArguments;
use es_postgres::sqlx::query::Query;
use es_postgres::sqlx::{self, AssertSqlSafe, Postgres};

/// Puts the names of a layout into a statement: they are identifiers, which cannot change it.
pub(super) fn fill(statement: &str, layout: &Layout) -> String {
    statement
        .replace("{schema}", layout.schema.as_str())
        .replace("{events}", layout.events.as_str())
}

/// A statement that is prepared for one use, so that a pooling proxy may stand in between.
pub(super) fn query<'q>(statement: &str) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(statement.to_owned())).persistent(false)
}

/// Declares the statements by the names of their files.
macro_rules! statements {
    ($($name:ident)*) => {
        #[derive(Debug)]
        pub(super) struct Statements {
            $(pub(super) $name: String,)*
        }

        impl Statements {
            pub(super) fn new(layout: &Layout) -> Self {
                Self {
                    $($name: fill(
                        include_str!(concat!("sql/", stringify!($name), ".sql")),
                        layout,
                    ),)*
                }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &String)> {
                vec![$((stringify!($name), &self.$name),)*]
            }
        }
    };
}

statements! {
    backfill
    backfilled
    begin_backfill
    check_mapping
    columns
    count_postings
    create
    differing_kinds
    end_backfill
    enter_phase
    forget_backfill
    go_on_with_backfill
    grant
    hold
    hold_events
    holder
    last_position
    look
    next_postings
    open_by_kind
    open_count
    open_kinds
    open_ones
    open_without_posting
    postings_since
    resolve
    resolve_statement
    spelled
    statements
    to_be_written
    validate
    warnings
    write_old
}

/// What a write of both sides sends.
pub(super) const DUAL_WRITE: &str = include_str!("sql/dual_write.sql");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use es_pgtest::Server;
    use es_postgres::PostgresConfig;
    use es_postgres::sqlx::{ConnectOptions, Executor, SqlSafeStr};

    use super::*;
    use crate::store::postgres;

    #[tokio::test]
    async fn every_statement_prepares_on_a_migrated_database() {
        let database = Server::shared().database().await;
        let config: PostgresConfig = database.url().parse().unwrap();
        postgres::migrate(&config).await.unwrap();
        let config = postgres::configured(config);
        let mut connection = database.options().connect().await.unwrap();
        let statements = Statements::new(config.names());
        let dual_write = fill(DUAL_WRITE, config.names());
        for (name, statement) in statements.all().into_iter().chain([("dual_write", &dual_write)]) {
            // a lock is none that can be prepared
            if name == "hold_events" {
                continue;
            }
            let prepared =
                (&mut connection).prepare(AssertSqlSafe(statement.clone()).into_sql_str()).await;
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
    }

    #[test]
    fn every_file_is_one_of_the_statements() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cutover/sql");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".sql").unwrap().to_owned()
        });
        let layout = Layout::default();
        let known = Statements::new(&layout);
        let names = known.all().into_iter().map(|(name, _)| name).chain(["dual_write"]);
        let names: BTreeSet<_> = names.map(str::to_owned).collect();
        assert_eq!(files.collect::<BTreeSet<_>>(), names);
    }

    #[test]
    fn no_statement_has_a_place_that_nothing_is_for() {
        let layout = Layout { schema: "jobs".parse().unwrap(), ..Layout::default() };
        for (name, statement) in Statements::new(&layout).all() {
            assert!(!statement.contains('{'), "{name}: {statement}");
        }
    }
}
