//! What a request gets whose idempotency key is recorded already.

use super::{AppendRequest, Appended, AppendedStream, KeyDifference};
use crate::envelope::RecordedEvent;
use crate::stream::StreamId;

/// Compares a request with what was recorded under its idempotency key; for backends.
///
/// `recorded` gives, for each stream of the first request, its events of that request in version
/// order.
///
/// # Errors
///
/// The first [`KeyDifference`].
pub fn same_request(
    request: &AppendRequest,
    recorded: &[(StreamId, Vec<RecordedEvent>)],
) -> Result<(), KeyDifference> {
    if request.streams.len() != recorded.len() {
        return Err(KeyDifference::Streams);
    }
    for part in &request.streams {
        let (_, events) = recorded
            .iter()
            .find(|(stream, _)| *stream == part.stream)
            .ok_or(KeyDifference::Streams)?;
        if events.len() != part.events.len() {
            return Err(KeyDifference::EventCount);
        }
        for (new, old) in part.events.iter().zip(events) {
            if new.event_type != old.event_type {
                return Err(KeyDifference::EventType);
            }
            if !new.payload.same_json(&old.payload) {
                return Err(KeyDifference::Payload);
            }
        }
    }
    Ok(())
}

/// The answer for a request whose key was recorded before; for backends.
///
/// The streams stand in the order of the request.
pub fn first_result(
    request: &AppendRequest,
    recorded: &[(StreamId, Vec<RecordedEvent>)],
) -> Appended {
    let streams = request
        .streams
        .iter()
        .filter_map(|part| recorded.iter().find(|(stream, _)| *stream == part.stream))
        .map(|(stream, events)| AppendedStream {
            stream: stream.clone(),
            events: events.iter().map(RecordedEvent::receipt).collect(),
        })
        .collect();
    Appended { streams, repeated: true }
}
