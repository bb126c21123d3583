//! Errors as a tenant may be told them.

use std::sync::Arc;

use super::names::Scope;
use crate::append::{AppendError, InvalidRequest};
use crate::error::StoreError;
use crate::projection::SinkError;
use crate::stream::StreamId;
use crate::version::Conflict;

/// Why a change was refused, without its causes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

impl Scope {
    /// A failure of the store, of which the text and the causes may name what is not the tenant's.
    pub(super) fn failure(&self, error: &StoreError) -> StoreError {
        let (tenant, kind) = (self.tenant(), error.kind());
        let told: &(dyn std::error::Error + 'static) = error;
        tracing::debug!(tenant, error = told, "a call for a tenant failed");
        let text =
            format!("the store that tenant `{tenant}` is kept in failed ({})", kind.as_str());
        StoreError::new(kind, text)
    }

    pub(super) fn append_error(&self, error: AppendError) -> AppendError {
        match error {
            AppendError::Conflict(conflict) => {
                let stream = self.named(&conflict.stream);
                AppendError::Conflict(Conflict { stream, ..conflict })
            }
            AppendError::KeyReused { key, stream, difference } => {
                AppendError::KeyReused { key, stream: self.named(&stream), difference }
            }
            AppendError::Invalid(error) => AppendError::Invalid(self.invalid(error)),
            AppendError::Store(error) => AppendError::Store(self.failure(&error)),
            AppendError::DuplicateEvent { event_id } => AppendError::DuplicateEvent { event_id },
        }
    }

    fn invalid(&self, error: InvalidRequest) -> InvalidRequest {
        use InvalidRequest::*;
        match error {
            NoEvents { stream } => NoEvents { stream: self.named(&stream) },
            StreamTwice { stream } => StreamTwice { stream: self.named(&stream) },
            OtherStore { stream } => OtherStore { stream: self.named(&stream) },
            KeyTwice { stream } => KeyTwice { stream: self.named(&stream) },
            ImportWithoutVersion { stream } => ImportWithoutVersion { stream: self.named(&stream) },
            IdOfOtherType { stream, wanted } => {
                IdOfOtherType { stream: self.named(&stream), wanted }
            }
            other @ (NoStreams
            | EventIdTwice { .. }
            | TooManyEvents { .. }
            | TooLarge { .. }
            | EventType { .. }
            | Content { .. }
            | Key { .. }
            | KeyOfReactions { .. }
            | TimeAhead { .. }
            | IfMatch { .. }
            | DraftsMoved
            | EventsAnswered
            | Stream(_)) => other,
        }
    }

    /// The stream of a refused request, which is the tenant's.
    fn named(&self, stored: &StreamId) -> StreamId {
        self.own(stored).unwrap_or_else(|| StreamId::stand_in("elsewhere", ""))
    }

    pub(super) fn sink_error(&self, error: SinkError) -> SinkError {
        use SinkError::*;
        let own = |projection: String| self.own_projection(&projection).unwrap_or_default();
        match error {
            Held { projection, holder, expires_at } => {
                Held { projection: own(projection), holder, expires_at }
            }
            RebuildRunning { projection, holder, expires_at } => {
                RebuildRunning { projection: own(projection), holder, expires_at }
            }
            LeaseLost { projection } => LeaseLost { projection: own(projection) },
            Changed { projection, stored, offered } => {
                Changed { projection: own(projection), stored, offered }
            }
            NotCaughtUp { projection, shadow, active } => {
                NotCaughtUp { projection: own(projection), shadow, active }
            }
            NoModel { projection, slot } => NoModel { projection: own(projection), slot },
            NothingParked { projection, key } => NothingParked { projection: own(projection), key },
            ParkedChanged { projection } => ParkedChanged { projection: own(projection) },
            Unusable { projection, reason } => Unusable { projection: own(projection), reason },
            Refused { projection, source } => {
                let source = Arc::new(Said(source.to_string()));
                Refused { projection: own(projection), source }
            }
            Diverged { projection, found } => Diverged { projection: own(projection), found },
            Store(error) => Store(self.failure(&error)),
        }
    }
}
