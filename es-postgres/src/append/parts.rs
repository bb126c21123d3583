//! Several requests by one statement, and by smaller ones if it is refused.

use std::collections::HashSet;

use es_core::backend::AppendRequest;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::{Answer, Appender, Early, Locked, Sender, is_any_of, is_locked, streams};
use crate::connection::{Bound, Connector, Slot};
use crate::error::{append_error, is_refused};

/// In how many parts a statement is asked again that one of its requests has spoiled. Of all numbers
/// it takes the fewest time-outs for as few statements as halving.
pub(super) const PARTS: usize = 4;

/// So many statements are refused for a lock in one turn, and what is left then is asked in others. It is
/// more than [`SUSPECTS`] requests need, so that theirs is a whole turn.
const REFUSALS: usize = 24;
/// How many requests that may be held up are asked in one turn.
pub(crate) const SUSPECTS: usize = 16;

/// A connection of the store's own.
pub(super) struct Own<'c> {
    pub(super) connector: &'c Connector,
    pub(super) connection: &'c mut PgConnection,
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
    /// A statement that is refused has written nothing. Its requests are asked again in parts, until
    /// the one that is to blame is alone and has its own answer. Once a lock was to blame, each part
    /// waits for no more than an instant, because all wait for those before them; and after some such
    /// refusals what is left is handed back, so that nobody waits for all of them.
    pub(super) async fn write_plainly(
        &self,
        slot: &mut Slot,
        requests: &[&AppendRequest],
        mut is_brief: bool,
        early: &mut Early<'_>,
    ) -> Vec<Option<Result<Answer, Locked>>> {
        let mut answers: Vec<_> = requests.iter().map(|_| None).collect();
        let mut locked = HashSet::new();
        let mut parts = vec![(0..requests.len()).collect::<Vec<_>>()];
        let mut refusals = 0;
        while let Some(part) = parts.pop() {
            if refusals >= REFUSALS {
                part.iter().for_each(|&at| answers[at] = Some(Err(Locked::Suspect)));
                continue;
            }
            // what comes after a locked request of the same stream must not overtake it
            let (behind, part): (Vec<_>, Vec<_>) =
                part.into_iter().partition(|&index| is_any_of(requests[index], &locked));
            for index in behind {
                answers[index] = Some(Err(Locked::Held));
                locked.extend(streams(requests[index]));
            }
            if part.is_empty() {
                continue;
            }
            let mut connection = match self.connection(slot).await {
                Ok(connection) => connection,
                Err(error) => {
                    part.iter().for_each(|&at| answers[at] = Some(Ok(Err(error.clone().into()))));
                    continue;
                }
            };
            let connector = if is_brief { &self.briefer } else { &self.connector };
            let mut own = Own { connector, connection: &mut connection };
            let is_usable = if let [index] = part[..] {
                let (answer, lost) = self.write_one(&mut own, requests[index]).await;
                if answer.is_err() {
                    refusals += 1;
                    locked.extend(streams(requests[index]));
                }
                answers[index] = Some(answer);
                !lost
            } else {
                let together: Vec<_> = part.iter().map(|&index| requests[index]).collect();
                match self.write_together(&mut own, &self.statements.append, &together).await {
                    Ok((together, lost)) => {
                        for (&index, answer) in part.iter().zip(together) {
                            answers[index] = Some(Ok(answer));
                        }
                        !lost
                    }
                    Err(error) if is_refused(&error) => {
                        if is_locked(&error) {
                            is_brief = true;
                            refusals += 1;
                        }
                        let size = part.len().div_ceil(PARTS);
                        parts.extend(part.chunks(size).rev().map(<[_]>::to_vec));
                        true
                    }
                    Err(error) => {
                        let error = append_error("appending", self.place(), error);
                        part.iter()
                            .for_each(|&at| answers[at] = Some(Ok(Err(error.clone().into()))));
                        false
                    }
                }
            };
            if is_usable {
                slot.keep(connection);
            }
            if !parts.is_empty() {
                for index in part {
                    if let Some(answer) = answers[index].take_if(|answer| answer.is_ok()) {
                        early(index, answer.expect("it is not locked"));
                    }
                }
            }
        }
        answers
    }
}
