//! Failures as they are read from events.

use turing_domain::Noted;

use super::super::waiting::frequent as frequent_waiting;
use super::*;

/// When what is repeated is due.
const DUE: i64 = 1_764_000_000_000_000;

fn failed(at: i32, error: &str, stderr: Option<&str>) -> PostingEvent {
    PostingEvent::ScriptExecutionFailed {
        error: error.to_owned().into(),
        failure_type: FailureType::ScriptError.into(),
        stderr: stderr.map(str::to_owned).into(),
        conversation_id: ConversationId(at).into(),
        actor_id: Noted::ABSENT,
        execution_order: Noted::ABSENT,
        duration_ms: Noted::ABSENT,
        retry_count: Noted(Some(2)),
        run_id: Noted::ABSENT,
    }
}

fn completed(at: i32) -> PostingEvent {
    PostingEvent::HumanTaskCompleted {
        output: None,
        status: Noted::ABSENT,
        by: Noted::ABSENT,
        conversation_id: ConversationId(at).into(),
        actor_id: Noted::ABSENT,
        execution_order: Noted::ABSENT,
        duration_ms: Noted::ABSENT,
        retry_count: Noted::ABSENT,
        run_id: Noted::ABSENT,
    }
}

fn path_ended(at: i32, reason: EndReason) -> PostingEvent {
    PostingEvent::PathEnded {
        reason,
        rule: None,
        to: None,
        conversation_id: ConversationId(at).into(),
        run_id: Noted::ABSENT,
    }
}

fn terminal(at: i32, reason: EndReason) -> PostingEvent {
    PostingEvent::PostingTerminal {
        reason: reason.into(),
        final_conversation_id: ConversationId(at).into(),
        run_id: Noted::ABSENT,
    }
}

fn repeated(at: i32) -> PostingEvent {
    PostingEvent::RetryScheduled {
        attempt: 1,
        due_at: Timestamp::from_micros(DUE),
        failure_type: FailureType::ScriptError,
        conversation_id: ConversationId(at).into(),
        run_id: Noted::ABSENT,
    }
}

fn imported() -> PostingEvent {
    PostingEvent::PostingStateImported {
        source: "public.posting_state_checkpoints".to_owned(),
        row_digest: String::new(),
        recorded_at: None,
        current_conversation_id: None,
        is_terminal: true,
        replaces: false,
        execution_sequence: Vec::new(),
        outputs: BTreeMap::new(),
    }
}

fn read_all(events: &[(&str, PostingEvent)]) -> (Vec<FailedPosting>, Vec<FailedPosting>) {
    let mut failures = Failures::default();
    for (posting, event) in events {
        failures.take(posting, event);
    }
    failures.into_postings()
}

fn read(events: &[(&str, PostingEvent)]) -> Vec<FailedPosting> {
    read_all(events).0
}

#[test]
fn a_posting_fails_where_its_worst_path_ended_and_of_the_attempt_there() {
    let postings = read(&[
        ("2", failed(10, "bad", Some("one\ntwo\n\n"))),
        ("2", path_ended(10, EndReason::ActorFailed)),
        ("2", completed(20)),
        ("2", path_ended(20, EndReason::NoMatchingBranch)),
        ("2", terminal(20, EndReason::ActorFailed)),
        // what succeeded later is no reason
        ("1", failed(10, "bad", None)),
        ("1", completed(10)),
        ("1", path_ended(10, EndReason::NoMatchingBranch)),
        ("1", terminal(10, EndReason::NoMatchingBranch)),
        ("3", failed(10, "bad", None)),
        ("3", terminal(10, EndReason::Completed)),
    ]);
    let told: Vec<_> = postings.iter().map(|one| (one.posting_id.0, &one.reason)).collect();
    assert_eq!(told, [(1, &EndReason::NoMatchingBranch), (2, &EndReason::ActorFailed)]);
    assert_eq!((&postings[0].error, postings[0].attempt), (&None, None));
    let FailedPosting { conversation_id, attempt, error, stderr, .. } = &postings[1];
    assert_eq!((*conversation_id, *attempt), (Some(ConversationId(10)), Some(3)));
    assert_eq!((error.as_deref(), stderr.as_deref()), (Some("bad"), Some("one\ntwo")));
}

#[test]
fn an_attempt_waits_from_when_its_repeat_is_recorded_until_it_succeeds() {
    let mut failures = Failures::default();
    let mut waiting = |posting: &str, event: PostingEvent| {
        failures.take(posting, &event);
        let waiting = failures.waiting().into_iter();
        waiting.map(|one| (one.posting_id.0, one.conversation_id.0)).collect::<Vec<_>>()
    };
    assert_eq!(waiting("2", failed(10, "bad", None)), []);
    assert_eq!(waiting("2", repeated(10)), [(2, 10)]);
    waiting("1", failed(20, "bad", Some("one")));
    assert_eq!(waiting("1", repeated(20)), [(1, 20), (2, 10)]);
    // what failed once more waits only if it is repeated once more
    assert_eq!(waiting("1", failed(20, "worse", None)), [(2, 10)]);
    waiting("1", repeated(20));
    assert_eq!(waiting("2", completed(10)), [(1, 20)]);
    let told = frequent_waiting(&failures.waiting());
    assert_eq!((told[0].attempts, told[0].error.as_deref()), (1, Some("worse")));
    assert_eq!(told[0].due_at, Timestamp::from_micros(DUE));
    failures.take("1", &terminal(20, EndReason::ActorFailed));
    assert_eq!(failures.waiting(), []);
}

#[test]
fn a_posting_that_an_import_took_out_of_its_run_waits_for_nothing_and_has_not_failed() {
    let mut failures = Failures::default();
    for event in [failed(10, "bad", None), repeated(10), failed(20, "for good", None)] {
        failures.take("1", &event);
    }
    assert_eq!(failures.waiting().len(), 1);
    failures.take("1", &imported());
    assert_eq!(failures.waiting(), []);
    assert_eq!(failures.into_postings(), (Vec::new(), Vec::new()));
}

#[test]
fn what_failed_for_good_is_kept_whatever_became_of_the_posting() {
    let (_, others) = read_all(&[
        ("2", failed(10, "followed by a rule", Some("one\n"))),
        ("2", completed(20)),
        ("2", terminal(20, EndReason::Completed)),
        // what succeeded later did not fail for good
        ("1", failed(10, "first", None)),
        ("1", repeated(10)),
        ("1", completed(10)),
        ("1", terminal(10, EndReason::Completed)),
        // nor did what was given up before it was repeated
        ("3", failed(10, "first", None)),
        ("3", repeated(10)),
        ("3", terminal(20, EndReason::Abandoned)),
        ("4", failed(10, "first", None)),
        ("4", repeated(10)),
        ("4", failed(10, "last", None)),
        ("4", path_ended(10, EndReason::Completed)),
        ("4", failed(20, "worst", None)),
        ("4", path_ended(20, EndReason::ActorFailed)),
        ("4", terminal(20, EndReason::ActorFailed)),
    ]);
    let told: Vec<_> = others.iter().map(|one| (one.posting_id.0, &one.reason)).collect();
    assert_eq!(told, [(2, &EndReason::Completed), (4, &EndReason::ActorFailed)]);
    let FailedPosting { conversation_id, error, stderr, .. } = &others[0];
    assert_eq!(*conversation_id, Some(ConversationId(10)));
    assert_eq!(error.as_deref(), Some("followed by a rule"));
    assert_eq!(stderr.as_deref(), Some("one"));
    assert_eq!(others[1].error.as_deref(), Some("last"));
}

#[test]
fn errors_are_counted_and_the_most_frequent_told_first_with_an_example() {
    let mut events = Vec::new();
    for (posting, error) in
        [("5", "rare"), ("4", "often"), ("6", "often"), ("7", "b"), ("8", "c"), ("9", "often")]
    {
        events.push((posting, failed(10, error, Some(posting))));
        events.push((posting, terminal(10, EndReason::ActorFailed)));
    }
    let told = frequent(&read(&events));
    assert_eq!(told.len(), FREQUENT);
    assert_eq!((told[0].postings, told[0].example), (3, PostingId(4)));
    assert_eq!(told[0].last_line.as_deref(), Some("4"));
    assert!(told[1..].iter().all(|error| error.postings == 1));
}

#[test]
fn only_the_end_of_a_long_standard_error_is_kept() {
    let lines: Vec<_> = (1..=50).map(|line| line.to_string()).collect();
    assert_eq!(last_lines(&lines.join("\n")), lines[40..].join("\n"));
    assert_eq!(last_lines(&"ä".repeat(5_000)).chars().count(), STDERR_CHARS);
    assert_eq!(last_lines("\n"), "");
}
