//! The verdict on a request that is not simply written: a conflict, a repeat, an event id that is used,
//! or a race with another transaction, after which it is asked again.

use std::collections::HashSet;

use es_core::backend::rules::RecordedRequest;
use es_core::backend::{
    AppendError, AppendRequest, Appended, StoreError, StoreErrorKind, StreamId, Timestamp,
    first_result, same_request,
};
use es_core::event::EventId;
use es_core::execution::IdempotencyKey;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{Appender, Sender};
use crate::batch::{Batch, Outcome};
use crate::error::is_race;
use crate::inspect::positions_behind;
use crate::read::{bind_stream, recorded_request};
use crate::sql::Statement;

/// How often an append is asked again because another transaction was faster. Each time somebody
/// else has written to the stream.
const RACES: usize = 100;

impl Appender {
    /// Writes one request by one of the migrated functions, or says why it is not written; asks again
    /// while other transactions are faster.
    pub(super) async fn judge(
        &self,
        sender: &mut dyn Sender,
        statement: &Statement,
        request: &AppendRequest,
    ) -> Result<Result<Appended, AppendError>, sqlx::Error> {
        let batch = Batch::new(vec![request]);
        let mut used = None;
        for race in 0..RACES {
            let now = self.recording_time(request);
            let outcome = match sender.rows(batch.bind(statement, self.layout.ids, now)).await {
                Ok(rows) => outcomes(&batch, &rows, now)?.and_then(|mut outcomes| outcomes.pop()),
                Err(error) if is_race(&error, &self.layout) => None,
                Err(error) => return Err(error),
            };
            match outcome {
                Some(Outcome::Written(appended)) => return Ok(Ok(appended)),
                Some(Outcome::Conflict(conflict)) => return Ok(Err(conflict.into())),
                Some(Outcome::Recorded(part)) => return self.repeat(sender, request, part).await,
                None => {}
            }
            // a race may be one with the same request, which is found recorded from then on: an id is
            // used by others if it was there before the statement
            let before = used;
            // the answer to it comes after the refused statement has let its locks go, which would
            // hold back the log for a reader who has been answered
            used = self.used_event_id(sender, request).await?;
            if let Some(event_id) = before {
                return Ok(Err(AppendError::DuplicateEvent { event_id }));
            }
            // in a transaction of the application's that keeps its snapshot, what was faster is never
            // seen
            if used.is_none() && race == 1 && !self.sees_others(sender).await? {
                break;
            }
        }
        // within a transaction of the application's, the function tells races by no name
        let rows = sender.rows(sqlx::query(self.statements.drawn_positions.sql())).await?;
        let behind = rows.first().map(|row| positions_behind(row, &self.layout)).transpose()?;
        if let Some(why) = behind.flatten() {
            let text = format!("appending in {}: {why}", self.place());
            return Ok(Err(StoreError::new(StoreErrorKind::Corrupt, text).into()));
        }
        let text = format!(
            "appending in {}: other transactions were faster each time; nothing was written",
            self.place()
        );
        Ok(Err(StoreError::new(StoreErrorKind::Busy, text).into()))
    }

    /// True if each statement sees what was committed before it.
    async fn sees_others(&self, sender: &mut dyn Sender) -> Result<bool, sqlx::Error> {
        let rows = sender.rows(sqlx::query(self.statements.inline_isolation.sql())).await?;
        let level: String = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
        Ok(level == "read committed")
    }

    /// The answer to a request whose key is recorded under the stream of one of its parts.
    pub(super) async fn repeat(
        &self,
        sender: &mut dyn Sender,
        request: &AppendRequest,
        part: usize,
    ) -> Result<Result<Appended, AppendError>, sqlx::Error> {
        let (Some(key), Some(part)) = (request.idempotency_key(), request.streams().get(part))
        else {
            return Err(sqlx::Error::Decode("a repeat without a key".into()));
        };
        let recorded = match self.find_request(sender, &part.stream, key).await? {
            Ok(recorded) => recorded,
            Err(error) => return Ok(Err(error.into())),
        };
        Ok(match same_request(request, &recorded) {
            Ok(()) => Ok(first_result(request, &recorded)),
            Err(difference) => Err(AppendError::KeyReused {
                key: key.clone(),
                stream: part.stream.clone(),
                difference,
            }),
        })
    }

    async fn find_request(
        &self,
        sender: &mut dyn Sender,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Result<RecordedRequest, StoreError>, sqlx::Error> {
        let statement = sqlx::query(self.statements.find_request.sql());
        let Some(statement) = bind_stream(statement, self.layout.ids, stream) else {
            return Ok(Ok(RecordedRequest::new()));
        };
        let rows = sender.rows(statement.bind(key.as_str().to_owned())).await?;
        Ok(recorded_request(&rows, self.place()))
    }

    /// The first event of the request whose id is in the store already.
    async fn used_event_id(
        &self,
        sender: &mut dyn Sender,
        request: &AppendRequest,
    ) -> Result<Option<EventId>, sqlx::Error> {
        let events = || request.streams().iter().flat_map(|part| &part.events);
        let ids: Vec<Uuid> = events().map(|event| event.event_id.as_uuid()).collect();
        let statement = sqlx::query(self.statements.used_event_ids.sql()).bind(ids);
        let rows = sender.rows(statement).await?;
        let used: HashSet<Uuid> =
            rows.iter().map(|row| row.try_get(0)).collect::<Result<_, sqlx::Error>>()?;
        Ok(events().map(|event| event.event_id).find(|id| used.contains(&id.as_uuid())))
    }
}

/// What became of the requests of a batch.
pub(super) fn outcomes(
    batch: &Batch<'_>,
    rows: &[PgRow],
    now: Timestamp,
) -> Result<Option<Vec<Outcome>>, sqlx::Error> {
    batch.outcomes(rows.first().ok_or(sqlx::Error::RowNotFound)?, now)
}
