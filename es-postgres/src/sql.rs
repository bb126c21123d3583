//! Every statement of the store, each in a file of its own, with the names filled in once.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::config::{Layout, SnapshotTable};
use crate::identifier::Identifier;

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
///
/// Goes through the template once: each program that opens a store fills all of them.
pub(crate) fn fill(template: &str, layout: &Layout) -> Statement {
    let of_table = |column: fn(&SnapshotTable) -> &Identifier| {
        layout.snapshots.as_ref().map(|table| column(table).as_str())
    };
    let name_for = |place: &str| match place {
        "schema" => Some(layout.schema.as_str()),
        "events" => Some(layout.events.as_str()),
        "id" => Some(layout.ids.sql_type()),
        "snapshots" => of_table(|table| &table.table),
        "snapshot_id" => of_table(|table| &table.id),
        "snapshot_version" => of_table(|table| &table.version),
        "snapshot_event" => of_table(|table| &table.event),
        "snapshot_schema" => of_table(|table| &table.schema),
        "snapshot_state" => of_table(|table| &table.state),
        "snapshot_taken_at" => of_table(|table| &table.taken_at),
        _ => None,
    };
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let place = behind.split_once('}');
        let filled = place.and_then(|(place, behind)| name_for(place).map(|name| (name, behind)));
        // other braces are the statement's own, or places for others to fill
        let (name, behind) = filled.unwrap_or(("{", behind));
        text.push_str(before);
        text.push_str(name);
        rest = behind;
    }
    text.push_str(rest);
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
    is_there
    is_within
    latest_snapshot
    latest_with_tail
    latest_with_tails
    list_snapshots
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
    read_streams
    save_snapshot
    table_database
    table_lock
    table_look
    table_plain
    used_event_ids
}

statements! {
    /// The few statements by which servers and databases are judged, and who is in the way: they are
    /// needed where no store is opened, and by each connector.
    Judging as bare:
    drawn
    drawn_positions
    inspect
    lock_holder
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
    latest_with_tails_of_type
    list_snapshots_of_all
    prune_snapshots_of_type
    save_snapshot_of_type
}

#[cfg(test)]
mod tests {
    use es_pgtest::Server;
    use sqlx::{ConnectOptions, Executor};

    use super::*;
    use crate::config::{IdType, PostgresConfig};
    use crate::migrate::Migrations;

    /// A table whose names are words of SQL.
    fn awkward_table() -> SnapshotTable {
        let [table, id, version, event, schema, state, taken_at] =
            ["order", "user", "limit", "union", "group", "table", "end"]
                .map(|name| name.parse().unwrap());
        let aggregate_type = "posting".to_owned();
        SnapshotTable { aggregate_type, table, id, version, event, schema, state, taken_at }
    }

    /// The statements on a store's own tables with their names.
    fn all_of(layout: &Layout) -> Vec<(&'static str, Statement)> {
        let (statements, judging) = (Statements::new(layout), Judging::new(layout));
        let of_table = TableStatements::new(layout);
        let all = [statements.all(), judging.all(), of_table.all()].concat();
        all.into_iter().map(|(name, statement)| (name, statement.clone())).collect()
    }

    #[test]
    fn a_layout_fills_its_own_places_and_nothing_else() {
        let template = "'{}'{{schema}} {id}{table} {snapshots}.{snapshot_id} {events}s {schema";
        let mut layout = Layout::default();
        let filled = |layout: &Layout| fill(template, layout).0.to_string();
        let without =
            "'{}'{public} TEXT{table} {snapshots}.{snapshot_id} execution_eventss {schema";
        assert_eq!(filled(&layout), without);
        layout.snapshots = Some(awkward_table());
        let with = "'{}'{public} TEXT{table} order.user execution_eventss {schema";
        assert_eq!(filled(&layout), with);
    }

    /// So that what sends only these is the same with such a table and without.
    #[test]
    fn a_table_of_snapshots_has_a_place_only_in_its_own_statements() {
        let table = Layout { snapshots: Some(awkward_table()), ..Layout::default() };
        let [plain, table] = [Layout::default(), table].map(|layout| {
            let (statements, judging) = (Statements::new(&layout), Judging::new(&layout));
            let templates = TableTemplates::new(&layout);
            let all = [statements.all(), judging.all(), templates.all()].concat();
            let all = all.into_iter().map(|(name, it)| (name, it.0.to_string()));
            (all.collect::<Vec<_>>(), Migrations::of_store(&layout).script())
        });
        assert_eq!(plain, table);
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
            for (name, statement) in all_of(&layout) {
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
        for (name, statement) in all_of(&layout) {
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
        let templates = TableTemplates::new(&layout);
        let named = templates.all().into_iter().map(|(name, _)| name);
        let mut declared: Vec<_> =
            all_of(&layout).into_iter().map(|(name, _)| name).chain(named).collect();
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
