//! Until when tasks wait, whose end is counted, and what is not attempted.

use std::time::Duration;

use es_core::event::Position;
use turing_domain::{Posting, PostingEvent, RunId};

use super::*;

const POSTING: PostingId = PostingId(7);
const REVIEW: ConversationId = ConversationId(10);

fn workflow() -> Workflow {
    toml::from_str(
        r#"
        [workflow]
        id = 1
        name = "w"
        entry = 10
        [[actors]]
        id = 1
        name = "reviewer"
        type = "human"
        due_seconds = 60
        [[conversations]]
        id = 10
        name = "review"
        actor = 1
        branches = [{}]
        "#,
    )
    .unwrap()
}

fn second(number: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(number))
}

/// A posting that came to the person at this second, and what waits for them.
fn opened(workflow: &Workflow, at: u64) -> (Posting, OpenTasks) {
    let run_id: RunId = "0193a1d4-0000-7000-8000-000000000001".parse().unwrap();
    let workflow_id = workflow.id;
    let entered =
        PostingEvent::PostingEnteredRun { run_id, workflow_id, entry_conversation_id: REVIEW };
    let mut open = OpenTasks::default();
    let id = EventId::stand_in(Position::from_sequence(1));
    open.take(workflow, id, second(at), &entered);
    (es_core::execution::fold([&entered]), open)
}

#[test]
fn a_task_waits_until_it_is_due_and_no_longer_than_its_limit() {
    let workflow = workflow();
    // what the wall clock shows when the task is met that was opened at 100, and what is left of a minute
    for (now, left) in [(100, 60), (130, 30), (160, 0), (9_000, 0), (99, 60), (0, 60)] {
        let (posting, open) = opened(&workflow, 100);
        let mut people = People::default();
        let (tasks, steps) = people.set_apart(&workflow, POSTING, posting.ready(&workflow));
        assert!(steps.is_empty(), "nobody attempts it");
        assert_eq!(tasks.len(), 1);
        assert_eq!(people.unread(), [POSTING]);
        let seen = Moment { wall: second(now), at: Instant::now() };
        people.learn(&workflow, POSTING, &open, seen);
        let until = seen.at + Duration::from_secs(left);
        assert_eq!(people.next_due(), Some(until), "{now}");
        assert!(people.unread().is_empty());
        let waiting = people.waiting(&workflow);
        assert_eq!((waiting[0].tasks, waiting[0].next_due), (1, Some(second(160))));

        // it is met again, and goes on as it was
        people.set_apart(&workflow, POSTING, posting.ready(&workflow));
        assert_eq!(people.next_due(), Some(until), "{now}");
        assert!(people.take_overdue(until, |_| true).is_empty(), "it is recorded later");
        assert_eq!(people.next_due(), None, "and its time is over");
        let overdue = people.take_overdue(until, |_| false);
        assert_eq!(overdue.len(), 1);
        assert_eq!(overdue[0].attempt.conversation_id, REVIEW);
        assert!(people.take_overdue(until, |_| false).is_empty(), "it is recorded once");
    }
}

#[test]
fn the_end_of_a_posting_that_waited_for_people_is_counted_once() {
    let workflow = workflow();
    let mut people = People::default();
    assert!(!people.is_counted(POSTING), "it never waited for anybody");
    assert!(!people.is_counted(POSTING));
    let (posting, _) = opened(&workflow, 0);
    people.set_apart(&workflow, POSTING, posting.ready(&workflow));
    assert!(!people.is_counted(POSTING));
    assert!(people.is_counted(POSTING));
    people.set_apart(&workflow, POSTING, Vec::new());
    assert!(people.waiting(&workflow).is_empty());
    assert!(people.is_counted(POSTING));
}

#[test]
fn of_a_posting_one_task_is_recorded_after_the_other() {
    let workflow = workflow();
    let mut people = People::default();
    let run_id: RunId = "0193a1d4-0000-7000-8000-000000000001".parse().unwrap();
    let at = |id| Attempt { run_id, conversation_id: ConversationId(id), execution: 1, retries: 0 };
    let now = Instant::now();
    let opened_by = EventId::stand_in(Position::from_sequence(1));
    for id in [10, 20] {
        let time = Time::Until { at: now, due_at: second(160), opened_by };
        people.waiting.entry(POSTING).or_default().push(Awaited { attempt: at(id), time });
        people.due.insert((now, POSTING, ConversationId(id)));
    }
    let due = |people: &mut People| {
        let due = people.take_overdue(now, |_| false);
        due.iter().map(|task| task.attempt.conversation_id.0).collect::<Vec<_>>()
    };
    assert_eq!(due(&mut people), [10]);
    assert_eq!(due(&mut people), [20]);
    assert!(due(&mut people).is_empty());
    let conversations = people.waiting(&workflow);
    assert_eq!(conversations.len(), 2, "they wait until that is recorded");
    people.forget(POSTING);
    assert!(people.waiting(&workflow).is_empty());
}
