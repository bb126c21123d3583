//! Which rows of a projection an event concerns, and what they are called.

use std::fmt;
use std::sync::Arc;

use crate::aggregate::{Aggregate, AggregateId, InvalidAggregateId};
use crate::envelope::{Envelope, RecordedEvent};
use crate::error::BoxError;

use super::Projection;

/// Which rows of the projection `P` an event concerns, and with it how a rebuild may divide the work.
///
/// | keys | rows | a rebuild |
/// |---|---|---|
/// | [`per_stream`](Self::per_stream) | one for each aggregate | divides by streams |
/// | [`across_streams`](Self::across_streams) | those that a function of the event names | has one slice |
/// | [`by_metadata`](Self::by_metadata) | the same, told without decoding | has one slice |
///
/// An event of which the keys cannot be told is one that the projection cannot take: if it is parked,
/// all that follow it in its stream wait behind it, but events of other streams go on, whichever rows
/// they share with it.
///
/// A closure is given to `Keying::<Self>::across_streams`, with `<Self>`: without it the compiler does
/// not know its event, and says "type annotations needed". A closure that says `?` needs the type of
/// its error, too, so there a function with a name is shorter:
///
/// ```
/// # use es_core::projection::Keying;
/// # use es_core::{Aggregate, AggregateId, BoxError, Envelope, Event, Projection};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(AggregateId, Debug)]
/// # struct OrderId(String);
/// # #[derive(Event)]
/// # enum OrderEvent { OrderPlaced { customer: String }, OrderPaid }
/// # #[derive(Default, Clone)]
/// # struct Order;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = OrderId;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
/// # #[derive(Serialize, Deserialize)]
/// # struct OrderOfCustomer;
/// fn of_customer(event: &Envelope<OrderEvent>) -> Result<Option<(String, OrderId)>, BoxError> {
///     let OrderEvent::OrderPlaced { customer } = &event.data else { return Ok(None) };
///     Ok(Some((customer.clone(), event.aggregate_id::<Order>()?)))
/// }
///
/// impl Projection for OrderOfCustomer {
///     // ...
/// #   const NAME: &'static str = "order_of_customer";
/// #   type Event = OrderEvent;
///     type Key = (String, OrderId);
///     fn keying() -> Keying<Self> {
///         Keying::across_streams(of_customer)
///     }
/// #   fn evolve(
/// #       _: &Self::Key, row: &mut Option<Self>, _: &Envelope<OrderEvent>,
/// #   ) -> Result<(), BoxError> {
/// #       *row = Some(Self);
/// #       Ok(())
/// #   }
/// }
/// ```
pub struct Keying<P: Projection> {
    pub(super) form: Form<P>,
}

/// How the keys are told.
pub(super) enum Form<P: Projection> {
    /// By the stream, whose aggregate type this is.
    Stream(&'static str),
    Event(Arc<KeysOfEvent<P>>),
    Metadata(Arc<KeysOfRecorded<P>>),
}

type Told<P> = Result<Vec<<P as Projection>::Key>, BoxError>;
type KeysOfEvent<P> = dyn Fn(&Envelope<'_, <P as Projection>::Event>) -> Told<P> + Send + Sync;
type KeysOfRecorded<P> = dyn Fn(&RecordedEvent) -> Told<P> + Send + Sync;

impl<P: Projection> Keying<P> {
    /// One row for each aggregate of type `A`, with its id as the key and stored under its stream's
    /// name, such as `order/o-1`. Only streams of `A` are selected.
    pub fn per_stream<A>() -> Self
    where
        A: Aggregate<Event = P::Event, Id = P::Key>,
    {
        Self { form: Form::Stream(A::TYPE) }
    }

    /// The rows that the function names, which events of other streams may concern as well: one key,
    /// an `Option`, a `Vec`, an array, or a `Result` of these. None is fine.
    pub fn across_streams<K>(keys: fn(&Envelope<'_, P::Event>) -> K) -> Self
    where
        K: Keys<P::Key> + 'static,
    {
        Self { form: Form::Event(Arc::new(move |event| keys(event).keys())) }
    }

    /// The rows that the function names by what was recorded beside the event, which need not be
    /// decoded for it.
    pub fn by_metadata<K>(keys: fn(&RecordedEvent) -> K) -> Self
    where
        K: Keys<P::Key> + 'static,
    {
        Self { form: Form::Metadata(Arc::new(move |event| keys(event).keys())) }
    }

    /// The text under which a row is stored.
    pub fn stored_key(&self, key: &P::Key) -> String {
        self.texts().stored(&key.to_key())
    }

    /// Reads what [`stored_key`](Self::stored_key) wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidAggregateId`] when the text is no key of this projection.
    pub fn parse_key(&self, text: &str) -> Result<P::Key, InvalidAggregateId> {
        self.texts().parse(text)
    }

    pub(super) fn texts(&self) -> KeyTexts {
        match self.form {
            Form::Stream(aggregate_type) => KeyTexts(Some(aggregate_type)),
            Form::Event(_) | Form::Metadata(_) => KeyTexts(None),
        }
    }
}

impl<P: Projection> fmt::Debug for Keying<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::Stream(aggregate_type) => {
                f.debug_tuple("PerStream").field(&aggregate_type).finish()
            }
            Form::Event(_) => f.write_str("AcrossStreams"),
            Form::Metadata(_) => f.write_str("ByMetadata"),
        }
    }
}

/// How the texts of keys are stored: behind the aggregate type, where each stream has a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeyTexts(Option<&'static str>);

impl KeyTexts {
    /// The stored text of a key's own.
    pub(super) fn stored(self, key: &str) -> String {
        match self.0 {
            Some(aggregate_type) => format!("{aggregate_type}/{key}"),
            None => key.to_owned(),
        }
    }

    pub(super) fn parse<K: RowKey>(self, text: &str) -> Result<K, InvalidAggregateId> {
        let Some(aggregate_type) = self.0 else { return K::parse_key(text) };
        let id = text.strip_prefix(aggregate_type).and_then(|rest| rest.strip_prefix('/'));
        K::parse_key(id.ok_or_else(|| InvalidAggregateId::new(text, aggregate_type))?)
    }
}

/// The keys that a function of a [`Keying`] may answer: one, or how many there are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no rows whose key is `{K}`",
    note = "answer a `{K}`, an `Option`, a `Vec` or an array of it, or a `Result` of these; a key is owned: `.cloned()`"
)]
pub trait Keys<K> {
    /// The keys, in any order; twice the same is once.
    ///
    /// # Errors
    ///
    /// When they cannot be told.
    fn keys(self) -> Result<Vec<K>, BoxError>;
}

impl<K: RowKey> Keys<K> for K {
    fn keys(self) -> Result<Vec<K>, BoxError> {
        Ok(vec![self])
    }
}

impl<K: RowKey> Keys<K> for Option<K> {
    fn keys(self) -> Result<Vec<K>, BoxError> {
        Ok(self.into_iter().collect())
    }
}

impl<K: RowKey> Keys<K> for Vec<K> {
    fn keys(self) -> Result<Vec<K>, BoxError> {
        Ok(self)
    }
}

impl<K: RowKey, const N: usize> Keys<K> for [K; N] {
    fn keys(self) -> Result<Vec<K>, BoxError> {
        Ok(self.into())
    }
}

impl<K: RowKey, V: Keys<K>, E: Into<BoxError>> Keys<K> for Result<V, E> {
    fn keys(self) -> Result<Vec<K>, BoxError> {
        self.map_err(Into::into)?.keys()
    }
}

/// The key of a row: every [`AggregateId`], and pairs of them.
///
/// # Contract
///
/// 1. `parse_key` of `to_key` gives the same key.
/// 2. Different keys have different texts.
/// 3. The text is 1 to 512 bytes without U+0000.
pub trait RowKey: Sized + Send + Sync + 'static {
    /// The key as it is stored.
    fn to_key(&self) -> String;

    /// Reads what [`to_key`](Self::to_key) wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidAggregateId`] when the text is none of this type.
    fn parse_key(text: &str) -> Result<Self, InvalidAggregateId>;
}

impl<I: AggregateId> RowKey for I {
    fn to_key(&self) -> String {
        self.to_text()
    }

    fn parse_key(text: &str) -> Result<Self, InvalidAggregateId> {
        I::parse(text)
    }
}

/// Between the two texts of a pair. A pair with an id that has it is not read back, so that its event
/// is one that cannot be taken: two pairs would have one text.
const SEPARATOR: char = '\u{1f}';

impl<A: AggregateId, B: AggregateId> RowKey for (A, B) {
    fn to_key(&self) -> String {
        format!("{}{SEPARATOR}{}", self.0.to_text(), self.1.to_text())
    }

    fn parse_key(text: &str) -> Result<Self, InvalidAggregateId> {
        let parts = text.split_once(SEPARATOR).filter(|(_, rest)| !rest.contains(SEPARATOR));
        let (a, b) = parts.ok_or_else(|| InvalidAggregateId::new(text, "pair of ids"))?;
        Ok((A::parse(a)?, B::parse(b)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_text() {
        let pair = ("anna".to_owned(), 7_u64);
        assert_eq!(pair.to_key(), "anna\u{1f}7");
        assert_eq!(<(String, u64)>::parse_key(&pair.to_key()), Ok(pair));
        assert_eq!(u64::parse_key("7"), Ok(7));
        for text in ["anna", "anna\u{1f}", "anna\u{1f}07", "anna\u{1f}7\u{1f}7"] {
            assert!(<(String, u64)>::parse_key(text).is_err(), "{text:?}");
        }
        let pairs = [("a\u{1f}b", "c"), ("a", "b\u{1f}c")];
        for pair in pairs.map(|(a, b)| (a.to_owned(), b.to_owned())) {
            let text = pair.to_key();
            assert!(<(String, String)>::parse_key(&text).is_err(), "{pair:?} has {text:?}");
        }
    }

    #[test]
    fn keys_of_streams_stand_behind_the_aggregate_type() {
        let (of_streams, across) = (KeyTexts(Some("order")), KeyTexts(None));
        assert_eq!((&*of_streams.stored("7"), &*across.stored("7")), ("order/7", "7"));
        assert_eq!((of_streams.parse("order/7"), across.parse("7")), (Ok(7_u64), Ok(7_u64)));
        for text in ["7", "order7", "orders/7", "order/", "order/07"] {
            assert!(of_streams.parse::<u64>(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_function_answers_how_many_keys_there_are() {
        fn told<K: Keys<u64>>(keys: K) -> Result<Vec<u64>, String> {
            keys.keys().map_err(|error| error.to_string())
        }
        assert_eq!(told(1_u64), Ok(vec![1]));
        assert_eq!(told(None::<u64>), Ok(vec![]));
        assert_eq!(told(vec![1_u64, 2]), Ok(vec![1, 2]));
        assert_eq!(told([1_u64, 2]), Ok(vec![1, 2]));
        assert_eq!(told(Ok::<_, BoxError>(Some(1_u64))), Ok(vec![1]));
        assert_eq!(told(Err::<u64, _>("unknown")), Err("unknown".to_owned()));
    }
}
