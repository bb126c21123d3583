//! The holder of a reaction's lease, at work.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, Either, FutureExt, select};
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use super::super::window::Window;
use super::Of;
use super::call::Ended;
use super::commit::Pending;
use super::outage::Outage;
use super::under_way::next_of;
use crate::environment::within;
use crate::error::{StoreError, StoreErrorKind};
use crate::projection::{
    Checkpoint, Lease, Means, ProjectionSink, Renewal, StopCause, chain, check_history,
};
use crate::read::{PageLimit, ReadLog};

/// What is there as long as the lease is.
pub(super) struct Held {
    pub(super) of: Arc<Of>,
    pub(super) sink: Arc<dyn ProjectionSink>,
    pub(super) lease: Lease,
    pub(super) window: Window,
    pub(super) calls: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Up to where the log was read.
    pub(super) reached: Checkpoint,
    /// Ends when there is more to be read; `None` if there may be now.
    more: Option<BoxFuture<'static, Result<(), StoreError>>>,
    /// When the lease was asked for last: from then on it lasts.
    leased_at: Instant,
    /// Whether it was renewed since it was taken.
    has_renewed: bool,
    /// Whether it is to be renewed at once, because something may be due.
    pub(super) is_to_renew: bool,
    /// Whether more is due than the last renewal told.
    is_more_due: bool,
    pub(super) committed_at: Instant,
    pub(super) has_committed: bool,
    /// What the store has not answered to.
    pub(super) pending: Option<Pending>,
    /// The store fails, and that is waited out.
    pub(super) outage: Option<Outage>,
    /// What operators were told, as far as no commit has cleared it.
    pub(super) told: Option<String>,
    /// The event that it is to stop before.
    pub(super) poison: Option<StopCause>,
    /// Why nobody could say whether a parked event is to be given.
    pub(super) unsaid: Option<StopCause>,
}

/// What was waited for.
enum First {
    Ended(Ended),
    More(Result<(), StoreError>),
    Called,
    Time,
}

/// After so long what was answered is committed, however little it is.
const COMMIT_AFTER: Duration = Duration::from_secs(1);

/// The failure of a store that does not answer.
pub(super) fn silent(means: &Means) -> StopCause {
    let text = format!("store and sink have not answered for {:?}", means.settings.patience());
    StoreError::new(StoreErrorKind::Unavailable, text).into()
}

impl Held {
    pub(super) fn new(
        of: Arc<Of>,
        sink: Arc<dyn ProjectionSink>,
        lease: Lease,
        leased_at: Instant,
    ) -> Self {
        let reached = lease.checkpoints.first().cloned().unwrap_or_default();
        Self {
            window: Window::new(of.policy, reached.clone(), []),
            of,
            sink,
            lease,
            calls: FuturesUnordered::new(),
            reached,
            more: None,
            leased_at,
            has_renewed: false,
            is_to_renew: true,
            is_more_due: false,
            committed_at: leased_at,
            has_committed: false,
            pending: None,
            outage: None,
            told: None,
            poison: None,
            unsaid: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.of.definition.name()
    }

    /// True if the store took anything since the lease was taken.
    pub(super) fn has_committed(&self) -> bool {
        self.has_committed
    }

    /// The lease; calls that are under way are dropped.
    pub(super) fn into_lease(self) -> (Arc<dyn ProjectionSink>, Lease) {
        (self.sink, self.lease)
    }

    /// Looks at once for parked events that are due, and whether there is more to be read.
    pub(super) fn look_again(&mut self) {
        (self.is_to_renew, self.more, self.outage) = (true, None, None);
    }

    /// True if nobody else can have the lease: it lasts at least from when it was asked for. After a
    /// machine was suspended, and time with it, that is so from the next renewal on only.
    pub(super) fn has_lease(&self, means: &Means) -> bool {
        means.since(self.leased_at) < means.settings.time_to_live
    }

    /// What can be done without waiting for a call.
    pub(super) async fn turn(&mut self, means: &Means) -> Result<(), StopCause> {
        if self.outage.as_ref().is_some_and(|outage| outage.lasts(means)) {
            self.start(means);
            return Ok(());
        }
        self.step(means).await?;
        self.outage = None;
        self.tell(means).await;
        Ok(())
    }

    /// Each part asks the store, which may be slow: so the lease is looked at before each.
    async fn step(&mut self, means: &Means) -> Result<(), StopCause> {
        if self.wants_to_be_told() {
            self.renew(means).await?;
        }
        self.keep_lease(means).await?;
        let is_late = means.since(self.committed_at) >= COMMIT_AFTER;
        if self.pending.is_some() || self.window.wants_commit() || is_late {
            self.commit(means).await?;
        }
        if self.poison.is_some() && self.calls.is_empty() {
            self.commit(means).await?;
        }
        if self.calls.is_empty()
            && let Some(poison) = self.poison.take()
        {
            return Err(poison);
        }
        if let Some(due) = self.window.due() {
            self.keep_lease(means).await?;
            self.list(means, due).await?;
        }
        if self.wants_page() {
            self.keep_lease(means).await?;
        }
        if self.wants_page()
            && let Some(limit) = self.window.room()
        {
            self.read(means, limit).await?;
        }
        self.start(means);
        self.unsaid.take().map_or(Ok(()), Err)
    }

    /// Renews the lease if a third of its time is over.
    pub(super) async fn keep_lease(&mut self, means: &Means) -> Result<(), StopCause> {
        let is_late = means.since(self.leased_at) >= means.settings.time_to_live / 3;
        if is_late { self.renew(means).await } else { Ok(()) }
    }

    /// True if the store is to tell what is due.
    fn wants_to_be_told(&self) -> bool {
        self.is_to_renew || self.is_more_due && !self.window.has_due()
    }

    fn wants_page(&self) -> bool {
        self.more.is_none() && self.poison.is_none() && self.window.room().is_some()
    }

    /// True if another turn does something at once.
    pub(super) fn has_more_to_do(&self) -> bool {
        let has_more = self.wants_to_be_told()
            || self.unsaid.is_some()
            || self.window.wants_commit()
            || self.window.due().is_some()
            || self.wants_page()
            || self.poison.is_some() && self.calls.is_empty();
        has_more && self.outage.is_none()
    }

    /// True if nothing is unread, under way, to be given or to be committed.
    pub(super) fn is_at_end(&self) -> bool {
        let is_idle = self.more.is_some() && self.window.is_idle() && !self.window.has_news();
        is_idle && !self.wants_to_be_told()
    }

    async fn renew(&mut self, means: &Means) -> Result<(), StopCause> {
        let rate = means.signals.rate(self.name(), means.environment.clock.now());
        let limit = self.window.asks_for();
        let renewal = Renewal { time_to_live: means.settings.time_to_live, rate, limit };
        let (of, sink, lease) = (self.of.clone(), self.sink.clone(), self.lease.clone());
        let asked_at = means.now();
        let renewed = self.asked(means, sink.renew(&lease, &renewal)).await?;
        self.leased_at = asked_at;
        // at the first renewal it was looked at just now
        if self.has_renewed {
            let here = self.reached.clone();
            let name = of.definition.name();
            self.asked(means, check_history(&*means.store, name, &here)).await?;
        }
        (self.has_renewed, self.is_to_renew) = (true, false);
        let due: Vec<_> = self.streams(&renewed.due).collect();
        self.window.renewed(due);
        // one that told nothing that is to be looked at would tell the same again
        self.is_more_due = renewed.due.len() >= limit && self.window.has_due();
        Ok(())
    }

    async fn read(&mut self, means: &Means, limit: PageLimit) -> Result<(), StopCause> {
        let selection = self.of.definition.selection().clone();
        let read = ReadLog::after(self.reached.position).filter(selection).limit(limit);
        let page = self.asked(means, means.store.read_log(&read)).await?;
        let to = self.reached.after(&page);
        if page.at_end {
            let (store, end) = (means.store.clone(), page.next);
            self.more = Some(Box::pin(async move { store.wait_past(end).await }));
        }
        self.window.push(page.events, to.clone());
        self.reached = to;
        Ok(())
    }

    /// Waits until there may be something to do.
    pub(super) async fn wait(&mut self, means: &Means, woken: &mut watch::Receiver<()>) {
        let runtime = &means.environment.runtime;
        let third = means.settings.time_to_live / 3;
        let mut until = match &self.outage {
            Some(outage) => outage.until,
            None if self.window.has_news() => {
                (self.leased_at + third).min(self.committed_at + COMMIT_AFTER)
            }
            None => self.leased_at + third,
        };
        if self.has_lease(means)
            && let Some(retry) = self.window.next_retry()
        {
            until = until.min(retry);
        }
        let has_room = self.window.room().is_some();
        let first = {
            let more = &mut self.more;
            let ended = pin!(next_of(&mut self.calls));
            let more = pin!(async {
                match more {
                    Some(more) if has_room => more.await,
                    _ => std::future::pending().await,
                }
            });
            let stopped = pin!(means.signals.stopped());
            let called = pin!(woken.changed());
            let others = select(select(called, stopped), runtime.sleep_until(until));
            match select(select(ended, more), others).await {
                Either::Left((Either::Left((ended, _)), _)) => First::Ended(ended),
                Either::Left((Either::Right((more, _)), _)) => First::More(more),
                Either::Right((Either::Left((Either::Left(_), _)), _)) => First::Called,
                Either::Right(_) => First::Time,
            }
        };
        match first {
            First::Ended(ended) => self.ended(means, ended),
            // reading tells of a log that is another one
            First::More(Err(error)) if error.kind() != StoreErrorKind::Diverged => {
                // another wait that fails is followed by a pause, not by a hot loop
                self.more = Some(runtime.sleep(third).map(Ok).boxed());
            }
            First::More(_) => self.more = None,
            First::Called => self.is_to_renew = true,
            First::Time => {}
        }
    }

    /// Lets calls end for a while, and commits what came of them. Those that do not end are set aside with
    /// their streams, and made again by who comes next, and no others.
    pub(super) async fn settle(&mut self, means: &Means) {
        self.window.stop();
        let (runtime, grace) = (means.environment.runtime.clone(), means.settings.grace());
        let calls = async {
            while !self.calls.is_empty() {
                let ended = next_of(&mut self.calls).await;
                self.ended(means, ended);
            }
        };
        within(&*runtime, grace, calls).await;
        self.calls.clear();
        self.window.set_aside();
        let committed = async {
            // what was not answered, and then what came since
            self.commit(means).await?;
            self.commit(means).await
        };
        if let Some(Err(error)) = within(&*runtime, grace, committed).await {
            let (reaction, reason) = (self.name(), chain(&error));
            tracing::warn!(reaction, %reason, "what was answered last is called for again");
        }
    }
}
