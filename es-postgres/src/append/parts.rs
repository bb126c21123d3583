//! Several requests by one statement, and by smaller ones if it is refused.

use std::collections::HashSet;

use es_core::backend::AppendRequest;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::plain::divide;
use super::{Answer, Appender, Early, Locked, Sender, is_any_of, is_locked, streams};
use crate::connection::{Bound, Connector, Slot};
use crate::error::{append_error, is_race, is_refused};

/// In how many parts a statement is asked again that one of its requests has spoiled. Of all numbers
/// it takes the fewest time-outs for as few statements as halving.
pub(super) const PARTS: usize = 4;

/// So many statements are refused for a lock in one turn, and what is left then is asked in others. It is
/// more than [`SUSPECTS`] requests need, so that theirs is a whole turn.
const REFUSALS: usize = 28;
/// How many requests that may be held up are asked in one turn.
pub(crate) const SUSPECTS: usize = 16;

/// The answers to requests. There is none yet for what was told early, or is left to the function.
type Answers = Vec<Option<Result<Answer, Locked>>>;

/// What a part is written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A plain statement, which costs less, if there is one for it.
    Statement,
    /// The migrated function, which says why something is not written.
    Function,
}

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
    /// A plain statement writes what is as expected, and the function is asked about the rest; about all of
    /// it if another transaction was faster.
    ///
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
    ) -> Answers {
        let mut answers: Answers = requests.iter().map(|_| None).collect();
        let mut locked = HashSet::new();
        let mut parts = vec![(By::Statement, (0..requests.len()).collect::<Vec<_>>())];
        let mut refusals = 0;
        while let Some((by, part)) = parts.pop() {
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
            let (by, part) = match part.len() {
                2.. if by == By::Statement => {
                    let (plain, others) = divide(requests, part);
                    if plain.is_empty() {
                        (By::Function, others)
                    } else {
                        if !others.is_empty() {
                            parts.push((By::Statement, others));
                        }
                        (By::Statement, plain)
                    }
                }
                _ => (by, part),
            };
            let mut connection = match self.connection(slot).await {
                Ok(connection) => connection,
                Err(error) => {
                    part.iter().for_each(|&at| answers[at] = Some(Ok(Err(error.clone().into()))));
                    continue;
                }
            };
            let connector = if is_brief { &self.briefer } else { &self.connector };
            let mut own = Own { connector, connection: &mut connection };
            let together: Vec<_> = part.iter().map(|&index| requests[index]).collect();
            let done = self.write_part(&mut own, by, &together).await;
            let is_usable = match done {
                Ok((done, lost)) => {
                    let mut left = Vec::new();
                    for (&index, answer) in part.iter().zip(done) {
                        match &answer {
                            None => left.push(index),
                            Some(Ok(_)) => {}
                            Some(Err(_)) => {
                                refusals += 1;
                                locked.extend(streams(requests[index]));
                            }
                        }
                        answers[index] = answer;
                    }
                    if !left.is_empty() {
                        parts.push((By::Function, left));
                    }
                    !lost
                }
                Err(error) if by == By::Statement && is_race(&error, &self.layout) => {
                    parts.push((By::Function, part.clone()));
                    true
                }
                Err(error) if is_refused(&error) => {
                    if is_locked(&error) {
                        is_brief = true;
                        refusals += 1;
                    }
                    let size = part.len().div_ceil(PARTS);
                    parts.extend(part.chunks(size).rev().map(|chunk| (by, chunk.to_vec())));
                    true
                }
                Err(error) => {
                    let error = append_error("appending", self.place(), error);
                    part.iter().for_each(|&at| answers[at] = Some(Ok(Err(error.clone().into()))));
                    false
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

    /// Sends one statement, or what a single request takes; tells, too, whether the connection was lost.
    async fn write_part(
        &self,
        own: &mut Own<'_>,
        by: By,
        requests: &[&AppendRequest],
    ) -> Result<(Answers, bool), sqlx::Error> {
        if let [request] = requests {
            let (answer, lost) = self.write_one(own, by, request).await;
            return Ok((vec![Some(answer)], lost));
        }
        if by == By::Statement {
            let written = self.write_plain(own, requests).await?;
            let answers = written.into_iter().map(|answer| answer.map(Ok));
            return Ok((answers.collect(), false));
        }
        let (answers, lost) = self.write_together(own, &self.statements.append, requests).await?;
        Ok((answers.into_iter().map(|answer| Some(Ok(answer))).collect(), lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many statements are refused until each of so many requests, all of which are held up, was alone.
    fn refused(requests: usize) -> usize {
        if requests <= 1 {
            return requests;
        }
        let size = requests.div_ceil(PARTS);
        1 + requests / size * refused(size) + refused(requests % size)
    }

    #[test]
    fn one_turn_asks_all_suspects_however_they_are_divided() {
        for plain in 0..=SUSPECTS {
            let refusals = refused(plain) + refused(SUSPECTS - plain);
            assert!(refusals <= REFUSALS, "{plain} plain ones: {refusals}");
        }
    }
}
