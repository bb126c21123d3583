//! Snapshots of aggregates.

use es_core::{Payload, Snapshot, StoreError, StoreErrorKind, StreamId, StreamVersion};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Doing;
use crate::row::{parse_time, time_text};
use crate::sql;

/// The newest snapshot at or below a version.
pub(crate) fn latest(
    connection: &Connection,
    stream: &StreamId,
    up_to: StreamVersion,
) -> Result<Option<Snapshot>, StoreError> {
    type Columns = (i64, String, String, String);
    let found: Option<Columns> = connection
        .prepare_cached(sql::LATEST_SNAPSHOT)
        .and_then(|mut statement| {
            statement
                .query_row(
                    params![stream.aggregate_type(), stream.aggregate_id(), up_to.as_i64()],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .optional()
        })
        .doing(connection, format_args!("reading a snapshot of {stream} in"))?;
    let Some((version, schema, taken_at, state)) = found else {
        return Ok(None);
    };
    let corrupt = || {
        StoreError::new(
            StoreErrorKind::Corrupt,
            format!("the snapshot of {stream} at version {version} cannot be read"),
        )
    };
    Ok(Some(Snapshot {
        stream: stream.clone(),
        version: StreamVersion::new(version.max(0).unsigned_abs()),
        schema,
        state: Payload::parse(state).map_err(|error| corrupt().caused_by(error))?,
        taken_at: parse_time(&taken_at).map_err(|error| corrupt().caused_by(error))?,
    }))
}

/// Keeps a snapshot, in place of one of the same version.
pub(crate) fn save(connection: &Connection, snapshot: &Snapshot) -> Result<(), StoreError> {
    let stream = &snapshot.stream;
    connection
        .prepare_cached(sql::SAVE_SNAPSHOT)
        .and_then(|mut statement| {
            statement.execute(params![
                stream.aggregate_type(),
                stream.aggregate_id(),
                snapshot.version.as_i64(),
                snapshot.schema,
                time_text(snapshot.taken_at),
                snapshot.state.as_str(),
            ])
        })
        .map(drop)
        .doing(connection, format_args!("saving a snapshot of {stream} in"))
}

/// Removes all snapshots of a stream.
pub(crate) fn delete(connection: &Connection, stream: &StreamId) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql::DELETE_SNAPSHOTS)
        .and_then(|mut statement| {
            statement.execute(params![stream.aggregate_type(), stream.aggregate_id()])
        })
        .map(drop)
        .doing(connection, format_args!("removing the snapshots of {stream} in"))
}
