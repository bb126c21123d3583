//! What a sink knows about a projection.

use crate::timestamp::Timestamp;

use super::Checkpoint;

/// One projection as its sink keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionStatus {
    /// Its name.
    pub projection: String,
    /// The model that readers are served from, if there is one.
    pub active: Option<GenerationStatus>,
    /// The model that a rebuild fills, if there is one.
    pub shadow: Option<GenerationStatus>,
}

/// One model of a projection.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationStatus {
    /// Its number.
    pub generation: u64,
    /// The fingerprint of the code that writes it.
    pub fingerprint: String,
    /// How far each slice has come; an active model has one.
    pub checkpoints: Vec<Checkpoint>,
    /// Who holds the lease; `None` if nobody does or if it has expired.
    pub holder: Option<Holder>,
    /// How many events its commits dealt with.
    pub events: u64,
    /// When it was last committed to, by the sink's clock.
    pub committed_at: Option<Timestamp>,
    /// How many parked events wait.
    pub waiting: u64,
    /// How many parked events were discarded.
    pub discarded: u64,
    /// What keeps it from going on; a commit clears it.
    pub trouble: Option<Trouble>,
}

impl GenerationStatus {
    /// The checkpoint of the slice that is furthest behind.
    pub fn checkpoint(&self) -> &Checkpoint {
        super::lowest(&self.checkpoints)
    }
}

/// Who writes a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// The name that it gave.
    pub name: String,
    /// Until when it need not renew, by the sink's clock.
    pub expires_at: Timestamp,
    /// How many events it took in a second lately, as its last renewal of this lease told.
    pub rate: Option<f64>,
}

/// What keeps a model from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong, as an operator is to read it.
    pub message: String,
    /// When it was reported, by the sink's clock.
    pub at: Timestamp,
}
