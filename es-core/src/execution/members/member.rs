//! One aggregate in a decision.

use std::fmt;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;

use super::{Encoding, Finishing, First, Members, Naming, Reply, Seats, Wanted, private};
use crate::aggregate::{Aggregate, Outcome};
use crate::append::InvalidRequest;
use crate::envelope::Cause;
use crate::execution::{Decision, Draft, Known, transact};
use crate::ext::EventStoreExt;
use crate::read::ReadStream;
use crate::repository::{
    EncodeFailure, Encoded, LoadError, Loaded, Repository, decode, encode_events,
};
use crate::stream::{InvalidStreamId, StreamId, shown};
use crate::version::{ExpectedVersion, StreamVersion};

/// One aggregate of a [`Repository`], by its id, whether it exists or not: what a decision is about.
///
/// [`Repository::by_id`] makes it. Nothing is read before a decision is awaited, and one member can be
/// decided on as often as one likes.
pub struct Member<A: Aggregate> {
    pub(in super::super) repository: Repository<A>,
    pub(in super::super) stream: Result<StreamId, InvalidStreamId>,
    pub(in super::super) expected: Result<ExpectedVersion, InvalidRequest>,
}

impl<A: Aggregate> Member<A> {
    pub(crate) fn new(
        repository: Repository<A>,
        stream: Result<StreamId, InvalidStreamId>,
    ) -> Self {
        Self { repository, stream, expected: Ok(ExpectedVersion::Any) }
    }

    /// Says what is known of the aggregate: the version that somebody saw when they decided, that it
    /// must exist, or that it must not. The last call counts.
    ///
    /// If it is otherwise, the answer is
    /// [`CommandError::PreconditionFailed`](crate::CommandError::PreconditionFailed), whatever retries
    /// there are. One that must not exist is not read, and a decision on it gets the default state.
    #[must_use]
    pub fn expecting(self, expected: impl Into<ExpectedVersion>) -> Self {
        Self { expected: Ok(expected.into()), ..self }
    }

    /// Says the same by the header `If-Match` of HTTP: where it is absent or `*`, the aggregate must
    /// exist; `"3"` or `W/"3"` is version 3, as [`StreamVersion::etag`] writes it. Anything else is
    /// refused, and never taken for absent.
    #[must_use]
    pub fn if_match(self, header: Option<impl AsRef<[u8]>>) -> Self {
        let header = header.as_ref().map(AsRef::as_ref);
        let expected = match header.map(<[u8]>::trim_ascii) {
            None | Some(b"*") => Ok(ExpectedVersion::StreamExists),
            Some(tag) => match version_of(tag) {
                Some(version) => Ok(ExpectedVersion::Exact(version)),
                None => {
                    let header = shown(&String::from_utf8_lossy(tag));
                    Err(InvalidRequest::IfMatch { header })
                }
            },
        };
        Self { expected, ..self }
    }

    /// Decides over this aggregate: a function of its state that answers with events of it, or with a
    /// `Result` of them. Await the answer.
    ///
    /// The decision is run again on the new state after a conflict, so it must be pure; it is not
    /// async, and what it needs from outside is fetched before. One that refuses nothing leaves `Ok`
    /// out, because nobody could tell its type of errors; one that uses `?` is best a function with a
    /// name, for the same reason.
    ///
    /// ```
    /// # use es_core::{Aggregate, Event, Repository};
    /// # #[derive(Event)]
    /// # enum OrderEvent { OrderPaid { cents: u64 }, OrderSeen }
    /// # #[derive(Clone, Default)]
    /// # struct Order { paid: u64 }
    /// # impl Aggregate for Order {
    /// #     const TYPE: &'static str = "order";
    /// #     type Id = String;
    /// #     type Event = OrderEvent;
    /// #     fn evolve(&mut self, event: &OrderEvent) {
    /// #         if let OrderEvent::OrderPaid { cents } = event { self.paid += cents; }
    /// #     }
    /// # }
    /// impl Order {
    ///     fn pay(&self, cents: u64) -> Result<OrderEvent, &'static str> {
    ///         match self.paid {
    ///             0 => Ok(OrderEvent::OrderPaid { cents }),
    ///             _ => Err("the order is paid already"),
    ///         }
    ///     }
    /// }
    ///
    /// # async fn example(orders: Repository<Order>) -> Result<(), Box<dyn std::error::Error>> {
    /// let order = orders.by_id("o-1");
    /// let paid = order.decide(|order| order.pay(700)).await?;
    /// assert_eq!(paid.state.paid, 700);
    /// // what somebody saw must be there still
    /// order.expecting(paid.version).decide(|_| OrderEvent::OrderSeen).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn decide<'d, O>(
        &self,
        decision: impl Fn(&A) -> O + Send + Sync + 'd,
    ) -> Decision<'d, Self, (), O::Rejection>
    where
        O: Outcome<A::Event, Rejection: 'd>,
    {
        transact(self.clone(), move |draft: &mut Draft<A>| {
            // nobody looks at the state any more, so it need not be copied
            draft.events = decision(draft).outcome()?;
            Ok(())
        })
    }

    /// True if it must not exist, so that a decision does not read it.
    fn is_new(&self) -> bool {
        matches!(self.expected, Ok(ExpectedVersion::NoStream))
    }

    fn stream(&self) -> Result<&StreamId, LoadError> {
        self.stream.as_ref().map_err(|invalid| LoadError::InvalidId(invalid.clone()))
    }
}

/// The version that an entity tag names, if it is one of ours.
fn version_of(tag: &[u8]) -> Option<StreamVersion> {
    let tag = std::str::from_utf8(tag).ok()?;
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let number = tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
    let version = StreamVersion::new(number);
    (version.etag() == tag).then_some(version)
}

impl<A: Aggregate> Clone for Member<A> {
    fn clone(&self) -> Self {
        let Self { repository, stream, expected } = self;
        let (stream, expected) = (stream.clone(), expected.clone());
        Self { repository: repository.clone(), stream, expected }
    }
}

impl<A: Aggregate> fmt::Debug for Member<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("stream", &self.stream)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl<A: Aggregate> private::Sealed for Member<A> {}

impl<A: Aggregate> Members for Member<A> {
    type Drafts = Draft<A>;
    type State = A;
    type Events = Vec<A::Event>;
    type Version = StreamVersion;
    type Known = Known<A>;

    fn name(&self, naming: &mut Naming) -> Result<(), InvalidRequest> {
        naming.add(&self.repository, self.stream.clone()?, self.expected.clone()?)
    }

    fn load<'a>(
        &'a self,
        before: Option<&'a Known<A>>,
        wanted: Wanted,
    ) -> BoxFuture<'a, Result<Known<A>, LoadError>> {
        Box::pin(async move {
            let stream = self.stream()?;
            match wanted {
                Wanted::ToDecide if self.is_new() => Ok(Known::absent(stream.clone())),
                _ => self.repository.now(stream, before.cloned()).await,
            }
        })
    }

    fn known(&self) -> Option<Known<A>> {
        let (stream, cache) = (self.stream.as_ref().ok()?, self.repository.deciding_cache()?);
        match self.is_new() {
            true => Some(Known::absent(stream.clone())),
            false => cache.own(stream),
        }
    }

    fn count_known(&self) {
        if !self.is_new()
            && let Some(cache) = self.repository.deciding_cache()
        {
            cache.count_hit();
        }
    }

    fn begin(&self, known: &Known<A>, seats: &mut Seats) -> Draft<A> {
        Draft::seated(known, seats.next(known.version))
    }

    fn encode(
        &self,
        draft: Draft<A>,
        encoding: &mut Encoding<'_>,
    ) -> Result<Vec<A::Event>, EncodeFailure> {
        if draft.seat != Some(encoding.lists.len()) {
            return Err(EncodeFailure::Invalid(InvalidRequest::DraftsMoved));
        }
        let mut base = encoding.metadata.clone();
        base.fill_from(self.repository.base());
        let Encoded { new, stored } =
            encode_events(&draft.events, base, &mut encoding.root, encoding.environment)?;
        encoding.lists.push(new);
        Ok(stored)
    }

    fn recorded<'a>(
        &'a self,
        first: &'a mut First,
    ) -> BoxFuture<'a, Result<Vec<A::Event>, LoadError>> {
        Box::pin(async move {
            let stream = self.stream()?;
            let receipts = first.appended.stream(stream).map_or(&[][..], |part| &part.events);
            let (Some(from), Some(to)) = (receipts.first(), receipts.last()) else {
                return Ok(Vec::new());
            };
            let read = ReadStream::new(stream.clone())
                .from_version(from.version)
                .to_version(to.version)
                .limit(self.repository.page());
            let mut recorded = self.repository.store().events(read);
            let mut events = Vec::new();
            while let Some(event) = recorded.try_next().await? {
                events.extend(decode::<A::Event>(&event)?);
                first.cause = Some(Cause::from(&event));
            }
            Ok(events)
        })
    }

    fn remember(&self, known: &Known<A>) {
        if !self.is_new() {
            self.repository.remember(known);
        }
    }

    fn finish(
        &self,
        mut known: Known<A>,
        events: &Vec<A::Event>,
        done: &Finishing<'_>,
    ) -> (A, StreamVersion) {
        let before = known.version;
        if let Some(appended) = done.appended {
            known.append(events, appended);
        }
        if done.is_certain {
            self.repository.keep(before, &known);
        }
        let Loaded { state, version, .. } = known.into_loaded();
        (state, version)
    }

    fn is_event(reply: Reply) -> bool {
        reply.is_events::<A::Event>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tags_name_a_version() {
        for number in [0, 1, 3, StreamVersion::MAX.as_u64()] {
            let version = StreamVersion::new(number);
            assert_eq!(version_of(version.etag().as_bytes()), Some(version));
            assert_eq!(version_of(format!("W/{}", version.etag()).as_bytes()), Some(version));
        }
        let others: [&[u8]; 11] = [
            b"",
            b"3",
            b"\"\"",
            b"\"03\"",
            b"\"+3\"",
            b"\"-3\"",
            b"\" 3\"",
            b"\"3\", \"4\"",
            b"w/\"3\"",
            b"\"\xff\"",
            b"\"18446744073709551615\"",
        ];
        for tag in others {
            assert_eq!(version_of(tag), None, "{}", String::from_utf8_lossy(tag));
        }
    }
}
