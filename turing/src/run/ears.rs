//! Hearing what other processes write while a run goes on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use es_core::Aggregate;
use es_core::event::{EventFilter, Position, ReadLog, RecordedEvent};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use turing_domain::fields::RUN_ID;
use turing_domain::{
    ActorBreaker, ActorEvent, ActorId, Posting, PostingEvent, PostingId, WorkflowEvent,
    WorkflowRuns,
};

use super::{RunError, Shared};

/// The pause after news could not be had. Who needs the store waits for it and tells that; for who only
/// listens it is enough to hear the rest later.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the log is looked at: of a run that writes all the time nobody needs to hear each event.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// What somebody wrote. This process may have been it: whoever hears looks, and what it knows already
/// changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// A person's task of this posting ended in the run.
    Posting(PostingId),
    /// An operator asked something of a run of the workflow.
    Workflow,
    /// The circuit breaker of this actor was closed, or it was paused, or goes on.
    Actor(ActorId),
}

/// What was heard and not looked at; all copies are the same ears.
#[derive(Debug, Clone, Default)]
pub(super) struct Ears(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    // of what is not looked at yet one word is enough, and a run may not look for long
    heard: Mutex<BTreeSet<Heard>>,
    news: Notify,
}

impl Ears {
    /// All that was heard since it was last asked.
    pub(super) fn take(&self) -> BTreeSet<Heard> {
        std::mem::take(&mut *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something is heard; it may have been taken already.
    pub(super) async fn wait(&self) {
        self.0.news.notified().await;
    }

    fn hear(&self, heard: Heard) {
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(heard);
        self.0.news.notify_one();
    }

    /// Listens to what is written from this place of the log on, for as long as the answer is kept.
    pub(super) fn listen(&self, shared: Arc<Shared>, from: Position) -> JoinSet<()> {
        let (ears, mut listening) = (self.clone(), JoinSet::new());
        listening.spawn(async move { ears.follow(&shared, from).await });
        listening
    }

    /// Follows the log for as long as the run goes on. The pauses are those of the system's clock: nothing
    /// that the run waits for depends on them.
    async fn follow(&self, shared: &Shared, from: Position) {
        let mut after = from;
        loop {
            // at first, since as long as somebody waits each append is told
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let heard = match shared.store.events.wait_past(after).await {
                Ok(()) => self.read(shared, after).await,
                Err(error) => Err(error.into()),
            };
            match heard {
                Ok(next) => after = next,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Reads what is there behind a place of the log, and answers how far that is.
    async fn read(&self, shared: &Shared, after: Position) -> Result<Position, RunError> {
        let mut read = ReadLog::after(after).filter(worth_hearing());
        loop {
            let page = shared.store.events.read_log(&read).await?;
            for event in &page.events {
                if let Some(heard) = heard(shared, event) {
                    self.hear(heard);
                }
            }
            read.after = page.next;
            if page.at_end {
                return Ok(page.next);
            }
        }
    }
}

fn worth_hearing() -> EventFilter {
    EventFilter::events([
        PostingEvent::HUMAN_TASK_COMPLETED,
        PostingEvent::HUMAN_TASK_FAILED,
        WorkflowEvent::WORKFLOW_PAUSED,
        WorkflowEvent::WORKFLOW_PAUSE_ENDED,
        WorkflowEvent::WORKFLOW_CANCELLATION_REQUESTED,
        ActorEvent::CIRCUIT_BREAKER_CLOSED,
        ActorEvent::ACTOR_PAUSED,
        ActorEvent::ACTOR_PAUSE_ENDED,
    ])
}

/// What an event means for the run, if it means anything.
fn heard(shared: &Shared, event: &RecordedEvent) -> Option<Heard> {
    match event.stream.aggregate_type() {
        Posting::TYPE => {
            let run_id = event.metadata.get(RUN_ID);
            let is_own = run_id.is_none_or(|run_id| run_id == shared.run_id);
            let posting = event.aggregate_id::<Posting>().ok().filter(|_| is_own)?;
            Some(Heard::Posting(posting))
        }
        WorkflowRuns::TYPE => {
            let workflow = event.aggregate_id::<WorkflowRuns>().ok()?;
            (workflow == shared.definition.workflow.id).then_some(Heard::Workflow)
        }
        ActorBreaker::TYPE => {
            // what this run wrote is known
            let is_own = event.metadata.get(RUN_ID) == Some(shared.run_id);
            let actor = event.aggregate_id::<ActorBreaker>().ok().filter(|_| !is_own)?;
            Some(Heard::Actor(actor))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_heard_before_somebody_waits_is_not_missed() {
        let ears = Ears::default();
        let copy = ears.clone();
        for posting in [1, 2, 1] {
            copy.hear(Heard::Posting(PostingId(posting)));
        }
        ears.wait().await;
        let heard = [PostingId(1), PostingId(2)].map(Heard::Posting);
        assert_eq!(ears.take(), BTreeSet::from(heard));
        assert!(ears.take().is_empty());
    }
}
