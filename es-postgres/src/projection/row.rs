//! Rows of the projections' tables and their typed forms.

use es_core::backend::{Checkpoint, EventReference, ModelRow, Slot, StreamId};
use es_core::event::{EventId, Payload};
use es_core::execution::StreamVersion;
use es_core::projection::{
    GenerationStatus, Holder, Parked, ParkedState, ProjectionStatus, Trouble,
};
use sqlx::postgres::PgRow;
use sqlx::{Error, Row};
use uuid::Uuid;

use crate::row::{Instant, Json, position};

/// A stream; one of which somebody changed the name is one that no log has.
fn named(kind: &str, id: &str) -> StreamId {
    StreamId::new(kind, id).unwrap_or_else(|_| StreamId::stand_in(kind, id))
}

fn count(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

/// A row of a model; `None` if the model is there, but not the row.
pub(super) fn model_row(row: &PgRow) -> Result<Option<ModelRow>, Error> {
    let Some(key) = row.try_get::<Option<String>, _>(0)? else {
        return Ok(None);
    };
    let value: Json<'_> = row.try_get(1)?;
    let value = Payload::parse(value.0.to_owned());
    let value = value.unwrap_or_else(|_| Payload::unreadable("its value is no JSON"));
    Ok(Some(ModelRow { key, value }))
}

/// The reference to an event whose columns begin after the first.
fn event(row: &PgRow, place: i64) -> Result<EventReference, Error> {
    let (kind, id): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
    Ok(EventReference {
        position: position(place),
        event_id: EventId::from_uuid(row.try_get::<Uuid, _>(1)?),
        stream: named(kind, id),
        version: StreamVersion::new(count(row.try_get(4)?)),
    })
}

/// A parked entry; `None` if the model is there, but nothing is parked.
pub(super) fn parked(row: &PgRow) -> Result<Option<Parked>, Error> {
    let Some(place) = row.try_get::<Option<i64>, _>(0)? else {
        return Ok(None);
    };
    let state = match row.try_get::<&str, _>(9)? {
        "discarded" => ParkedState::Discarded {
            reason: row.try_get(10)?,
            at: row.try_get::<Instant, _>(11)?.0,
        },
        state => ParkedState::Waiting { is_due: state == "due" },
    };
    Ok(Some(Parked {
        event: event(row, place)?,
        key: row.try_get(5)?,
        reason: row.try_get(6)?,
        attempts: u32::try_from(row.try_get::<i64, _>(7)?).unwrap_or(u32::MAX),
        parked_at: row.try_get::<Instant, _>(8)?.0,
        state,
    }))
}

/// The parts of the reference to an event, any of which may be missing.
type Parts = (Option<i64>, Option<Uuid>, Option<String>, Option<String>, Option<i64>);

fn checkpoint(place: i64, parts: Parts) -> Result<Checkpoint, Error> {
    let event = match parts {
        (Some(at), Some(id), Some(kind), Some(stream), Some(version)) => Some(EventReference {
            position: position(at),
            event_id: EventId::from_uuid(id),
            stream: named(&kind, &stream),
            version: StreamVersion::new(count(version)),
        }),
        _ => None,
    };
    Ok(Checkpoint { position: position(place), event })
}

/// A checkpoint that is a row of its own.
pub(super) fn checkpoint_row(row: &PgRow) -> Result<Checkpoint, Error> {
    let parts =
        (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    checkpoint(row.try_get(0)?, parts)
}

fn checkpoints(row: &PgRow) -> Result<Vec<Checkpoint>, Error> {
    let places: Vec<i64> = row.try_get("positions")?;
    let at: Vec<Option<i64>> = row.try_get("event_positions")?;
    let ids: Vec<Option<Uuid>> = row.try_get("event_ids")?;
    let kinds: Vec<Option<String>> = row.try_get("stream_types")?;
    let streams: Vec<Option<String>> = row.try_get("stream_ids")?;
    let versions: Vec<Option<i64>> = row.try_get("versions")?;
    let parts = at.into_iter().zip(ids).zip(kinds).zip(streams).zip(versions);
    let parts = parts.map(|((((at, id), kind), stream), version)| (at, id, kind, stream, version));
    places.into_iter().zip(parts).map(|(place, parts)| checkpoint(place, parts)).collect()
}

fn instant(row: &PgRow, name: &str) -> Result<Option<es_core::backend::Timestamp>, Error> {
    Ok(row.try_get::<Option<Instant>, _>(name)?.map(|instant| instant.0))
}

fn generation(row: &PgRow) -> Result<GenerationStatus, Error> {
    let name: Option<String> = row.try_get("holder")?;
    let rate: Option<f64> = row.try_get("rate")?;
    let trouble: Option<String> = row.try_get("trouble")?;
    Ok(GenerationStatus {
        generation: count(row.try_get("generation")?),
        fingerprint: row.try_get("fingerprint")?,
        checkpoints: checkpoints(row)?,
        holder: name.zip(instant(row, "expires_at")?).map(|(name, expires_at)| Holder {
            name,
            expires_at,
            rate,
        }),
        events: count(row.try_get("events")?),
        committed_at: instant(row, "committed_at")?,
        waiting: count(row.try_get("waiting")?),
        discarded: count(row.try_get("discarded")?),
        trouble: trouble
            .zip(instant(row, "trouble_at")?)
            .map(|(message, at)| Trouble { message, at }),
    })
}

/// Rows of models, which come by projection, as the status of each projection.
pub(super) fn status(rows: &[PgRow]) -> Result<Vec<ProjectionStatus>, Error> {
    let mut all: Vec<ProjectionStatus> = Vec::new();
    for row in rows {
        let projection: String = row.try_get("projection")?;
        let model = generation(row)?;
        if all.last().is_none_or(|last| last.projection != projection) {
            all.push(ProjectionStatus { projection, active: None, shadow: None });
        }
        let status = all.last_mut().expect("there is one for each projection");
        match row.try_get::<&str, _>("slot")? == Slot::Shadow.as_str() {
            true => status.shadow = Some(model),
            false => status.active = Some(model),
        }
    }
    Ok(all)
}
