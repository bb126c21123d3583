//! Keeping the lock of the run while it goes on.

use super::{Run, RunError};
use crate::lock::Standing;

impl Run<'_> {
    /// Asks for the lock, and takes it again if it was lost; stops if another process was faster.
    /// Who asks it to stop meanwhile does not wait for that: [`goes_on`](Self::goes_on) is false.
    pub(super) async fn keep_lock(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let asking = shared.patience.unless_stopped(shared.patience.hold(&shared.lock));
        let asked = self.telling(asking).await;
        self.kept(asked)?;
        Ok(())
    }

    /// Whether the run may be recorded as complete. That is for who has the lock, also if it is
    /// asked to stop; but then nobody waits for a lock that does not answer, and whoever goes on
    /// with the run records it.
    pub(super) async fn may_complete(&mut self) -> Result<bool, RunError> {
        let shared = self.shared.clone();
        let asked = self.telling(shared.patience.hold(&shared.lock)).await;
        self.kept(asked)
    }

    /// Goes on with what was asked of the lock; true if it is held.
    fn kept(&mut self, asked: Result<Standing, RunError>) -> Result<bool, RunError> {
        match asked {
            Ok(_) => {
                self.tell_losses();
                Ok(true)
            }
            Err(error @ RunError::LockLost { .. }) => {
                self.lose(error);
                Ok(false)
            }
            Err(RunError::NotBegun) => Ok(false),
            Err(error) => Err(error),
        }
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
