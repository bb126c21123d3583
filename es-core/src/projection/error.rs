//! Why a sink refuses.

use std::sync::Arc;

use crate::error::{BoxError, StoreError, StoreErrorKind};
use crate::position::Position;
use crate::timestamp::Timestamp;

use super::definition::is_of_reaction;
use super::{Claim, Slot};

/// A row of a model that is none of the projection's, or that cannot be written again as it is:
/// somebody, or another program, changed it.
#[derive(Debug, thiserror::Error)]
#[error("row `{key}` of the model cannot be read: {reason}; rebuild the projection")]
pub(super) struct OddRow {
    key: String,
    reason: String,
}

impl OddRow {
    pub(super) fn new(key: &str, error: &BoxError) -> Self {
        Self { key: key.to_owned(), reason: super::worker::chain(&**error) }
    }
}

/// A refusal or failure of a [`ProjectionSink`](super::ProjectionSink); nothing was written unless
/// [`is_outcome_unknown`](Self::is_outcome_unknown) holds.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Another holder has the lease of the active model.
    #[error(
        "projection `{projection}` is run by `{holder}` until {expires_at} at least; {}",
        who_has_it_ends(.holder)
    )]
    Held {
        /// The projection.
        projection: String,
        /// Who has it.
        holder: String,
        /// When it can be taken unless it is renewed.
        expires_at: Timestamp,
    },
    /// Another holder is rebuilding the projection.
    #[error(
        "projection `{projection}` is being rebuilt by `{holder}`, until {expires_at} at least; \
         wait for that rebuild or stop it"
    )]
    RebuildRunning {
        /// The projection.
        projection: String,
        /// Who rebuilds it.
        holder: String,
        /// When it can be taken over unless it is renewed.
        expires_at: Timestamp,
    },
    /// The lease was taken over, the model was replaced or dropped, or the checkpoint is another.
    #[error("the lease on projection `{projection}` was lost; acquire it again")]
    LeaseLost {
        /// The projection.
        projection: String,
    },
    /// The model was built by other code.
    #[error(
        "projection `{projection}` was built as `{stored}` and this program has `{offered}`; {}",
        how_it_changes(.stored, .offered)
    )]
    Changed {
        /// The projection.
        projection: String,
        /// The fingerprint of the model.
        stored: String,
        /// The fingerprint of the claim.
        offered: String,
    },
    /// The shadow cannot become the active model yet.
    #[error(
        "the rebuilt model of projection `{projection}` has come to {shadow} and the active one \
         to {active}; catch up before switching"
    )]
    NotCaughtUp {
        /// The projection.
        projection: String,
        /// How far the slice of the shadow is that is furthest behind.
        shadow: Position,
        /// How far the active model is, or the foremost slice of the shadow.
        active: Position,
    },
    /// There is no such model.
    #[error("projection `{projection}` has no {slot} model{}", who_makes(.slot))]
    NoModel {
        /// The projection.
        projection: String,
        /// Which model is missing.
        slot: Slot,
    },
    /// Nothing is parked under the key, or at that place.
    #[error("nothing waits under key `{key}` of projection `{projection}`")]
    NothingParked {
        /// The projection.
        projection: String,
        /// The key.
        key: String,
    },
    /// A parked event that the batch deals with does not wait any more; list them again.
    #[error("the parked events of projection `{projection}` changed meanwhile; list them again")]
    ParkedChanged {
        /// The projection.
        projection: String,
    },
    /// The projection cannot be run as it is.
    #[error("projection `{projection}` cannot be run: {reason}")]
    Unusable {
        /// The projection.
        projection: String,
        /// Why not.
        reason: String,
    },
    /// The database refused a change of a table, for the sake of the event that it is of.
    #[error("a change of the tables of projection `{projection}` was refused")]
    Refused {
        /// The projection.
        projection: String,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The log is not the one that the model was made of.
    #[error(
        "the model of projection `{projection}` was made of another history than the log holds: \
         {found}; open the store again and rebuild the projection, or give the reaction another \
         name, under which it begins anew"
    )]
    Diverged {
        /// The projection.
        projection: String,
        /// What was found, such as the event that is not there.
        found: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SinkError {
    /// This failure as one of a projection: a store whose log has become another history is no
    /// failure that passes.
    pub(crate) fn of(self, projection: &str) -> Self {
        match self {
            Self::Store(error) if error.kind() == StoreErrorKind::Diverged => {
                Self::Diverged { projection: projection.to_owned(), found: error.to_string() }
            }
            other => other,
        }
    }

    /// True if the same call may succeed later without anybody mending anything, and certainly wrote
    /// nothing.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }

    /// True if a commit may have been written. Acquiring the lease again tells whether it was.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_outcome_unknown())
    }
}

/// What to do about a model that was built by other code.
fn how_it_changes(stored: &str, offered: &str) -> &'static str {
    if is_of_reaction(stored) || is_of_reaction(offered) {
        "no reaction is rebuilt, and nothing takes its place: give one of the two another name"
    } else {
        "rebuild it"
    }
}

/// What to do about a model that is not there.
fn who_makes(slot: &Slot) -> &'static str {
    match slot {
        Slot::Active => "; a runner makes it when it takes the projection for the first time",
        Slot::Shadow => "",
    }
}

/// What to do about the holder of an active model.
fn who_has_it_ends(holder: &str) -> &'static str {
    match holder {
        Claim::APPENDS => {
            "end the programs that keep it within their appends, and release it from them"
        }
        _ => {
            "stop that runner, or wait: one that was killed, or dropped without `release`, has its \
             lease until then"
        }
    }
}
