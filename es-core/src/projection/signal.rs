//! Waking those who wait for a projection.

use std::time::Duration;

use tokio::sync::watch;

use crate::environment::{Runtime, within};

use super::SinkError;

/// Wakes, within one process, those who wait for a commit; for backends, to implement
/// [`ProjectionSink::wait_reached`](super::ProjectionSink::wait_reached).
#[derive(Debug, Default)]
pub struct CommitSignal(watch::Sender<u64>);

impl CommitSignal {
    /// A signal that was never given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes everybody who waits; to be called after a commit or a switch took effect.
    pub fn give(&self) {
        self.0.send_modify(|given| *given = given.wrapping_add(1));
    }

    /// Asks `is_reached` until it answers true: at once, after each signal, and at latest after
    /// each `interval`, by the runtime's clock, if other processes commit too.
    ///
    /// # Errors
    ///
    /// What `is_reached` fails with.
    pub async fn until<F>(
        &self,
        runtime: &dyn Runtime,
        interval: Option<Duration>,
        mut is_reached: impl FnMut() -> F + Send,
    ) -> Result<(), SinkError>
    where
        F: Future<Output = Result<bool, SinkError>> + Send,
    {
        let mut given = self.0.subscribe();
        loop {
            // before asking, so that no signal falls between the question and the wait
            given.borrow_and_update();
            if is_reached().await? {
                return Ok(());
            }
            let changed = given.changed();
            match interval {
                // neither can fail otherwise than by time: this signal keeps the sender
                Some(interval) => {
                    let _ = within(runtime, interval, changed).await;
                }
                None => {
                    let _ = changed.await;
                }
            }
        }
    }
}
