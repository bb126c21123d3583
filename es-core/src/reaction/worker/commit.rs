//! Committing, until the store has answered.

use super::super::window::Commit;
use super::held::Held;
use crate::projection::{Batch, Means, ParkedId, SinkError, StopCause, telemetry};

/// What is to be committed, as it is.
pub(super) struct Pending {
    commit: Commit,
    /// Whether it may be in the store already: an answer was lost.
    is_in_doubt: bool,
}

/// What the store says to it.
enum Said {
    Written,
    /// These entries do not wait any more, so nothing was written.
    Gone(Vec<ParkedId>),
}

impl Held {
    /// Commits what there is to be committed. What fails and may pass is kept, to be tried again.
    pub(super) async fn commit(&mut self, means: &Means) -> Result<(), StopCause> {
        self.committed_at = means.now();
        let clock = means.environment.clock.clone();
        let since = clock.now();
        loop {
            let pending = self.pending.take().or_else(|| {
                let commit = self.window.commit(since)?;
                Some(Pending { commit, is_in_doubt: false })
            });
            let Some(mut pending) = pending else { return Ok(()) };
            match self.said(means, &pending).await {
                Ok(Said::Written) => {
                    // it clears what operators were told
                    self.told = None;
                    let (name, batch) = (self.name(), &pending.commit.batch);
                    telemetry::reacted(name, batch.events);
                    means.signals.count(name, batch.events, since, clock.now());
                    self.has_committed = true;
                    self.window.committed(pending.commit);
                    return Ok(());
                }
                Ok(Said::Gone(gone)) => {
                    if !self.window.refused(pending.commit, &gone) {
                        let projection = self.name().to_owned();
                        return Err(SinkError::ParkedChanged { projection }.into());
                    }
                    self.keep_lease(means).await?;
                }
                Err(cause) => {
                    if let StopCause::Sink(error) = &cause {
                        pending.is_in_doubt |= error.is_outcome_unknown();
                    }
                    self.pending = Some(pending);
                    return Err(cause);
                }
            }
        }
    }

    async fn said(&mut self, means: &Means, pending: &Pending) -> Result<Said, StopCause> {
        let (sink, lease) = (self.sink.clone(), self.lease.clone());
        let batch = &pending.commit.batch;
        match self.asked(means, sink.commit(&lease, batch)).await {
            Ok(()) => Ok(Said::Written),
            Err(StopCause::Sink(SinkError::LeaseLost { projection })) if pending.is_in_doubt => {
                // so it is refused if it has arrived before
                if self.has_moved(means, batch).await? {
                    return Ok(Said::Written);
                }
                Err(SinkError::LeaseLost { projection }.into())
            }
            Err(StopCause::Sink(SinkError::ParkedChanged { .. })) => {
                Ok(Said::Gone(self.gone(means, &batch.unpark).await?))
            }
            Err(cause) => Err(cause),
        }
    }

    /// Whether the checkpoint is where this was to move it.
    async fn has_moved(&mut self, means: &Means, batch: &Batch) -> Result<bool, StopCause> {
        let (of, sink) = (self.of.clone(), self.sink.clone());
        let status = self.asked(means, sink.status(Some(of.definition.name()))).await?;
        let active = status.into_iter().next().and_then(|status| status.active);
        let here = active.map(|active| active.checkpoint().position);
        Ok(batch.from.position < batch.to.position && here == Some(batch.to.position))
    }
}
