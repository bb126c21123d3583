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
    (Waiting::new(request, ticket), caller)
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

    /// How much a connection takes, and whether it leaves something that others can write.
    fn take(&mut self) -> (usize, bool) {
        (self.state.take_batch().len(), self.state.waiting.is_any_ready())
    }
}

#[test]
fn connections_share_what_waits() {
    let mut model = Model::new(2);
    model.push(0..40);
    assert_eq!(model.take(), (20, true));
    assert_eq!(model.take(), (20, false));
    // the first of them comes back, and has nearly all callers: those beyond its share are the other's
    let taken = (0..20).map(|it| format!("account/{it}").parse().unwrap());
    model.state.waiting.free(taken);
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
fn who_waits_for_one_stream_is_taken_together_and_not_looked_at_while_it_is_busy() {
    let mut model = Model::new(2);
    model.push(std::iter::repeat_n(7, 40));
    assert_eq!(model.take(), (40, false));
    model.push(std::iter::repeat_n(7, 10_000));
    assert!(model.state.take_idle().is_none());
    assert_eq!(model.take(), (0, false));
    // however many are before it
    model.push([8].into_iter());
    assert!(model.state.take_idle().is_some());
    assert_eq!(model.take(), (1, false));
}

#[test]
fn who_has_gone_holds_up_nobody() {
    let mut model = Model::new(1);
    model.push([1, 1, 2, 2].into_iter());
    model.callers.remove(0);
    model.callers.remove(1);
    assert_eq!(model.take(), (2, false));
    assert!(model.state.waiting.is_empty());
}

#[test]
fn what_is_beyond_a_batch_is_left_to_others() {
    let mut model = Model::new(1);
    model.push(0..BATCH_REQUESTS + 1);
    assert_eq!(model.take(), (BATCH_REQUESTS, true));
    assert_eq!(model.take(), (1, false));
}

#[test]
fn who_cannot_be_written_is_taken_at_once_beyond_any_share() {
    let mut model = Model::new(2);
    model.push(0..SHARE);
    assert_eq!(model.take(), (SHARE, false));
    model.push((0..2_000).chain(1_000..3_000));
    let (mut suspect, _caller) = waiting(request(9, vec![4_000]));
    suspect.is_suspect = true;
    model.state.push(suspect);
    let waited = model.state.waiting.len();
    // those for the streams that are written to wait for what is under way
    assert_eq!(model.state.waiting.take_all_ready().len(), waited - SHARE);
    model.state.waiting.check();
    assert_eq!(model.take(), (0, false));
    model.state.waiting.free((0..SHARE).map(|it| format!("account/{it}").parse().unwrap()));
    assert_eq!(model.take(), (SHARE, false));
}
