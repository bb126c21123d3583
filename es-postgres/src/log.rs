//! Knows how far the log can be read, for all readers of a store at once, and wakes those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use es_core::backend::{Appended, Position, StoreError, StoreErrorKind};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::connection::Connector;
use crate::error::closed;
use crate::frontier::Divergence;
use crate::sql::Statements;

mod announcer;
mod tracker;

pub(crate) use announcer::Announcer;
use tracker::Tracker;

/// Somebody who needs a look that begins after now.
struct Ask {
    answer: oneshot::Sender<Result<Position, StoreError>>,
    /// It is the last one, after which the frontier is written down.
    is_last: bool,
}

/// The readers' side of the tracker.
pub(crate) struct Log {
    shared: Arc<Shared>,
    asks: mpsc::UnboundedSender<Ask>,
    connector: Arc<Connector>,
}

struct Shared {
    seen: watch::Sender<Seen>,
    waiters: AtomicUsize,
    /// Something was appended that is not in the frontier that is written down.
    is_stale: AtomicBool,
    /// Something has happened for which a look is worth while.
    hint: Notify,
}

/// What is known to everybody.
#[derive(Default)]
struct Seen {
    frontier: u64,
    is_closed: bool,
    failures: u64,
    failure: Option<StoreError>,
    /// Found once, and true for as long as the store is open.
    diverged: Option<StoreError>,
    /// How many connections had been lost when the frontier was seen.
    losses: u64,
    /// The newest event that was seen or acknowledged, and its position.
    newest: Option<(i64, Uuid)>,
}

impl Seen {
    fn fail(&mut self, error: StoreError) {
        self.failures += 1;
        if error.kind() == StoreErrorKind::Diverged {
            self.diverged = Some(error.clone());
        }
        self.failure = Some(error);
    }

    fn learn(&mut self, event: Option<(i64, Uuid)>) {
        self.newest = self.newest.max(event);
    }
}

impl Log {
    /// Starts the tracker.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        connector: Arc<Connector>,
        statements: Arc<Statements>,
        poll_interval: Duration,
        channel: Option<String>,
    ) -> Self {
        let shared = Arc::new(Shared {
            seen: watch::Sender::new(Seen::default()),
            waiters: AtomicUsize::new(0),
            is_stale: AtomicBool::new(false),
            hint: Notify::new(),
        });
        let (asks, asked) = mpsc::unbounded_channel();
        let (place, connections) = (Arc::clone(&shared), Arc::clone(&connector));
        let tracker = Tracker::new(place, connections, statements, poll_interval, channel);
        runtime.spawn(tracker.run(asked));
        Self { shared, asks, connector }
    }

    /// How far the log was last known to be readable, if no connection was lost since: another may
    /// lead to another server.
    pub(crate) fn known(&self) -> Position {
        let seen = self.shared.seen.borrow();
        let is_current = seen.losses == self.connector.losses();
        Position::from_sequence(if is_current { seen.frontier } else { 0 })
    }

    /// That the log is the one that was read before, as far as is known.
    ///
    /// # Errors
    ///
    /// With the kind [`Diverged`](StoreErrorKind::Diverged), for ever once it was found.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.shared.seen.borrow().diverged {
            Some(diverged) => Err(diverged.clone()),
            None => Ok(()),
        }
    }

    /// How far the log can be read, by a look that begins now or later.
    pub(crate) async fn look(&self) -> Result<Position, StoreError> {
        self.ask(false).await
    }

    /// Has the frontier written down, if this process has appended since it last was; a failure
    /// leaves it as it is.
    pub(crate) async fn settle(&self) {
        if self.shared.is_stale.load(Ordering::Relaxed) {
            let _ = self.ask(true).await;
        }
    }

    async fn ask(&self, is_last: bool) -> Result<Position, StoreError> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask { answer, is_last };
        self.asks.send(ask).map_err(|_| closed(&self.connector.place))?;
        answered.await.map_err(|_| closed(&self.connector.place))?
    }

    /// The newest event that was seen or acknowledged, and its position: it is there for ever, in this
    /// history.
    pub(crate) fn newest(&self) -> Option<(i64, Uuid)> {
        self.shared.seen.borrow().newest
    }

    /// Tells everybody that the log is another one, and answers the refusal of every call from now on.
    pub(crate) fn diverged(&self, found: Divergence) -> StoreError {
        let error = found.told(&self.connector.place);
        self.shared.seen.send_modify(|seen| seen.fail(error.clone()));
        error
    }

    /// Tells what this process has appended.
    pub(crate) fn acknowledged(&self, appended: &Appended) {
        let events = appended.streams.iter().flat_map(|stream| &stream.events);
        if let Some(last) = events.max_by_key(|event| event.position.to_sequence()) {
            let position = i64::try_from(last.position.to_sequence()).unwrap_or(i64::MAX);
            self.shared.seen.send_if_modified(|seen| {
                seen.learn(Some((position, last.event_id.as_uuid())));
                // nobody waits for it
                false
            });
        }
    }

    /// Tells that this process has appended.
    pub(crate) fn appended(&self) {
        let is_first = !self.shared.is_stale.swap(true, Ordering::Relaxed);
        if is_first || self.shared.waiters.load(Ordering::Relaxed) > 0 {
            self.shared.hint.notify_one();
        }
    }

    /// Waits until the log can be read past `position`.
    pub(crate) async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let position = position.to_sequence();
        let mut seen = self.shared.seen.subscribe();
        let failures = {
            let seen = seen.borrow();
            if seen.is_closed {
                return Err(closed(&self.connector.place));
            }
            if let Some(diverged) = &seen.diverged {
                return Err(diverged.clone());
            }
            if seen.frontier > position {
                return Ok(());
            }
            seen.failures
        };
        let _waiting = Waiting::begin(&self.shared);
        let seen = seen
            .wait_for(|seen| {
                seen.is_closed || seen.frontier > position || seen.failures != failures
            })
            .await
            .map_err(|_| closed(&self.connector.place))?;
        if seen.frontier > position {
            return Ok(());
        }
        match &seen.failure {
            Some(failure) if !seen.is_closed => Err(failure.clone()),
            _ => Err(closed(&self.connector.place)),
        }
    }

    /// Wakes everybody, now and whoever waits later: the store is closed.
    pub(crate) fn close(&self) {
        self.shared.seen.send_modify(|seen| seen.is_closed = true);
        self.shared.hint.notify_one();
    }
}

/// Counts as waiting until dropped: only then is anything looked at without being asked for.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.waiters.fetch_add(1, Ordering::Relaxed);
        shared.hint.notify_one();
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}
