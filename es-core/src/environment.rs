//! What the engine takes from outside: time, ids, chance, and a runtime to wait by.
//!
//! Each has a system default and can be replaced, so that a test decides what they answer.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{BoxFuture, Either, select};

use crate::envelope::EventId;
use crate::timestamp::Timestamp;

mod system;

pub use system::SystemRuntime;

/// A source of the current time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time; it may step backwards.
    fn now(&self) -> Timestamp;
}

/// A source of event ids.
pub trait EventIds: Send + Sync + fmt::Debug {
    /// An id that this source never gave before.
    fn next_id(&self) -> EventId;
}

/// A source of chance for delays between attempts.
pub trait Jitter: Send + Sync + fmt::Debug {
    /// A number from 0 (included) to 1 (excluded).
    fn fraction(&self) -> f64;
}

/// What waits, and what runs beside.
pub trait Runtime: Send + Sync + fmt::Debug {
    /// The time of a clock that nobody sets, and by which sleeps go; it never steps backwards.
    fn now(&self) -> Instant;

    /// Waits until then; ends at once if that has passed.
    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()>;

    /// Has the task run beside whoever asks. False if it cannot: then the task is dropped, and who
    /// asked goes on without.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool;
}

impl dyn Runtime + '_ {
    /// So much later than now; what no clock can show is far away.
    pub(crate) fn after(&self, delay: Duration) -> Instant {
        const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
        let now = self.now();
        now.checked_add(delay).unwrap_or_else(|| now + FAR)
    }

    /// How long ago that was.
    pub(crate) fn since(&self, then: Instant) -> Duration {
        self.now().saturating_duration_since(then)
    }

    /// Waits for so long.
    pub(crate) fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.after(delay))
    }
}

/// What the future answers, or `None` if that takes longer than `limit`: then it is dropped. One that
/// is ready at once is in time, whatever the limit.
pub async fn within<F: Future>(
    runtime: &dyn Runtime,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let at = runtime.after(limit);
    // what is ready at once needs no timer
    let late = async { runtime.sleep_until(at).await };
    // a future that uses up its turn each time must not keep the limit from being looked at
    #[cfg(feature = "tokio")]
    let late = tokio::task::coop::unconstrained(late);
    let (future, late) = (pin!(future), pin!(late));
    match select(future, late).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// Lets other tasks of the thread run: store and sink may answer without ever waiting, and long work
/// must not keep a thread for itself.
pub(crate) async fn breathe() {
    let mut has_waited = false;
    std::future::poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }
}

/// UUIDs of version 7: unique across processes, and roughly in the order of their making. They cannot
/// say a time before 1970; a clock that stands there gets random ones, of version 4.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidV7Ids;

impl EventIds for UuidV7Ids {
    fn next_id(&self) -> EventId {
        id_at(SystemTime::now())
    }
}

fn id_at(now: SystemTime) -> EventId {
    EventId::from_uuid(match now < SystemTime::UNIX_EPOCH {
        true => uuid::Uuid::new_v4(),
        false => uuid::Uuid::now_v7(),
    })
}

/// Pseudo-random jitter, seeded by the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomJitter;

impl Jitter for RandomJitter {
    fn fraction(&self) -> f64 {
        fastrand::f64()
    }
}

/// What repositories, runners and rebuilds take from outside; the default is the system's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Environment {
    /// Where event ids come from.
    pub event_ids: Arc<dyn EventIds>,
    /// What spreads the delays between attempts.
    pub jitter: Arc<dyn Jitter>,
    /// Where the time of a snapshot comes from; events get theirs from the store.
    pub clock: Arc<dyn Clock>,
    /// What waits between attempts and for stores, and what snapshots and the slices of a rebuild
    /// run on.
    pub runtime: Arc<dyn Runtime>,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            event_ids: Arc::new(UuidV7Ids),
            jitter: Arc::new(RandomJitter),
            clock: Arc::new(SystemClock),
            runtime: Arc::new(SystemRuntime),
        }
    }
}

impl Environment {
    /// Replaces the source of event ids.
    #[must_use]
    pub fn with_event_ids(mut self, event_ids: impl EventIds + 'static) -> Self {
        self.event_ids = Arc::new(event_ids);
        self
    }

    /// Replaces the source of chance.
    #[must_use]
    pub fn with_jitter(mut self, jitter: impl Jitter + 'static) -> Self {
        self.jitter = Arc::new(jitter);
        self
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replaces the runtime.
    #[must_use]
    pub fn with_runtime(mut self, runtime: impl Runtime + 'static) -> Self {
        self.runtime = Arc::new(runtime);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_gives_ids_all_the_same() {
        let epoch = SystemTime::UNIX_EPOCH;
        let version = |now| id_at(now).as_uuid().get_version_num();
        assert_eq!(version(epoch - Duration::from_secs(1)), 4);
        assert_eq!(version(epoch), 7);
    }
}
