//! Tasks of people: who has one, what is answered, and until when.

use es_core::event::EventId;
use es_testing::spec::given;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A person, and what follows when nobody answers in time.
fn review() -> Workflow {
    let rules = ["", "on = \"failure\", when = \"overdue\", to = 2"];
    with_actor(
        "type = \"human\"\ndue_seconds = 60",
        &[conversation(1, "", &rules), conversation(2, "timeout_seconds = 5", &[""])],
    )
}

fn speaker(by: &str, take_over: Option<&str>) -> Speaker {
    Speaker {
        attempt: attempt(1, 1, 0),
        by: by.to_owned(),
        take_over: take_over.map(str::to_owned),
    }
}

fn claimed(by: &str, taken: Option<(&str, &str)>) -> PostingEvent {
    PostingEvent::HumanTaskClaimed {
        by: by.to_owned().into(),
        taken_from: Noted(taken.map(|(from, _)| from.to_owned())),
        reason: Noted(taken.map(|(_, reason)| reason.to_owned())),
        conversation_id: FIRST.into(),
        run_id: run(1).into(),
    }
}

fn released(by: &str) -> PostingEvent {
    PostingEvent::HumanTaskReleased {
        by: by.to_owned().into(),
        conversation_id: FIRST.into(),
        run_id: run(1).into(),
    }
}

fn answered(by: &str, output: &str) -> PostingEvent {
    PostingEvent::HumanTaskCompleted {
        output: Some(Value::from(output).into()),
        status: SUCCESS.to_owned().into(),
        by: by.to_owned().into(),
        conversation_id: FIRST.into(),
        actor_id: ActorId(74).into(),
        execution_order: 1.into(),
        duration_ms: 60_000.into(),
        retry_count: 0.into(),
        run_id: run(1).into(),
    }
}

fn gave_up(by: Option<&str>, failure_type: FailureType, error: &str) -> PostingEvent {
    PostingEvent::HumanTaskFailed {
        error: error.to_owned().into(),
        failure_type: failure_type.into(),
        by: Noted(by.map(str::to_owned)),
        conversation_id: FIRST.into(),
        actor_id: ActorId(74).into(),
        execution_order: 1.into(),
        duration_ms: 60_000.into(),
        retry_count: 0.into(),
        run_id: run(1).into(),
    }
}

fn done(output: &str) -> HumanAnswer {
    HumanAnswer::Done(output.to_owned())
}

fn held_by(by: &str) -> HumanTaskRejection {
    HumanTaskRejection::Claimed { by: by.to_owned() }
}

#[test]
fn a_task_is_claimed_by_one_and_taken_over_with_a_reason() {
    let workflow = review();
    let claimed_by_anna = given::<HumanTasks>([entered()])
        .when(|tasks| tasks.claim(&workflow, &speaker("anna", None)))
        .then([claimed("anna", None)])
        .then_again_nothing();
    assert_eq!(claimed_by_anna.state().claimant(FIRST), Some("anna"));
    given::<HumanTasks>([entered(), claimed("anna", None)])
        .when(|tasks| tasks.claim(&workflow, &speaker("ben", None)))
        .then_rejected(held_by("anna"));
    given::<HumanTasks>([entered(), claimed("anna", None)])
        .when(|tasks| tasks.claim(&workflow, &speaker("ben", Some("she is ill"))))
        .then([claimed("ben", Some(("anna", "she is ill")))]);
}

#[test]
fn a_task_is_given_back_by_who_has_it() {
    let workflow = review();
    given::<HumanTasks>([entered(), claimed("anna", None)])
        .when(|tasks| tasks.release(&workflow, &speaker("anna", None)))
        .then([released("anna")])
        .then_again_nothing();
    given::<HumanTasks>([entered(), claimed("anna", None)])
        .when(|tasks| tasks.release(&workflow, &speaker("ben", None)))
        .then_rejected(held_by("anna"));
}

#[test]
fn an_answer_says_who_gave_it_and_what_follows_is_recorded_with_it() {
    let workflow = review();
    let answer = |by: &'static str, take_over: Option<&'static str>| {
        let workflow = workflow.clone();
        move |tasks: &HumanTasks| {
            let speaker = speaker(by, take_over);
            tasks.answer(&workflow, &speaker, &done("ok"), Some(MINUTE), NOW)
        }
    };
    let follows = [taken(1, 1, None), terminal(EndReason::Completed, 1)];
    let by = |name: &str| [&[answered(name, "ok")][..], &follows].concat();
    given::<HumanTasks>([entered()]).when(answer("anna", None)).then(by("anna"));
    let held = || [entered(), claimed("anna", None)];
    given::<HumanTasks>(held()).when(answer("anna", None)).then(by("anna"));
    given::<HumanTasks>(held()).when(answer("ben", None)).then_rejected(held_by("anna"));
    let taken_over = claimed("ben", Some(("anna", "she is ill")));
    given::<HumanTasks>(held())
        .when(answer("ben", Some("she is ill")))
        .then([&[taken_over][..], &by("ben")].concat());
}

#[test]
fn of_two_answers_the_second_is_refused() {
    let workflow = review();
    given::<HumanTasks>([entered()])
        .when(|tasks| {
            tasks.answer(&workflow, &speaker("anna", None), &done("ok"), Some(MINUTE), NOW)
        })
        .then([answered("anna", "ok"), taken(1, 1, None), terminal(EndReason::Completed, 1)])
        .then_again_rejected(PostingRejection::AlreadyTerminal.into());
}

#[test]
fn what_a_person_cannot_do_is_not_repeated() {
    let workflow = review();
    let failed = HumanAnswer::Failed {
        failure_type: FailureType::Timeout,
        error: "the line is dead".to_owned(),
    };
    given::<HumanTasks>([entered()])
        .when(|tasks| tasks.answer(&workflow, &speaker("anna", None), &failed, Some(MINUTE), NOW))
        .then([
            gave_up(Some("anna"), FailureType::Timeout, "the line is dead"),
            path_ended(1, EndReason::ActorFailed, None),
            terminal(EndReason::ActorFailed, 1),
        ]);
}

#[test]
fn what_nobody_answers_in_time_follows_its_rule() {
    let workflow = review();
    given::<Posting>([entered()])
        .when(|posting| posting.fail(&workflow, &overdue(attempt(1, 1, 0), MINUTE, NOW)))
        .then([
            gave_up(None, FailureType::Overdue, "nobody answered within 60 s"),
            taken_when(1, 2, 0, "contains:overdue", Some(2)),
        ]);
}

#[test]
fn nobody_claims_what_is_no_persons_or_under_a_name_that_is_none() {
    let script = workflow(&[conversation(1, "", &[""])]);
    given::<HumanTasks>([entered()])
        .when(|tasks| tasks.claim(&script, &speaker("anna", None)))
        .then_rejected(HumanTaskRejection::NotAPersons { conversation_id: FIRST });
    let (review, long) = (review(), "x".repeat(MAX_NAME_CHARS + 1));
    for name in ["", " ", "a\nb", "\u{0}", long.as_str()] {
        let speaker = speaker(name, None);
        given::<HumanTasks>([entered()])
            .when(|tasks| tasks.claim(&review, &speaker))
            .then_rejected(HumanTaskRejection::Name);
    }
}

#[test]
fn a_claim_ends_with_its_task() {
    let loops = with_actor("type = \"human\"", &[conversation(1, "", &["to = 1"])]);
    let again = [entered(), claimed("anna", None), answered("anna", "ok"), taken(1, 1, Some(1))];
    let tasks: HumanTasks = es_core::execution::fold(&again);
    assert_eq!(tasks.claimant(FIRST), None);
    let second = Speaker { attempt: attempt(1, 2, 0), ..speaker("ben", None) };
    assert_eq!(tasks.claim(&loops, &second).unwrap(), [claimed("ben", None)]);
}

/// The tasks after these events, each of which was recorded a second after the one before.
fn open_after(workflow: &Workflow, events: &[PostingEvent]) -> OpenTasks {
    let mut tasks = OpenTasks::default();
    for (number, event) in (1..).zip(events) {
        let id = EventId::from_uuid(Uuid::from_u128(number));
        let seconds = u64::try_from(number).unwrap();
        tasks.take(workflow, id, NOW.plus(Duration::from_secs(seconds)), event);
    }
    tasks
}

#[test]
fn a_task_is_open_from_the_event_that_opened_it() {
    let workflow = review();
    let events = [
        entered(),
        claimed("anna", None),
        gave_up(None, FailureType::Overdue, ""),
        taken_when(1, 2, 0, "contains:overdue", Some(2)),
        released("nobody"),
    ];
    let first = open_after(&workflow, &events[..2]);
    let task = &first.all()[&FIRST];
    assert_eq!(task.since, NOW.plus(Duration::from_secs(1)));
    assert_eq!(task.due_at(&workflow), Some(NOW.plus(Duration::from_secs(61))));
    assert_eq!(task.opened_by, EventId::from_uuid(Uuid::from_u128(1)));
    assert_eq!(task.claim.as_ref().map(|claim| claim.by.as_str()), Some("anna"));

    let second = open_after(&workflow, &events);
    assert_eq!(second.all().keys().collect::<Vec<_>>(), [&ConversationId(2)]);
    let task = &second.all()[&ConversationId(2)];
    assert_eq!(task.due_at(&workflow), Some(NOW.plus(Duration::from_secs(9))));
    assert_eq!(task.claim, None);
    let ended = [entered(), terminal(EndReason::Abandoned, 1)];
    assert_eq!(open_after(&workflow, &ended), OpenTasks::default());
}

#[test]
fn a_task_that_waits_for_a_group_is_open_when_the_group_is_done() {
    let workflow = with_actor(
        "type = \"human\"",
        &[
            conversation(1, "", &["to = 2", "to = 3"]),
            conversation(2, "parallel_group = \"g\"", &[""]),
            conversation(3, "wait_for_group = \"g\"", &[""]),
        ],
    );
    let events = [
        entered(),
        answered("anna", "ok"),
        taken(1, 1, Some(2)),
        taken(1, 2, Some(3)),
        completed(2, "ok"),
        taken(2, 1, None),
    ];
    let open = |count: usize| {
        let tasks = open_after(&workflow, &events[..count]);
        let tasks = tasks.all().values();
        tasks.map(|task| (task.attempt.conversation_id.0, task.since)).collect::<Vec<_>>()
    };
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    assert_eq!(open(4), [(2, at(3))]);
    assert_eq!(open(6), [(3, at(5))]);
}

#[test]
fn a_claim_outlasts_that_the_task_waits_for_its_group_again() {
    let workflow = with_actor(
        "type = \"human\"",
        &[
            conversation(1, "", &["to = 3", "to = 4"]),
            conversation(2, "parallel_group = \"g\"", &[""]),
            conversation(3, "wait_for_group = \"g\"", &[""]),
            conversation(4, "", &["to = 2"]),
        ],
    );
    let third = ConversationId(3);
    let claimed = PostingEvent::HumanTaskClaimed {
        by: "anna".to_owned().into(),
        taken_from: Noted::ABSENT,
        reason: Noted::ABSENT,
        conversation_id: third.into(),
        run_id: run(1).into(),
    };
    let events = [
        entered(),
        completed(1, "ok"),
        taken(1, 1, Some(3)),
        taken(1, 2, Some(4)),
        claimed,
        completed(4, "ok"),
        taken(4, 1, Some(2)),
        completed(2, "ok"),
    ];
    assert!(!open_after(&workflow, &events[..7]).all().contains_key(&third));
    let tasks = open_after(&workflow, &events);
    let task = &tasks.all()[&third];
    assert_eq!(task.since, NOW.plus(Duration::from_secs(8)));
    let by = task.claim.as_ref().map(|claim| claim.by.as_str());
    assert_eq!(by, Some("anna"));
    let tasks: HumanTasks = es_core::execution::fold(&events);
    assert_eq!(tasks.claimant(third), by, "who decides says the same");
    let again = [&events[..], &[completed(3, "ok"), taken(3, 1, Some(3))]].concat();
    assert_eq!(open_after(&workflow, &again).all()[&third].claim, None);
}
