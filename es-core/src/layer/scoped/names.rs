//! The names of a tenant, as it knows them and as they are stored.

use std::sync::Arc;

use crate::append::{Appended, AppendedStream};
use crate::envelope::{EventReference, RecordedEvent};
use crate::error::{StoreError, StoreErrorKind};
use crate::limits::Limits;
use crate::projection::Checkpoint;
use crate::read::StreamPage;
use crate::stream::{InvalidStreamId, StreamId, shown};

/// One tenant; cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    tenant: Arc<str>,
    /// With a `/` at its end, which no name has, so that none begins another's.
    prefix: Arc<str>,
}

impl Scope {
    const LONGEST: usize = 64;

    pub(super) fn new(tenant: &str) -> Result<Self, StoreError> {
        let is_allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        };
        if (1..=Self::LONGEST).contains(&tenant.len()) && tenant.bytes().all(is_allowed) {
            return Ok(Self { tenant: tenant.into(), prefix: format!("{tenant}/").into() });
        }
        let text = format!(
            "`{}` is no tenant's name; use 1 to {} bytes of a-z, 0-9, _ and -",
            shown(tenant),
            Self::LONGEST
        );
        Err(StoreError::new(StoreErrorKind::Other, text))
    }

    pub(super) fn tenant(&self) -> &str {
        &self.tenant
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The stream as it is stored.
    pub(super) fn stored(&self, own: &StreamId) -> Result<StreamId, InvalidStreamId> {
        let id = format!("{}{}", self.prefix, own.aggregate_id());
        StreamId::new(own.aggregate_type(), &id).map_err(|_| InvalidStreamId::Id {
            aggregate_id: shown(own.aggregate_id()),
            max: Limits::AGGREGATE_ID_BYTES - self.prefix.len(),
        })
    }

    /// A stored stream as the tenant knows it; `None` if it is not the tenant's.
    pub(super) fn own(&self, stored: &StreamId) -> Option<StreamId> {
        let id = stored.aggregate_id().strip_prefix(&*self.prefix)?;
        StreamId::new(stored.aggregate_type(), id).ok()
    }

    pub(super) fn own_event(&self, event: RecordedEvent) -> Option<RecordedEvent> {
        let stream = self.own(&event.stream)?;
        Some(RecordedEvent { stream, ..event })
    }

    pub(super) fn own_appended(&self, appended: Appended) -> Appended {
        let streams = appended.streams.into_iter();
        let own = streams
            .filter_map(|part| Some(AppendedStream { stream: self.own(&part.stream)?, ..part }));
        Appended { streams: own.collect(), ..appended }
    }

    /// A page of one stream, which is this one of the tenant's.
    pub(super) fn own_page(&self, mut page: StreamPage, own: &StreamId) -> StreamPage {
        let is_own = |stored: &StreamId| {
            let id = stored.aggregate_id().strip_prefix(&*self.prefix);
            stored.aggregate_type() == own.aggregate_type() && id == Some(own.aggregate_id())
        };
        page.events.retain(|event| is_own(&event.stream));
        page.events.iter_mut().for_each(|event| event.stream = own.clone());
        page
    }

    pub(super) fn own_reference(&self, stored: EventReference) -> Option<EventReference> {
        let stream = self.own(&stored.stream)?;
        Some(EventReference { stream, ..stored })
    }

    pub(super) fn stored_reference(
        &self,
        own: &EventReference,
    ) -> Result<EventReference, InvalidStreamId> {
        Ok(EventReference { stream: self.stored(&own.stream)?, ..own.clone() })
    }

    pub(super) fn own_checkpoint(&self, stored: Checkpoint) -> Checkpoint {
        let event = stored.event.and_then(|event| self.own_reference(event));
        Checkpoint { event, ..stored }
    }

    pub(super) fn stored_checkpoint(&self, own: &Checkpoint) -> Checkpoint {
        // one whose stream cannot be kept is of no event
        let event = own.event.as_ref().and_then(|event| self.stored_reference(event).ok());
        Checkpoint { event, ..*own }
    }

    /// The name of a projection as it is stored.
    pub(super) fn projection(&self, own: &str) -> String {
        format!("{}{own}", self.prefix)
    }

    /// A stored name of a projection as the tenant knows it; `None` if it is not the tenant's.
    pub(super) fn own_projection(&self, stored: &str) -> Option<String> {
        stored.strip_prefix(&*self.prefix).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "acme", "a-1_b", "-", &"x".repeat(64)] {
            assert!(Scope::new(name).is_ok(), "{name}");
        }
        for name in ["", "Acme", "a/b", "a b", "a.b", "é", "a\0", &"x".repeat(65)] {
            let error = Scope::new(name).unwrap_err().to_string();
            assert!(error.contains("no tenant's name"), "{name:?}: {error}");
        }
    }

    #[test]
    fn a_stream_comes_back_and_no_other_tenant_has_it() {
        let (acme, other) = (Scope::new("acme").unwrap(), Scope::new("acme2").unwrap());
        for id in ["1", "acme/1", "/", "2/1", "2"] {
            let own = StreamId::new("order", id).unwrap();
            let stored = acme.stored(&own).unwrap();
            assert_eq!(stored.aggregate_id(), format!("acme/{id}"));
            assert_eq!(acme.own(&stored), Some(own.clone()));
            assert_eq!(other.own(&stored), None);
            assert_eq!(acme.own(&other.stored(&own).unwrap()), None);
        }
        let bare: StreamId = "order/acme".parse().unwrap();
        assert_eq!(acme.own(&bare), None);
        assert_eq!(acme.own(&"order/acme/".parse().unwrap()), None, "an id has at least a byte");
    }

    #[test]
    fn an_id_that_does_not_fit_is_told_as_the_tenant_knows_it() {
        let acme = Scope::new("acme").unwrap();
        let of = |bytes: usize| StreamId::new("order", &"x".repeat(bytes)).unwrap();
        assert!(acme.stored(&of(250)).is_ok());
        match acme.stored(&of(251)) {
            Err(InvalidStreamId::Id { aggregate_id, max }) => {
                assert_eq!(max, 250);
                assert!(aggregate_id.starts_with("xxx"), "{aggregate_id}");
            }
            other => panic!("255 bytes are the most, but: {other:?}"),
        }
    }
}
