//! What a stored event stands for.

use std::iter::Chain;
use std::{option, vec};

use super::DecodeError;

/// What a stored event stands for: nothing any more, one event, or several. `One` allocates nothing.
///
/// ```
/// # use es_core::Event;
/// # use es_core::event::{DecodeError, RecordedEvent};
/// # #[derive(Event)]
/// # enum OrderEvent { OrderPaid { cents: u64 } }
/// fn paid(recorded: &RecordedEvent) -> Result<u64, DecodeError> {
///     let mut sum = 0;
///     for event in recorded.decode()? {
///         let OrderEvent::OrderPaid { cents } = event;
///         sum += cents;
///     }
///     Ok(sum)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded<E> {
    /// Its name is retired.
    Nothing,
    /// One event, as nearly always.
    One(E),
    /// The parts of an event that was split, in their order.
    Several(Vec<E>),
}

impl<E> Decoded<E> {
    /// The same, of what `f` makes of each event.
    #[must_use]
    pub fn map<F>(self, mut f: impl FnMut(E) -> F) -> Decoded<F> {
        match self {
            Self::Nothing => Decoded::Nothing,
            Self::One(event) => Decoded::One(f(event)),
            Self::Several(events) => Decoded::Several(events.into_iter().map(f).collect()),
        }
    }

    /// The event, if it is one.
    pub(crate) fn into_one(self, event_type: &str) -> Result<E, DecodeError> {
        let mut events = self.into_iter();
        match (events.next(), events.next()) {
            (Some(event), None) => Ok(event),
            (first, second) => Err(DecodeError::NotOne {
                event_type: event_type.to_owned(),
                events: first.into_iter().chain(second).count() + events.count(),
            }),
        }
    }
}

impl<E> IntoIterator for Decoded<E> {
    type Item = E;
    type IntoIter = Chain<option::IntoIter<E>, vec::IntoIter<E>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, several) = match self {
            Self::Nothing => (None, Vec::new()),
            Self::One(event) => (Some(event), Vec::new()),
            Self::Several(events) => (None, events),
        };
        one.into_iter().chain(several)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_their_order_and_one_is_one_however_it_is_told() {
        let all = [Decoded::Nothing, Decoded::One(1), Decoded::Several(vec![2, 3])];
        let told = all.clone().map(|decoded| Vec::from_iter(decoded.map(|event| event * 10)));
        assert_eq!(told, [vec![], vec![10], vec![20, 30]]);
        let ones = all.map(|decoded| decoded.into_one("seen").map_err(|error| error.to_string()));
        let not_one = |events| Err(format!("event `seen` stands for {events} events, not for one"));
        assert_eq!(ones, [not_one(0), Ok(1), not_one(2)]);
        assert_eq!(Decoded::Several(vec![4]).into_one("seen").ok(), Some(4));
        assert!(Decoded::Several(vec![4, 5, 6]).into_one("seen").is_err());
    }
}
