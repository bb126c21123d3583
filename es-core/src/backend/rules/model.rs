//! The models of a projection, and how one takes the place of the other: clauses 11 to 13 of
//! [`ProjectionSink`](crate::backend::ProjectionSink).

use crate::position::Position;
use crate::projection::{Checkpoint, Holder, Lease, SinkError, Slot, lowest};
use crate::timestamp::Timestamp;

use super::lease::{held, lost, no_model};

/// The models of one projection, as far as they are asked about: [`switch`](Self::switch) looks at
/// both, everything else at the slot that it is for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Models {
    /// The one that readers are served from.
    pub active: Option<Model>,
    /// The one that a rebuild fills.
    pub shadow: Option<Model>,
}

/// What decides who may write a model, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Which model of the projection it is; never used again.
    pub generation: u64,
    /// The fingerprint of the code that writes it.
    pub fingerprint: String,
    /// How often its lease was taken.
    pub epoch: u64,
    /// Who took it last and has not released it, whether it has expired or not.
    pub holder: Option<Holder>,
    /// How far each slice has come.
    pub checkpoints: Vec<Checkpoint>,
}

/// What a permitted switch is answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Switched {
    /// The active model from now on; there is no shadow any more.
    pub served: Model,
    /// The generation of the earlier one.
    pub retired: Option<u64>,
}

impl Models {
    /// The model in a slot.
    pub fn slot(&self, slot: Slot) -> Option<&Model> {
        match slot {
            Slot::Active => self.active.as_ref(),
            Slot::Shadow => self.shadow.as_ref(),
        }
    }

    /// A slot, to be filled.
    pub fn slot_mut(&mut self, slot: Slot) -> &mut Option<Model> {
        match slot {
            Slot::Active => &mut self.active,
            Slot::Shadow => &mut self.shadow,
        }
    }

    /// Makes the shadow, whose lease this is, the active model: in one slice, held by nobody.
    ///
    /// # Errors
    ///
    /// [`SinkError::LeaseLost`], also if the lease is the active model's, and
    /// [`SinkError::NotCaughtUp`], with the places of the slice that is furthest behind and of
    /// whatever is foremost.
    pub fn switch(&self, lease: &Lease) -> Result<Switched, SinkError> {
        let shadow = self.leased(lease)?;
        if lease.slot != Slot::Shadow {
            return Err(lost(lease));
        }
        let active = self.active.iter().flat_map(|active| &active.checkpoints);
        let places = shadow.checkpoints.iter().chain(active).map(|checkpoint| checkpoint.position);
        let foremost = places.fold(Position::START, Position::merge);
        let behind = lowest(&shadow.checkpoints).position;
        if behind < foremost {
            let projection = lease.projection.clone();
            return Err(SinkError::NotCaughtUp { projection, shadow: behind, active: foremost });
        }
        let mut served = Model { holder: None, ..shadow.clone() };
        served.checkpoints.truncate(1);
        Ok(Switched { served, retired: self.active.as_ref().map(|active| active.generation) })
    }

    /// Removes the shadow of a projection, and answers its generation.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`], and [`SinkError::RebuildRunning`] while anybody holds it.
    pub fn abandon(&self, projection: &str, now: Timestamp) -> Result<u64, SinkError> {
        let slot = Slot::Shadow;
        let shadow = self.slot(slot).ok_or_else(|| no_model(projection, slot))?;
        match shadow.held_by(now) {
            Some(holder) => Err(held(projection, slot, holder)),
            None => Ok(shadow.generation),
        }
    }
}
