//! What is parked.

use super::*;

#[test]
fn what_the_log_does_not_hold_fails_and_stops_nothing() {
    let log = log_of(&[0, 0, 1]);
    let stream = log[0].stream.clone();
    let stop = FailurePolicy::stop();
    let mut window = Window::new(policy(1, stop), Checkpoint::at(&log[1]), [stream.clone()]);
    let now = Instant::now();
    window.push(log[2..].to_vec(), end_of(&log));
    window.renewed([stream]);
    take_back(&mut window, Some(&log[0]), 0);
    assert_eq!(given(&mut window, now), [30]);
    assert!(window.answered(log[2].event_id));
    assert_eq!(given(&mut window, now), [10]);
    assert!(window.lost(log[0].event_id));
    let commit = window.commit(Timestamp::EPOCH).unwrap();
    let [entry] = &commit.batch.park[..] else { panic!("{commit:?}") };
    assert!(entry.reason.contains("(version 1 of thing/0); discard it"), "{}", entry.reason);
    assert_eq!((entry.attempts, &entry.state), (1, &ParkedState::Waiting { is_due: false }));
    assert_eq!(commit.batch.unpark, [entry.id()], "it is replaced only if it waits");
    window.committed(commit);
    assert!(window.due().is_none(), "somebody must decide");
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
fn large_events_that_are_parked_leave_room_for_what_is_read() {
    let mut log = log_of(&[0, 1, 2]);
    log[0].payload = Payload::of(&"x".repeat(Window::BYTES)).unwrap();
    let policy = policy(2, FailurePolicy::park_key().after(TWICE));
    let mut window = Window::new(policy, Checkpoint::START, []);
    let now = Instant::now();
    window.push(log[..1].to_vec(), Checkpoint::at(&log[0]));
    assert_eq!(window.room(), None);
    assert_eq!(given(&mut window, now), [10]);
    assert!(matches!(fail(&mut window, &log[0], now), AfterFailure::Again(_)));
    assert_eq!(commit(&mut window), (vec![10], vec![]));
    take_back(&mut window, Some(&log[0]), 1);
    assert!(window.room().is_some(), "it is to be given");
    assert_eq!(given(&mut window, now), [10]);
    assert!(window.room().is_some(), "it is given");
    assert!(matches!(fail(&mut window, &log[0], now), AfterFailure::Again(_)));
    assert!(window.room().is_some(), "it waits for its next attempt");
    window.push(log[1..].to_vec(), end_of(&log));
    assert_eq!(given(&mut window, now), [20, 30]);
}

#[test]
fn what_joined_a_parked_stream_is_looked_at_and_waits_for_what_must_be_asked_for() {
    let log = log_of(&[0, 0, 0]);
    let policy = policy(1, FailurePolicy::park_key());
    let mut window = Window::new(policy, Checkpoint::at(&log[0]), [log[0].stream.clone()]);
    let now = Instant::now();
    window.push(log[1..2].to_vec(), Checkpoint::at(&log[1]));
    assert_eq!(commit(&mut window), (vec![20], vec![]));
    let state = ParkedState::Waiting { is_due: false };
    let (due, waits) = (window.due().unwrap(), Parked { state, ..entry(&log[0], 1) });
    assert!(window.take_back(&due, Some(waits)));
    assert!(window.is_idle() && window.next(now).is_none());
    window.push(log[2..].to_vec(), end_of(&log));
    assert_eq!(commit(&mut window), (vec![30], vec![]));
    // meanwhile somebody has discarded the first
    take_back(&mut window, Some(&log[1]), 0);
    assert_eq!(given(&mut window, now), [20]);
}

#[test]
fn what_nobody_could_say_is_asked_again_and_is_no_attempt() {
    let log = log_of(&[0]);
    let stream = log[0].stream.clone();
    let policy = policy(1, FailurePolicy::park_key().after(TWICE));
    let mut window = Window::new(policy, Checkpoint::at(&log[0]), [stream.clone()]);
    let mut now = Instant::now();
    window.renewed([stream]);
    take_back(&mut window, Some(&log[0]), 3);
    let longer = |window: &mut Window, now: &mut Instant, number: u32| {
        for _ in 0..5 {
            assert_eq!(window.next(*now).unwrap().number, number);
            *now += Duration::from_millis(5);
            assert!(window.put_back(log[0].event_id, *now));
            assert!(window.next(*now - Duration::from_millis(1)).is_none() && !window.is_idle());
        }
        assert_eq!(window.next(*now).unwrap().number, number);
    };
    longer(&mut window, &mut now, 4);
    assert_eq!(fail(&mut window, &log[0], now), AfterFailure::Again(now + TWICE.base));
    now += TWICE.base;
    longer(&mut window, &mut now, 5);
    assert_eq!(fail(&mut window, &log[0], now), AfterFailure::Again(now + TWICE.longest));
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
    assert_eq!((at(&first), first.number), (10, 2));
    assert!(matches!(&first.given, Given::Parked(of) if *of == entry(&log[0], 1)), "{first:?}");
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
