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

/// The pause after a wait for news that failed: what is asked next is waited for.
const PAUSE: Duration = Duration::from_millis(500);

/// What somebody wrote. This process may have been it: whoever hears looks, and what it knows already
/// changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heard {
    /// A person's task of this posting ended in the run.
    Posting(PostingId),
    /// Something of the workflow's runs.
    Workflow,
    /// The circuit breaker of this actor was closed.
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

    /// Follows the log until the run is asked to stop, or the store is away for too long.
    async fn follow(&self, shared: &Shared, from: Position) {
        let mut after = from;
        loop {
            let read = shared.patience.persist(|| self.read(shared, after)).await;
            match read {
                Ok(next) => after = next,
                // who needs the store is told the same
                Err(_) => return,
            }
            if shared.store.events.wait_past(after).await.is_err() {
                let timer = &shared.clocks.timer;
                timer.sleep_until(timer.now() + PAUSE).await;
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
        WorkflowEvent::WORKFLOW_STARTED,
        WorkflowEvent::WORKFLOW_COMPLETED,
        WorkflowEvent::WORKFLOW_FAILED,
        ActorEvent::CIRCUIT_BREAKER_CLOSED,
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
        ActorBreaker::TYPE => event.aggregate_id::<ActorBreaker>().ok().map(Heard::Actor),
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
