//! Decisions by example: given these events, when this is told, then these events or this refusal.

mod operators;

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::Aggregate;
use es_testing::spec::given;
use uuid::Uuid;

use super::*;
use crate::ids::{RunId, WorkflowId};
use crate::names::EndReason;
use crate::noted::Noted;

const ID: WorkflowId = WorkflowId(3001);

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn start(number: u128, input: &str) -> RunStart {
    RunStart {
        workflow_id: ID,
        run_id: run(number),
        posting_count: 3,
        input_digest: input.to_owned(),
        definition_digest: "d".to_owned(),
        again: false,
    }
}

fn started(number: u128, input: &str) -> WorkflowEvent {
    WorkflowEvent::WorkflowStarted {
        run_id: run(number).into(),
        workflow_id: ID.into(),
        posting_count: 3.into(),
        input_digest: input.to_owned().into(),
        definition_digest: "d".to_owned().into(),
    }
}

fn ended() -> BTreeMap<EndReason, u32> {
    BTreeMap::from([(EndReason::Completed, 2), (EndReason::ActorFailed, 1)])
}

fn completion(number: u128) -> RunCompletion {
    RunCompletion {
        workflow_id: ID,
        run_id: run(number),
        ended_postings: ended(),
        duration: Some(Duration::from_secs(2)),
    }
}

fn completed(number: u128) -> WorkflowEvent {
    WorkflowEvent::WorkflowCompleted {
        run_id: run(number).into(),
        workflow_id: ID.into(),
        ended_postings: ended().into(),
        duration_ms: 2000.into(),
    }
}

fn failed(number: u128) -> WorkflowEvent {
    WorkflowEvent::WorkflowFailed {
        run_id: run(number).into(),
        workflow_id: ID.into(),
        error: "disk gone".to_owned().into(),
    }
}

#[test]
fn a_run_begins_once() {
    let decided = given::<WorkflowRuns>([])
        .when(|runs| runs.start(&start(1, "a")))
        .then([started(1, "a")])
        .then_again_nothing();
    assert_eq!(decided.state().open_run().map(|open| open.run_id), Some(run(1)));
}

#[test]
fn a_second_run_waits_for_the_first() {
    given::<WorkflowRuns>([started(1, "a")])
        .when(|runs| runs.start(&start(2, "b")))
        .then_rejected(WorkflowRejection::RunInProgress { run_id: run(1) });
}

#[test]
fn the_same_input_is_not_run_again_unless_asked_for() {
    let history = [started(1, "a"), completed(1)];
    given::<WorkflowRuns>(history.clone())
        .when(|runs| runs.start(&start(2, "a")))
        .then_rejected(WorkflowRejection::AlreadyCompleted { run_id: run(1) });
    let again = RunStart { again: true, ..start(2, "a") };
    given::<WorkflowRuns>(history.clone()).when(|runs| runs.start(&again)).then([started(2, "a")]);
    given::<WorkflowRuns>(history.clone())
        .when(|runs| runs.start(&start(2, "b")))
        .then([started(2, "b")]);
    let changed = RunStart { definition_digest: "e".to_owned(), ..start(2, "a") };
    let decided = given::<WorkflowRuns>(history).when(|runs| runs.start(&changed));
    assert_eq!(decided.state().open_run().map(|open| open.run_id), Some(run(2)));
}

#[test]
fn the_same_input_is_not_run_again_whatever_ran_after_it() {
    // such as a retry of what failed in it
    given::<WorkflowRuns>([started(1, "a"), completed(1), started(2, "b"), completed(2)])
        .when(|runs| runs.start(&start(3, "a")))
        .then_rejected(WorkflowRejection::AlreadyCompleted { run_id: run(1) });
}

#[test]
fn a_failed_run_does_not_keep_its_input_from_running_again() {
    given::<WorkflowRuns>([started(1, "a"), failed(1)])
        .when(|runs| runs.start(&start(2, "a")))
        .then([started(2, "a")]);
}

#[test]
fn a_run_that_is_over_does_not_begin_again() {
    for end in [completed(1), failed(1)] {
        given::<WorkflowRuns>([started(1, "a"), end])
            .when(|runs| runs.start(&start(1, "b")))
            .then_rejected(WorkflowRejection::RunOver { run_id: run(1) });
    }
}

#[test]
fn a_run_completes_once_every_posting_is_accounted_for() {
    given::<WorkflowRuns>([started(1, "a")])
        .when(|runs| runs.complete(&completion(1)))
        .then([completed(1)])
        .then_again_nothing();
    let mut short = completion(1);
    short.ended_postings.remove(&EndReason::ActorFailed);
    given::<WorkflowRuns>([started(1, "a")]).when(|runs| runs.complete(&short)).then_rejected(
        WorkflowRejection::DoesNotAddUp { run_id: run(1), posting_count: 3, ended: 2 },
    );
}

#[test]
fn a_run_that_is_not_open_does_not_complete() {
    given::<WorkflowRuns>([])
        .when(|runs| runs.complete(&completion(1)))
        .then_rejected(WorkflowRejection::UnknownRun { run_id: run(1) });
    given::<WorkflowRuns>([started(1, "a"), failed(1)])
        .when(|runs| runs.complete(&completion(1)))
        .then_rejected(WorkflowRejection::RunOver { run_id: run(1) });
}

#[test]
fn a_run_fails_once_and_not_after_it_completed() {
    given::<WorkflowRuns>([started(1, "a")])
        .when(|runs| runs.fail(ID, run(1), "disk gone"))
        .then([failed(1)])
        .then_again_nothing();
    given::<WorkflowRuns>([started(1, "a"), completed(1)])
        .when(|runs| runs.fail(ID, run(1), "disk gone"))
        .then_rejected(WorkflowRejection::RunOver { run_id: run(1) });
    given::<WorkflowRuns>([])
        .when(|runs| runs.fail(ID, run(1), "disk gone"))
        .then_rejected(WorkflowRejection::UnknownRun { run_id: run(1) });
}

#[test]
fn a_start_without_a_run_id_disturbs_nothing() {
    let mut runs = WorkflowRuns::default();
    runs.evolve(&WorkflowEvent::WorkflowStarted {
        run_id: Noted::ABSENT,
        workflow_id: Noted::ABSENT,
        posting_count: Noted::ABSENT,
        input_digest: Noted::ABSENT,
        definition_digest: Noted::ABSENT,
    });
    assert!(runs.all().is_empty());
}

#[test]
fn an_end_without_a_run_id_ends_no_run() {
    let mut runs: WorkflowRuns = es_core::execution::fold(&[started(1, "a")]);
    runs.evolve(&WorkflowEvent::WorkflowFailed {
        run_id: Noted::ABSENT,
        workflow_id: ID.into(),
        error: Noted::ABSENT,
    });
    assert_eq!(runs.open_run().map(|open| open.run_id), Some(run(1)));
}

fn moved(number: u128, from: &str, to: &str) -> WorkflowEvent {
    WorkflowEvent::WorkflowMovedToDefinition {
        run_id: run(number).into(),
        workflow_id: ID.into(),
        from_digest: from.to_owned().into(),
        definition_digest: to.to_owned().into(),
    }
}

#[test]
fn a_run_is_moved_to_another_definition_and_back() {
    let decided = given::<WorkflowRuns>([started(1, "a")])
        .when(|runs| runs.move_to_definition(ID, run(1), "e"))
        .then([moved(1, "d", "e")])
        .then_again_nothing();
    let open = decided.state().open_run().unwrap().clone();
    assert_eq!(open.definition_digest.as_deref(), Some("e"));
    given::<WorkflowRuns>([started(1, "a"), moved(1, "d", "e")])
        .when(|runs| runs.move_to_definition(ID, run(1), "d"))
        .then([moved(1, "e", "d")]);
}

#[test]
fn a_run_that_is_over_or_unknown_is_not_moved() {
    given::<WorkflowRuns>([started(1, "a"), completed(1)])
        .when(|runs| runs.move_to_definition(ID, run(1), "e"))
        .then_rejected(WorkflowRejection::RunOver { run_id: run(1) });
    given::<WorkflowRuns>([])
        .when(|runs| runs.move_to_definition(ID, run(1), "e"))
        .then_rejected(WorkflowRejection::UnknownRun { run_id: run(1) });
}

#[test]
fn what_a_run_completed_with_is_the_definition_that_it_was_moved_to() {
    let history = [started(1, "a"), moved(1, "d", "e"), completed(1)];
    let runs: WorkflowRuns = es_core::execution::fold(&history);
    assert!(runs.completed_with("a", "e").is_some());
    assert!(runs.completed_with("a", "d").is_none());
}
