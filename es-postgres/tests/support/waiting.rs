//! Waiting for conditions.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Only a store that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long nobody looks.
const LOOK: Duration = Duration::from_millis(5);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Looks again and again for something that nobody tells of, and leaves the processor to others
/// between two looks.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    soon(what, async {
        let mut look = tokio::time::interval(LOOK);
        while !holds().await {
            look.reset();
            look.tick().await;
        }
    })
    .await;
}

/// Polls a future once, which begins it.
pub(crate) async fn is_pending(mut future: Pin<&mut (impl Future + ?Sized)>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}
