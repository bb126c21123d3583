//! What a sink knows about a projection.

use crate::timestamp::Timestamp;

use super::{Checkpoint, Claim, Lease};

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
    /// Who has the lease now; see [`Holder::has_lease`].
    pub holder: Option<Holder>,
    /// How many events its commits dealt with.
    pub events: u64,
    /// When it was last committed to, by the sink's clock.
    pub committed_at: Option<Timestamp>,
    /// How many parked events wait.
    pub waiting: u64,
    /// How many parked events were discarded.
    pub discarded: u64,
    /// What keeps it from going on; a commit clears it, and who takes the lease next clears what has
    /// passed: that an event was tried again, that the store failed, and that the log was another one.
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

impl Holder {
    /// True if it keeps others out: its lease has not expired, and is not of a clock that was ahead,
    /// as one is that ends later than [`Lease::BELIEVED`] from now. The lease of the appends never
    /// ends by itself.
    pub fn has_lease(&self, now: Timestamp) -> bool {
        let may_be_long = self.name == Claim::APPENDS;
        self.expires_at > now && (may_be_long || self.expires_at.since(now) <= Lease::BELIEVED)
    }
}

/// What keeps a model from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong, as an operator is to read it; it begins with the kind.
    pub message: String,
    /// When it was reported, by the sink's clock.
    pub at: Timestamp,
}

/// What kind of trouble keeps a model from going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TroubleKind {
    /// An event cannot be taken.
    Poison,
    /// An event could not be taken, and is tried again: nobody has to do anything yet.
    Retrying,
    /// A row of the model cannot be read; rebuild it.
    Row,
    /// The model was built by other code; rebuild it.
    Changed,
    /// The log is not the one that the model was made of; rebuild it.
    Diverged,
    /// The projection cannot be run as this program has it.
    Unusable,
    /// The store or the sink failed; it is tried again.
    Store,
    /// Something else, or told by an older or newer program.
    Other,
}

impl TroubleKind {
    const ALL: [Self; 7] = [
        Self::Poison,
        Self::Retrying,
        Self::Row,
        Self::Changed,
        Self::Diverged,
        Self::Unusable,
        Self::Store,
    ];

    /// The word for it, such as `poison event`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poison => "poison event",
            Self::Retrying => "retrying",
            Self::Row => "unreadable row",
            Self::Changed => "changed",
            Self::Diverged => "diverged",
            Self::Unusable => "unusable",
            Self::Store => "store failure",
            Self::Other => "other",
        }
    }

    /// True if somebody must do something about it before the projection goes on.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Poison | Self::Row | Self::Changed | Self::Diverged | Self::Unusable)
    }
}

impl Trouble {
    /// What kind of trouble it is, by the first words of the message.
    pub fn kind(&self) -> TroubleKind {
        let word = self.message.split_once(": ").map_or("", |(word, _)| word);
        let known = TroubleKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.unwrap_or(TroubleKind::Other)
    }

    /// True if it has passed when somebody has the lease, and has found the model's event in the log.
    pub(super) fn has_passed(&self) -> bool {
        matches!(self.kind(), TroubleKind::Retrying | TroubleKind::Store | TroubleKind::Diverged)
    }

    /// The message of such a trouble.
    pub(super) fn text(kind: TroubleKind, message: &str) -> String {
        format!("{}: {message}", kind.as_str())
    }
}
