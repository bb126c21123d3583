//! Requests for different streams, of one event each and without a key, by one plain statement: most
//! batches have nothing else, and it costs less than the migrated function.

use std::collections::{HashMap, HashSet};

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendRequest, Appended, AppendedStream, EventReceipt, NewEvent, StreamId, Timestamp,
};
use es_core::event::EventId;
use sqlx::Row;
use sqlx::postgres::{PgBindIterExt, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use super::parts::Own;
use super::{Answer, Appender, Sender, appending};
use crate::batch::expectation;
use crate::config::IdType;
use crate::connection::Bound;
use crate::error::append_error;
use crate::row::{position, version};
use crate::sql::Statement;

/// For fewer it is not worth a transaction of their own beside one for the others.
const LEAST: usize = 8;

/// A request that the statement can write.
struct Single<'a> {
    stream: &'a StreamId,
    expected: ExpectedVersion,
    event: &'a NewEvent,
}

impl<'a> Single<'a> {
    fn of(request: &'a AppendRequest) -> Option<Self> {
        let [part] = request.streams() else { return None };
        let [event] = part.events.as_slice() else { return None };
        let is_plain = request.idempotency_key().is_none() && request.original_time().is_none();
        is_plain.then_some(Self { stream: &part.stream, expected: part.expected, event })
    }

    fn id(&self) -> Uuid {
        self.event.event_id.as_uuid()
    }
}

/// Divides requests, told by their indices, into those that the statement writes together, and others.
/// All of one stream are among the others, in their order, and of those with one event id all but one.
pub(super) fn divide(requests: &[&AppendRequest], indices: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
    let mut times: HashMap<&StreamId, usize> = HashMap::new();
    for part in indices.iter().flat_map(|&index| requests[index].streams()) {
        *times.entry(&part.stream).or_default() += 1;
    }
    let mut ids = HashSet::new();
    let is_plain = |&index: &usize| {
        let single = Single::of(requests[index]);
        single.is_some_and(|single| times[single.stream] == 1 && ids.insert(single.id()))
    };
    let are_plain: Vec<bool> = indices.iter().map(is_plain).collect();
    let plain = are_plain.iter().filter(|&&is_plain| is_plain).count();
    if plain < indices.len() && plain < LEAST {
        return (Vec::new(), indices);
    }
    let mut are_plain = are_plain.into_iter();
    indices.into_iter().partition(|_| are_plain.next() == Some(true))
}

impl Appender {
    /// Writes requests that [`divide`] has found. There is no answer for what is not as expected.
    pub(super) async fn write_plain(
        &self,
        own: &mut Own<'_>,
        requests: &[&AppendRequest],
    ) -> Result<Vec<Option<Answer>>, sqlx::Error> {
        let now = self.clock.now();
        let mut singles: Vec<_> = requests.iter().filter_map(|it| Single::of(it)).collect();
        // as all writers do, so that they do not wait for one another
        singles.sort_unstable_by_key(|single| single.stream);
        let statement = bind(&self.statements.append_batch, self.layout.ids, &singles, now);
        let mut written = written(&own.rows(statement).await?, now)?;
        let appended = requests.iter().map(|request| {
            let single = Single::of(request)?;
            let events = vec![written.remove(&single.id())?];
            let streams = vec![AppendedStream { stream: single.stream.clone(), events }];
            Some(Ok(Appended { streams, repeated: false }))
        });
        let mut answers: Vec<Option<Answer>> = appended.collect();
        if !written.is_empty() {
            // a trigger has given ids: to ask again for what is missing could write it twice
            for (request, answer) in requests.iter().zip(&mut answers) {
                answer.get_or_insert_with(|| {
                    let error = sqlx::Error::Decode("an answer for other events".into());
                    Err(append_error(appending(&[*request]), self.place(), error).into())
                });
            }
        }
        Ok(answers)
    }
}

fn bind(
    statement: &Statement,
    ids: IdType,
    singles: &[Single<'_>],
    now: Timestamp,
) -> Bound<'static> {
    let query = sqlx::query(statement.sql())
        .bind(singles.iter().map(|single| single.stream.aggregate_type()).bind_iter());
    let query = match ids {
        IdType::Text => {
            query.bind(singles.iter().map(|single| single.stream.aggregate_id()).bind_iter())
        }
        IdType::Int => query.bind(
            singles
                .iter()
                .map(|single| IdType::number(single.stream.aggregate_id()).unwrap_or_default())
                .bind_iter(),
        ),
    };
    query
        .bind(singles.iter().map(|single| expectation(single.expected)).bind_iter())
        .bind(singles.iter().map(Single::id).bind_iter())
        .bind(singles.iter().map(|single| single.event.event_type.as_str()).bind_iter())
        .bind(singles.iter().map(|single| Json(single.event.payload.as_raw())).bind_iter())
        .bind(singles.iter().map(|single| Json(single.event.metadata_document())).bind_iter())
        .bind(chrono::DateTime::<chrono::Utc>::from(now))
}

/// What the statement has written, by the ids of events.
fn written(rows: &[PgRow], now: Timestamp) -> Result<HashMap<Uuid, EventReceipt>, sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    // all are null if nothing was written
    let ids = row.try_get::<Option<Vec<Uuid>>, _>(0)?.unwrap_or_default();
    let versions = row.try_get::<Option<Vec<i32>>, _>(1)?.unwrap_or_default();
    let positions = row.try_get::<Option<Vec<i64>>, _>(2)?.unwrap_or_default();
    let events = ids.into_iter().zip(versions).zip(positions);
    let receipts = events.map(|((id, number), place)| {
        let event_id = EventId::from_uuid(id);
        let (version, position) = (version(number), position(place));
        (id, EventReceipt { event_id, version, position, recorded_at: now })
    });
    Ok(receipts.collect())
}
