//! Every statement of the store, each in a file of its own, with the names filled in once.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::config::Layout;

/// A statement that is ready to be sent; cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Statement(Arc<str>);

impl Statement {
    /// The text. The only ways in are [`fill`], whose names cannot change a statement, and
    /// [`with`](Self::with).
    pub(crate) fn sql(&self) -> SqlStr {
        AssertSqlSafe(Arc::clone(&self.0)).into_sql_str()
    }

    /// A template with a part in each of its places: names in quotes, numbers of parameters, and the
    /// SQL of changes, which is a part of the program.
    pub(crate) fn with(&self, parts: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        let mut rest = &*self.0;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').expect("a template closes its places");
            let part = parts.iter().find(|(of, _)| *of == name);
            let (_, part) = part.expect("a template has no place that nothing is for");
            text.push_str(before);
            text.push_str(part);
            rest = behind;
        }
        text.push_str(rest);
        Self(text.into())
    }
}

/// A statement as the server gets it: without its comments and the white space around its lines, of
/// which the client makes a digest each time it is sent.
fn bare(template: &str) -> String {
    let lines = template.lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with("--")).collect();
    lines.join("\n")
}

/// A statement as it is in its file, which people may be shown.
fn whole(template: &str) -> String {
    template.to_owned()
}

/// Puts the names of a layout into a statement: `{schema}` and `{events}`, which are
/// [`Identifier`](crate::Identifier)s, and `{id}`, a type of two. With a table of snapshots, its
/// identifiers as well: `{snapshots}`, and `{snapshot_id}` and the like for the columns.
pub(crate) fn fill(template: &str, layout: &Layout) -> Statement {
    let mut text = template
        .replace("{schema}", layout.schema.as_str())
        .replace("{events}", layout.events.as_str())
        .replace("{id}", layout.ids.sql_type());
    if let Some(table) = &layout.snapshots {
        text = text
            .replace("{snapshots}", table.table.as_str())
            .replace("{snapshot_id}", table.id.as_str())
            .replace("{snapshot_version}", table.version.as_str())
            .replace("{snapshot_event}", table.event.as_str())
            .replace("{snapshot_schema}", table.schema.as_str())
            .replace("{snapshot_state}", table.state.as_str())
            .replace("{snapshot_taken_at}", table.taken_at.as_str());
    }
    Statement(text.into())
}

/// Declares the statements by the names of their files.
macro_rules! statements {
    ($(#[$doc:meta])* $of:ident as $form:ident: $($name:ident)*) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $of {
            $(pub(crate) $name: Statement,)*
        }

        impl $of {
            pub(crate) fn new(layout: &Layout) -> Self {
                Self {
                    $($name: fill(
                        &$form(include_str!(concat!("sql/", stringify!($name), ".sql"))),
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
    /// The statements with the names of one layout.
    Statements as bare:
    announce
    append
    append_batch
    append_event
    append_event_keyed
    append_events
    append_events_keyed
    append_within
    blockers
    delete_snapshots
    drawn
    drawn_positions
    find_request
    version_until
    inline_end
    inline_isolation
    inline_lock
    inline_newest
    inline_release
    inline_savepoint
    inline_undo
    inline_writers
    inspect
    is_there
    is_within
    latest_snapshot
    latest_with_tail
    list_snapshots
    lock_holder
    look
    prune_snapshots
    projection_abandon
    projection_acquire
    projection_checkpoints
    projection_commit
    projection_discard
    projection_load
    projection_parked
    projection_parked_of_key
    projection_reached
    projection_release
    projection_remove_model
    projection_remove_parked
    projection_remove_rows
    projection_renew
    projection_report
    projection_request_retry
    projection_retired
    projection_rows
    projection_status
    projection_switch
    raise_watermark
    read_log
    read_log_filtered
    read_stream_backwards
    read_stream_forwards
    save_snapshot
    table_database
    table_lock
    table_look
    table_plain
    used_event_ids
}

statements! {
    /// The templates of statements on tables of projections, for one table each.
    TableTemplates as whole:
    table_add_column
    table_create
    table_create_index
    table_create_view
    table_delete
    table_grant
    table_judged
    table_next_rows
    table_remove_rows
    table_rows
    table_update
    table_upsert
    table_upsert_rows
}

statements! {
    /// The statements on snapshots where those of one type have a table of the application's; for
    /// layouts that name one.
    TableStatements as bare:
    delete_snapshots_of_type
    latest_snapshot_of_type
    latest_with_tail_of_type
    list_snapshots_of_all
    prune_snapshots_of_type
    save_snapshot_of_type
}

#[cfg(test)]
mod tests {
    use es_pgtest::Server;
    use sqlx::{ConnectOptions, Executor};

    use super::*;
    use crate::config::{IdType, PostgresConfig, SnapshotTable};
    use crate::migrate::Migrations;

    /// A table whose names are words of SQL.
    fn awkward_table() -> SnapshotTable {
        let [table, id, version, event, schema, state, taken_at] =
            ["order", "user", "limit", "union", "group", "table", "end"]
                .map(|name| name.parse().unwrap());
        let aggregate_type = "posting".to_owned();
        SnapshotTable { aggregate_type, table, id, version, event, schema, state, taken_at }
    }

    /// A table of a projection whose names are words of SQL.
    const AWKWARD_PARTS: [(&str, &str); 16] = [
        ("arrays", "$2::text[]"),
        ("statement", "DELETE FROM pg_catalog.pg_description WHERE FALSE"),
        ("options", " WITH (\"security_barrier\" = 'true')"),
        ("cases", "WHEN \"description\" IS NULL THEN 'limit'"),
        ("models", "\"user_models\""),
        ("table", "\"user\""),
        ("key", "\"limit\""),
        ("columns", "\"limit\""),
        ("definitions", "\"limit\" TEXT COLLATE \"C\" NOT NULL"),
        ("index", "\"user_limit\""),
        ("projection", "'o''hara'"),
        ("values", "$1, $2"),
        ("set", "\"limit\" = 'a'"),
        ("filter", "TRUE"),
        ("generation", "$1"),
        ("types", "Int, Text"),
    ];

    #[tokio::test]
    async fn every_statement_prepares_on_a_migrated_database() {
        let database = Server::shared().database().await;
        for (schema, ids) in [("texts", IdType::Text), ("select", IdType::Int)] {
            let layout = Layout {
                schema: schema.parse().unwrap(),
                events: "table".parse().unwrap(),
                ids,
                snapshots: Some(awkward_table()),
            };
            let config = PostgresConfig::new(database.options()).layout(layout.clone());
            Migrations::of_store(&layout).apply(&config).await.unwrap();
            let mut connection = database.options().connect().await.unwrap();
            let table = fill(include_str!("../tests/support/snapshot_table.sql"), &layout);
            sqlx::raw_sql(table.sql()).execute(&mut connection).await.unwrap();
            let statements = (Statements::new(&layout), TableStatements::new(&layout));
            for (name, statement) in statements.0.all().into_iter().chain(statements.1.all()) {
                let prepared = (&mut connection).prepare(statement.sql()).await;
                assert!(prepared.is_ok(), "{name} with {ids:?}: {:?}", prepared.err());
            }
            let templates = TableTemplates::new(&layout);
            let making = [
                &templates.table_create,
                &templates.table_create_index,
                &templates.table_create_view,
                &templates.table_grant,
            ];
            for template in making {
                let statement = sqlx::raw_sql(template.with(&AWKWARD_PARTS).sql());
                statement.execute(&mut connection).await.unwrap();
            }
            for (name, template) in templates.all() {
                let statement = template.with(&AWKWARD_PARTS);
                let prepared = (&mut connection).prepare(statement.sql()).await;
                assert!(prepared.is_ok(), "{name} with {ids:?}: {:?}", prepared.err());
            }
        }
    }

    #[test]
    fn what_is_left_out_of_a_statement_is_no_part_of_it() {
        let layout = Layout { snapshots: Some(awkward_table()), ..Layout::default() };
        let statements = (Statements::new(&layout), TableStatements::new(&layout));
        for (name, statement) in statements.0.all().into_iter().chain(statements.1.all()) {
            let file = format!("{}/src/sql/{name}.sql", env!("CARGO_MANIFEST_DIR"));
            let file = fill(&std::fs::read_to_string(file).unwrap(), &layout);
            for line in file.0.lines() {
                let (code, comment) = line.split_once("--").unwrap_or((line, ""));
                // a literal ends in the line in which it begins, and a comment has one for itself
                let is_closed = code.matches('\'').count() % 2 == 0;
                assert!(
                    is_closed && (code.trim().is_empty() || comment.is_empty()),
                    "{name}: {line}"
                );
            }
            let words = |text: &str| {
                let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
                lines.flat_map(str::split_whitespace).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(words(&statement.0), words(&file.0), "{name}");
            assert!(!statement.0.contains("--"), "{name}");
        }
    }

    #[test]
    fn every_statement_is_used() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql")).unwrap();
        let layout = Layout { snapshots: Some(awkward_table()), ..Layout::default() };
        let statements = (Statements::new(&layout), TableStatements::new(&layout));
        let templates = TableTemplates::new(&layout);
        let all = statements.0.all().into_iter().chain(statements.1.all()).chain(templates.all());
        let mut declared: Vec<_> = all.map(|(name, _)| name).collect();
        // these are no statements on a store's tables
        declared.extend([
            "has_schema",
            "newer_steps_allow",
            "newest_migration",
            "planted",
            "steps_made",
            "positions_repair",
            "raise_synchronous",
        ]);
        for file in files {
            let name = file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(declared.contains(&name.as_str()), "{name}.sql is not used");
        }
    }
}
