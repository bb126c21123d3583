//! What a server and a database must be, so that a store can be used there.

use es_core::backend::{StoreError, StoreErrorKind};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::config::Layout;
use crate::connection::Connector;
use crate::error::standby;
use crate::migrate::{LOOKING, Migrations, one_row};
use crate::sql::{Judging, fill};

/// The oldest server whose SQL is known to do: `server_version_num` of PostgreSQL 14.1. In 14.0 a
/// prepared transaction loses the name by which its writers are waited for.
const OLDEST_SERVER: i32 = 140_001;

/// Checks that the server is one that can hold a store.
pub(crate) async fn check_server(
    connector: &Connector,
    connection: &mut PgConnection,
    layout: &Layout,
) -> Result<Inspection, StoreError> {
    let place = &connector.place;
    let statements = Judging::new(layout);
    let statement = sqlx::query(statements.inspect.sql()).bind(table_name(layout));
    let row = one_row(connector, connection, statement).await;
    let row = row.map_err(|error| connector.failure(LOOKING, error))?;
    let read = || -> Result<Inspection, sqlx::Error> {
        Ok(Inspection {
            server_version: row.try_get("server_version")?,
            encoding: row.try_get("encoding")?,
            is_standby: row.try_get("is_standby")?,
            is_durable: row.try_get("is_durable")?,
            events_oid: row.try_get("events_oid")?,
            has_plain_positions: row.try_get("has_plain_positions")?,
            id_type: row.try_get("id_type")?,
        })
    };
    let inspection = read().map_err(|error| connector.failure(LOOKING, error))?;
    if inspection.is_standby {
        return Err(standby(place));
    }
    check_version(inspection.server_version, place)?;
    if inspection.encoding != "UTF8" {
        let text = format!(
            "{place} has the encoding {}, which cannot hold every text; \
             make a database with ENCODING 'UTF8'",
            inspection.encoding
        );
        return Err(StoreError::new(StoreErrorKind::NotAStore, text));
    }
    if !inspection.is_durable {
        let text = format!(
            "{place} runs with fsync = off, so that a crash of its machine may destroy the store; \
             switch it on, or accept that by: \
             ALTER DATABASE … SET es_postgres.fsync_off = 'accepted'"
        );
        return Err(StoreError::new(StoreErrorKind::NotAStore, text));
    }
    Ok(inspection)
}

fn check_version(server_version: i32, place: &str) -> Result<(), StoreError> {
    if server_version >= OLDEST_SERVER {
        return Ok(());
    }
    let (version, minor) = (server_version / 10_000, server_version % 10_000);
    let text = format!("{place} is PostgreSQL {version}.{minor}; use 14.1 or newer");
    Err(StoreError::new(StoreErrorKind::NotAStore, text))
}

/// What is found in a database.
#[derive(Debug)]
pub(crate) struct Inspection {
    server_version: i32,
    encoding: String,
    is_standby: bool,
    is_durable: bool,
    pub(crate) events_oid: Option<i64>,
    pub(crate) has_plain_positions: bool,
    id_type: Option<String>,
}

fn table_name(layout: &Layout) -> String {
    format!("\"{}\".\"{}\"", layout.schema, layout.events)
}

/// Checks that the database holds a store that this program can use, and answers the object id of
/// its table of events.
pub(crate) async fn check_store(
    connector: &Connector,
    connection: &mut PgConnection,
    layout: &Layout,
) -> Result<i64, StoreError> {
    let inspection = check_server(connector, connection, layout).await?;
    let refuse = |text: String| Err(StoreError::new(StoreErrorKind::NotAStore, text));
    let (place, table) = (&connector.place, table_name(layout));
    // its steps would differ, too, and say less
    let expected = layout.ids.catalogue_name();
    let migrations = Migrations::of_store(layout);
    if let Some(found) = inspection.id_type.filter(|found| found != expected) {
        migrations.refuse_newer(connector, connection).await?;
        return refuse(format!(
            "aggregate_id of {table} in {place} is of type {found}, not {expected}; open it as it \
             was made"
        ));
    }
    migrations.judge_found(connector, connection).await?;
    let Some(events_oid) = inspection.events_oid else {
        return refuse(format!("the table {table} is missing in {place}; restore it"));
    };
    if !inspection.has_plain_positions {
        return refuse(format!(
            "the column position of {table} in {place} was altered; followers would miss events: \
             it must be GENERATED ALWAYS AS IDENTITY with CACHE 1, INCREMENT 1 and NO CYCLE"
        ));
    }
    check_positions(connector, connection, layout).await?;
    Ok(events_oid)
}

/// Checks that the sequence of positions is not behind the table, as after copying the table's rows
/// into a migrated database: then new events get places that followers have passed, or that are
/// taken. Who may not look at the sequence is not refused.
pub(crate) async fn check_positions(
    connector: &Connector,
    connection: &mut PgConnection,
    layout: &Layout,
) -> Result<(), StoreError> {
    let statements = Judging::new(layout);
    let row = one_row(connector, connection, sqlx::query(statements.drawn_positions.sql())).await;
    let row = row.map_err(|error| connector.failure("looking at the positions", error))?;
    let mut behind = positions_behind(&row, layout);
    if let Ok(Some(_)) = behind {
        // only the sequence itself tells what it was told to draw next
        let statement = sqlx::query(statements.drawn.sql());
        let drawn = one_row(connector, connection, statement).await;
        let drawn = drawn.and_then(|row| row.try_get::<i64, _>(0));
        let newest = row.try_get::<i64, _>("newest");
        if matches!((drawn, newest), (Ok(drawn), Ok(newest)) if drawn >= newest) {
            behind = Ok(None);
        }
    }
    match behind.map_err(|error| connector.failure("looking at the positions", error))? {
        Some(why) => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            format!("{why}; it was found in {}", connector.place),
        )),
        None => Ok(()),
    }
}

/// What is wrong with the sequence of positions, with the statement that repairs it.
pub(crate) fn positions_behind(
    row: &PgRow,
    layout: &Layout,
) -> Result<Option<String>, sqlx::Error> {
    let (drawn, newest): (Option<i64>, i64) = (row.try_get("drawn")?, row.try_get("newest")?);
    let name: String = row.try_get("name")?;
    Ok(drawn.filter(|drawn| *drawn < newest).map(|drawn| {
        format!(
            "the sequence {name} has drawn {drawn} and the newest event stands at {newest}: new \
             events would stand where readers do not look any more; repair it while nobody writes: \
             {}",
            positions_repair(layout)
        )
    }))
}

/// The statement that puts the sequence of positions behind all events.
pub(crate) fn positions_repair(layout: &Layout) -> String {
    fill(include_str!("sql/positions_repair.sql").trim_end(), layout).sql().as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_renames_prepared_transactions_is_refused() {
        for (version, is_refused) in
            [(130_022, true), (140_000, true), (140_001, false), (150_000, false)]
        {
            let judged = check_version(version, "there");
            assert_eq!(judged.is_err(), is_refused, "{version}");
        }
        let refused = check_version(140_000, "there").unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::NotAStore);
        assert_eq!(refused.to_string(), "there is PostgreSQL 14.0; use 14.1 or newer");
    }
}
