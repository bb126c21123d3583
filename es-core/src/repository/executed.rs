//! What a command is answered.

use crate::aggregate::Aggregate;
use crate::append::Appended;
use crate::envelope::Cause;
use crate::version::StreamVersion;

/// The answer to a command that was carried out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Executed<A: Aggregate> {
    /// The state with the decided events in it; for a repeat, the state as it is now.
    pub state: A,
    /// How many events are in the state.
    pub version: StreamVersion,
    /// The events as they were recorded; empty if everything was already so. For a repeat, those of
    /// the first command.
    pub events: Vec<A::Event>,
    /// Where the events were recorded; `None` if there were none.
    pub appended: Option<Appended>,
    pub(super) correlation_id: Option<String>,
}

impl<A: Aggregate> Executed<A> {
    /// True if the idempotency key was recorded before: nothing was decided or written now.
    pub fn is_repeat(&self) -> bool {
        self.appended.as_ref().is_some_and(|appended| appended.repeated)
    }

    /// The last of the events as the cause of what follows from it; `None` if there were none.
    pub fn cause(&self) -> Option<Cause> {
        let stream = self.appended.as_ref()?.streams.first()?;
        Some(Cause::new(stream.events.last()?.event_id, self.correlation_id.clone()))
    }
}
