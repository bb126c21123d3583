//! Keeping the lock of the run while it goes on.

use std::future::pending;
use std::time::Duration;

use super::{Run, RunError};
use crate::lock::{LockError, Standing};

/// How long a run that is asked to stop still waits for what it needs only once more.
const AFTER_STOP: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Asks for the lock, and takes it again if it was lost; stops if another process was faster.
    /// Who asks it to stop meanwhile does not wait for that: [`goes_on`](Self::goes_on) is false.
    pub(super) async fn keep_lock(&mut self) -> Result<(), RunError> {
        let (lock, mut stop) = (self.shared.lock.clone(), self.stop.clone());
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => Ok(()),
            checked = lock.check() => self.kept(checked),
        }
    }

    /// Whether the run may be recorded as complete. That is for who has the lock, also if it is
    /// asked to stop; but then nobody waits for a lock that does not answer, and whoever goes on
    /// with the run records it.
    pub(super) async fn may_complete(&mut self) -> Result<bool, RunError> {
        let (lock, mut stop) = (self.shared.lock.clone(), self.stop.clone());
        let is_late = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // nobody is left who could ask it to
                pending::<()>().await;
            }
            tokio::time::sleep(AFTER_STOP).await;
        };
        let checked = tokio::select! {
            biased;
            checked = lock.check() => checked,
            () = is_late => return Ok(false),
        };
        self.kept(checked)?;
        Ok(self.lost.is_none())
    }

    /// Goes on with what was asked of the lock.
    fn kept(&mut self, checked: Result<Standing, LockError>) -> Result<(), RunError> {
        match checked.map_err(RunError::from) {
            Ok(_) => self.tell_losses(),
            Err(error @ RunError::LockLost { .. }) => self.lose(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Tells how the lock was lost whenever it was taken again.
    pub(super) fn tell_losses(&mut self) {
        for loss in self.shared.lock.losses(self.losses) {
            self.losses += 1;
            self.observer.lock_taken_again(&loss);
        }
    }

    /// Begins nothing more, because another process runs the workflow.
    pub(super) fn lose(&mut self, error: RunError) {
        if let (None, RunError::LockLost { process, .. }) = (&self.lost, &error) {
            self.observer.lock_lost(process);
            self.lost = Some(error);
        }
    }
}
