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

fn next(agenda: &mut Agenda) -> Option<(i32, Vec<i32>)> {
    let wave = agenda.next_wave(|_| Gate::Wide)?;
    Some((wave.conversation.0, wave.tasks.iter().map(|task| task.posting.0).collect()))
}

#[test]
fn waves_go_by_execution_order_then_conversation_and_gather_all_postings() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 2, &[(20, None), (30, None)]);
    place(&mut agenda, 1, &[(20, None), (10, None)]);
    assert_eq!(next(&mut agenda), Some((30, vec![2])));
    assert_eq!(next(&mut agenda), Some((10, vec![1])));
    assert_eq!(next(&mut agenda), Some((20, vec![1, 2])));
    assert_eq!(next(&mut agenda), None);
}

#[test]
fn a_posting_that_moved_on_stands_nowhere_else() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(20, None), (30, Some(5))]);
    place(&mut agenda, 1, &[(10, None)]);
    agenda.wake(second(9));
    assert_eq!(next(&mut agenda), Some((10, vec![1])));
    assert_eq!(next(&mut agenda), None);
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
    let mut causes = Vec::new();
    while let Some(wave) = agenda.next_wave(|_| Gate::Wide) {
        causes.push((wave.conversation.0, wave.tasks[0].cause));
    }
    assert_eq!(causes, [(10, None), (20, Some(cause))]);
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
    for posting in [1, 2, i32::MAX] {
        let wave = agenda.next_wave(gate).unwrap();
        assert_eq!((wave.conversation.0, wave.tasks.len()), (20, 1));
        assert_eq!(wave.tasks[0].posting.0, posting);
    }
    assert_eq!(agenda.next_wave(gate), None);
    assert_eq!((agenda.ready(), next(&mut agenda)), (3, Some((30, vec![1, 2, i32::MAX]))));
}

#[test]
fn who_was_attempted_least_often_comes_first() {
    let mut agenda = Agenda::default();
    for (posting, retries) in [(1, 2), (2, 0), (3, 1), (4, 0)] {
        place_repeats(&mut agenda, posting, retries, &[(30, Some(5))], Duration::ZERO);
    }
    agenda.wake(second(5));
    assert_eq!(next(&mut agenda), Some((30, vec![2, 4, 3, 1])));
}

#[test]
fn who_is_let_through_alone_and_refused_goes_behind_all_others() {
    let mut agenda = Agenda::default();
    let mut retries = BTreeMap::from([(1, 0), (2, 0), (3, 0)]);
    retries.keys().for_each(|posting| place(&mut agenda, *posting, &[(30, None)]));
    for posting in [1, 2, 3, 1, 2, 3] {
        let wave = agenda.next_wave(|_| Gate::One).unwrap();
        assert_eq!(wave.tasks.iter().map(|task| task.posting.0).collect::<Vec<_>>(), [posting]);
        let retries = retries.get_mut(&posting).unwrap();
        *retries += 1;
        place_repeats(&mut agenda, posting, *retries, &[(30, Some(5))], Duration::ZERO);
        agenda.wake(second(5));
    }
    // one that goes on elsewhere stands nowhere else, however often it was refused
    place(&mut agenda, 2, &[(20, None)]);
    assert_eq!(next(&mut agenda), Some((30, vec![1, 3])));
}

#[test]
fn what_is_put_back_is_ready_again() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(30, None)]);
    let wave = agenda.next_wave(|_| Gate::Wide).unwrap();
    agenda.put_back(wave.conversation, wave.tasks);
    assert_eq!(next(&mut agenda), Some((30, vec![1])));
}

#[test]
fn what_waits_becomes_ready_when_it_is_due() {
    let mut agenda = Agenda::default();
    place(&mut agenda, 1, &[(30, Some(5))]);
    place(&mut agenda, 2, &[(30, Some(7))]);
    assert_eq!((next(&mut agenda), agenda.next_due()), (None, Some(second(5))));
    agenda.wake(second(5));
    assert_eq!(next(&mut agenda), Some((30, vec![1])));
    agenda.wake(second(8));
    assert_eq!(next(&mut agenda), Some((30, vec![2])));
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
fn a_posting_is_taken_while_something_of_it_is_in_progress() {
    let (mut agenda, posting) = (Agenda::default(), PostingId(7));
    assert!(!agenda.is_taken(posting));
    place(&mut agenda, 7, &[(10, None)]);
    assert!(!agenda.is_taken(posting));
    let wave = agenda.next_wave(|_| Gate::Wide).unwrap();
    assert!(agenda.is_taken(posting));
    agenda.put_back(wave.conversation, wave.tasks);
    assert!(!agenda.is_taken(posting));
    place_repeats(&mut agenda, 7, 1, &[(10, Some(1))], Duration::ZERO);
    assert!(!agenda.is_taken(posting), "it waits");
    agenda.wake(second(1));
    assert!(!agenda.is_taken(posting), "it is ready");
    agenda.set_aside(posting);
    assert!(agenda.is_taken(posting), "it stands apart");
    place(&mut agenda, 7, &[]);
    assert!(!agenda.is_taken(posting));
}
