//! Sends appends over a connection and says what became of them.

use std::collections::HashSet;
use std::sync::Arc;

use es_core::backend::{
    AppendError, AppendRequest, Appended, StoreError, StoreErrorKind, StreamId, Timestamp,
};
use es_core::environment::Clock;
use futures_util::future::BoxFuture;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::batch::{Batch, Outcome, bind_single, single_outcome};
use crate::config::Layout;
use crate::connection::{Bound, Connector, Doing, Holder, Slot, Wanted};
use crate::error::{append_error, has_code, is_lost, is_position_taken, is_race};
use crate::frontier::Divergence;
use crate::inspect::positions_repair;
use crate::log::{Announcer, Log};
use crate::projection::Projections;
use crate::sql::{Statement, Statements};

mod inline;
mod judge;
mod parts;
mod plain;

use judge::outcomes;
pub(crate) use parts::SUSPECTS;
use parts::{By, Own, PARTS};

const COMPARING: &str = "comparing the log with what was seen of it";

/// What appending needs besides a connection.
pub(crate) struct Appender {
    pub(crate) connector: Arc<Connector>,
    /// For statements that are to wait for a lock less than others.
    pub(crate) briefer: Arc<Connector>,
    pub(crate) statements: Arc<Statements>,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Arc<Log>,
    pub(crate) announcer: Option<Announcer>,
    pub(crate) projections: Arc<Projections>,
    pub(crate) is_persistent: bool,
}

type Answer = Result<Appended, AppendError>;

/// A request was not written, because of another transaction: it can be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locked {
    /// The other holds something that it needs.
    Held,
    /// The other holds something that those beside it need; it was not tried alone.
    Suspect,
}

fn is_locked(error: &sqlx::Error) -> bool {
    has_code(error, "55P03") || has_code(error, "40P01")
}

/// Takes the answer of a request, by its index, before those of others are there.
pub(crate) type Early<'a> = dyn FnMut(usize, Answer) + Send + 'a;

/// Somewhere to send statements that belong to an append.
pub(crate) trait Sender: Send {
    fn rows<'a>(
        &'a mut self,
        statement: Bound<'a>,
    ) -> BoxFuture<'a, Result<Vec<PgRow>, sqlx::Error>>;
}

impl Appender {
    pub(crate) fn place(&self) -> &str {
        &self.connector.place
    }

    /// The time with which a request is recorded that was checked.
    fn recording_time(&self, request: &AppendRequest) -> Timestamp {
        request.original_time().unwrap_or_else(|| self.clock.now())
    }

    /// Writes requests, together if there are several; each has its own answer, here or told early.
    /// Those that are brief wait for a lock less than others.
    pub(crate) async fn write(
        &self,
        slot: &mut Slot,
        requests: &[&AppendRequest],
        is_brief: bool,
        early: &mut Early<'_>,
    ) -> Vec<Option<Result<Answer, Locked>>> {
        let mut early = |index, answer| {
            self.tell_of(&answer);
            early(index, answer);
        };
        let answers = match self.projections.inline.all() {
            None => self.write_plainly(slot, requests, is_brief, &mut early).await,
            Some(kept) => Box::pin(self.write_kept(slot, requests, &kept)).await,
        };
        answers.iter().flatten().flatten().for_each(|answer| self.tell_of(answer));
        answers
    }

    /// Writes one request; one that is brief waits for a lock less than others.
    pub(crate) async fn write_alone(
        &self,
        slot: &mut Slot,
        request: &AppendRequest,
        is_brief: bool,
    ) -> Result<Answer, Locked> {
        let mut answers = match self.projections.inline.all() {
            None => self.write_plainly(slot, &[request], is_brief, &mut |_, _| {}).await,
            Some(kept) => Box::pin(self.write_kept(slot, &[request], &kept)).await,
        };
        let answer = answers.pop().flatten().expect("nothing is told early of the last one");
        answer.as_ref().into_iter().for_each(|answer| self.tell_of(answer));
        answer
    }

    /// Tells those who follow the log if something was written.
    fn tell_of(&self, answer: &Answer) {
        if let Ok(appended) = answer
            && !appended.repeated
        {
            self.log.acknowledged(appended);
            self.log.appended();
            if let Some(announcer) = &self.announcer {
                announcer.announce();
            }
        }
    }

    /// The connection of a slot. A new one may lead to another history than the one before it, in
    /// which nothing must be written.
    async fn connection(&self, slot: &mut Slot) -> Result<PgConnection, StoreError> {
        let mut connection = slot.take(&self.connector).await?;
        if slot.is_unjudged() {
            if let Some((position, event_id)) = self.log.newest() {
                let statement = sqlx::query(self.statements.is_there.sql());
                let statement = statement.bind(position).bind(event_id);
                let rows = Box::pin(self.connector.rows(&mut connection, statement)).await;
                let is_there =
                    rows.and_then(|rows| rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0));
                let is_there: bool =
                    is_there.map_err(|error| self.connector.failure(COMPARING, error))?;
                if !is_there {
                    return Err(self.log.diverged(Divergence::OtherHistory { position }));
                }
            }
            slot.judged();
        }
        Ok(connection)
    }

    /// Makes sure that a slot has a connection, before anything is sent.
    pub(crate) async fn reach(&self, slot: &mut Slot) -> Result<(), StoreError> {
        let connection = self.connection(slot).await?;
        slot.keep(connection);
        Ok(())
    }

    /// Who holds what an append waits for.
    pub(crate) async fn lock_holder(&self, slot: &mut Slot) -> Option<Holder> {
        let mut connection = slot.take(&self.connector).await.ok()?;
        let answer = self.connector.asked_for_holder(&mut connection, Wanted::ToWrite).await;
        // without an answer it may be in any state
        let holder = answer.ok()?;
        slot.keep(connection);
        holder
    }

    /// The refusal of a request that was held up for as long as it may be.
    pub(crate) fn held_up(&self, request: &AppendRequest, by: Option<&Holder>) -> AppendError {
        self.connector.held_up(appending(&[request]), by).into()
    }

    /// Writes several requests, none of which is an import, by one statement; tells, too, whether the
    /// connection was lost afterwards.
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
        by: By,
        request: &AppendRequest,
    ) -> (Result<Answer, Locked>, bool) {
        let now = self.recording_time(request);
        if by == By::Statement
            && let Some(statement) = bind_single(request, &self.statements, self.layout.ids, now)
        {
            let rows = own.rows(statement).await;
            match rows.and_then(|rows| single_outcome(request, &rows, now)) {
                Ok(Some(appended)) => return (Ok(Ok(appended)), false),
                // the function says why nothing was written
                Ok(None) => {}
                Err(error) if is_race(&error, &self.layout) => {}
                Err(error) => return self.failed_or_locked(request, error),
            }
        }
        match Box::pin(self.judge(own, &self.statements.append, request)).await {
            Ok(answer) => (Ok(answer), false),
            Err(error) => self.failed_or_locked(request, error),
        }
    }

    fn failed_or_locked(
        &self,
        request: &AppendRequest,
        error: sqlx::Error,
    ) -> (Result<Answer, Locked>, bool) {
        if is_locked(&error) {
            return (Err(Locked::Held), false);
        }
        let (answer, lost) = self.failed(request, error);
        (Ok(answer), lost)
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
        (Err(append_error(appending(&[request]), self.place(), error).into()), lost)
    }
}

/// The streams of a request.
pub(crate) fn streams(request: &AppendRequest) -> impl Iterator<Item = StreamId> {
    request.streams().iter().map(|part| part.stream.clone())
}

/// What is done with requests, for messages.
pub(crate) fn appending<'a>(requests: &[&'a AppendRequest]) -> Doing<'a> {
    let first = requests.first().and_then(|request| request.streams().first());
    Doing("appending to", first.map(|part| &part.stream))
}

/// True if the request is for one of these streams.
pub(crate) fn is_any_of(request: &AppendRequest, streams: &HashSet<StreamId>) -> bool {
    request.streams().iter().any(|part| streams.contains(&part.stream))
}
