//! Filling the shadow: one reading of the log, for all slices.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, join_all, select};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use crate::error::StoreError;
use crate::read::ReadLog;

use super::super::{Checkpoint, Lease, StopCause, lowest};
use super::slice::{Page, Slice};
use super::{Held, Rebuild, RebuildError};

/// How many pages a slice may be behind the reader.
const PAGES_AHEAD: usize = 2;

/// What the work of a slice comes to.
type Done = Result<Slice, StopCause>;

/// How long the store has failed without a commit in between.
#[derive(Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    pub(super) failures: u32,
    /// Where the slices stood.
    checkpoints: Vec<Checkpoint>,
}

impl Outage {
    pub(super) fn lasts_for(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.since.get_or_insert(now))
    }

    /// It is over if something was committed since it began.
    pub(super) fn came_to(&mut self, lease: &Lease) {
        if lease.checkpoints != self.checkpoints {
            (self.since, self.failures) = (None, 0);
            self.checkpoints.clone_from(&lease.checkpoints);
        }
    }
}

impl Rebuild {
    /// Fills while it renews the lease.
    pub(super) async fn kept_and_filled(&self, held: Held) -> Result<Held, RebuildError> {
        let lease = held.lease.clone();
        let fill = std::pin::pin!(self.filled(held));
        let renew = std::pin::pin!(self.renewals(&lease));
        match select(fill, renew).await {
            Either::Left((filled, _)) => filled,
            Either::Right((error, _)) => Err(error.into()),
        }
    }

    /// Reads to the end of the log, and hands each page to every slice.
    async fn filled(&self, held: Held) -> Result<Held, RebuildError> {
        let checkpoints: Vec<_> =
            held.slices.iter().map(|slice| slice.checkpoint().clone()).collect();
        let (mut senders, mut running) = (Vec::new(), Vec::new());
        for slice in held.slices {
            let (sender, pages) = mpsc::channel(PAGES_AHEAD);
            senders.push(sender);
            running.push(self.start(slice.run(pages, self.watch.clone())));
        }
        let (read, slices) =
            futures_util::future::join(self.read(lowest(&checkpoints), senders), join_all(running))
                .await;
        let mut kept = Vec::with_capacity(slices.len());
        for slice in slices {
            kept.push(slice?.map_err(|halt| self.stopped(halt))?);
        }
        read?;
        Ok(Held { lease: held.lease, slices: kept })
    }

    /// Runs the work of a slice, in a task of its own if the runtime has tasks, so that slices also
    /// use several processors.
    fn start(
        &self,
        work: impl Future<Output = Done> + Send + 'static,
    ) -> BoxFuture<'static, Result<Done, RebuildError>> {
        let work = work.in_current_span().boxed();
        // a task that cannot be had must not take the work with it
        let (handed_over, given) = oneshot::channel::<BoxFuture<'static, Done>>();
        let (mut sender, answer) = oneshot::channel();
        let task = async move {
            let Ok(work) = given.await else { return };
            let done = {
                let dropped = pin!(sender.closed());
                match select(work, dropped).await {
                    Either::Left((done, _)) => done,
                    // the rebuild was: what it had under way ends with it
                    Either::Right(_) => return,
                }
            };
            // nobody listens any more if that was just now
            let _ = sender.send(done);
        };
        if !self.environment.runtime.spawn(Box::pin(task)) {
            return work.map(Ok).boxed();
        }
        // if the task is gone already, its answer says so
        let _ = handed_over.send(work);
        let projection = self.definition.name().to_owned();
        let ended = move |answer: Result<_, _>| {
            answer.map_err(|_| RebuildError::Stopped {
                projection,
                cause: Box::new(StopCause::TaskEnded),
            })
        };
        answer.map(ended).boxed()
    }

    async fn read(
        &self,
        start: &Checkpoint,
        slices: Vec<mpsc::Sender<Arc<Page>>>,
    ) -> Result<(), StoreError> {
        let selection = self.definition.selection().clone();
        let limit = self.limit.page(slices.len());
        let read = ReadLog::from_start().filter(selection).limit(limit);
        let mut here = start.clone();
        self.watch.end(self.store.end_of_log().await?);
        loop {
            let page = Arc::new(Page::read(&*self.store, here, read.clone()).await?);
            here = page.to.clone();
            for slice in &slices {
                if slice.send(page.clone()).await.is_err() {
                    // the slice came to an end early, and says why
                    return Ok(());
                }
            }
            if page.at_end {
                return Ok(());
            }
        }
    }
}
