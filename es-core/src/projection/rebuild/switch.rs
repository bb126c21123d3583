//! Taking the place of the active model.

use crate::environment::breathe;
use crate::position::Position;

use super::super::{Batch, Checkpoint, SinkError, Slot, check_history, lowest};
use super::{Rebuild, RebuildError};

/// How often a switch catches up with the active model before it gives up.
const SWITCH_ATTEMPTS: u32 = 1_000;

impl Rebuild {
    /// Catches up with the active model and takes its place.
    ///
    /// # Errors
    ///
    /// [`RebuildError`]; the old model is then served further, unless the answer to the switch
    /// itself was lost.
    pub async fn switch(&mut self) -> Result<(), RebuildError> {
        let mut attempts = 0;
        loop {
            breathe().await;
            self.fill().await?;
            let Some(held) = &self.held else { continue };
            // a reaction of this name may have begun since
            let switched = match self.check_no_reaction().await {
                Ok(()) => self.sink()?.switch(&held.lease).await,
                Err(refusal) => Err(refusal),
            };
            match switched {
                Ok(()) => {
                    self.held = None;
                    return Ok(());
                }
                // the active model moved on meanwhile, or it has come further than this log goes
                Err(SinkError::NotCaughtUp { .. }) if attempts < SWITCH_ATTEMPTS => {
                    attempts += 1;
                    self.overtake_other_history().await?;
                }
                // it was not switched; the lease is taken again
                Err(error) if error.is_transient() && attempts < SWITCH_ATTEMPTS => {
                    attempts += 1;
                    self.held = None;
                    let fraction = self.environment.jitter.fraction();
                    let delay = self.backoff.delay(attempts, fraction);
                    self.environment.runtime.sleep(delay).await;
                }
                Err(error) => {
                    let (error, held) = (error.into(), self.held.take());
                    if let Some(held) = held {
                        self.given_up(&held.lease, &error).await;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Brings the active model's checkpoint back to where the shadow stands, if it is of another
    /// history than the log: of one that went further, so that nobody could ever catch up with it.
    ///
    /// The event by which its log is known again stays, so that nobody else goes on with the model.
    async fn overtake_other_history(&self) -> Result<(), RebuildError> {
        let Some(held) = &self.held else { return Ok(()) };
        let (sink, name) = (self.sink()?, self.definition.name());
        let status = sink.status(Some(name)).await?.into_iter().next();
        let Some(active) = status.and_then(|status| status.active) else { return Ok(()) };
        if !self.is_of_other_history(active.checkpoint()).await? {
            return Ok(());
        }
        let lease = sink.acquire(&self.claim(Slot::Active, &active.fingerprint)).await?;
        let from = lowest(&lease.checkpoints).clone();
        let slices = held.slices.iter().map(|slice| slice.checkpoint().position);
        let here = slices.reduce(|low, it| if it < low { it } else { low });
        let position = here.unwrap_or(Position::START);
        if from.position > position {
            let to = Checkpoint { position, event: from.event.clone() };
            sink.commit(&lease, &Batch::moving(0, from, to)).await?;
        }
        Ok(sink.release(&lease).await?)
    }

    /// True if the log does not hold the event of the checkpoint, or ends before it.
    pub(super) async fn is_of_other_history(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<bool, RebuildError> {
        match check_history(&*self.store, self.definition.name(), checkpoint).await {
            Err(SinkError::Diverged { .. }) => Ok(true),
            answer => Ok(answer.map(|()| false)?),
        }
    }
}
