//! What a reader asks for and what it is given.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::envelope::{EventName, EventReference, RecordedEvent};
use crate::event::{Event, EventType};
use crate::position::Position;
use crate::stream::{InvalidStreamId, StreamId};
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

/// The order in which a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Oldest first.
    #[default]
    Forwards,
    /// Newest first.
    Backwards,
}

/// How much one page may hold.
///
/// A page ends at whichever bound comes first, but holds at least one event if there is one, so
/// that a large event cannot stop a reader. A store that has looked at thousands of events may end a
/// page earlier; whether more follow is told by the page, never by its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageLimit {
    /// The largest number of events; 0 counts as 1.
    pub events: usize,
    /// The largest sum of the bytes of payloads and of the domain's metadata; the metadata of the last
    /// event may go beyond it.
    pub bytes: usize,
}

impl Default for PageLimit {
    /// 500 events and 4 MiB.
    fn default() -> Self {
        Self::events(500)
    }
}

impl PageLimit {
    /// At most this many events, and 4 MiB.
    #[must_use]
    pub const fn events(events: usize) -> Self {
        Self { events, bytes: 4 * 1024 * 1024 }
    }

    /// At most so many bytes of payloads and of the domain's metadata.
    #[must_use]
    pub const fn bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

/// Fills one page within its limit; for backends.
#[derive(Debug)]
pub struct PageBuilder {
    limit: PageLimit,
    bytes: usize,
    events: Vec<RecordedEvent>,
}

impl PageBuilder {
    /// An empty page.
    pub fn new(limit: PageLimit) -> Self {
        Self { limit, bytes: 0, events: Vec::new() }
    }

    /// True if an event with this many payload bytes still fits. The first always does.
    pub fn admits(&self, payload_bytes: usize) -> bool {
        self.events.is_empty()
            || (self.events.len() < self.limit.events
                && self.bytes.saturating_add(payload_bytes) <= self.limit.bytes)
    }

    /// Adds an event.
    pub fn push(&mut self, event: RecordedEvent) {
        let bytes = event.payload.as_str().len().saturating_add(event.metadata.domain_bytes());
        self.bytes = self.bytes.saturating_add(bytes);
        self.events.push(event);
    }

    /// The last event so far.
    pub fn last(&self) -> Option<&RecordedEvent> {
        self.events.last()
    }

    /// The name of the next event, shared with one of the last that has it, too.
    pub fn event_name(&self, name: &str) -> EventName {
        const LAST: usize = 4;
        let mut last = self.events.iter().rev().take(LAST).map(|event| &event.event_type);
        last.find(|known| known.as_str() == name).cloned().unwrap_or_else(|| name.into())
    }

    /// The stream of the next event, shared with the last one if it is of the same.
    ///
    /// # Errors
    ///
    /// As [`StreamId::new`].
    pub fn stream_id(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
    ) -> Result<StreamId, InvalidStreamId> {
        let name = (aggregate_type, aggregate_id);
        match self.last().map(|last| &last.stream) {
            Some(last) if (last.aggregate_type(), last.aggregate_id()) == name => Ok(last.clone()),
            _ => StreamId::new(aggregate_type, aggregate_id),
        }
    }

    /// The events of the page.
    pub fn into_events(self) -> Vec<RecordedEvent> {
        self.events
    }
}

/// A page of one stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReadStream {
    /// The stream.
    pub stream: StreamId,
    /// Which end comes first.
    pub direction: Direction,
    /// The lowest version to return.
    pub from: StreamVersion,
    /// The highest version to return.
    pub to: StreamVersion,
    /// Only the prefix of the stream before its first event that was recorded later than this
    /// instant. Clocks step, so this is a prefix and not a filter.
    pub until: Option<Timestamp>,
    /// How much to return.
    pub limit: PageLimit,
}

impl ReadStream {
    /// The whole stream, oldest first.
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            direction: Direction::Forwards,
            from: StreamVersion::FIRST,
            to: StreamVersion::MAX,
            until: None,
            limit: PageLimit::default(),
        }
    }

    /// Newest first.
    #[must_use]
    pub fn backwards(mut self) -> Self {
        self.direction = Direction::Backwards;
        self
    }

    /// From this version on, inclusive.
    #[must_use]
    pub fn from_version(mut self, version: StreamVersion) -> Self {
        self.from = version;
        self
    }

    /// Up to this version, inclusive.
    #[must_use]
    pub fn to_version(mut self, version: StreamVersion) -> Self {
        self.to = version;
        self
    }

    /// Only what was recorded up to this instant; see [`ReadStream::until`].
    #[must_use]
    pub fn until(mut self, instant: Timestamp) -> Self {
        self.until = Some(instant);
        self
    }

    /// Sets the bounds of a page.
    #[must_use]
    pub fn limit(mut self, limit: PageLimit) -> Self {
        self.limit = limit;
        self
    }

    /// The request for what follows `page`; `None` if the page was the last.
    pub fn after(&self, page: &StreamPage) -> Option<Self> {
        let last = page.events.last().filter(|_| page.has_more)?;
        let mut next = self.clone();
        // a row that somebody wrote may have any version; behind the last one there is nothing
        match self.direction {
            Direction::Forwards if last.version == StreamVersion::MAX => return None,
            Direction::Forwards => next.from = last.version.next(),
            Direction::Backwards => {
                next.to = StreamVersion::new(last.version.as_u64().checked_sub(1)?);
            }
        }
        Some(next)
    }
}

/// Part of a stream, in the order that was asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamPage {
    /// The events.
    pub events: Vec<RecordedEvent>,
    /// The version of the stream when the page was read; `EMPTY` if there is no such stream.
    pub stream_version: StreamVersion,
    /// True if the page's limit cut the answer off: more events follow.
    pub has_more: bool,
}

impl StreamPage {
    /// For backends: these events of a stream that is at this version.
    pub fn new(events: Vec<RecordedEvent>, stream_version: StreamVersion, has_more: bool) -> Self {
        Self { events, stream_version, has_more }
    }
}

/// Which events of the log a reader wants; an empty set means all.
///
/// ```
/// # use es_core::event::EventFilter;
/// # use es_core::{Aggregate, Event};
/// # #[derive(Event)]
/// # enum OrderEvent { OrderPlaced, OrderPaid }
/// # #[derive(Event)]
/// # enum StockEvent { StockCounted }
/// # #[derive(Clone, Default)]
/// # struct Order;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = String;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
/// EventFilter::of::<OrderEvent>(); // every kind of an enum
/// EventFilter::events([OrderEvent::ORDER_PAID, StockEvent::STOCK_COUNTED]); // some kinds
/// EventFilter::all().aggregate::<Order>(); // streams of one aggregate type
/// EventFilter::all().stored_name("order_payed"); // a raw name, which says so
/// EventFilter::all().ids_with_prefix("acme/"); // streams such as `order/acme/o-1`
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EventFilter {
    /// Only streams of these aggregate types.
    pub aggregate_types: BTreeSet<String>,
    /// Only events of these types.
    pub event_types: BTreeSet<EventName>,
    /// Only streams whose ids begin with this text.
    pub id_prefix: Option<Arc<str>>,
}

impl EventFilter {
    /// Every event.
    pub fn all() -> Self {
        Self::default()
    }

    /// Every event of `E`, under whichever of its names it is stored.
    pub fn of<E: Event>() -> Self {
        Self::events(E::TYPES.iter().copied())
    }

    /// Every event of these kinds, under all their stored names, and every event that has a part of
    /// these kinds; the derive has a constant for each kind, such as `OrderEvent::ORDER_PAID`. No kind
    /// at all means every event.
    pub fn events(kinds: impl IntoIterator<Item = EventType>) -> Self {
        let names = kinds.into_iter().flat_map(|kind| kind.names());
        Self { event_types: names.map(EventName::from).collect(), ..Self::default() }
    }

    /// Adds the streams of an aggregate type.
    #[must_use]
    pub fn aggregate<A: Aggregate>(self) -> Self {
        self.stored_aggregate_type(A::TYPE)
    }

    /// Adds an aggregate type by its stored name, for tools; see [`aggregate`](Self::aggregate).
    #[must_use]
    pub fn stored_aggregate_type(mut self, name: &str) -> Self {
        self.aggregate_types.insert(name.to_owned());
        self
    }

    /// Adds one stored name, and nothing else that the same kind of event may be stored under;
    /// [`events`](Self::events) selects them all.
    #[must_use]
    pub fn stored_name(mut self, name: &str) -> Self {
        self.event_types.insert(name.into());
        self
    }

    /// Narrows the view to the streams whose ids begin with this text, byte by byte; it replaces an
    /// earlier prefix. The view is what [`LogPage::last`] is of; an empty text is that of all streams.
    #[must_use]
    pub fn ids_with_prefix(mut self, prefix: &str) -> Self {
        self.id_prefix = (!prefix.is_empty()).then(|| prefix.into());
        self
    }

    /// True if the stream is in the view, whatever of it is wanted; backends that filter in the
    /// database must agree with it.
    pub fn shows(&self, stream: &StreamId) -> bool {
        self.id_prefix.as_deref().is_none_or(|prefix| stream.aggregate_id().starts_with(prefix))
    }

    /// True if the event is wanted; backends that filter in the database must agree with it.
    pub fn accepts(&self, event: &RecordedEvent) -> bool {
        self.shows(&event.stream)
            && (self.aggregate_types.is_empty()
                || self.aggregate_types.contains(event.stream.aggregate_type()))
            && (self.event_types.is_empty() || self.event_types.contains(&event.event_type))
    }
}

/// A page of the log, in position order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReadLog {
    /// Only events after this place.
    pub after: Position,
    /// Which events.
    pub filter: EventFilter,
    /// How much to return.
    pub limit: PageLimit,
}

impl ReadLog {
    /// Everything after `position`.
    pub fn after(position: Position) -> Self {
        Self { after: position, filter: EventFilter::default(), limit: PageLimit::default() }
    }

    /// Everything.
    pub fn from_start() -> Self {
        Self::after(Position::START)
    }

    /// Replaces the filter.
    #[must_use]
    pub fn filter(mut self, filter: EventFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets the bounds of a page.
    #[must_use]
    pub fn limit(mut self, limit: PageLimit) -> Self {
        self.limit = limit;
        self
    }
}

/// Part of the log.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LogPage {
    /// The wanted events, in position order.
    pub events: Vec<RecordedEvent>,
    /// Where to go on: everything up to here is in this page or was not wanted. Never before the
    /// place from which was read.
    pub next: Position,
    /// The last event of the view at or before `next`, wanted or not, and after the place from which
    /// was read; `None` if there is none. The view is the log, where that is the event at `next`, or
    /// the streams of a [prefix](EventFilter::ids_with_prefix) or a [scope](crate::layer::scoped()).
    /// Who keeps `next` keeps it, too, and knows by it whether a log is still the same.
    pub last: Option<EventReference>,
    /// True if the page reaches the end of the log as it was when the page was read. What is
    /// acknowledged may stand behind that end for a while: see clause 10 of
    /// [`EventStore`](crate::backend::EventStore).
    pub at_end: bool,
}

impl LogPage {
    /// For backends: these events, and where to go on; see the fields.
    pub fn new(
        events: Vec<RecordedEvent>,
        next: Position,
        last: Option<EventReference>,
        at_end: bool,
    ) -> Self {
        Self { events, next, last, at_end }
    }
}
