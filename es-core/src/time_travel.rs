//! The states of the past, and what changed between two of them.

mod difference;

use serde::Serialize;

use crate::aggregate::{Aggregate, IdOf};
use crate::error::ErrorKind;
use crate::payload::Payload;
use crate::repository::{LoadError, Loaded, Repository};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

pub use difference::{Difference, differences};

/// A moment in the history of one aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// Before the first event.
    Start,
    /// After so many events; if there are fewer, after all of them.
    Version(StreamVersion),
    /// After the prefix that ends before the first event recorded later than this instant.
    Instant(Timestamp),
    /// After all events.
    #[default]
    Now,
}

impl From<StreamVersion> for Moment {
    fn from(version: StreamVersion) -> Self {
        Self::Version(version)
    }
}

impl From<Timestamp> for Moment {
    fn from(instant: Timestamp) -> Self {
        Self::Instant(instant)
    }
}

/// What became of an aggregate between two moments.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StateDifference<A> {
    /// The aggregate at the first moment.
    pub from: Loaded<A>,
    /// The aggregate at the second moment, which need not be the later one.
    pub to: Loaded<A>,
    /// What differs, by path; empty if the states are the same JSON value.
    pub differences: Vec<Difference>,
}

/// Why two states could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DifferenceError {
    /// One of them could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A state cannot be written as JSON, such as a number that is not finite.
    #[error("the state of {stream} after {version} events cannot be written as JSON")]
    Json {
        /// The stream.
        stream: StreamId,
        /// How many events are in the state.
        version: StreamVersion,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl DifferenceError {
    /// What it means for whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Load(error) => error.kind(),
            Self::Json { .. } => ErrorKind::Broken,
        }
    }
}

impl<A: Aggregate> Repository<A> {
    /// What differs between the aggregate at one moment and at another, as JSON.
    ///
    /// The two states are read one after the other: what is appended meanwhile can only be in the
    /// second, where it asks for the present.
    ///
    /// ```
    /// # use es_core::execution::{DifferenceError, Moment, StreamVersion};
    /// # use es_core::{Aggregate, Event, Repository};
    /// # #[derive(Event)]
    /// # enum OrderEvent { OrderPaid { cents: u64 } }
    /// # #[derive(Clone, Default, serde::Serialize)]
    /// # struct Order { paid: u64 }
    /// # impl Aggregate for Order {
    /// #     const TYPE: &'static str = "order";
    /// #     type Id = String;
    /// #     type Event = OrderEvent;
    /// #     fn evolve(&mut self, OrderEvent::OrderPaid { cents }: &OrderEvent) { self.paid += cents; }
    /// # }
    /// # async fn example(orders: Repository<Order>) -> Result<(), DifferenceError> {
    /// let since = StreamVersion::new(7);
    /// let changed = orders.difference("o-1", since, Moment::Now).await?;
    /// for difference in &changed.differences {
    ///     println!("{difference}"); // /paid: 500 -> 700
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DifferenceError`] when a state cannot be loaded or is no JSON.
    pub async fn difference(
        &self,
        id: &(impl IdOf<A::Id> + ?Sized),
        from: impl Into<Moment> + Send,
        to: impl Into<Moment> + Send,
    ) -> Result<StateDifference<A>, DifferenceError>
    where
        A: Serialize,
    {
        let (from, to) = (from.into(), to.into());
        let from = self.load_at(id, from).await?;
        let to = self.load_at(id, to).await?;
        let differences = differences(&json_of(&from)?, &json_of(&to)?);
        Ok(StateDifference { from, to, differences })
    }
}

fn json_of<A: Serialize>(loaded: &Loaded<A>) -> Result<Payload, DifferenceError> {
    Payload::of(&loaded.state).map_err(|source| DifferenceError::Json {
        stream: loaded.stream.clone(),
        version: loaded.version,
        source,
    })
}
