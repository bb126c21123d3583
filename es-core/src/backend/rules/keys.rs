//! What a request is answered whose idempotency key may be recorded: clauses 6 to 8 of
//! [`EventStore`](crate::backend::EventStore).

use crate::append::{
    AppendError, AppendRequest, Appended, AppendedStream, IdempotencyKey, KeyDifference,
    first_result, same_request,
};
use crate::envelope::RecordedEvent;
use crate::stream::StreamId;

/// What one append wrote, as it is read again: the events of each of its streams, in version order.
pub type RecordedRequest = Vec<(StreamId, Vec<RecordedEvent>)>;

/// What the idempotency key of a request says of it.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyVerdict {
    /// Nothing: the request has none, or none that is recorded. It is judged by what it expects.
    New,
    /// It was written before, with this result.
    Repeat(Appended),
    /// Another request was written under it.
    Reused {
        /// The key.
        key: IdempotencyKey,
        /// The first stream of the request under which it is recorded.
        stream: StreamId,
        /// What differs.
        difference: KeyDifference,
    },
}

impl KeyVerdict {
    /// The answer to the request; `None` if it is a new one.
    ///
    /// # Errors
    ///
    /// [`AppendError::KeyReused`] if it is another one.
    pub fn answer(self) -> Result<Option<Appended>, AppendError> {
        match self {
            Self::New => Ok(None),
            Self::Repeat(first) => Ok(Some(first)),
            Self::Reused { key, stream, difference } => {
                Err(AppendError::KeyReused { key, stream, difference })
            }
        }
    }
}

/// Judges a request by its key, before the versions that it expects are looked at. `find` answers
/// what is recorded under the key and one of the streams.
///
/// # Errors
///
/// What `find` fails with.
pub fn judge_key<E>(
    request: &AppendRequest,
    mut find: impl FnMut(&StreamId, &IdempotencyKey) -> Result<Option<RecordedRequest>, E>,
) -> Result<KeyVerdict, E> {
    let Some(key) = request.idempotency_key() else { return Ok(KeyVerdict::New) };
    for part in request.streams() {
        let Some(recorded) = find(&part.stream, key)? else { continue };
        return Ok(match same_request(request, &recorded) {
            Ok(()) => KeyVerdict::Repeat(first_result(request, &recorded)),
            Err(difference) => {
                KeyVerdict::Reused { key: key.clone(), stream: part.stream.clone(), difference }
            }
        });
    }
    Ok(KeyVerdict::New)
}

/// The answer to [`find_append`](crate::backend::EventStore::find_append): the whole first result,
/// whichever of its streams was asked for.
pub fn whole_result(recorded: RecordedRequest) -> Appended {
    let streams = recorded.into_iter().map(|(stream, events)| AppendedStream {
        stream,
        events: events.iter().map(RecordedEvent::receipt).collect(),
    });
    Appended { streams: streams.collect(), repeated: true }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::envelope::{EventId, NewEvent};
    use crate::payload::Payload;
    use crate::position::Position;
    use crate::timestamp::Timestamp;
    use crate::version::{ExpectedVersion, StreamVersion};

    fn stream(name: &str) -> StreamId {
        StreamId::new("order", name).unwrap()
    }

    fn events(values: &[u64]) -> Vec<NewEvent> {
        let id = EventId::stand_in(Position::START);
        let event = |value| NewEvent::new(id, "order_paid", Payload::of(value).unwrap());
        values.iter().map(event).collect()
    }

    /// One event in `b` and two in `a`, under a key.
    fn request(values: [u64; 3]) -> AppendRequest {
        let [b, rest @ ..] = values;
        AppendRequest::to(stream("b"), ExpectedVersion::NoStream, events(&[b]))
            .and(stream("a"), ExpectedVersion::NoStream, events(&rest))
            .with_key(IdempotencyKey::new("order 7 is paid").unwrap())
    }

    /// What a store has of a request that named its streams in the other order.
    fn recorded(request: AppendRequest) -> RecordedRequest {
        let record = |stream: &StreamId, number: u64, event: NewEvent| RecordedEvent {
            event_id: event.event_id,
            stream: stream.clone(),
            version: StreamVersion::new(number),
            position: Position::from_sequence(number),
            event_type: event.event_type,
            payload: event.payload,
            metadata: event.metadata,
            recorded_at: Timestamp::EPOCH,
        };
        let of_stream = |part: crate::append::StreamAppend| {
            let events = (1..).zip(part.events);
            let events = events.map(|(number, event)| record(&part.stream, number, event));
            (part.stream.clone(), events.collect())
        };
        request.into_streams().into_iter().rev().map(of_stream).collect()
    }

    /// The verdict where the key is recorded under these streams, and which were looked at.
    fn judged(
        request: &AppendRequest,
        under: &[&str],
        first: &RecordedRequest,
    ) -> (KeyVerdict, Vec<String>) {
        let mut asked = Vec::new();
        let verdict = judge_key(request, |stream, _| {
            asked.push(stream.aggregate_id().to_owned());
            let is_under = under.contains(&stream.aggregate_id());
            Ok::<_, Infallible>(is_under.then(|| first.clone()))
        });
        let Ok(verdict) = verdict;
        (verdict, asked)
    }

    #[test]
    fn a_request_is_new_if_its_key_stands_under_none_of_its_streams() {
        let first = recorded(request([1, 2, 3]));
        assert_eq!(
            judged(&request([1, 2, 3]), &["c"], &first),
            (KeyVerdict::New, vec!["b".to_owned(), "a".to_owned()])
        );
        let without = AppendRequest::to(stream("b"), ExpectedVersion::Any, events(&[1]));
        assert_eq!(judged(&without, &["b"], &first), (KeyVerdict::New, vec![]));
    }

    #[test]
    fn a_repeat_has_the_first_result_in_the_order_of_the_request() {
        let first = recorded(request([1, 2, 3]));
        let whole = whole_result(first.clone());
        let of = |appended: &Appended| -> Vec<(String, usize)> {
            let parts = appended.streams.iter();
            parts.map(|it| (it.stream.aggregate_id().to_owned(), it.events.len())).collect()
        };
        assert!(whole.repeated);
        assert_eq!(of(&whole), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let (KeyVerdict::Repeat(repeat), _) = judged(&request([1, 2, 3]), &["a"], &first) else {
            panic!("it is the same request");
        };
        assert!(repeat.repeated);
        assert_eq!(of(&repeat), [("b".to_owned(), 1), ("a".to_owned(), 2)]);
    }

    #[test]
    fn another_request_is_refused_with_the_first_stream_that_has_the_key() {
        let first = recorded(request([1, 2, 3]));
        for (under, named) in [(vec!["a"], "a"), (vec!["a", "b"], "b")] {
            let (verdict, _) = judged(&request([1, 2, 4]), &under, &first);
            match verdict.answer() {
                Err(AppendError::KeyReused { key, stream: at, difference }) => {
                    assert_eq!(key.as_str(), "order 7 is paid");
                    assert_eq!((at, difference), (stream(named), KeyDifference::Payload));
                }
                other => panic!("the payloads differ, but: {other:?}"),
            }
        }
    }
}
