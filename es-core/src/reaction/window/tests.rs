//! One promise at a time.

use crate::payload::Payload;
use crate::position::Position;
use crate::projection::{FailurePolicy, ParkedState};
use crate::retry::Retry;
use crate::timestamp::Timestamp;

use super::world::{log_of, place};
use super::*;

fn policy(concurrency: usize, failure: FailurePolicy) -> ReactionPolicy {
    ReactionPolicy::default().concurrency(concurrency).on_failure(failure)
}

/// Retries after 10 ms and 20 ms.
const TWICE: Retry =
    Retry { retries: 2, base: Duration::from_millis(10), longest: Duration::from_millis(20) };

/// A window that has read the whole log, the end of which is behind its last event.
fn window_of(policy: ReactionPolicy, log: &[RecordedEvent]) -> Window {
    let mut window = Window::new(policy, Checkpoint::START, []);
    window.push(log.to_vec(), end_of(log));
    window
}

fn end_of(log: &[RecordedEvent]) -> Checkpoint {
    let last = log.last().unwrap();
    Checkpoint { position: Position::from_sequence(place(last) + 5), event: Some(last.into()) }
}

/// The places of all that can be given now.
fn given(window: &mut Window, now: Instant) -> Vec<u64> {
    std::iter::from_fn(|| window.next(now)).map(|attempt| place(&attempt.event)).collect()
}

fn fail(window: &mut Window, event: &RecordedEvent, now: Instant) -> AfterFailure {
    let reason = "no connection".to_owned();
    window.failed(event.event_id, reason, 1.0, |delay| now + delay).unwrap()
}

/// Commits what there is, and answers the places that were parked and those that were taken out.
fn commit(window: &mut Window) -> (Vec<u64>, Vec<u64>) {
    let commit = window.commit(Timestamp::EPOCH).unwrap();
    let parked = commit.batch.park.iter().map(|entry| entry.event.position.to_sequence());
    let taken_out = commit.batch.unpark.iter().map(|id| id.position.to_sequence());
    let places = (parked.collect(), taken_out.collect());
    window.committed(commit);
    places
}

/// Takes back the first of what waits in a stream, which was tried so often; `None` if nothing does.
fn take_back(window: &mut Window, first: Option<&RecordedEvent>, attempts: u32) {
    let entry = |event: &RecordedEvent| Parked {
        event: event.into(),
        key: event.stream.to_string(),
        reason: "no connection".to_owned(),
        attempts,
        parked_at: Timestamp::EPOCH,
        state: ParkedState::Waiting { is_due: true },
    };
    let due = window.due().unwrap();
    assert!(window.take_back(&due, first.map(|event| (entry(event), Some(event.clone())))));
}

#[test]
fn a_thousand_events_are_held_and_half_of_them_are_worth_a_commit() {
    let streams: Vec<_> = (0..1_000).map(|number| number % 7).collect();
    let log = log_of(&streams);
    let (mut window, now) = (window_of(ReactionPolicy::default(), &log), Instant::now());
    assert_eq!(window.room(), None);
    for (count, event) in log.iter().enumerate().take(500) {
        assert!(!window.wants_commit(), "{count}");
        assert_eq!(window.next(now).unwrap().event, *event);
        assert!(window.answered(event.event_id));
    }
    assert!(window.wants_commit());
    let half = window.commit(Timestamp::EPOCH).unwrap();
    assert_eq!((half.batch.events, &half.batch.to), (500, &Checkpoint::at(&log[499])));
    assert_eq!(window.room(), None);
    window.committed(half);
    assert_eq!(window.room().unwrap().events, 500);
}

#[test]
fn large_payloads_leave_no_room() {
    let mut log = log_of(&[0, 1]);
    for event in &mut log {
        event.payload = Payload::of(&"x".repeat(Window::BYTES / 2)).unwrap();
    }
    let mut window = Window::new(ReactionPolicy::default(), Checkpoint::START, []);
    window.push(log[..1].to_vec(), Checkpoint::at(&log[0]));
    assert!(window.room().is_some());
    window.push(log[1..].to_vec(), end_of(&log));
    assert_eq!(window.room(), None);
    assert_eq!(given(&mut window, Instant::now()), [10, 20]);
    assert!(window.answered(log[0].event_id));
    assert!(window.wants_commit(), "nothing more can be read without");
    assert_eq!(commit(&mut window), (vec![], vec![]));
    assert!(window.room().is_some());
}

#[test]
fn the_checkpoint_is_just_before_the_lowest_event_that_is_not_answered() {
    let log = log_of(&[0, 1, 0]);
    let (mut window, now) = (window_of(ReactionPolicy::default(), &log), Instant::now());
    assert_eq!(given(&mut window, now), [10, 20]);
    assert!(window.answered(log[1].event_id));
    assert_eq!(window.checkpoint(), &Checkpoint::START);
    assert!(window.answered(log[0].event_id));
    assert_eq!(window.checkpoint(), &Checkpoint::at(&log[1]));
    assert_eq!(given(&mut window, now), [30]);
    assert!(window.answered(log[2].event_id));
    assert_eq!(window.checkpoint(), &end_of(&log));
    assert!(window.is_idle() && window.wants_commit());
    assert_eq!(commit(&mut window), (vec![], vec![]));
    assert!(!window.wants_commit() && window.commit(Timestamp::EPOCH).is_none());
}

#[test]
fn one_stream_waits_for_its_retry_and_the_others_go_on() {
    let log = log_of(&[0, 0, 1, 1]);
    let policy = policy(2, FailurePolicy::park_key().after(TWICE));
    let (mut window, now) = (window_of(policy, &log), Instant::now());
    assert_eq!(given(&mut window, now), [10, 30]);
    let at = now + Duration::from_millis(10);
    assert_eq!(window.trouble(), None);
    assert_eq!(fail(&mut window, &log[0], now), AfterFailure::Again(at));
    assert_eq!(window.next_retry(), Some(at));
    let trouble = window.trouble().map(|(event, reason)| (event.position, reason));
    assert_eq!(trouble, Some((log[0].position, "no connection")));
    assert!(window.answered(log[2].event_id));
    assert_eq!(given(&mut window, now), [40]);
    let again = window.next(at).unwrap();
    assert_eq!((place(&again.event), again.number), (10, 2));
    let at = at + Duration::from_millis(20);
    assert_eq!(fail(&mut window, &log[0], at - TWICE.longest), AfterFailure::Again(at));
    assert!(!window.is_idle());
    assert_eq!(given(&mut window, at), [10]);
    assert_eq!(fail(&mut window, &log[0], at), AfterFailure::Park);
}

#[test]
fn no_concurrency_is_one() {
    let policy = ReactionPolicy { concurrency: 0, ..ReactionPolicy::default() };
    let mut window = window_of(policy, &log_of(&[0, 1]));
    assert_eq!(given(&mut window, Instant::now()), [10]);
}

#[test]
fn what_is_parked_is_committed_when_the_checkpoint_passes_it() {
    let log = log_of(&[0, 1, 1]);
    let (mut window, now) = (window_of(policy(2, FailurePolicy::park_key()), &log), Instant::now());
    assert_eq!(given(&mut window, now), [10, 20]);
    assert_eq!(fail(&mut window, &log[1], now), AfterFailure::Park);
    // a process that began anew before the first event would read them again
    assert!(window.commit(Timestamp::EPOCH).is_none());
    assert!(window.answered(log[0].event_id));
    let commit = window.commit(Timestamp::EPOCH).unwrap();
    assert_eq!((commit.batch.events, &commit.batch.to), (3, &end_of(&log)));
    let [failed, behind] = &commit.batch.park[..] else { panic!("{commit:?}") };
    assert_eq!((&*failed.reason, failed.attempts), ("no connection", 1));
    assert_eq!(failed.state, ParkedState::Waiting { is_due: false });
    assert_eq!((behind.event.position, behind.attempts), (log[2].position, 0));
    assert_eq!(behind.state, ParkedState::Waiting { is_due: true });
}

#[test]
fn what_the_log_does_not_hold_fails_and_stops_nothing() {
    let log = log_of(&[0, 0, 1]);
    let stream = log[0].stream.clone();
    let stop = FailurePolicy::stop();
    let mut window = Window::new(policy(1, stop), Checkpoint::at(&log[1]), [stream.clone()]);
    let now = Instant::now();
    window.push(log[2..].to_vec(), end_of(&log));
    window.renewed([stream]);
    let (due, first) =
        (window.due().unwrap(), Slot::new(log[0].clone(), Origin::Log(end_of(&log))));
    assert!(window.take_back(&due, Some((first.parked(true, Timestamp::EPOCH), None))));
    assert_eq!(given(&mut window, now), [30]);
    let commit = window.commit(Timestamp::EPOCH).unwrap();
    let [entry] = &commit.batch.park[..] else { panic!("{commit:?}") };
    assert!(entry.reason.contains("(version 1 of thing/0); discard it"), "{}", entry.reason);
    assert_eq!((entry.attempts, &entry.state), (1, &ParkedState::Waiting { is_due: false }));
    assert_eq!(commit.batch.unpark, [entry.id()], "it is replaced only if it waits");
    window.committed(commit);
    assert!(window.due().is_none(), "somebody must decide");
}

#[test]
fn what_fails_and_keeps_all_else_from_being_read_is_set_aside() {
    let log = log_of(&[0, 0, 1, 2, 3]);
    for then in [LastResort::ParkKey, LastResort::Stop] {
        let failure = FailurePolicy { then, retry: TWICE };
        let mut window = Window::new(policy(2, failure).ahead(4), Checkpoint::START, []);
        let now = Instant::now();
        window.push(log[..4].to_vec(), Checkpoint::at(&log[3]));
        assert_eq!(given(&mut window, now), [10, 30]);
        assert!(window.answered(log[2].event_id));
        assert_eq!(given(&mut window, now), [40]);
        assert!(window.answered(log[3].event_id));
        assert!(window.room().is_none() && !window.wants_commit(), "it may well succeed");
        let at = now + Duration::from_millis(10);
        assert_eq!(fail(&mut window, &log[0], now), AfterFailure::Again(at));
        if then == LastResort::Stop {
            assert!(!window.has_news());
            assert_eq!(given(&mut window, at), [10]);
            continue;
        }
        assert!(window.next(at).is_none() && window.wants_commit());
        assert_eq!(window.next_retry(), None);
        let aside = window.commit(Timestamp::EPOCH).unwrap();
        assert_eq!((aside.batch.events, &aside.batch.to), (4, &Checkpoint::at(&log[3])));
        let [first, behind] = &aside.batch.park[..] else { panic!("{aside:?}") };
        assert_eq!((&*first.reason, first.attempts), ("no connection", 1));
        assert_eq!((behind.event.position, behind.attempts), (log[1].position, 0));
        for entry in [first, behind] {
            assert_eq!(entry.state, ParkedState::Waiting { is_due: true });
        }
        window.committed(aside);
        window.push(log[4..].to_vec(), end_of(&log));
        window.renewed([log[0].stream.clone()]);
        take_back(&mut window, Some(&log[0]), 1);
        assert_eq!(given(&mut window, now), [50, 10]);
    }
}

#[test]
fn what_was_taken_back_leaves_half_of_the_room() {
    let log = log_of(&[0, 1, 2, 3, 4, 5]);
    let streams: Vec<_> = log[..3].iter().map(|event| event.stream.clone()).collect();
    let policy = policy(2, FailurePolicy::park_key().after(TWICE)).ahead(4);
    let mut window = Window::new(policy, Checkpoint::at(&log[2]), streams.clone());
    let now = Instant::now();
    window.renewed(streams);
    take_back(&mut window, Some(&log[0]), 1);
    take_back(&mut window, Some(&log[1]), 1);
    assert!(window.due().is_none() && !window.is_idle());
    assert_eq!(window.room().unwrap().events, 2);
    assert_eq!(given(&mut window, now), [10, 20]);
    assert!(window.answered(log[0].event_id));
    assert_eq!(commit(&mut window), (vec![], vec![10]));
    take_back(&mut window, None, 0);
    take_back(&mut window, Some(&log[2]), 1);
    assert_eq!(given(&mut window, now), [30]);
}

#[test]
fn a_parked_stream_is_taken_back_in_order_and_goes_on() {
    let log = log_of(&[0, 0, 0, 0]);
    let mut window = Window::new(
        policy(2, FailurePolicy::park_key()),
        Checkpoint::at(&log[1]),
        [log[0].stream.clone()],
    );
    let now = Instant::now();
    window.push(log[2..3].to_vec(), Checkpoint::at(&log[2]));
    assert!(window.due().is_none());
    window.renewed([log[0].stream.clone()]);
    assert!(!window.is_idle());
    take_back(&mut window, Some(&log[0]), 1);
    let first = window.next(now).unwrap();
    assert_eq!((place(&first.event), first.number), (10, 2));
    assert_eq!(first.entry.map(|id| id.position), Some(log[0].position));
    assert!(window.next(now).is_none());
    // said again before the store could hear that it is dealt with
    window.renewed([log[0].stream.clone()]);
    assert!(window.due().is_none());
    assert!(window.answered(log[0].event_id));
    assert!(window.due().is_none(), "it would be found once more");
    assert!(window.wants_commit(), "what became of it is told before the next is looked up");
    assert_eq!(commit(&mut window), (vec![30], vec![10]));
    take_back(&mut window, Some(&log[1]), 0);
    assert_eq!(given(&mut window, now), [20]);
    assert!(window.answered(log[1].event_id));
    assert_eq!(commit(&mut window), (vec![], vec![20]));
    take_back(&mut window, Some(&log[2]), 0);
    assert_eq!(given(&mut window, now), [30]);
    assert!(window.answered(log[2].event_id));
    assert_eq!(commit(&mut window), (vec![], vec![30]));
    take_back(&mut window, None, 0);
    assert!(window.is_idle());
    window.push(log[3..].to_vec(), end_of(&log));
    assert_eq!(given(&mut window, now), [40]);
}

#[test]
fn what_was_discarded_is_let_go() {
    let log = log_of(&[0, 1]);
    let streams = [log[0].stream.clone(), log[1].stream.clone()];
    let policy = policy(2, FailurePolicy::park_key());
    let mut window = Window::new(policy, Checkpoint::at(&log[1]), streams.clone());
    let now = Instant::now();
    window.renewed(streams);
    take_back(&mut window, Some(&log[0]), 1);
    take_back(&mut window, Some(&log[1]), 1);
    assert_eq!(given(&mut window, now), [10, 20]);
    // before it was given
    assert!(window.not_given(log[0].event_id));
    take_back(&mut window, None, 0);
    // and while it was
    assert_eq!(fail(&mut window, &log[1], now), AfterFailure::Park);
    let refused = window.commit(Timestamp::EPOCH).unwrap();
    let gone = refused.batch.unpark.clone();
    assert_eq!(refused.batch.park[0].id(), gone[0], "it is replaced only if it waits");
    assert!(window.refused(refused, &gone));
    take_back(&mut window, None, 0);
    assert!(window.is_idle() && !window.has_news());
}

#[test]
fn a_commit_that_is_refused_is_made_without_what_was_discarded() {
    let log = log_of(&[0, 1, 2]);
    let policy = policy(3, FailurePolicy::park_key());
    let stream = log[0].stream.clone();
    let mut window = Window::new(policy, Checkpoint::at(&log[0]), [stream.clone()]);
    let now = Instant::now();
    window.push(log[1..].to_vec(), end_of(&log));
    window.renewed([stream]);
    take_back(&mut window, Some(&log[0]), 1);
    assert_eq!(given(&mut window, now), [20, 30, 10]);
    assert!(log.iter().all(|event| window.answered(event.event_id)));
    let refused = window.commit(Timestamp::EPOCH).unwrap();
    let gone = refused.batch.unpark.clone();
    assert!(window.refused(refused, &gone));
    assert_eq!(commit(&mut window), (vec![], vec![]));
    assert_eq!(window.checkpoint(), &end_of(&log), "nothing else is given again");
    // what is refused for another reason is not made again
    window.push(log_of(&[3; 4])[3..].to_vec(), end_of(&log_of(&[3; 4])));
    assert_eq!(given(&mut window, now), [40]);
    assert!(window.answered(log_of(&[3; 4])[3].event_id));
    let refused = window.commit(Timestamp::EPOCH).unwrap();
    assert!(!window.refused(refused, &gone));
}

#[test]
fn what_joined_a_parked_stream_is_given_when_nothing_of_it_waits_any_more() {
    let log = log_of(&[0, 1, 0, 0]);
    let stream = log[0].stream.clone();
    let policy = policy(1, FailurePolicy::park_key());
    let mut window = Window::new(policy, Checkpoint::START, [stream.clone()]);
    let now = Instant::now();
    window.push(log.clone(), end_of(&log));
    assert_eq!(given(&mut window, now), [20]);
    assert_eq!(window.checkpoint(), &Checkpoint::at(&log[0]));
    window.renewed([stream]);
    take_back(&mut window, None, 0);
    assert_eq!(window.checkpoint(), &Checkpoint::START);
    assert!(window.answered(log[1].event_id));
    assert_eq!(given(&mut window, now), [10]);
    assert!(window.answered(log[0].event_id));
    assert_eq!(given(&mut window, now), [30]);
}

#[test]
fn a_list_from_before_a_commit_is_old() {
    let log = log_of(&[0, 1]);
    let stream = log[0].stream.clone();
    let mut window = Window::new(ReactionPolicy::default(), Checkpoint::START, [stream.clone()]);
    window.push(log[..1].to_vec(), Checkpoint::at(&log[0]));
    window.renewed([stream]);
    let due = window.due().unwrap();
    let parking = window.commit(Timestamp::EPOCH).unwrap();
    assert!(!window.take_back(&due, None) && window.due().is_none());
    window.committed(parking);
    assert!(!window.take_back(&due, None), "it does not show what was parked meanwhile");
    take_back(&mut window, Some(&log[0]), 0);
    assert_eq!(given(&mut window, Instant::now()), [10]);
}

#[test]
fn what_fails_again_waits_again_and_stops_nothing() {
    let log = log_of(&[0, 0, 1]);
    let stream = log[0].stream.clone();
    let stop = FailurePolicy { retry: Retry::NONE, then: LastResort::Stop };
    let mut window = Window::new(policy(1, stop), Checkpoint::at(&log[1]), [stream.clone()]);
    let now = Instant::now();
    window.renewed([stream.clone()]);
    take_back(&mut window, Some(&log[0]), 6);
    assert_eq!(given(&mut window, now), [10]);
    assert_eq!(fail(&mut window, &log[0], now), AfterFailure::Park);
    assert!(window.next(now).is_none());
    window.renewed([stream]);
    assert!(window.is_idle() && window.wants_commit());
    let commit = window.commit(Timestamp::EPOCH).unwrap();
    assert_eq!((commit.batch.events, commit.batch.from == commit.batch.to), (0, true));
    let [entry] = &commit.batch.park[..] else { panic!("{commit:?}") };
    assert_eq!((entry.attempts, &entry.state), (7, &ParkedState::Waiting { is_due: false }));
    window.committed(commit);
    window.push(log[2..].to_vec(), end_of(&log));
    assert_eq!(given(&mut window, now), [30]);
}

#[test]
fn a_stop_gives_nothing_more_and_passes_nothing_that_failed() {
    let log = log_of(&[0, 1, 2, 3]);
    let (mut window, now) = (window_of(policy(3, FailurePolicy::stop()), &log), Instant::now());
    assert_eq!(given(&mut window, now), [10, 20, 30]);
    assert_eq!(fail(&mut window, &log[1], now), AfterFailure::Stop);
    assert!(window.answered(log[0].event_id));
    assert!(window.answered(log[2].event_id));
    assert!(window.next(now).is_none());
    assert!(window.wants_commit());
    assert_eq!(window.checkpoint(), &Checkpoint::at(&log[0]));
    assert_eq!(commit(&mut window), (vec![], vec![]));
}

#[test]
fn who_stops_it_lets_calls_end() {
    let log = log_of(&[0, 0, 1]);
    let (mut window, now) = (window_of(policy(1, FailurePolicy::park_key()), &log), Instant::now());
    assert_eq!(given(&mut window, now), [10]);
    window.stop();
    assert!(window.answered(log[0].event_id));
    assert!(window.next(now).is_none());
    assert_eq!(commit(&mut window), (vec![], vec![]));
    assert_eq!(window.checkpoint(), &Checkpoint::at(&log[0]));
}

#[test]
fn word_of_no_call_changes_nothing() {
    let log = log_of(&[0, 0]);
    let mut window = window_of(policy(1, FailurePolicy::park_key()), &log);
    let now = Instant::now();
    let stray = |window: &mut Window, id: EventId| {
        assert!(!window.answered(id) && !window.not_given(id));
        assert_eq!(window.failed(id, "late".to_owned(), 0.0, |delay| now + delay), None);
    };
    stray(&mut window, log[0].event_id);
    assert_eq!(given(&mut window, now), [10]);
    stray(&mut window, log[1].event_id);
    assert!(window.answered(log[0].event_id));
    stray(&mut window, log[0].event_id);
    assert_eq!(given(&mut window, now), [20]);
    assert_eq!(fail(&mut window, &log[1], now), AfterFailure::Park);
    stray(&mut window, log[1].event_id);
    window.renewed([log[1].stream.clone(), "thing/unknown".parse().unwrap()]);
    assert!(window.is_idle());
    assert_eq!(commit(&mut window), (vec![20], vec![]));
}
