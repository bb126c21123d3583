//! Several append requests as the arguments of one statement, and its answer as theirs.

use std::collections::BTreeMap;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendRequest, Appended, AppendedStream, EventReceipt, NewEvent, StreamId, Timestamp,
};
use es_core::execution::{Conflict, StreamVersion};
use sqlx::Row;
use sqlx::postgres::{PgBindIterExt, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use crate::config::IdType;
use crate::connection::Bound;
use crate::read::bind_stream;
use crate::row::{position, version};
use crate::sql::{Statement, Statements};

/// Requests laid out for the migrated function.
pub(crate) struct Batch<'a> {
    requests: Vec<&'a AppendRequest>,
    /// The different streams, in an order that all writers share.
    streams: Vec<&'a StreamId>,
    parts: Vec<Part<'a>>,
    /// By stream, and within a stream in the order of the requests.
    events: Vec<(usize, usize, &'a NewEvent)>,
}

/// The share of a request in one stream.
struct Part<'a> {
    stream: usize,
    expected: i64,
    size: usize,
    key: Option<&'a str>,
    append_id: Option<Uuid>,
}

/// What became of one request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Written(Appended),
    Conflict(Conflict),
    /// The key is recorded under the stream of the part with this index.
    Recorded(usize),
}

impl<'a> Batch<'a> {
    pub(crate) fn new(requests: Vec<&'a AppendRequest>) -> Self {
        let mut numbers = BTreeMap::new();
        for part in requests.iter().flat_map(|request| request.streams()) {
            numbers.insert(&part.stream, 0);
        }
        for (number, (_, stream)) in numbers.iter_mut().enumerate() {
            *stream = number;
        }
        let mut parts = Vec::new();
        let mut events = Vec::new();
        for request in &requests {
            let key = request.idempotency_key().map(es_core::execution::IdempotencyKey::as_str);
            let first = request.streams().first().and_then(|part| part.events.first());
            let append_id = first.filter(|_| key.is_some() && request.streams().len() > 1);
            let append_id = append_id.map(|event| event.event_id.as_uuid());
            for part in request.streams() {
                let stream = numbers[&part.stream];
                let in_part = part.events.iter().zip(1..);
                events.extend(in_part.map(|(event, number)| (parts.len(), number, event)));
                parts.push(Part {
                    stream,
                    expected: expectation(part.expected),
                    size: part.events.len(),
                    key,
                    append_id,
                });
            }
        }
        events.sort_by_key(|(part, ..)| parts[*part].stream);
        Self { requests, streams: numbers.into_keys().collect(), parts, events }
    }

    /// The statement with all arguments; the ids of the streams must fit the column.
    pub(crate) fn bind(
        &self,
        statement: &Statement,
        ids: IdType,
        now: Timestamp,
    ) -> Bound<'static> {
        let int = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let query = sqlx::query(statement.sql())
            .bind(self.streams.iter().map(|stream| stream.aggregate_type()).bind_iter());
        let query = match ids {
            IdType::Text => {
                query.bind(self.streams.iter().map(|stream| stream.aggregate_id()).bind_iter())
            }
            IdType::Int => query.bind(
                self.streams
                    .iter()
                    .map(|stream| IdType::number(stream.aggregate_id()).unwrap_or_default())
                    .bind_iter(),
            ),
        };
        let has_keys = self.parts.iter().any(|part| part.key.is_some());
        let has_append_ids = self.parts.iter().any(|part| part.append_id.is_some());
        query
            .bind(self.requests.iter().map(|request| int(request.streams().len())).bind_iter())
            .bind(self.parts.iter().map(|part| int(part.stream + 1)).bind_iter())
            .bind(self.parts.iter().map(|part| part.expected).bind_iter())
            .bind(self.parts.iter().map(|part| int(part.size)).bind_iter())
            .bind(has_keys.then(|| self.parts.iter().map(|part| part.key).collect::<Vec<_>>()))
            .bind(
                has_append_ids
                    .then(|| self.parts.iter().map(|part| part.append_id).collect::<Vec<_>>()),
            )
            .bind(self.events.iter().map(|(part, ..)| int(part + 1)).bind_iter())
            .bind(self.events.iter().map(|(_, number, _)| int(*number)).bind_iter())
            .bind(self.events.iter().map(|(.., event)| event.event_id.as_uuid()).bind_iter())
            .bind(self.events.iter().map(|(.., event)| event.event_type.as_str()).bind_iter())
            .bind(self.events.iter().map(|(.., event)| Json(event.payload.as_raw())).bind_iter())
            .bind(self.events.iter().map(|(.., event)| Json(event.metadata_document())).bind_iter())
            .bind(chrono::DateTime::<chrono::Utc>::from(now))
    }

    /// What the statement answered, request by request; `None` if another transaction was faster.
    pub(crate) fn outcomes(
        &self,
        row: &PgRow,
        now: Timestamp,
    ) -> Result<Option<Vec<Outcome>>, sqlx::Error> {
        let Some(outcomes) = row.try_get::<Option<Vec<i32>>, _>(0)? else {
            return Ok(None);
        };
        let actuals: Vec<Option<i64>> = row.try_get(1)?;
        let bases: Vec<Option<i64>> = row.try_get(2)?;
        let positions = row.try_get::<Option<Vec<i64>>, _>(3)?.unwrap_or_default();
        let counts = (outcomes.len(), actuals.len(), bases.len());
        let is_whole = counts == (self.requests.len(), self.requests.len(), self.parts.len());
        let mut receipts: Vec<Vec<EventReceipt>> = Vec::with_capacity(self.parts.len());
        receipts.resize_with(self.parts.len(), Vec::new);
        let mut positions = positions.into_iter();
        if is_whole {
            for (part, number, event) in &self.events {
                let Some(base) = bases[*part] else { continue };
                let Some(place) = positions.next() else { continue };
                receipts[*part].push(EventReceipt {
                    event_id: event.event_id,
                    version: StreamVersion::new(base.max(0).unsigned_abs()).plus(*number as u64),
                    position: position(place),
                    recorded_at: now,
                });
            }
        }
        let mut receipts = receipts.into_iter();
        let mut answered = Vec::with_capacity(self.requests.len());
        for ((request, outcome), actual) in self.requests.iter().zip(outcomes).zip(actuals) {
            let parts = request.streams();
            let index = usize::try_from(outcome.unsigned_abs()).unwrap_or(0);
            let events = receipts.by_ref().take(parts.len());
            let streams = parts.iter().zip(events);
            let streams: Vec<_> = streams
                .map(|(part, events)| AppendedStream { stream: part.stream.clone(), events })
                .collect();
            let is_written =
                streams.iter().zip(parts).all(|(s, p)| s.events.len() == p.events.len());
            answered.push(match (outcome, parts.get(index.wrapping_sub(1))) {
                (0, _) if is_written => Outcome::Written(Appended { streams, repeated: false }),
                (1.., Some(part)) => Outcome::Conflict(Conflict {
                    stream: part.stream.clone(),
                    expected: part.expected,
                    actual: StreamVersion::new(actual.unwrap_or(0).max(0).unsigned_abs()),
                }),
                (..0, Some(_)) => Outcome::Recorded(index - 1),
                _ => return Err(sqlx::Error::Decode("an answer of another shape".into())),
            });
        }
        if answered.len() != self.requests.len() {
            return Err(sqlx::Error::Decode("an answer for other requests".into()));
        }
        Ok(Some(answered))
    }
}

/// A request for one stream as the arguments of a statement of its own, which costs less than the
/// migrated function; `None` if it is for several.
pub(crate) fn bind_single(
    request: &AppendRequest,
    statements: &Statements,
    ids: IdType,
    now: Timestamp,
) -> Option<Bound<'static>> {
    let [part] = request.streams() else {
        return None;
    };
    let key = request.idempotency_key();
    let statement = match (part.events.len(), key) {
        (1, None) => &statements.append_event,
        (1, Some(_)) => &statements.append_event_keyed,
        (_, None) => &statements.append_events,
        (_, Some(_)) => &statements.append_events_keyed,
    };
    let query = bind_stream(sqlx::query(statement.sql()), ids, &part.stream)?
        .bind(expectation(part.expected))
        .bind(chrono::DateTime::<chrono::Utc>::from(now));
    let events = || part.events.iter();
    let query = match part.events.as_slice() {
        [event] => query
            .bind(event.event_id.as_uuid())
            .bind(event.event_type.as_str().to_owned())
            .bind(Json(event.payload.as_raw()))
            .bind(Json(event.metadata_document())),
        _ => query
            .bind(events().map(|event| event.event_id.as_uuid()).bind_iter())
            .bind(events().map(|event| event.event_type.as_str()).bind_iter())
            .bind(events().map(|event| Json(event.payload.as_raw())).bind_iter())
            .bind(events().map(|event| Json(event.metadata_document())).bind_iter()),
    };
    Some(match key {
        Some(key) => query.bind(key.as_str().to_owned()),
        None => query,
    })
}

/// What [`bind_single`]'s statement answered; `None` if it has written nothing.
pub(crate) fn single_outcome(
    request: &AppendRequest,
    rows: &[PgRow],
    now: Timestamp,
) -> Result<Option<Appended>, sqlx::Error> {
    let (Some(part), Some(row)) = (request.streams().first(), rows.first()) else {
        return Ok(None);
    };
    let Some(first) = row.try_get::<Option<i32>, _>(0)?.map(version) else {
        return Ok(None);
    };
    let positions: Vec<i64> = match part.events.len() {
        1 => vec![row.try_get(1)?],
        _ => row.try_get(1)?,
    };
    if positions.len() != part.events.len() {
        return Err(sqlx::Error::Decode("an answer for other events".into()));
    }
    let receipt = |((event, place), number): ((&NewEvent, i64), u64)| EventReceipt {
        event_id: event.event_id,
        version: first.plus(number),
        position: position(place),
        recorded_at: now,
    };
    let events = part.events.iter().zip(positions).zip(0..).map(receipt).collect();
    let streams = vec![AppendedStream { stream: part.stream.clone(), events }];
    Ok(Some(Appended { streams, repeated: false }))
}

/// An expectation as a number, as all statements take it.
pub(crate) fn expectation(expected: ExpectedVersion) -> i64 {
    match expected {
        ExpectedVersion::Any => -1,
        ExpectedVersion::StreamExists => -2,
        ExpectedVersion::NoStream => 0,
        ExpectedVersion::Exact(version) => version.as_i64(),
    }
}
