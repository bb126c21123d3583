//! Given, then: what a reaction does about events, over a store.
//!
//! ```
//! use es_core::reaction::{Delivery, Start};
//! use es_core::{Aggregate, BoxError, Event, Reaction, Repository, Store};
//! use es_testing::reaction::react;
//!
//! #[derive(Event, Debug, PartialEq)]
//! enum OrderEvent {
//!     OrderPlaced { sku: String, count: u32 },
//! }
//! use OrderEvent::*;
//!
//! #[derive(Event, Debug, PartialEq)]
//! enum StockEvent {
//!     StockReserved { order: String, count: u32 },
//! }
//! use StockEvent::*;
//! # #[derive(Default, Clone)]
//! # struct Order;
//! # impl Aggregate for Order {
//! #     const TYPE: &'static str = "order";
//! #     type Id = String;
//! #     type Event = OrderEvent;
//! #     fn evolve(&mut self, _: &OrderEvent) {}
//! # }
//! # #[derive(Default, Clone)]
//! # struct Stock;
//! # impl Aggregate for Stock {
//! #     const TYPE: &'static str = "stock";
//! #     type Id = String;
//! #     type Event = StockEvent;
//! #     fn evolve(&mut self, _: &StockEvent) {}
//! # }
//!
//! struct Reservations {
//!     stocks: Repository<Stock>,
//! }
//!
//! impl Reaction for Reservations {
//!     // ...
//! #   const NAME: &'static str = "reservations";
//! #   const START: Start = Start::Beginning;
//! #   type Event = OrderEvent;
//! #   async fn react(&self, event: &Delivery<OrderEvent>) -> Result<(), BoxError> {
//! #       let OrderPlaced { sku, count } = &event.data;
//! #       let order = event.aggregate_id::<Order>()?;
//! #       let reserve = self.stocks.by_id(sku).decide(|_| StockReserved {
//! #           order: order.clone(),
//! #           count: *count,
//! #       });
//! #       reserve.reacting_to(event).await?;
//! #       Ok(())
//! #   }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let store = Store::from(es_memory::MemoryStore::new());
//! let reaction = Reservations { stocks: Repository::new(&store) };
//! react(&store, &reaction)
//!     .given::<Order>("o-1", [OrderPlaced { sku: "a".to_owned(), count: 3 }])
//!     .then::<Stock>("a", [StockReserved { order: "o-1".to_owned(), count: 3 }])
//!     .await
//!     .again() // every event once more: nothing is added
//!     .await;
//! # }
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug};

use es_core::backend::{
    AppendRequest, EventStoreExt, NewEvent, Position, ReadLog, ReadStream, StreamId,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventId, EventVersion, Metadata, RecordedEvent};
use es_core::execution::{IdOf, StreamVersion};
use es_core::{Aggregate, Event, ExpectedVersion, Reaction, Store};
use futures_util::TryStreamExt;

use crate::laws::chain;

/// With so many calls a reaction is taken for one that never comes to an end.
const MOST_CALLS: usize = 10_000;

/// What has happened, and how far the reaction was called for it.
pub struct Reacted<'a, R> {
    store: &'a Store,
    reaction: &'a R,
    /// Where the log ended before, and up to where the reaction was called.
    places: Option<(Position, Position)>,
    /// What is to happen before the reaction is called.
    pending: Vec<(StreamId, Vec<NewEvent>)>,
    /// Up to where each stream was looked at.
    known: HashMap<StreamId, StreamVersion>,
    /// What was given, and is expected of nobody.
    given: HashSet<EventId>,
}

impl<R: Reaction> Debug for Reacted<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reacted")
            .field("reaction", &R::NAME)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// Begins with the store as it is; what is in it already is not reacted to.
#[must_use = "nothing is checked before `then`"]
pub fn react<'a, R: Reaction>(store: &'a Store, reaction: &'a R) -> Reacted<'a, R> {
    let (known, given) = (HashMap::new(), HashSet::new());
    Reacted { store, reaction, places: None, pending: Vec::new(), known, given }
}

impl<R: Reaction> Reacted<'_, R> {
    /// Then these events happened to the aggregate with this id.
    ///
    /// # Panics
    ///
    /// When the id can name no stream, or an event cannot be written.
    #[must_use = "nothing is checked before `then`"]
    #[track_caller]
    pub fn given<A: Aggregate>(
        mut self,
        id: &(impl IdOf<A::Id> + ?Sized),
        events: impl IntoIterator<Item = A::Event>,
    ) -> Self {
        let events = events.into_iter().map(|event| match written(&event) {
            Ok(event) => event,
            Err(error) => panic!("an event cannot be written: {error}"),
        });
        self.pending.push((stream_of::<A>(id), events.collect()));
        self
    }

    /// Then the reaction was called for all that happened, for what it caused, too, and these are the
    /// events that the aggregate with this id got since it was looked at last, but for those that were
    /// given, and no others.
    ///
    /// # Panics
    ///
    /// When they are others, when a call of the reaction fails, or when the store does.
    pub async fn then<A: Aggregate>(
        mut self,
        id: &(impl IdOf<A::Id> + ?Sized),
        expected: impl IntoIterator<Item = A::Event>,
    ) -> Self
    where
        A::Event: Debug + PartialEq,
    {
        let (stream, expected) = (stream_of::<A>(id), Vec::from_iter(expected));
        let (began, _) = self.settle().await;
        let known = self.known.entry(stream.clone()).or_insert(StreamVersion::EMPTY);
        let read = ReadStream::new(stream.clone()).from_version(known.next());
        let recorded: Vec<_> =
            sound("reading a stream", self.store.events(read).try_collect().await);
        let mut found = Vec::new();
        for event in &recorded {
            *known = event.version;
            if event.position <= began || self.given.contains(&event.event_id) {
                continue;
            }
            found.extend(sound("reading an event", event.decode::<A::Event>()));
        }
        assert!(
            found == expected,
            "`{}` did something else to {stream}\n expected: {expected:?}\n   actual: {found:?}",
            R::NAME
        );
        self
    }

    /// Then the reaction was called for all of it once more, as after a crash, and nothing was added.
    ///
    /// # Panics
    ///
    /// When something was, when a call of the reaction fails, or when the store does.
    pub async fn again(mut self) -> Self {
        let (began, _) = self.settle().await;
        let end = sound("reading the end of the log", self.store.end_of_log().await);
        let mut read = ReadLog::after(began).filter(R::selection());
        loop {
            let page = sound("reading the log", self.store.read_log(&read).await);
            for event in page.events.iter().filter(|event| event.position <= end) {
                self.call(event).await;
            }
            read.after = page.next;
            if page.at_end || page.next >= end {
                break;
            }
        }
        let added = self.store.log(ReadLog::after(end)).try_collect::<Vec<_>>().await;
        let added = sound("reading the log", added);
        let lines: Vec<_> = added.iter().map(shown).collect();
        assert!(
            lines.is_empty(),
            "`{}` was called again for the same events and did more; decide with `reacting_to`\n    \
             added: {}",
            R::NAME,
            lines.join("\n           ")
        );
        self
    }

    /// Writes what is pending, and calls the reaction until nothing is left to be reacted to; answers
    /// where the log ended before all of it, and where it ends now.
    async fn settle(&mut self) -> (Position, Position) {
        let (began, reached) = match self.places {
            Some(places) => places,
            None => {
                let end = sound("reading the end of the log", self.store.end_of_log().await);
                (end, end)
            }
        };
        for (stream, events) in std::mem::take(&mut self.pending) {
            if events.is_empty() {
                continue;
            }
            let request = AppendRequest::to(stream, ExpectedVersion::Any, events);
            for part in sound("writing what is given", self.store.append(request).await).streams {
                self.given.extend(part.events.iter().map(|event| event.event_id));
            }
        }
        let (mut read, mut calls) = (ReadLog::after(reached).filter(R::selection()), 0);
        loop {
            let page = sound("reading the log", self.store.read_log(&read).await);
            for event in &page.events {
                self.call(event).await;
                calls += 1;
                assert!(
                    calls < MOST_CALLS,
                    "`{}` reacts to what it causes and never comes to an end",
                    R::NAME
                );
            }
            read.after = page.next;
            // its calls may have added something
            if page.at_end && page.events.is_empty() {
                break;
            }
        }
        self.places = Some((began, read.after));
        (began, read.after)
    }

    async fn call(&self, event: &RecordedEvent) {
        let called = async {
            for delivery in &es_core::__private::deliveries::<R>(event)? {
                self.reaction.react(delivery).await?;
            }
            Ok::<(), es_core::BoxError>(())
        };
        if let Err(error) = called.await {
            panic!("`{}` failed at `{}`: {}", R::NAME, shown(event), chain(&*error));
        }
    }
}

#[track_caller]
fn stream_of<A: Aggregate>(id: &(impl IdOf<A::Id> + ?Sized)) -> StreamId {
    match StreamId::new(A::TYPE, &id.id_text()) {
        Ok(stream) => stream,
        Err(error) => panic!("the id names no stream: {error}"),
    }
}

fn written<E: Event>(event: &E) -> Result<NewEvent, String> {
    let kind = event.event_type();
    let mut metadata = Metadata::new();
    let payload = event.encode(&mut metadata).map_err(|error| chain(&error))?;
    metadata.event_version = Some(EventVersion::new(kind.schema_version));
    Ok(NewEvent::new(UuidV7Ids.next_id(), kind.name, payload).with_metadata(metadata))
}

#[track_caller]
fn sound<T, E: std::error::Error + 'static>(what: &str, answer: Result<T, E>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("{what} failed: {}", chain(&error)),
    }
}

/// An event as it is stored.
fn shown(event: &RecordedEvent) -> String {
    format!("{}: {} {}", event.stream, event.event_type, event.payload)
}
