//! How often a decision is tried, and what is known when it is given up.

use super::error::CommandError;
use crate::environment::Environment;
use crate::error::StoreError;
use crate::retry::Retry;

/// The attempts of one decision or of one append of an import, and what is known when it is given up.
pub(super) struct Attempts<'e> {
    retry: Retry,
    /// Under an idempotency key a lost answer can be asked for again.
    is_keyed: bool,
    pub(super) environment: &'e Environment,
    pub(super) made: u32,
    /// The first answer that was lost: from then on no failure is certain to have written nothing.
    unknown: Option<StoreError>,
}

impl<'e> Attempts<'e> {
    pub(super) fn new(retry: Retry, is_keyed: bool, environment: &'e Environment) -> Self {
        Self { retry, is_keyed, environment, made: 0, unknown: None }
    }

    /// Waits before the next attempt if `error` allows one and one is left; else gives the error
    /// back.
    pub(super) async fn next<R>(&mut self, error: CommandError<R>) -> Result<(), CommandError<R>> {
        // what was read or certainly not written can be tried again without a key, too
        let again = error.is_transient() || self.is_keyed && error.is_outcome_unknown();
        if !again || self.made >= self.retry.retries {
            return Err(error);
        }
        if let CommandError::Store(error) = error
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

    /// The result. After a lost answer, an error that says nothing of what the key recorded is that lost
    /// answer still.
    pub(super) fn judge<T, R>(
        self,
        result: Result<T, CommandError<R>>,
    ) -> Result<T, CommandError<R>> {
        let Some(unknown) = self.unknown else { return result };
        result.map_err(|error| match error {
            // looked up after it, and not found
            CommandError::Rejected(_)
            | CommandError::PreconditionFailed(_)
            | CommandError::Conflict(_)
            | CommandError::KeyReused { .. } => error,
            CommandError::Load(error) => CommandError::Store(unknown.caused_by(error)),
            CommandError::Event(error) => CommandError::Store(unknown.caused_by(error)),
            CommandError::Invalid(error) => CommandError::Store(unknown.caused_by(error)),
            CommandError::DuplicateEvent { .. } | CommandError::Store(_) => {
                CommandError::Store(unknown)
            }
        })
    }
}
