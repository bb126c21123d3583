//! Sends appends over a connection and says what became of them.

use std::collections::HashSet;
use std::sync::Arc;

use es_core::append::{first_result, same_request};
use es_core::{
    AppendError, AppendRequest, Appended, Clock, EventId, IdempotencyKey, StoreError,
    StoreErrorKind, StreamId, Timestamp,
};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::batch::{Batch, Outcome, bind_single, single_outcome};
use crate::config::Layout;
use crate::connection::{Bound, Connector, Doing, Slot};
use crate::error::{append_error, is_lost, is_position_taken, is_race, is_refused};
use crate::log::{Announcer, Log};
use crate::migrate::{positions_behind, positions_repair};
use crate::projection::Projections;
use crate::read::{RecordedRequest, bind_stream, recorded_request};
use crate::sql::{Statement, Statements};

mod inline;

/// How often an append is asked again because another transaction was faster. Each time somebody
/// else has written to the stream.
const RACES: usize = 100;

/// What appending needs besides a connection.
pub(crate) struct Appender {
    pub(crate) connector: Arc<Connector>,
    pub(crate) statements: Arc<Statements>,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Arc<Log>,
    pub(crate) announcer: Option<Announcer>,
    pub(crate) projections: Arc<Projections>,
    pub(crate) is_persistent: bool,
}

type Answer = Result<Appended, AppendError>;

/// Somewhere to send statements that belong to an append.
pub(crate) trait Sender: Send {
    fn rows<'a>(
        &'a mut self,
        statement: Bound<'a>,
    ) -> BoxFuture<'a, Result<Vec<PgRow>, sqlx::Error>>;
}

/// A connection of the store's own.
struct Own<'c> {
    connector: &'c Connector,
    connection: &'c mut PgConnection,
}

impl Sender for Own<'_> {
    fn rows<'a>(
        &'a mut self,
        statement: Bound<'a>,
    ) -> BoxFuture<'a, Result<Vec<PgRow>, sqlx::Error>> {
        Box::pin(self.connector.rows(self.connection, statement))
    }
}

impl Appender {
    pub(crate) fn place(&self) -> &str {
        &self.connector.place
    }

    /// Writes requests, together if there are several; each has its own answer.
    pub(crate) async fn write(
        &self,
        slot: &mut Slot,
        requests: Vec<&AppendRequest>,
    ) -> Vec<Answer> {
        let answers = match self.projections.inline.all() {
            None => self.write_plainly(slot, requests).await,
            Some(kept) => self.write_kept(slot, &requests, &kept).await,
        };
        if answers.iter().any(|answer| matches!(answer, Ok(appended) if !appended.repeated)) {
            self.log.appended();
            if let Some(announcer) = &self.announcer {
                announcer.announce();
            }
        }
        answers
    }

    async fn write_plainly(&self, slot: &mut Slot, requests: Vec<&AppendRequest>) -> Vec<Answer> {
        let count = requests.len();
        let mut connection = match slot.take(&self.connector).await {
            Ok(connection) => connection,
            Err(error) => return vec![Err(error.into()); count],
        };
        let mut answers = Vec::with_capacity(count);
        let mut is_usable = true;
        if count > 1 {
            let mut own = Own { connector: &self.connector, connection: &mut connection };
            match self.write_together(&mut own, &self.statements.append, &requests).await {
                Ok((together, lost)) => (answers, is_usable) = (together, !lost),
                // nothing was written: each is asked alone, so that it gets its own answer
                Err(error) if is_refused(&error) => {}
                Err(error) => {
                    let error = append_error("appending", self.place(), error);
                    return vec![Err(error.into()); count];
                }
            }
        }
        if answers.is_empty() {
            for request in requests {
                if !is_usable {
                    connection = match slot.take(&self.connector).await {
                        Ok(connection) => connection,
                        Err(error) => {
                            answers.push(Err(error.into()));
                            continue;
                        }
                    };
                }
                let mut own = Own { connector: &self.connector, connection: &mut connection };
                let (answer, lost) = self.write_one(&mut own, request).await;
                is_usable = !lost;
                answers.push(answer);
            }
        }
        if is_usable {
            slot.keep(connection);
        }
        answers
    }

    /// Writes several requests by one statement; tells, too, whether the connection was lost
    /// afterwards.
    async fn write_together(
        &self,
        sender: &mut dyn Sender,
        function: &Statement,
        requests: &[&AppendRequest],
    ) -> Result<(Vec<Answer>, bool), sqlx::Error> {
        let batch = Batch::new(requests.to_vec());
        let now = self.clock.now();
        let rows = sender.rows(batch.bind(function, self.layout.ids, now)).await?;
        let outcomes = outcomes(&batch, &rows, now)?.ok_or(sqlx::Error::RowNotFound)?;
        let mut answers = Vec::with_capacity(requests.len());
        let mut lost = false;
        for (request, outcome) in requests.iter().zip(outcomes) {
            answers.push(match outcome {
                Outcome::Written(appended) => Ok(appended),
                Outcome::Conflict(conflict) => Err(conflict.into()),
                Outcome::Recorded(part) => match self.repeat(sender, request, part).await {
                    Ok(repeat) => repeat,
                    // the others are written all the same
                    Err(error) => {
                        lost |= is_lost(&error);
                        Err(self.connector.failure("looking up a key", error).into())
                    }
                },
            });
        }
        Ok((answers, lost))
    }

    /// Writes one request; tells, too, whether the connection was lost.
    async fn write_one(
        &self,
        own: &mut Own<'_>,
        request: &AppendRequest,
    ) -> (Result<Appended, AppendError>, bool) {
        let now = self.clock.now();
        if let Some(statement) = bind_single(request, &self.statements, self.layout.ids, now) {
            let rows = own.rows(statement).await;
            match rows.and_then(|rows| single_outcome(request, &rows, now)) {
                Ok(Some(appended)) => return (Ok(appended), false),
                // the function says why nothing was written
                Ok(None) => {}
                Err(error) if is_race(&error, &self.layout) => {}
                Err(error) => return self.failed(request, error),
            }
        }
        self.write_by(own, &self.statements.append, request).await
    }

    /// Writes one request by one of the migrated functions.
    pub(crate) async fn write_by(
        &self,
        sender: &mut dyn Sender,
        function: &Statement,
        request: &AppendRequest,
    ) -> (Result<Appended, AppendError>, bool) {
        match self.judge(sender, function, request).await {
            Ok(answer) => (answer, false),
            Err(error) => self.failed(request, error),
        }
    }

    fn failed(
        &self,
        request: &AppendRequest,
        error: sqlx::Error,
    ) -> (Result<Appended, AppendError>, bool) {
        if is_position_taken(&error, &self.layout) {
            let text = format!(
                "the sequence of positions in {} draws what is taken; nothing was written; repair \
                 it while nobody writes: {}",
                self.place(),
                positions_repair(&self.layout)
            );
            let error = StoreError::new(StoreErrorKind::Corrupt, text).caused_by(error);
            return (Err(error.into()), false);
        }
        let lost = is_lost(&error);
        let stream = request.streams().first().map(|part| &part.stream);
        (Err(append_error(Doing("appending to", stream), self.place(), error).into()), lost)
    }

    async fn judge(
        &self,
        sender: &mut dyn Sender,
        statement: &Statement,
        request: &AppendRequest,
    ) -> Result<Result<Appended, AppendError>, sqlx::Error> {
        let batch = Batch::new(vec![request]);
        for race in 0..RACES {
            let now: Timestamp = self.clock.now();
            let outcome = match sender.rows(batch.bind(statement, self.layout.ids, now)).await {
                Ok(rows) => outcomes(&batch, &rows, now)?.and_then(|mut outcomes| outcomes.pop()),
                Err(error) if is_race(&error, &self.layout) => None,
                Err(error) => return Err(error),
            };
            match outcome {
                Some(Outcome::Written(appended)) => return Ok(Ok(appended)),
                Some(Outcome::Conflict(conflict)) => return Ok(Err(conflict.into())),
                Some(Outcome::Recorded(part)) => return self.repeat(sender, request, part).await,
                // the first race may be one with the same request, which is then found recorded
                None if race > 0 => {
                    if let Some(event_id) = self.used_event_id(sender, request).await? {
                        return Ok(Err(AppendError::DuplicateEvent { event_id }));
                    }
                }
                None => {}
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
            "appending in {}: other transactions were faster {RACES} times; nothing was written",
            self.place()
        );
        Ok(Err(StoreError::new(StoreErrorKind::Busy, text).into()))
    }

    /// The answer to a request whose key is recorded under the stream of one of its parts.
    async fn repeat(
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

fn outcomes(
    batch: &Batch<'_>,
    rows: &[PgRow],
    now: Timestamp,
) -> Result<Option<Vec<Outcome>>, sqlx::Error> {
    batch.outcomes(rows.first().ok_or(sqlx::Error::RowNotFound)?, now)
}
