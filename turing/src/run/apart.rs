//! Postings that the others do not wait for: what is recorded for them takes long, or cannot be.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use es_core::event::EventId;
use tokio::task::{JoinError, JoinSet};
use turing_domain::{ConversationId, PostingId};

use super::clocks::Moment;
use super::enter::Entered;
use super::moved::{AttemptResult, Moved};
use super::{Run, RunError};

/// For how long the others wait until something is recorded for a posting.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many postings may stand apart; with more the others wait, too.
const PLACES: usize = 256;

/// What was recorded for a posting.
pub(super) enum Done {
    /// It entered the run, or was met in it at this moment.
    Entered(Entered, Moment),
    /// It did not, because the run was asked to stop while the store was away.
    NotEntered,
    /// It moved at a conversation, at this moment.
    Moved(ConversationId, Moved, Moment),
    /// It was looked for where it stands, at this moment.
    Found(Entered, Moment),
}

/// What came of recording something for a posting.
pub(super) struct Recorded {
    posting: PostingId,
    done: Result<Done, RunError>,
}

/// Something that is recorded for a posting.
pub(super) enum Recording {
    /// It is.
    Over(Box<Recorded>),
    /// It takes long, and goes on.
    Late(PostingId, JoinSet<Recorded>),
}

impl Recording {
    pub(super) fn posting(&self) -> PostingId {
        match self {
            Self::Over(recorded) => recorded.posting,
            Self::Late(posting, _) => *posting,
        }
    }
}

impl super::Shared {
    /// Records something in a task of its own, which others wait for for a moment; where nothing could
    /// be recorded for them either, until it is done.
    pub(super) async fn recording(
        &self,
        posting: PostingId,
        work: impl Future<Output = Result<Done, RunError>> + Send + 'static,
    ) -> Result<Recording, JoinError> {
        let mut one = JoinSet::new();
        one.spawn(async move { Recorded { posting, done: work.await } });
        let is_whole = self.store.is_held_as_a_whole();
        let patience = if is_whole { Duration::MAX } else { PATIENCE };
        match tokio::time::timeout(patience, one.join_next()).await {
            Ok(Some(recorded)) => Ok(Recording::Over(Box::new(recorded?))),
            Ok(None) | Err(_) => Ok(Recording::Late(posting, one)),
        }
    }
}

/// The postings that stand apart.
#[derive(Default)]
pub(super) struct Apart {
    tasks: JoinSet<Option<Result<Recorded, JoinError>>>,
    /// Which events opened the positions that they have.
    causes: BTreeMap<PostingId, Vec<(ConversationId, EventId)>>,
    /// How many events were recorded for the run when the last posting was left that is held up.
    left_at: Option<u64>,
}

impl Apart {
    pub(super) fn len(&self) -> usize {
        self.causes.len()
    }

    /// Whether a posting stands apart.
    pub(super) fn holds(&self, posting: PostingId) -> bool {
        self.causes.contains_key(&posting)
    }

    /// Waits until something was recorded for one of them; `None` if there is none.
    pub(super) async fn next(&mut self) -> Option<Result<Recorded, JoinError>> {
        self.tasks.join_next().await.map(|joined| match joined {
            Ok(recorded) => recorded.expect("a late recording is one task"),
            Err(error) => Err(error),
        })
    }
}

impl Run<'_> {
    /// Goes on with a posting, or without it for now.
    ///
    /// Answers how the attempt ended if that was recorded in time.
    pub(super) async fn take(
        &mut self,
        recording: Recording,
    ) -> Result<Option<AttemptResult>, RunError> {
        match recording {
            Recording::Over(recorded) => return self.settle(*recorded),
            Recording::Late(posting, mut late) => {
                let tasks = self.agenda.set_aside(posting);
                let cause = |task: &super::Task| Some((task.attempt.conversation_id, task.cause?));
                self.apart.causes.insert(posting, tasks.iter().filter_map(cause).collect());
                self.apart.tasks.spawn(async move { late.join_next().await });
                self.observer.posting_apart(posting);
            }
        }
        while self.apart.len() > PLACES && !*self.stop.borrow() {
            self.wait_for_one_apart().await?;
        }
        Ok(None)
    }

    /// Goes on with those that stand apart no longer.
    pub(super) fn take_back(&mut self) -> Result<(), RunError> {
        while let Some(joined) = self.apart.tasks.try_join_next() {
            self.settle(joined?.expect("a late recording is one task")?)?;
        }
        Ok(())
    }

    /// Goes on with the next that stands apart no longer, if any does.
    pub(super) async fn wait_for_one_apart(&mut self) -> Result<(), RunError> {
        let next = self.notices.telling(self.observer, self.apart.next()).await;
        self.settle_next(next)
    }

    /// Goes on with this one, which stands apart no longer, if there is one.
    pub(super) fn settle_next(
        &mut self,
        next: Option<Result<Recorded, JoinError>>,
    ) -> Result<(), RunError> {
        match next {
            Some(recorded) => self.settle(recorded?).map(drop),
            None => Ok(()),
        }
    }

    /// Tells that nothing is left to be done but to wait for who stands apart.
    pub(super) fn tell_apart(&mut self) {
        let postings: Vec<_> = self.apart.causes.keys().copied().collect();
        self.observer.waits_for(&postings);
    }

    fn settle(&mut self, recorded: Recorded) -> Result<Option<AttemptResult>, RunError> {
        let Recorded { posting, done } = recorded;
        let known = self.apart.causes.remove(&posting).unwrap_or_default();
        self.tell_losses();
        match done {
            Ok(Done::Entered(Entered { state, causes }, seen)) => {
                self.place(posting, &state, &causes, seen);
                self.count_end(posting, &state);
                Ok(None)
            }
            Ok(Done::Found(Entered { state, causes }, seen)) => {
                self.place(posting, &state, &causes, seen);
                self.count_end(posting, &state);
                self.observer.posting_ended(self.report.postings - self.report.open);
                Ok(None)
            }
            Ok(Done::Moved(conversation, mut moved, seen)) => {
                moved.causes.splice(0..0, known);
                Ok(self.moved(conversation, posting, moved, seen))
            }
            Ok(Done::NotEntered) => {
                self.report.not_entered += 1;
                Ok(None)
            }
            // the attempt was not begun; those that were finish
            Err(RunError::NotBegun) => Ok(None),
            Err(error @ RunError::LockLost { .. }) => {
                self.lose(error);
                Ok(None)
            }
            Err(error) if error.concerns_one_posting() && !self.stands_still(&error) => {
                if error.is_held_up() {
                    self.apart.left_at = Some(self.shared.recorded());
                }
                let reason = error.told();
                // its other positions are not tried either
                self.agenda.remove(posting);
                self.people.forget(posting);
                self.observer.posting_left(posting, &reason);
                self.report.left.push(super::Left { posting, reason });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// True if it is the store that is held, and not a stream: one posting after the other is held
    /// up and nothing is recorded in between, though there are some that were not held up.
    fn stands_still(&self, error: &RunError) -> bool {
        let held = self.report.left.len() + self.apart.len() + 1;
        let is_same = self.apart.left_at == Some(self.shared.recorded());
        error.is_held_up() && is_same && self.report.open > held
    }
}
