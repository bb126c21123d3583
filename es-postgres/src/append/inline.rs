//! Appends that keep models of projections within their transaction.

use es_core::backend::{
    AppendError, AppendRequest, Appended, Definition, Position, StoreError, StoreErrorKind,
};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{Answer, Appender, Locked, PARTS, Sender, appending};
use crate::connection::{Bound, Connector, Slot};
use crate::error::append_error;
use crate::projection::Undone;
use crate::sql::Statement;

/// A connection within a transaction.
struct Within<'c> {
    connector: &'c Connector,
    connection: &'c mut PgConnection,
    is_persistent: bool,
}

impl Sender for Within<'_> {
    fn rows<'a>(
        &'a mut self,
        statement: Bound<'a>,
    ) -> BoxFuture<'a, Result<Vec<PgRow>, sqlx::Error>> {
        let statement = statement.persistent(self.is_persistent);
        Box::pin(self.connector.in_time(statement.fetch_all(&mut *self.connection)))
    }
}

impl Appender {
    /// Writes requests in one transaction with what they do to the models, or in smaller parts if that
    /// fails, so that one which cannot be taken refuses itself only.
    pub(super) async fn write_kept(
        &self,
        slot: &mut Slot,
        requests: &[&AppendRequest],
        kept: &[Definition],
    ) -> Vec<Option<Result<Answer, Locked>>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut parts = vec![requests];
        while let Some(part) = parts.pop() {
            match self.keep(slot, part, kept).await {
                Ok(answered) => answers.extend(answered.into_iter().map(|answer| Some(Ok(answer)))),
                Err(Undone::Refused(_)) if part.len() > 1 => {
                    parts.extend(part.chunks(part.len().div_ceil(PARTS)).rev());
                }
                Err(undone) => {
                    let error = self.projections.refusal(appending(part), undone);
                    answers.extend(part.iter().map(|_| Some(Ok(Err(error.clone().into())))));
                }
            }
        }
        answers
    }

    /// One transaction, begun again when others have ended that were in its way.
    async fn keep(
        &self,
        slot: &mut Slot,
        requests: &[&AppendRequest],
        kept: &[Definition],
    ) -> Result<Vec<Answer>, Undone> {
        let projections = &self.projections;
        let mut patience = projections.patience();
        let lost = |error| append_error(appending(requests), self.place(), error);
        let taken = self.connection(slot).await;
        let mut connection = taken.map_err(|error| Undone::Failed(error.into()))?;
        loop {
            let mut transaction = projections.begin(&mut connection).await?;
            let work = self.write_and_take(&mut transaction, requests, kept).await;
            let (done, is_usable) = projections.end(transaction, work, lost).await;
            if let Err(Undone::Behind(writers)) = &done
                && is_usable
            {
                let over = projections.is_over(&mut connection, writers, &mut patience).await;
                if over.map_err(Undone::Failed)? {
                    continue;
                }
            }
            match is_usable {
                true => slot.keep(connection),
                false => self.connector.lost_one(),
            }
            return done;
        }
    }

    /// The models are held first: positions are drawn by one at a time of those who keep them.
    /// Answers, too, whether there is anything to be committed.
    async fn write_and_take(
        &self,
        connection: &mut PgConnection,
        requests: &[&AppendRequest],
        kept: &[Definition],
    ) -> Result<(Vec<Answer>, bool), Undone> {
        let mut held = self.projections.hold(connection, kept).await?;
        let is_persistent = self.is_persistent;
        let function = &self.statements.append_within;
        let mut within = Within { connector: &self.connector, connection, is_persistent };
        let written = match requests {
            [request] => self.judge(&mut within, function, request).await.map(|it| vec![it]),
            requests => self.write_together(&mut within, function, requests).await.map(|it| it.0),
        };
        let connection = within.connection;
        let refused =
            |error| Undone::Refused(self.connector.failure(appending(requests), error).into());
        let answers = written.map_err(refused)?;
        let Some(last) = last_position(&answers) else {
            return Ok((answers, false));
        };
        let is_new = |answer: &Answer| answer.as_ref().is_ok_and(|it| !it.repeated);
        let is_written = answers.iter().any(is_new);
        let is_taken = self.projections.take_up_to(connection, &mut held, last).await?;
        Ok((answers, is_written || is_taken))
    }

    /// Appends within a transaction of the application, and takes it into the models there.
    pub(crate) async fn write_kept_in(
        &self,
        connection: &mut PgConnection,
        request: &AppendRequest,
        kept: &[Definition],
    ) -> Answer {
        let statements = &self.statements;
        let isolation = self.run_in(connection, request, &statements.inline_isolation).await?;
        let isolation = isolation.first().and_then(|row| row.try_get::<String, _>(0).ok());
        if isolation.as_deref() != Some("read committed") {
            let text = format!(
                "{} in {}: a transaction that keeps inline projections must see what others have \
                 committed; begin it at the isolation level READ COMMITTED",
                appending(&[request]),
                self.place()
            );
            return Err(StoreError::new(StoreErrorKind::Other, text).into());
        }
        let mut patience = self.projections.patience();
        // a refusal must leave nothing behind
        self.run_in(connection, request, &statements.inline_savepoint).await?;
        let done = loop {
            let done = self.write_and_take(&mut *connection, &[request], kept).await;
            if done.is_ok() {
                break done;
            }
            self.run_in(connection, request, &statements.inline_undo).await?;
            let Err(Undone::Behind(writers)) = &done else { break done };
            match self.projections.is_over_in(connection, writers, &mut patience).await {
                Ok(true) => {}
                Ok(false) => break done,
                Err(error) => break Err(Undone::Failed(error)),
            }
        };
        self.run_in(connection, request, &statements.inline_release).await?;
        match done {
            Ok((mut answers, _)) => answers.pop().expect("there is an answer for each request"),
            Err(undone) => Err(self.projections.refusal(appending(&[request]), undone).into()),
        }
    }

    async fn run_in(
        &self,
        connection: &mut PgConnection,
        request: &AppendRequest,
        statement: &Statement,
    ) -> Result<Vec<PgRow>, AppendError> {
        let statement = sqlx::query(statement.sql()).persistent(self.is_persistent);
        let rows = self.connector.in_time(statement.fetch_all(connection)).await;
        rows.map_err(|error| self.connector.failure(appending(&[request]), error).into())
    }
}

/// The last position that the answers tell of.
fn last_position(answers: &[Answer]) -> Option<Position> {
    let written = answers.iter().filter_map(|answer| answer.as_ref().ok());
    let events = written.flat_map(|appended: &Appended| &appended.streams);
    events.flat_map(|stream| &stream.events).map(|event| event.position).reduce(Position::merge)
}
