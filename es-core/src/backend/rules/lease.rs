//! Who may write a model: clauses 1 to 3, 5, 11 and 17 of
//! [`ProjectionSink`](crate::backend::ProjectionSink).

use crate::position::Position;
use crate::projection::{Checkpoint, Claim, Holder, Lease, Renewal, SinkError, Slot};
use crate::timestamp::Timestamp;

use super::{Model, Models};

/// What a permitted claim is answered with: the model as it is from now on.
#[derive(Debug, Clone, PartialEq)]
pub enum Acquired {
    /// The one that was there, at its checkpoints, under a higher epoch.
    Taken(Model),
    /// A new one, at the start.
    Created {
        /// The model. Its generation is 0 until the backend gives it a number: one that is greater
        /// than those of all models that the projection had.
        model: Model,
        /// The generation of the shadow that it replaces.
        retired: Option<u64>,
    },
}

impl Models {
    /// Takes the lease of a model, which is made if there is none.
    ///
    /// # Errors
    ///
    /// [`SinkError::Held`] or [`SinkError::RebuildRunning`] while another holder has it, and
    /// [`SinkError::Changed`] if the active model is of other code.
    pub fn acquire(&self, claim: &Claim, now: Timestamp) -> Result<Acquired, SinkError> {
        let found = self.slot(claim.slot);
        let other = found.and_then(|model| model.held_by(now));
        if let Some(other) = other.filter(|other| other.name != claim.holder) {
            return Err(held(&claim.projection, claim.slot, other));
        }
        let expires_at = now.plus(claim.lasts_for());
        let holder = Some(Holder { name: claim.holder.clone(), expires_at, rate: None });
        match found {
            Some(model) if model.fingerprint == claim.fingerprint => {
                let epoch = model.epoch + 1;
                Ok(Acquired::Taken(Model { epoch, holder, ..model.clone() }))
            }
            Some(model) if claim.slot == Slot::Active => Err(SinkError::Changed {
                projection: claim.projection.clone(),
                stored: model.fingerprint.clone(),
                offered: claim.fingerprint.clone(),
            }),
            replaced => {
                let slices = match claim.slot {
                    Slot::Active => 1,
                    Slot::Shadow => claim.slices.max(1),
                };
                let model = Model {
                    generation: 0,
                    fingerprint: claim.fingerprint.clone(),
                    epoch: 1,
                    holder,
                    checkpoints: vec![Checkpoint::START; slices as usize],
                };
                Ok(Acquired::Created { model, retired: replaced.map(|model| model.generation) })
            }
        }
    }

    /// The model that the lease is for.
    ///
    /// # Errors
    ///
    /// [`SinkError::LeaseLost`] if it was taken over, or the model is not in its slot any more. Time
    /// alone loses none.
    pub fn leased(&self, lease: &Lease) -> Result<&Model, SinkError> {
        let model = self.slot(lease.slot).filter(|model| model.is_under(lease));
        model.ok_or_else(|| lost(lease))
    }

    /// The same, to be changed.
    ///
    /// # Errors
    ///
    /// As [`leased`](Self::leased).
    pub fn leased_mut(&mut self, lease: &Lease) -> Result<&mut Model, SinkError> {
        let model = self.slot_mut(lease.slot).as_mut().filter(|model| model.is_under(lease));
        model.ok_or_else(|| lost(lease))
    }

    /// Permits a commit that moves a slice on from this place.
    ///
    /// # Errors
    ///
    /// [`SinkError::LeaseLost`], also if the slice stands elsewhere, or is none of the model's.
    pub fn commit(&self, lease: &Lease, slice: u32, from: Position) -> Result<(), SinkError> {
        match self.leased(lease)?.checkpoints.get(slice as usize) {
            Some(checkpoint) if checkpoint.position == from => Ok(()),
            _ => Err(lost(lease)),
        }
    }

    /// Who has the model from now on; `None` if its lease was released, and goes on being so.
    ///
    /// # Errors
    ///
    /// [`SinkError::LeaseLost`].
    pub fn renew(
        &self,
        lease: &Lease,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Option<Holder>, SinkError> {
        let holder = self.leased(lease)?.holder.clone();
        let expires_at = now.plus(renewal.lasts_for());
        Ok(holder.map(|holder| Holder { expires_at, rate: renewal.rate, ..holder }))
    }

    /// Ends the lease that the appends have, and answers the active model as it is then; `None` if
    /// they have none. The epoch is another one, so that an append which is under way takes nothing
    /// into the model any more.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`].
    pub fn release_inline(&self, projection: &str) -> Result<Option<Model>, SinkError> {
        let slot = Slot::Active;
        let active = self.slot(slot).ok_or_else(|| no_model(projection, slot))?;
        let is_kept = active.holder.as_ref().is_some_and(|holder| holder.name == Claim::APPENDS);
        let released = || Model { epoch: active.epoch + 1, holder: None, ..active.clone() };
        Ok(is_kept.then(released))
    }
}

impl Model {
    /// Who keeps others out now.
    pub fn held_by(&self, now: Timestamp) -> Option<&Holder> {
        self.holder.as_ref().filter(|holder| holder.has_lease(now))
    }

    /// The lease that was given to this claim.
    pub fn lease(&self, claim: &Claim) -> Lease {
        Lease::new(claim, self.generation, self.epoch, self.checkpoints.clone())
    }

    fn is_under(&self, lease: &Lease) -> bool {
        (self.generation, self.epoch) == (lease.generation, lease.epoch)
    }
}

pub(super) fn lost(lease: &Lease) -> SinkError {
    SinkError::LeaseLost { projection: lease.projection.clone() }
}

pub(super) fn held(projection: &str, slot: Slot, holder: &Holder) -> SinkError {
    let (projection, expires_at) = (projection.to_owned(), holder.expires_at);
    let holder = holder.name.clone();
    match slot {
        Slot::Active => SinkError::Held { projection, holder, expires_at },
        Slot::Shadow => SinkError::RebuildRunning { projection, holder, expires_at },
    }
}

pub(super) fn no_model(projection: &str, slot: Slot) -> SinkError {
    SinkError::NoModel { projection: projection.to_owned(), slot }
}
