//! Writing one batch.

use es_core::backend::{
    Batch, Checkpoint, Content, EventReference, Lease, SinkError, StoreError, Timestamp,
};
use es_core::event::Payload;
use es_core::projection::{Parked, ParkedId, ParkedState};
use rusqlite::{Connection, Params, params};

use super::read::models;
use super::tables;
use crate::error::Doing;
use crate::row::time_text;
use crate::sql;

pub(super) const WRITING: &str = "writing a projection to";

/// A number as SQLite keeps it.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows a page may have.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit.max(1)).unwrap_or(i64::MAX)
}

/// Runs a statement and answers how many rows it changed.
pub(super) fn execute(
    connection: &Connection,
    statement: &str,
    values: impl Params,
) -> Result<usize, StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute(values))
        .doing(connection, WRITING)
}

/// Writes a batch within a transaction that is rolled back if this fails.
pub(super) fn commit(
    connection: &Connection,
    lease: &Lease,
    batch: &Batch,
    now: Timestamp,
) -> Result<(), SinkError> {
    let models = models(connection, &lease.projection, &[lease.slot])?;
    models.commit(lease, batch.slice, batch.from.position)?;
    let generation = number(lease.generation);
    move_slice(connection, generation, batch)?;
    for id in &batch.unpark {
        if !unpark(connection, generation, id)? {
            return Err(SinkError::ParkedChanged { projection: lease.projection.clone() });
        }
    }
    for entry in &batch.park {
        park(connection, generation, entry)?;
    }
    let values = params![generation, number(batch.events), time_text(now)];
    execute(connection, sql::PROJECTION_COMMITTED, values)?;
    match &batch.content {
        Content::Rows(changes) => {
            for change in changes {
                write_row(connection, generation, &change.key, change.value.as_ref())?;
            }
            Ok(())
        }
        Content::Tables(changes) => tables::apply(connection, lease, changes),
        _ => {
            let reason = "the store does not know what to do with a batch".to_owned();
            Err(SinkError::Unusable { projection: lease.projection.clone(), reason })
        }
    }
}

fn move_slice(connection: &Connection, generation: i64, batch: &Batch) -> Result<(), StoreError> {
    let Checkpoint { position, event } = &batch.to;
    let event = event.as_ref();
    let stream = event.map(|event| &event.stream);
    let values = params![
        generation,
        batch.slice,
        number(batch.from.position.to_sequence()),
        number(position.to_sequence()),
        event.map(|event| number(event.position.to_sequence())),
        event.map(|event| event.event_id.to_string()),
        stream.map(|stream| stream.aggregate_type()),
        stream.map(|stream| stream.aggregate_id()),
        event.map(|event| event.version.as_i64()),
    ];
    execute(connection, sql::PROJECTION_MOVE_SLICE, values).map(drop)
}

/// Sets a row, or removes it.
fn write_row(
    connection: &Connection,
    generation: i64,
    key: &str,
    value: Option<&Payload>,
) -> Result<(), StoreError> {
    let written = match value {
        Some(value) => {
            let values = params![generation, key, value.as_str()];
            execute(connection, sql::PROJECTION_SET_ROW, values)
        }
        None => execute(connection, sql::PROJECTION_REMOVE_ROW, params![generation, key]),
    };
    written.map(drop)
}

fn park(connection: &Connection, generation: i64, entry: &Parked) -> Result<(), StoreError> {
    let EventReference { position, event_id, stream, version } = &entry.event;
    let (state, discarded) = match &entry.state {
        ParkedState::Waiting { is_due: true } => ("due", None),
        ParkedState::Waiting { is_due: false } => ("waiting", None),
        ParkedState::Discarded { reason, at } => ("discarded", Some((reason, time_text(*at)))),
    };
    let (reason, at) = discarded.unzip();
    let values = params![
        generation,
        number(position.to_sequence()),
        entry.key,
        event_id.to_string(),
        stream.aggregate_type(),
        stream.aggregate_id(),
        version.as_i64(),
        entry.reason,
        entry.attempts,
        time_text(entry.parked_at),
        state,
        reason,
        at,
    ];
    execute(connection, sql::PROJECTION_PARK, values).map(drop)
}

/// False if it does not wait.
fn unpark(connection: &Connection, generation: i64, id: &ParkedId) -> Result<bool, StoreError> {
    let values = params![generation, number(id.position.to_sequence()), id.key];
    Ok(execute(connection, sql::PROJECTION_UNPARK, values)? == 1)
}
