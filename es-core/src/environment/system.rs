//! The system's runtime: tokio's where there is one, and threads that sleep elsewhere.

use std::sync::Once;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{Runtime, breathe};

/// Within a tokio runtime, and with the feature `tokio`, its timer and its tasks; its timers must be
/// enabled. Elsewhere a sleep costs a thread, and nothing is spawned, which is told once by `tracing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRuntime;

static TOLD: Once = Once::new();

impl Runtime for SystemRuntime {
    fn now(&self) -> Instant {
        host::now()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        host::sleep_until(at).unwrap_or_else(|| Box::pin(slept_on_a_thread(at)))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        let is_spawned = host::spawn(task);
        if !is_spawned {
            TOLD.call_once(|| {
                tracing::warn!(
                    "there is no runtime to spawn tasks on: snapshots are not kept, and the slices \
                     of a rebuild share one task"
                );
            });
        }
        is_spawned
    }
}

/// Tokio, as far as this runs within it.
#[cfg(feature = "tokio")]
mod host {
    use std::time::Instant;

    use futures_util::future::{BoxFuture, FutureExt};
    use tokio::runtime::Handle;

    /// The machine's time, unless a test has paused it.
    pub(super) fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    pub(super) fn sleep_until(at: Instant) -> Option<BoxFuture<'static, ()>> {
        Handle::try_current().ok().map(|_| tokio::time::sleep_until(at.into()).boxed())
    }

    pub(super) fn spawn(task: BoxFuture<'static, ()>) -> bool {
        Handle::try_current().map(|handle| drop(handle.spawn(task))).is_ok()
    }
}

/// There is none.
#[cfg(not(feature = "tokio"))]
mod host {
    use std::time::Instant;

    use futures_util::future::BoxFuture;

    pub(super) fn now() -> Instant {
        Instant::now()
    }

    pub(super) fn sleep_until(_: Instant) -> Option<BoxFuture<'static, ()>> {
        None
    }

    pub(super) fn spawn(_: BoxFuture<'static, ()>) -> bool {
        false
    }
}

/// A sleep on a thread of its own, which begins with the first poll and ends with the future.
async fn slept_on_a_thread(at: Instant) {
    if left(at).is_none() {
        return;
    }
    let (ended, end) = oneshot::channel();
    let (wanted, dropped) = channel();
    let thread = thread::Builder::new().name("es-core sleep".to_owned());
    if thread.spawn(move || sleep(at, &dropped, ended)).is_ok() {
        // no error: the thread ends early only if this future was dropped
        let _ = end.await;
    } else {
        looked_at(at).await;
    }
    drop(wanted);
}

/// Sleeps as long as somebody waits for it.
fn sleep(at: Instant, dropped: &Receiver<()>, ended: oneshot::Sender<()>) {
    while let Some(left) = left(at) {
        if dropped.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
    // nobody listens any more if the future was dropped just now
    let _ = ended.send(());
}

/// Where no thread is to be had: looks at the clock now and then, which holds up the others of this
/// thread for a moment each time.
async fn looked_at(at: Instant) {
    const MOMENT: Duration = Duration::from_millis(1);
    while let Some(left) = left(at) {
        thread::sleep(left.min(MOMENT));
        breathe().await;
    }
}

fn left(at: Instant) -> Option<Duration> {
    at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use super::super::within;
    use super::*;

    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    /// An executor that is nothing but this thread.
    fn block_on<F: Future>(future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    const MOMENT: Duration = Duration::from_millis(5);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_thread_sleeps_until_then_and_not_less() {
        let at = SystemRuntime.now() + MOMENT;
        block_on(SystemRuntime.sleep_until(at));
        assert!(SystemRuntime.now() >= at);
        // what has passed needs no thread
        block_on(SystemRuntime.sleep_until(at));
        // nor does what is not polled
        drop(SystemRuntime.sleep_until(at + HOUR));
        let at = SystemRuntime.now() + MOMENT;
        block_on(looked_at(at));
        assert!(SystemRuntime.now() >= at);
    }

    #[test]
    fn a_sleep_that_is_dropped_ends_its_thread() {
        let ((wanted, dropped), (ended, end)) = (channel(), oneshot::channel());
        let thread = thread::spawn(move || sleep(Instant::now() + HOUR, &dropped, ended));
        drop(wanted);
        thread.join().unwrap();
        assert!(block_on(end).is_err(), "it did not come to its end");
    }

    #[test]
    fn a_limit_holds_on_a_thread_of_its_own() {
        let runtime = &SystemRuntime;
        assert_eq!(block_on(within(runtime, Duration::ZERO, ready(7))), Some(7));
        assert_eq!(block_on(within(runtime, Duration::MAX, ready(7))), Some(7));
        let began = runtime.now();
        assert_eq!(block_on(within(runtime, MOMENT, pending::<()>())), None);
        assert!(runtime.now() - began >= MOMENT);
        let (sender, answer) = oneshot::channel();
        let thread = thread::spawn(move || sender.send(7));
        assert_eq!(block_on(within(runtime, HOUR, answer)), Some(Ok(7)));
        assert_eq!(thread.join().unwrap(), Ok(()));
    }

    #[test]
    fn nothing_is_spawned_where_nothing_would_run_it() {
        let has_run = Arc::new(AtomicBool::new(false));
        let task = {
            let has_run = has_run.clone();
            async move { has_run.store(true, Ordering::SeqCst) }
        };
        assert!(!SystemRuntime.spawn(Box::pin(task)));
        assert_eq!(Arc::strong_count(&has_run), 1, "the task is dropped");
        assert!(!has_run.load(Ordering::SeqCst));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn within_tokio_its_clock_its_timer_and_its_tasks_are_used() {
        let runtime = &SystemRuntime;
        let (machine, began) = (Instant::now(), runtime.now());
        runtime.sleep_until(began + HOUR).await;
        assert_eq!(within(runtime, HOUR, pending::<()>()).await, None);
        let passed = runtime.now() - began;
        // tokio rounds up
        assert!((HOUR * 2..HOUR * 2 + MOMENT).contains(&passed), "{passed:?}");
        assert!(machine.elapsed() < HOUR, "only tokio's clock was moved");
        let (sender, answer) = oneshot::channel();
        let task = async move { sender.send(7).unwrap() };
        assert!(runtime.spawn(Box::pin(task)));
        assert_eq!(answer.await, Ok(7));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test]
    async fn a_limit_is_seen_though_the_future_uses_up_each_of_its_turns() {
        let began = SystemRuntime.now();
        let busy = async {
            while SystemRuntime.now() - began < MOMENT * 1_000 {
                tokio::task::coop::consume_budget().await;
            }
        };
        assert_eq!(within(&SystemRuntime, MOMENT, busy).await, None);
    }
}
