//! Snapshots of aggregates.

use es_core::backend::{
    PageLimit, ReadStream, Snapshot, SnapshotAndTail, SnapshotSummary, StoreError, StoreErrorKind,
    StreamId, Timestamp,
};
use es_core::event::{EventId, Payload};
use es_core::execution::StreamVersion;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Doing;
use crate::read::read_stream;
use crate::row::{parse_time, time_text};
use crate::sql;

/// The newest snapshot at or below a version.
pub(crate) fn latest(
    connection: &Connection,
    stream: &StreamId,
    up_to: StreamVersion,
) -> Result<Option<Snapshot>, StoreError> {
    type Columns = (i64, String, String, String, String);
    let found: Option<Columns> = connection
        .prepare_cached(sql::LATEST_SNAPSHOT)
        .and_then(|mut statement| {
            statement
                .query_row(
                    params![stream.aggregate_type(), stream.aggregate_id(), up_to.as_i64()],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
                )
                .optional()
        })
        .doing(connection, format_args!("reading a snapshot of {stream} in"))?;
    let Some((version, schema, taken_at, state, last_event)) = found else {
        return Ok(None);
    };
    let corrupt = || {
        StoreError::new(
            StoreErrorKind::Corrupt,
            format!("the snapshot of {stream} at version {version} cannot be read"),
        )
    };
    Ok(Some(Snapshot::new(
        stream.clone(),
        StreamVersion::new(version.max(0).unsigned_abs()),
        last_event.parse::<EventId>().map_err(|error| corrupt().caused_by(error))?,
        schema,
        Payload::from_stored(&state).map_err(|error| corrupt().caused_by(error))?,
        parse_time(&taken_at).map_err(|error| corrupt().caused_by(error))?,
    )))
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
                snapshot.last_event.to_string(),
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

/// The newest snapshot at or below a version, and the first page of what follows it. The caller's
/// transaction makes them one answer.
pub(crate) fn latest_with_tail(
    connection: &Connection,
    stream: &StreamId,
    up_to: StreamVersion,
    limit: PageLimit,
) -> Result<SnapshotAndTail, StoreError> {
    let snapshot = latest(connection, stream, up_to)?;
    let from = snapshot.as_ref().map_or(StreamVersion::FIRST, |kept| kept.version);
    let read = ReadStream::new(stream.clone()).from_version(from).to_version(up_to);
    let tail = read_stream(connection, &read.limit(limit))?;
    Ok(SnapshotAndTail { snapshot, tail })
}

/// Removes all snapshots of a stream but the newest, and answers how many those were.
pub(crate) fn prune(
    connection: &Connection,
    stream: &StreamId,
    keep: u64,
) -> Result<u64, StoreError> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    connection
        .prepare_cached(sql::PRUNE_SNAPSHOTS)
        .and_then(|mut statement| {
            statement.execute(params![stream.aggregate_type(), stream.aggregate_id(), keep])
        })
        .map(|removed| removed as u64)
        .doing(connection, format_args!("removing old snapshots of {stream} in"))
}

/// A page of all snapshots, without their states.
pub(crate) fn list(
    connection: &Connection,
    after: Option<&SnapshotSummary>,
    limit: usize,
) -> Result<Vec<SnapshotSummary>, StoreError> {
    type Columns = (String, String, i64, String, String, i64, Option<String>);
    let what = "listing the snapshots in";
    let (aggregate_type, id, version) = after.map_or(("", "", 0), |after| {
        let stream = &after.stream;
        (stream.aggregate_type(), stream.aggregate_id(), after.version.as_i64())
    });
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<Columns> = connection
        .prepare_cached(sql::LIST_SNAPSHOTS)
        .and_then(|mut statement| {
            let rows = statement.query_map(params![aggregate_type, id, version, limit], |row| {
                let (schema, taken_at, bytes) = (row.get(3)?, row.get(4)?, row.get(5)?);
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, schema, taken_at, bytes, row.get(6)?))
            })?;
            rows.collect()
        })
        .doing(connection, what)?;
    let summary = |(aggregate_type, id, version, schema, taken_at, bytes, last_event): Columns| {
        let corrupt = || {
            let text = format!("a snapshot of {aggregate_type}/{id} at version {version}");
            StoreError::new(StoreErrorKind::Corrupt, format!("{text} cannot be read"))
        };
        Ok(SnapshotSummary {
            stream: StreamId::new(&aggregate_type, &id)
                .map_err(|error| corrupt().caused_by(error))?,
            version: StreamVersion::new(version.max(0).unsigned_abs()),
            // what is no id is the last event of no state, and like what is no time no reason to
            // list nothing
            last_event: last_event.and_then(|id| id.parse().ok()),
            taken_at: parse_time(&taken_at).unwrap_or(Timestamp::from_micros(i64::MIN)),
            schema,
            bytes: bytes.max(0).unsigned_abs(),
        })
    };
    rows.into_iter().map(summary).collect()
}
