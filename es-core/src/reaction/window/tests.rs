//! One promise at a time.

use crate::payload::Payload;
use crate::position::Position;
use crate::projection::{FailurePolicy, ParkedState};
use crate::retry::Retry;
use crate::timestamp::Timestamp;

use super::world::{log_of, place};
use super::*;

mod parked;

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

/// The place of what a call is for.
fn at(attempt: &Attempt) -> u64 {
    attempt.of().position.to_sequence()
}

/// The places of all that can be given now.
fn given(window: &mut Window, now: Instant) -> Vec<u64> {
    std::iter::from_fn(|| window.next(now)).map(|attempt| at(&attempt)).collect()
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

/// The entry of an event that was tried so often, and is due.
fn entry(event: &RecordedEvent, attempts: u32) -> Parked {
    Parked {
        event: event.into(),
        key: event.stream.to_string(),
        reason: "no connection".to_owned(),
        attempts,
        parked_at: Timestamp::EPOCH,
        state: ParkedState::Waiting { is_due: true },
    }
}

/// Takes back the first of what waits in a stream, which was tried so often; `None` if nothing does.
fn take_back(window: &mut Window, first: Option<&RecordedEvent>, attempts: u32) {
    let due = window.due().unwrap();
    assert!(window.take_back(&due, first.map(|event| entry(event, attempts))));
}

#[test]
fn a_thousand_events_are_held_and_half_of_them_are_worth_a_commit() {
    let streams: Vec<_> = (0..1_000).map(|number| number % 7).collect();
    let log = log_of(&streams);
    let (mut window, now) = (window_of(ReactionPolicy::default(), &log), Instant::now());
    assert_eq!(window.room(), None);
    for (count, event) in log.iter().enumerate().take(500) {
        assert!(!window.wants_commit(), "{count}");
        assert_eq!(window.next(now).unwrap().of(), EventReference::from(event));
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
    assert_eq!((again.of().position, again.number), (log[0].position, 2));
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
        // no renewal has to tell of it
        take_back(&mut window, Some(&log[0]), 1);
        assert_eq!(given(&mut window, now), [50, 10]);
    }
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
fn who_is_stopped_sets_aside_what_stands_before_an_answer() {
    let log = log_of(&[0, 1, 0, 2, 3, 4]);
    for then in [LastResort::ParkKey, LastResort::Stop] {
        let failure = FailurePolicy { then, retry: TWICE };
        let (mut window, now) = (window_of(policy(4, failure), &log), Instant::now());
        assert_eq!(given(&mut window, now), [10, 20, 40, 50]);
        fail(&mut window, &log[0], now);
        assert_eq!(given(&mut window, now), [60]);
        assert!(window.answered(log[4].event_id));
        assert!(window.answered(log[1].event_id));
        window.set_aside();
        if then == LastResort::Stop {
            assert!(!window.has_news(), "it passes nothing that is not done");
            continue;
        }
        let commit = window.commit(Timestamp::EPOCH).unwrap();
        assert_eq!((commit.batch.events, &commit.batch.to), (5, &Checkpoint::at(&log[4])));
        let [failed, behind, hung] = &commit.batch.park[..] else { panic!("{commit:?}") };
        assert_eq!((&*failed.reason, failed.attempts), ("no connection", 1));
        assert_eq!((behind.event.position, behind.attempts), (log[2].position, 0));
        assert_eq!((hung.event.position, hung.attempts), (log[3].position, 1));
        assert!(hung.reason.contains("had not ended"), "{}", hung.reason);
        for entry in [failed, behind, hung] {
            assert_eq!(entry.state, ParkedState::Waiting { is_due: true });
        }
    }
}

#[test]
fn word_of_no_call_changes_nothing() {
    let log = log_of(&[0, 0]);
    let mut window = window_of(policy(1, FailurePolicy::park_key()), &log);
    let now = Instant::now();
    let stray = |window: &mut Window, id: EventId| {
        assert!(!window.answered(id) && !window.not_given(id));
        assert!(!window.put_back(id, now) && !window.lost(id));
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
