//! Which error an append gets from a projection that is kept within it: clause 16 of
//! [`ProjectionSink`](crate::backend::ProjectionSink).

use crate::error::{BoxError, StoreError, StoreErrorKind};
use crate::projection::{Definition, SinkError};

/// The refusal of an append by a projection that cannot take its event; what the projection said is
/// the cause.
pub fn inline_refusal(definition: &Definition, error: BoxError) -> StoreError {
    let text = format!("inline projection `{}` cannot take an event", definition.name());
    StoreError::new(StoreErrorKind::Other, text).caused_by_any(error)
}

/// The failure of an append whose models could not be written; that of the store is its own.
pub fn inline_failure(error: SinkError) -> StoreError {
    match error {
        SinkError::Store(error) => error,
        other => {
            let text = "an inline projection cannot be kept";
            StoreError::new(StoreErrorKind::Other, text).caused_by(other)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::projection::RawKeying;
    use crate::read::EventFilter;

    #[test]
    fn a_refusal_names_the_projection_and_its_cause_is_what_that_said() {
        let said = || StoreError::new(StoreErrorKind::Corrupt, "row 7 is none");
        let (all, keying) = (EventFilter::all(), RawKeying::Streams);
        let mail = Definition::rows::<()>("mail", 1, all, keying, |_, row, _| Ok(row));
        let refusal = inline_refusal(&mail, said().into());
        assert_eq!(refusal.to_string(), "inline projection `mail` cannot take an event");
        assert_eq!(refusal.kind(), StoreErrorKind::Other);
        let cause = refusal.source().and_then(|cause| cause.downcast_ref::<StoreError>());
        assert_eq!(cause.map(StoreError::kind), Some(StoreErrorKind::Corrupt));
        // on its way through the sink it stays what it is
        let told = inline_failure(refusal.into());
        assert_eq!(told.to_string(), "inline projection `mail` cannot take an event");
    }

    #[test]
    fn a_model_that_cannot_be_written_fails_the_append() {
        let lost = SinkError::LeaseLost { projection: "mail".to_owned() };
        let failure = inline_failure(lost.clone());
        assert_eq!(failure.to_string(), "an inline projection cannot be kept");
        assert_eq!(failure.source().map(ToString::to_string), Some(lost.to_string()));
    }
}
