//! Who may write a model.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Checkpoint, Definition, TableSchema};

/// Which of the two models that a projection may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The one that readers are served from.
    Active,
    /// The one that a rebuild fills, to be switched to.
    Shadow,
}

impl Slot {
    /// The stored name: `active` or `shadow`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Shadow => "shadow",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a holder asks for when it wants to write a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The projection.
    pub projection: String,
    /// The fingerprint of the code that will write; see [`Definition`](super::Definition).
    pub fingerprint: String,
    /// Which model.
    pub slot: Slot,
    /// In how many slices a new shadow is filled, from 1. An active model has one.
    pub slices: u32,
    /// Who asks: unique among processes that run, and shown to operators.
    pub holder: String,
    /// After how long without [`renew`](super::ProjectionSink::renew) others may take the lease; more
    /// than [`Lease::LONGEST`] counts as that.
    pub time_to_live: Duration,
    /// The tables that it will write, which are made if they are not there; most projections have
    /// none.
    pub tables: Arc<[TableSchema]>,
}

impl Claim {
    /// Who holds the models that are kept within appends, in every process.
    pub const APPENDS: &'static str = "the append";

    /// A claim of a model in one slice and without tables.
    pub fn new(
        projection: impl Into<String>,
        fingerprint: impl Into<String>,
        slot: Slot,
        holder: impl Into<String>,
        time_to_live: Duration,
    ) -> Self {
        Self {
            projection: projection.into(),
            fingerprint: fingerprint.into(),
            slot,
            slices: 1,
            holder: holder.into(),
            time_to_live,
            tables: Arc::default(),
        }
    }

    /// A claim of the model of this projection, with its tables.
    pub fn of(
        definition: &Definition,
        slot: Slot,
        holder: impl Into<String>,
        time_to_live: Duration,
    ) -> Self {
        Self::new(definition.name(), definition.fingerprint(), slot, holder, time_to_live)
            .tables(definition.tables())
    }

    /// In how many slices a new shadow is filled.
    #[must_use]
    pub fn slices(self, slices: u32) -> Self {
        Self { slices, ..self }
    }

    /// The tables that will be written.
    #[must_use]
    pub fn tables(self, tables: impl Into<Arc<[TableSchema]>>) -> Self {
        Self { tables: tables.into(), ..self }
    }

    /// What a backend asks for to keep a projection within its appends: the lease is that of the
    /// appends of all processes, and never ends by itself.
    pub fn of_appends(definition: &Definition) -> Self {
        Self::of(definition, Slot::Active, Self::APPENDS, Self::FOR_EVER)
    }

    /// Longer than any store lives, on any clock.
    const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

    /// For how long a sink gives the lease: not longer than [`Lease::LONGEST`], but to appends.
    pub fn lasts_for(&self) -> Duration {
        let is_of_appends = self.holder == Self::APPENDS;
        self.time_to_live.min(if is_of_appends { Self::FOR_EVER } else { Lease::LONGEST })
    }
}

/// The right to write one model, until somebody else takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The projection.
    pub projection: String,
    /// Where the model stood when the lease was taken.
    pub slot: Slot,
    /// Which model of the projection: grows with every new shadow, and is never used again.
    pub generation: u64,
    /// How often the model's lease was taken; a commit with an older one is refused.
    pub epoch: u64,
    /// How far each slice of the model has come.
    pub checkpoints: Vec<Checkpoint>,
    /// The tables of the claim.
    pub tables: Arc<[TableSchema]>,
}

impl Lease {
    /// For backends: what such a claim is given, of the model of this generation.
    pub fn new(claim: &Claim, generation: u64, epoch: u64, checkpoints: Vec<Checkpoint>) -> Self {
        Self {
            projection: claim.projection.clone(),
            slot: claim.slot,
            generation,
            epoch,
            checkpoints,
            tables: Arc::clone(&claim.tables),
        }
    }

    /// The longest time that a lease lasts without a renewal, unless it is that of the appends: 10
    /// minutes.
    pub const LONGEST: Duration = Duration::from_secs(10 * 60);

    /// The longest time that a lease is believed to last, which leaves room for a clock that is set
    /// right: 15 minutes.
    ///
    /// One that ends later was given by a clock that was far ahead, and keeps nobody out: its holder
    /// may be long gone. If it is at work, its commits are refused as those of any that was overtaken.
    pub const BELIEVED: Duration = Duration::from_secs(15 * 60);
}

/// What a holder tells when it keeps its lease.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Renewal {
    /// After how long without another renewal others may take the lease; more than [`Lease::LONGEST`]
    /// counts as that.
    pub time_to_live: Duration,
    /// How many events it took in a second lately, for who watches; `None` if it cannot say.
    pub rate: Option<f64>,
    /// Of how many keys that are due it wants to be told, at most; 0 counts as 1. Who is told of so many
    /// asks again when it has dealt with them.
    pub limit: usize,
}

impl Renewal {
    /// For so long from now, without a word about the rate; of 1,000 keys that are due it is told.
    pub const fn lasting(time_to_live: Duration) -> Self {
        Self { time_to_live, rate: None, limit: 1_000 }
    }

    /// For how long a sink keeps the lease from now on: not longer than [`Lease::LONGEST`].
    pub fn lasts_for(&self) -> Duration {
        self.time_to_live.min(Lease::LONGEST)
    }
}

/// What a renewal is answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Keys of which the first waiting event is due: somebody asked for another attempt, or nothing
    /// stands before it any more. All of them, unless they are as many as were asked for.
    pub due: Vec<String>,
}
