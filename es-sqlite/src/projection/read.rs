//! What is known of models and what is in them.

use es_core::backend::rules::{Model, Models};
use es_core::backend::{
    Checkpoint, ListParked, ModelRow, Position, SinkError, Slot, StoreError, Timestamp,
};
use es_core::projection::{GenerationStatus, Parked, ProjectionStatus};
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::commit::{limit, number};
use super::row::Columns;
use crate::error::Doing;
use crate::sql;

const READING: &str = "reading a projection in";

/// All rows of a statement.
pub(super) fn all<T>(
    connection: &Connection,
    statement: &str,
    values: impl Params,
    mut read: impl FnMut(Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(statement).doing(connection, READING)?;
    let mut rows = statement.query(values).doing(connection, READING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(connection, READING)? {
        found.push(read(Columns { connection, row })?);
    }
    Ok(found)
}

/// What is asked about: the models of a projection in these slots.
pub(super) fn models(
    connection: &Connection,
    projection: &str,
    slots: &[Slot],
) -> Result<Models, StoreError> {
    let mut models = Models::default();
    for slot in slots {
        *models.slot_mut(*slot) = find(connection, projection, *slot, |row| {
            Ok(Model {
                generation: row.count("generation")?,
                fingerprint: row.get("fingerprint")?,
                epoch: row.count("epoch")?,
                holder: row.holder()?,
                checkpoints: checkpoints(connection, row.get("generation")?)?,
            })
        })?;
    }
    Ok(models)
}

/// The generation of a model that must be there.
pub(super) fn generation(
    connection: &Connection,
    projection: &str,
    slot: Slot,
) -> Result<i64, SinkError> {
    let found = find(connection, projection, slot, |row| row.get("generation"))?;
    found.ok_or_else(|| SinkError::NoModel { projection: projection.to_owned(), slot })
}

fn find<T>(
    connection: &Connection,
    projection: &str,
    slot: Slot,
    read: impl FnMut(Columns<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let values = params![projection, slot.as_str()];
    Ok(all(connection, sql::PROJECTION_FIND_MODEL, values, read)?.pop())
}

pub(super) fn checkpoints(
    connection: &Connection,
    generation: i64,
) -> Result<Vec<Checkpoint>, StoreError> {
    let read = |row: Columns<'_>| row.checkpoint();
    all(connection, sql::PROJECTION_CHECKPOINTS, [generation], read)
}

fn row(
    connection: &Connection,
    generation: i64,
    key: &str,
) -> Result<Option<ModelRow>, StoreError> {
    let values = params![generation, key];
    Ok(all(connection, sql::PROJECTION_ROW, values, |row| row.model_row())?.pop())
}

/// The rows among these keys.
pub(super) fn load(
    connection: &Connection,
    projection: &str,
    slot: Slot,
    mut keys: Vec<String>,
) -> Result<Vec<ModelRow>, SinkError> {
    let generation = generation(connection, projection, slot)?;
    keys.sort_unstable();
    keys.dedup();
    let mut rows = Vec::new();
    for key in keys {
        rows.extend(row(connection, generation, &key)?);
    }
    Ok(rows)
}

/// A page of all rows.
pub(super) fn rows(
    connection: &Connection,
    projection: &str,
    slot: Slot,
    after: &str,
    most: usize,
) -> Result<Vec<ModelRow>, SinkError> {
    let generation = generation(connection, projection, slot)?;
    let values = params![generation, after, limit(most)];
    Ok(all(connection, sql::PROJECTION_ROWS, values, |row| row.model_row())?)
}

/// A page of what is parked.
pub(super) fn parked(
    connection: &Connection,
    projection: &str,
    slot: Slot,
    list: &ListParked,
) -> Result<Vec<Parked>, SinkError> {
    let generation = generation(connection, projection, slot)?;
    let (position, after) = match &list.after {
        Some(after) => (number(after.position.to_sequence()), after.key.as_str()),
        None => (-1, ""),
    };
    let (waiting, most) = (list.waiting_only, limit(list.limit));
    let read = |row: Columns<'_>| row.parked();
    let parked = match &list.key {
        Some(key) => {
            // the entry before may be of another key
            let position = if after < key.as_str() { position.saturating_sub(1) } else { position };
            let values = params![generation, waiting, position, most, key];
            all(connection, sql::PROJECTION_PARKED_OF_KEY, values, read)
        }
        None => {
            let values = params![generation, waiting, position, after, most];
            all(connection, sql::PROJECTION_PARKED, values, read)
        }
    };
    Ok(parked?)
}

/// So many of the keys of which the first waiting event is due.
pub(super) fn due(
    connection: &Connection,
    generation: i64,
    most: usize,
) -> Result<Vec<String>, StoreError> {
    all(connection, sql::PROJECTION_DUE, [generation, limit(most)], |row| row.get("key"))
}

/// What is known about one projection, or about all.
pub(super) fn status(
    connection: &Connection,
    projection: Option<&str>,
    now: Timestamp,
) -> Result<Vec<ProjectionStatus>, SinkError> {
    let models = all(connection, sql::PROJECTION_STATUS, [projection], |row| {
        let generation: i64 = row.get("generation")?;
        let status = GenerationStatus {
            generation: generation.max(0).unsigned_abs(),
            fingerprint: row.get("fingerprint")?,
            checkpoints: checkpoints(connection, generation)?,
            holder: row.holder()?.filter(|holder| holder.has_lease(now)),
            events: row.count("events")?,
            committed_at: row.time("committed_at")?,
            waiting: row.count("waiting")?,
            discarded: row.count("discarded")?,
            trouble: row.trouble()?,
        };
        Ok((row.get::<String>("projection")?, row.slot()?, status))
    })?;
    let mut all: Vec<ProjectionStatus> = Vec::new();
    for (projection, slot, model) in models {
        if all.last().is_none_or(|last| last.projection != projection) {
            all.push(ProjectionStatus { projection, active: None, shadow: None });
        }
        let status = all.last_mut().expect("there is one for each projection");
        match slot {
            Slot::Active => status.active = Some(model),
            Slot::Shadow => status.shadow = Some(model),
        }
    }
    Ok(all)
}

/// True if the active model has come to the position.
pub(super) fn has_reached(
    connection: &Connection,
    projection: &str,
    position: Position,
) -> Result<bool, StoreError> {
    let values = params![projection, number(position.to_sequence())];
    connection
        .prepare_cached(sql::PROJECTION_HAS_REACHED)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)).optional())
        .map(|reached| reached.unwrap_or(false))
        .doing(connection, READING)
}
