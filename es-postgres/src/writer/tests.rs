//! What a connection takes of what waits.

use es_core::ExpectedVersion;
use es_core::backend::NewEvent;
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;

use super::*;

/// A request for some streams, whose events tell its number.
pub(super) fn request(number: usize, mut of: Vec<usize>) -> AppendRequest {
    of.sort_unstable();
    of.dedup();
    let mut parts = of.into_iter().map(|stream| {
        let payload = Payload::parse(format!("{{\"number\":{number}}}")).unwrap();
        let events = vec![NewEvent::new(UuidV7Ids.next_id(), "counted", payload)];
        (format!("account/{stream}").parse().unwrap(), ExpectedVersion::Any, events)
    });
    let (stream, expected, events) = parts.next().unwrap();
    let first = AppendRequest::to(stream, expected, events);
    parts.fold(first, |request, (stream, expected, events)| request.and(stream, expected, events))
}

/// The same with somebody who waits for the answer.
pub(super) fn waiting(request: AppendRequest) -> (Waiting, oneshot::Receiver<Answer>) {
    let (reply, caller) = oneshot::channel();
    let ticket = Ticket { reply, since: Instant::now() };
    (Waiting { request, ticket, is_suspect: false }, caller)
}

/// So many connections, one of which is at work and takes what is pushed.
struct Model {
    state: State,
    callers: Vec<oneshot::Receiver<Answer>>,
}

impl Model {
    fn new(connections: usize) -> Self {
        let mut state = State::new(connections, 4_096);
        state.slots.take_idle().unwrap();
        Self { state, callers: Vec::new() }
    }

    fn push(&mut self, streams: impl Iterator<Item = usize>) {
        for stream in streams {
            let (waiting, caller) = waiting(request(self.callers.len(), vec![stream]));
            self.callers.push(caller);
            self.state.push(waiting);
        }
    }

    /// How much a connection takes, and whether it leaves something for others.
    fn take(&mut self) -> (usize, bool) {
        let Taken { batch, is_more } = self.state.take_batch();
        (batch.len(), is_more)
    }
}

#[test]
fn connections_share_what_waits() {
    let mut model = Model::new(2);
    model.push(0..40);
    assert_eq!(model.take(), (20, true));
    assert_eq!(model.take(), (20, false));
    // the first of them comes back, and has nearly all callers: those beyond its share are the other's
    for stream in 0..20 {
        let stream: StreamId = format!("account/{stream}").parse().unwrap();
        assert!(model.state.busy.remove(&stream));
    }
    model.push((0..20).chain(40..60));
    assert_eq!(model.take(), (30, true));
}

#[test]
fn few_are_not_divided_and_one_connection_takes_all() {
    let mut model = Model::new(4);
    model.push(0..SHARE);
    assert_eq!(model.take(), (SHARE, false));
    let mut model = Model::new(1);
    model.push(0..40);
    assert_eq!(model.take(), (40, false));
}

#[test]
fn what_is_for_one_stream_is_not_divided() {
    let mut model = Model::new(2);
    model.push(std::iter::repeat_n(7, 40));
    assert_eq!(model.take(), (40, false));
    // what comes behind it leaves nothing to another connection
    model.push(std::iter::repeat_n(7, 40));
    assert_eq!(model.take(), (0, false));
}

#[test]
fn what_is_beyond_a_batch_is_left_to_others() {
    let mut model = Model::new(1);
    model.push(0..BATCH_REQUESTS + 1);
    assert_eq!(model.take(), (BATCH_REQUESTS, true));
    assert_eq!(model.take(), (1, false));
}
