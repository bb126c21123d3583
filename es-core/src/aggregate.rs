//! The programming model: an aggregate is a fold over its events, a decision is a pure function.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;

use uuid::Uuid;

use crate::event::Event;
use crate::projection::RowKey;
use crate::stream::{InvalidStreamId, StreamId};

/// The state of one thing, made of its events.
///
/// The state before the first event is `Default::default()`. Where "does not exist yet" differs
/// from "exists and is empty", make the state an enum whose default variant is the absence: then every
/// `match` asks about it. That an aggregate must be new, or must exist, is said by
/// [`Member::expecting`](crate::execution::Member::expecting).
///
/// A state is copied when it is both kept and changed, so that a large one is best made of what is
/// cheap to clone.
///
/// # Contract
///
/// `es_testing::laws` checks these for any aggregate.
///
/// 1. `evolve` is total: it accepts every event in every state and never panics; what does not
///    matter is ignored.
/// 2. `evolve` is pure: the same state and event give the same state; no clock, no randomness,
///    no I/O.
/// 3. `TYPE` is a snake_case name and never changes, because it is stored.
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// The first part of the stream's name, such as `posting`.
    const TYPE: &'static str;
    /// What tells one aggregate of this type from another.
    type Id: AggregateId;
    /// What can happen to it.
    type Event: Event;

    /// Takes one event into the state.
    fn evolve(&mut self, event: &Self::Event);
}

/// The state after `events`, from the beginning.
pub fn fold<'a, A: Aggregate>(events: impl IntoIterator<Item = &'a A::Event>) -> A {
    let mut state = A::default();
    for event in events {
        state.evolve(event);
    }
    state
}

/// A type that identifies aggregates of one type; `#[derive(AggregateId)]` makes one of a newtype.
///
/// # Contract
///
/// 1. `parse` of `to_text` gives the same id.
/// 2. Different ids have different texts.
/// 3. The text is 1 to 255 bytes without control characters.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no id of an aggregate",
    note = "derive it: `#[derive(AggregateId)]` on a newtype of a number, a text or a UUID"
)]
pub trait AggregateId: Sized + Send + Sync + 'static {
    /// The id as it stands in the stream's name.
    fn to_text(&self) -> String;

    /// Reads what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidAggregateId`] when the text is none of this type.
    fn parse(text: &str) -> Result<Self, InvalidAggregateId>;
}

/// The name of the stream that holds the aggregate `id` of type `A`.
///
/// # Errors
///
/// [`InvalidStreamId`] when the id's text cannot stand in a stream's name.
pub fn stream_of<A: Aggregate>(id: &A::Id) -> Result<StreamId, InvalidStreamId> {
    StreamId::new(A::TYPE, &id.to_text())
}

/// A text that is no id of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {wanted}")]
pub struct InvalidAggregateId {
    text: String,
    wanted: &'static str,
}

impl InvalidAggregateId {
    /// The error for `text`, where `wanted` says what it should have been.
    pub fn new(text: &str, wanted: &'static str) -> Self {
        Self { text: crate::stream::shown(text), wanted }
    }
}

macro_rules! id_by_display {
    ($($type:ty => $wanted:literal),+) => {$(
        impl AggregateId for $type {
            fn to_text(&self) -> String {
                self.to_string()
            }

            fn parse(text: &str) -> Result<Self, InvalidAggregateId> {
                match text.parse::<Self>() {
                    // `+1` and `01` would be second texts of the id 1
                    Ok(id) if id.to_text() == text => Ok(id),
                    _ => Err(InvalidAggregateId::new(text, $wanted)),
                }
            }
        }
    )+};
}

id_by_display! {
    i32 => "32-bit integer id",
    i64 => "64-bit integer id",
    u32 => "32-bit unsigned integer id",
    u64 => "64-bit unsigned integer id",
    String => "text id",
    Uuid => "UUID in lower case with hyphens"
}

/// What may stand for an id: the id, or a text where the id is made of one (`From<&str>`), as `String`
/// is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no id here, `{I}` is",
    note = "give the id by reference, or, if the id is `From<&str>`, a `&str`: of a `String` it is \
            `.as_str()`"
)]
pub trait IdOf<I> {
    /// The text of the id.
    fn id_text(&self) -> Cow<'_, str>;
}

impl<I: RowKey> IdOf<I> for I {
    fn id_text(&self) -> Cow<'_, str> {
        self.to_key().into()
    }
}

impl<I: RowKey + for<'t> From<&'t str>> IdOf<I> for str {
    fn id_text(&self) -> Cow<'_, str> {
        I::from(self).to_key().into()
    }
}

/// Where events come from: a list, an array, an option, or one event, so that `vec!` need not be
/// written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event of this aggregate",
    note = "one `{E}`, a `Vec`, an array or an `Option` of it"
)]
pub trait IntoEvents<E> {
    /// The events in their order.
    fn into_events(self) -> Vec<E>;
}

impl<E: Event> IntoEvents<E> for E {
    fn into_events(self) -> Vec<E> {
        vec![self]
    }
}

impl<E: Event> IntoEvents<E> for Vec<E> {
    fn into_events(self) -> Vec<E> {
        self
    }
}

impl<E: Event> IntoEvents<E> for Option<E> {
    fn into_events(self) -> Vec<E> {
        self.into_iter().collect()
    }
}

impl<E: Event, const N: usize> IntoEvents<E> for [E; N] {
    fn into_events(self) -> Vec<E> {
        self.into()
    }
}

/// What a decision may answer: events, or a `Result` of them.
///
/// Not `()`: a stray semicolon would make a decision that decides nothing.
#[diagnostic::on_unimplemented(
    message = "a decision answers with events of its aggregate or refuses, not with `{Self}`",
    note = "one `{E}`, a `Vec`, an array or an `Option` of it; or a `Result` of these",
    note = "decisions are pure and not async: fetch what they need before"
)]
pub trait Outcome<E> {
    /// Why it may be refused.
    type Rejection: Send;

    /// The events in their order.
    ///
    /// # Errors
    ///
    /// The rejection, which is an answer of the domain and not a failure.
    fn outcome(self) -> Result<Vec<E>, Self::Rejection>;
}

impl<E: Event> Outcome<E> for E {
    type Rejection = Infallible;

    fn outcome(self) -> Result<Vec<E>, Infallible> {
        Ok(self.into_events())
    }
}

impl<E: Event> Outcome<E> for Vec<E> {
    type Rejection = Infallible;

    fn outcome(self) -> Result<Vec<E>, Infallible> {
        Ok(self)
    }
}

impl<E: Event> Outcome<E> for Option<E> {
    type Rejection = Infallible;

    fn outcome(self) -> Result<Vec<E>, Infallible> {
        Ok(self.into_events())
    }
}

impl<E: Event, const N: usize> Outcome<E> for [E; N] {
    type Rejection = Infallible;

    fn outcome(self) -> Result<Vec<E>, Infallible> {
        Ok(self.into())
    }
}

impl<E: Event, V: IntoEvents<E>, R: Send> Outcome<E> for Result<V, R> {
    type Rejection = R;

    fn outcome(self) -> Result<Vec<E>, R> {
        self.map(V::into_events)
    }
}

impl fmt::Display for crate::event::EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.name, self.schema_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_exactly_one_text() {
        assert_eq!(i64::parse("-7"), Ok(-7));
        for text in ["+7", "07", " 7", "7.0", ""] {
            assert!(i64::parse(text).is_err(), "{text}");
        }
        assert!(Uuid::parse("0193A1D4-0000-7000-8000-000000000001").is_err());
    }
}
