//! What a connection takes of the loads that wait.

use super::*;

type Answers = Vec<oneshot::Receiver<Answer<()>>>;

fn crowd(state: &mut State<()>, count: usize) -> Answers {
    let mut answers = Vec::new();
    for number in 0..count {
        let (reply, answer) = oneshot::channel();
        let range = Range { from: i32::try_from(number).unwrap(), to: i32::MAX, most: 1 };
        state.waiting.push_back(Load {
            range,
            alone: sqlx::query("SELECT 1"),
            page: (),
            reply,
            since: Instant::now(),
            _counted: Arc::clone(&state.each),
        });
        answers.push(answer);
    }
    answers
}

/// Takes until nothing waits, and keeps what was taken under way.
fn taken(state: &mut State<()>, connections: usize) -> Vec<Vec<Load<()>>> {
    let mut batches = Vec::new();
    while !state.waiting.is_empty() {
        batches.push(state.take(connections));
        assert_eq!(state.is_called, !state.waiting.is_empty());
    }
    batches
}

fn sizes(batches: &[Vec<Load<()>>]) -> Vec<usize> {
    batches.iter().map(Vec::len).collect()
}

#[test]
fn each_connection_has_its_share_and_a_statement_its_most() {
    for (waiting, connections, wanted) in [
        (1, 2, &[1][..]),
        (8, 2, &[8][..]),
        (9, 2, &[8, 1][..]),
        (40, 2, &[20, 20][..]),
        (40, 1, &[40][..]),
        (200, 2, &[64, 64, 64, 8][..]),
    ] {
        let mut state = State::new();
        let _answers = crowd(&mut state, waiting);
        let batches = taken(&mut state, connections);
        assert_eq!(sizes(&batches), wanted, "{waiting} over {connections}");
        let order: Vec<_> = batches.iter().flatten().map(|load| load.range.from).collect();
        assert!(order.is_sorted(), "{order:?}");
    }
}

#[test]
fn who_has_gone_takes_no_place() {
    let mut state = State::new();
    let mut answers = crowd(&mut state, 40);
    answers.retain(|_| fastrand::bool());
    let batches = taken(&mut state, 1);
    assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), answers.len());
}

#[test]
fn who_came_later_is_overdue_later() {
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut state = State::new();
    let _answers = crowd(&mut state, 4);
    let began = Instant::now();
    for (number, load) in state.waiting.iter_mut().enumerate() {
        load.since = began + PATIENCE * u32::try_from(number).unwrap() / 4;
    }
    state.is_called = true;
    let overdue = |state: &mut State<()>, at: Duration| {
        let overdue = state.take_overdue(PATIENCE, began + at);
        overdue.iter().map(|load| load.range.from).collect::<Vec<_>>()
    };
    assert!(overdue(&mut state, PATIENCE / 2).is_empty());
    assert_eq!(overdue(&mut state, PATIENCE), [0]);
    assert!(overdue(&mut state, PATIENCE).is_empty());
    assert!(state.is_called);
    assert_eq!(overdue(&mut state, PATIENCE * 2), [1, 2, 3]);
    assert!(!state.is_called);
}

#[test]
fn a_crowd_is_more_than_there_are_connections() {
    let mut state = State::new();
    let _answers = crowd(&mut state, 2);
    drop(taken(&mut state, 2));
    assert!(!state.is_crowded);
    let _answers = crowd(&mut state, 3);
    let under_way = taken(&mut state, 2);
    assert!(state.is_crowded);
    drop(under_way);
    let _answers = crowd(&mut state, 1);
    drop(taken(&mut state, 2));
    assert!(!state.is_crowded, "those before have their answers");
}

#[test]
fn large_streams_are_read_with_few_others_until_they_are_small_again() {
    let mut state = State::new();
    for _ in 0..20 {
        state.learn(20 * BYTES, 10);
    }
    let _answers = crowd(&mut state, 10);
    assert_eq!(sizes(&taken(&mut state, 1)), [1; 10]);
    for _ in 0..100 {
        let _answers = crowd(&mut state, 1);
        drop(taken(&mut state, 1));
    }
    let _answers = crowd(&mut state, 10);
    assert_eq!(sizes(&taken(&mut state, 1)), [10]);
}
