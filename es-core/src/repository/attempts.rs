//! How often a command is tried, and what is known when it is given up.

use super::error::ExecuteError;
use crate::environment::Environment;
use crate::error::StoreError;
use crate::retry::Retry;

/// The attempts of one command.
pub(crate) struct Attempts<'e> {
    retry: Retry,
    /// Under an idempotency key a lost answer can be asked for again.
    is_keyed: bool,
    environment: &'e Environment,
    made: u32,
    /// The first answer that was lost: from then on no failure is certain to have written nothing.
    unknown: Option<StoreError>,
}

impl<'e> Attempts<'e> {
    pub(crate) fn new(retry: Retry, is_keyed: bool, environment: &'e Environment) -> Self {
        Self { retry, is_keyed, environment, made: 0, unknown: None }
    }

    /// Waits before the next attempt if `error` allows one and one is left; else gives the error
    /// back.
    pub(crate) async fn next<R>(&mut self, error: ExecuteError<R>) -> Result<(), ExecuteError<R>> {
        // what was read or certainly not written can be tried again without a key, too
        let again = error.is_transient() || self.is_keyed && error.is_outcome_unknown();
        if !again || self.made >= self.retry.retries {
            return Err(error);
        }
        if let ExecuteError::Store(error) = error
            && error.is_outcome_unknown()
        {
            self.unknown.get_or_insert(error);
        }
        self.made += 1;
        let delay = self.retry.delay(self.made, self.environment.jitter.fraction());
        if !delay.is_zero() {
            self.environment.runtime.sleep(delay).await;
        }
        Ok(())
    }

    /// The result, where a failure of the store after a lost answer is that lost answer still.
    pub(crate) fn judge<T, R>(
        self,
        result: Result<T, ExecuteError<R>>,
    ) -> Result<T, ExecuteError<R>> {
        match (result, self.unknown) {
            (Err(ExecuteError::Store(_)), Some(unknown)) => Err(ExecuteError::Store(unknown)),
            (result, _) => result,
        }
    }
}
