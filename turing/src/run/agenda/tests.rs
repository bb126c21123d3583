//! What is ready, what waits, and for how long.

use std::sync::LazyLock;
use std::time::Duration;

use turing_domain::{Conversation, RunId, Workflow};

use super::*;

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

fn second(number: u64) -> Instant {
    *BEGINNING + Duration::from_secs(number)
}

fn due(number: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(number))
}

fn workflow() -> Workflow {
    toml::from_str(
        r#"
        [workflow]
        id = 1
        name = "w"
        entry = 20
        [[actors]]
        id = 1
        name = "a"
        type = "script"
        command = ["./a"]
        [[conversations]]
        id = 20
        name = "second"
        actor = 1
        execution_order = 2
        [[conversations]]
        id = 10
        name = "third"
        actor = 1
        execution_order = 2
        [[conversations]]
        id = 30
        name = "first"
        actor = 1
        execution_order = 1
        "#,
    )
    .unwrap()
}

fn attempt(conversation_id: ConversationId) -> Attempt {
    let run_id = "0193a1d4-0000-7000-8000-000000000001".parse::<RunId>().unwrap();
    Attempt { run_id, conversation_id, execution: 1, retries: 0 }
}

/// Where a posting stands, and until which second it waits there.
fn place(agenda: &mut Agenda, posting: i32, at: &[(i32, Option<u64>)]) {
    place_repeats(agenda, posting, 0, at, Duration::ZERO);
}

/// The same after so many failed attempts, by a wall clock that was set back this far.
fn place_repeats(
    agenda: &mut Agenda,
    posting: i32,
    retries: u32,
    at: &[(i32, Option<u64>)],
    set_back: Duration,
) {
    let workflow = workflow();
    let steps: Vec<_> = at
        .iter()
        .map(|(id, seconds)| {
            let conversation = workflow.conversation(ConversationId(*id)).unwrap();
            let attempt = Attempt { retries, ..attempt(conversation.id) };
            Step { conversation, attempt, due_at: seconds.map(due) }
        })
        .collect();
    let until = |due: Timestamp| *BEGINNING + due.since(Timestamp::EPOCH) + set_back;
    agenda.place(PostingId(posting), &steps, until, |_| None);
}

fn next_through(agenda: &mut Agenda, gate: impl Fn(ConversationId) -> Gate) -> Option<(i32, i32)> {
    let Task { posting, attempt, .. } = agenda.next(second(0), gate, |_| false)?.task;
    Some((attempt.conversation_id.0, posting.0))
}

/// The conversation and the posting of what is begun next.
fn next(agenda: &mut Agenda) -> Option<(i32, i32)> {
    next_through(agenda, |_| Gate::Wide)
}

/// All that can be begun.
fn all(agenda: &mut Agenda) -> Vec<(i32, i32)> {
    std::iter::from_fn(|| next(agenda)).collect()
}

#[test]
fn attempts_go_by_execution_order_then_conversation_then_posting() {
    let mut agenda = Agenda::default();
    for (posting, at) in [(3, 20), (2, 30), (1, 20), (4, 10)] {
        place(&mut agenda, posting, &[(at, None)]);
    }
    let chosen = agenda.next(second(0), |_| Gate::Wide, |_| false).unwrap();
    assert_eq!((chosen.task.posting.0, chosen.standing), (2, 1));
    assert_eq!(next(&mut agenda), Some((10, 4)));
    let chosen = agenda.next(second(0), |_| Gate::Wide, |_| false).unwrap();
    assert_eq!((chosen.task.posting.0, chosen.standing), (1, 2));
    assert_eq!(all(&mut agenda), [(20, 3)]);
}

#[test]
fn a_posting_makes_one_attempt_after_the_other() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(20, None), (30, None), (10, Some(5))]);
    assert_eq!(next(&mut agenda), Some((30, 1)));
    agenda.wake(second(5));
    assert_eq!((next(&mut agenda), agenda.ready(), agenda.waiting()), (None, 0, 0));
    place(&mut agenda, 1, &[(20, None), (10, Some(5))]);
    assert_eq!(all(&mut agenda), [(20, 1)]);
    place(&mut agenda, 1, &[(10, Some(5))]);
    agenda.wake(second(5));
    assert_eq!(all(&mut agenda), [(10, 1)]);
}

#[test]
fn a_posting_goes_on_at_the_first_of_its_positions() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(20, None), (30, None)]);
    place(&mut agenda, 2, &[(20, None)]);
    let goes_on = |id: ConversationId| id.0 == 20;
    let chosen = agenda.next(second(0), |_| Gate::Wide, goes_on).unwrap();
    assert_eq!((chosen.task.posting.0, chosen.task.attempt.conversation_id.0), (1, 30));
    let chosen = agenda.next(second(0), |_| Gate::Wide, goes_on).unwrap();
    assert_eq!((chosen.task.posting.0, chosen.task.attempt.conversation_id.0), (2, 20));
}

#[test]
fn a_posting_that_moved_on_stands_nowhere_else() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(20, None), (30, Some(5))]);
    place(&mut agenda, 1, &[(10, None)]);
    agenda.wake(second(9));
    assert_eq!(all(&mut agenda), [(10, 1)]);
    place(&mut agenda, 1, &[]);
    assert_eq!((next(&mut agenda), agenda.waiting()), (None, 0));
}

#[test]
fn the_cause_of_a_position_that_stays_open_is_kept() {
    let cause: EventId = "0193a1d4-0000-7000-8000-00000000000a".parse().unwrap();
    let workflow = workflow();
    let step = |index: usize| {
        let conversation: &Conversation = &workflow.conversations[index];
        let attempt = attempt(conversation.id);
        Step { conversation, attempt, due_at: None }
    };
    let mut agenda = Agenda::default();
    let until = |_| second(0);
    agenda.place(PostingId(1), &[step(0), step(2)], until, |_| Some(cause));
    agenda.place(PostingId(1), &[step(0), step(1)], until, |_| None);
    let gate =
        |wanted| move |id: ConversationId| if id.0 == wanted { Gate::Wide } else { Gate::Full };
    let mut causes = Vec::new();
    for wanted in [10, 20] {
        let Chosen { task, .. } = agenda.next(second(0), gate(wanted), |_| false).unwrap();
        agenda.put_back(task);
        causes.push(task.cause);
    }
    assert_eq!(causes, [None, Some(cause)]);
}

#[test]
fn a_shut_gate_is_passed_by_and_a_narrow_one_lets_one_through() {
    let mut agenda = Agenda::default();
    for posting in [1, 2, i32::MAX] {
        place(&mut agenda, posting, &[(30, None), (20, None)]);
    }
    let until = second(9);
    let gate = |id: ConversationId| match id.0 {
        30 => Gate::Shut { until },
        _ => Gate::One,
    };
    assert_eq!(agenda.next_opening(gate), Some(until));
    let narrow = agenda.next(second(0), gate, |_| false).unwrap();
    assert_eq!((narrow.task.attempt.conversation_id.0, narrow.standing), (20, 1));
    agenda.put_back(narrow.task);
    for posting in [1, 2, i32::MAX] {
        assert_eq!(next_through(&mut agenda, gate), Some((20, posting)));
    }
    assert_eq!(next_through(&mut agenda, gate), None);
    for posting in [1, 2, i32::MAX] {
        place(&mut agenda, posting, &[(30, None)]);
    }
    assert_eq!(next_through(&mut agenda, gate), None);
    assert_eq!(next_through(&mut agenda, |_| Gate::Full), None);
    assert_eq!(agenda.next_opening(|_| Gate::Full), None);
    assert_eq!((agenda.ready(), all(&mut agenda)), (3, vec![(30, 1), (30, 2), (30, i32::MAX)]));
}

#[test]
fn who_was_attempted_least_often_comes_first() {
    let mut agenda = Agenda::default();
    for (posting, retries) in [(1, 2), (2, 0), (3, 1), (4, 0)] {
        place_repeats(&mut agenda, posting, retries, &[(30, Some(5))], Duration::ZERO);
    }
    agenda.wake(second(5));
    assert_eq!(all(&mut agenda), [(30, 2), (30, 4), (30, 3), (30, 1)]);
}

#[test]
fn who_is_let_through_alone_and_refused_goes_behind_all_others() {
    let mut agenda = Agenda::default();
    let mut retries = BTreeMap::from([(1, 0), (2, 0), (3, 0)]);
    retries.keys().for_each(|posting| place(&mut agenda, *posting, &[(30, None)]));
    for posting in [1, 2, 3, 1, 2, 3] {
        assert_eq!(next_through(&mut agenda, |_| Gate::One), Some((30, posting)));
        let retries = retries.get_mut(&posting).unwrap();
        *retries += 1;
        place_repeats(&mut agenda, posting, *retries, &[(30, Some(5))], Duration::ZERO);
        agenda.wake(second(5));
    }
    // one that goes on elsewhere stands nowhere else, however often it was refused
    place(&mut agenda, 2, &[(20, None)]);
    assert_eq!(all(&mut agenda), [(30, 1), (30, 3), (20, 2)]);
}

#[test]
fn what_is_put_back_is_ready_again() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(30, None), (20, None)]);
    let begin = |agenda: &mut Agenda| agenda.next(second(0), |_| Gate::Wide, |_| false).unwrap();
    let task = begin(&mut agenda).task;
    agenda.put_back(task);
    assert_eq!((agenda.ready(), begin(&mut agenda).task), (2, task));
    place(&mut agenda, 1, &[(10, None)]);
    agenda.put_back(task);
    assert_eq!(all(&mut agenda), [(10, 1)], "it has gone on since");
}

#[test]
fn what_waits_becomes_ready_when_it_is_due() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(30, Some(5))]);
    place(&mut agenda, 2, &[(30, Some(7))]);
    assert_eq!((next(&mut agenda), agenda.next_due()), (None, Some(second(5))));
    agenda.wake(second(5));
    assert_eq!(all(&mut agenda), [(30, 1)]);
    agenda.wake(second(8));
    assert_eq!(all(&mut agenda), [(30, 2)]);
}

#[test]
fn a_wait_that_began_goes_on_however_often_its_posting_is_placed() {
    let hour = Duration::from_secs(3_600);
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(30, Some(5)), (20, None)]);
    place_repeats(&mut agenda, 1, 0, &[(30, Some(5)), (10, None)], hour);
    assert_eq!((agenda.next_due(), agenda.waiting()), (Some(second(5)), 1));
    assert_eq!(agenda.set_aside(PostingId(1)).len(), 2);
    assert_eq!((agenda.next_due(), agenda.ready()), (None, 0), "it stands apart");
    place_repeats(&mut agenda, 1, 0, &[(30, Some(5))], hour);
    assert_eq!(agenda.next_due(), Some(second(5)));
    // the next repeat is another wait, even if a clock that was set back gives it the same time
    place_repeats(&mut agenda, 1, 1, &[(30, Some(5))], hour);
    assert_eq!(agenda.next_due(), Some(second(3_605)));
    agenda.remove(PostingId(1));
    place_repeats(&mut agenda, 1, 1, &[(30, Some(5))], Duration::ZERO);
    assert_eq!(agenda.next_due(), Some(second(5)), "nothing is known of it any more");
}

#[test]
fn a_posting_is_busy_while_an_attempt_of_it_is_in_progress() {
    let (mut agenda, posting) = (Agenda::default(), PostingId(7));
    assert!(!agenda.is_busy(posting));
    place(&mut agenda, 7, &[(10, None), (20, Some(1))]);
    assert!(!agenda.is_busy(posting), "it is ready");
    let chosen = agenda.next(second(0), |_| Gate::Wide, |_| false).unwrap();
    assert!(agenda.is_busy(posting));
    agenda.wake(second(1));
    assert!(agenda.is_busy(posting), "what became ready is held");
    agenda.put_back(chosen.task);
    assert!(!agenda.is_busy(posting));
    agenda.next(second(1), |_| Gate::Wide, |_| false).unwrap();
    place(&mut agenda, 7, &[(20, None)]);
    assert!(!agenda.is_busy(posting), "the attempt has ended");
}
