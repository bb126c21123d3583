//! What operators ask of a run.

use es_core::event::Timestamp;
use es_core::execution::fold;

use super::*;
use crate::ids::ConversationId;
use crate::pause::Pause;

const AT: ConversationId = ConversationId(9101);

fn at(seconds: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(seconds))
}

fn pause(seconds: u64, until: Option<u64>) -> Pause {
    Pause::new("anna", "the disk is full", at(seconds), until.map(at))
}

fn paused(conversation: Option<ConversationId>, pause: &Pause) -> WorkflowEvent {
    WorkflowEvent::WorkflowPaused {
        run_id: run(1).into(),
        workflow_id: ID.into(),
        conversation_id: conversation.into(),
        by: pause.by.clone().into(),
        because: pause.because.clone().into(),
        paused_at: pause.since.into(),
        until: pause.until.into(),
    }
}

fn pause_ended(conversation: Option<ConversationId>) -> WorkflowEvent {
    WorkflowEvent::WorkflowPauseEnded {
        run_id: run(1).into(),
        workflow_id: ID.into(),
        conversation_id: conversation.into(),
        by: "ben".to_owned().into(),
    }
}

fn cancellation(at_once: bool) -> Cancellation {
    let (by, because) = ("anna".to_owned(), "the wrong adverts".to_owned());
    Cancellation { by, because, at_once }
}

fn cancelled(at_once: bool) -> WorkflowEvent {
    WorkflowEvent::WorkflowCancellationRequested {
        run_id: run(1).into(),
        workflow_id: ID.into(),
        by: "anna".to_owned().into(),
        because: "the wrong adverts".to_owned().into(),
        at_once: at_once.into(),
    }
}

#[test]
fn a_run_is_paused_once_for_the_same_reason_and_anew_for_another_end() {
    let endless = pause(10, None);
    let decided = given::<WorkflowRuns>([started(1, "a")])
        .when(|runs| runs.pause(ID, run(1), None, &endless))
        .then([paused(None, &endless)])
        .then_again_nothing();
    assert_eq!(decided.state().open_run().unwrap().pause, Some(endless.clone()));
    let bounded = pause(20, Some(60));
    let history = [started(1, "a"), paused(None, &endless)];
    given::<WorkflowRuns>(history)
        .when(|runs| runs.pause(ID, run(1), None, &bounded))
        .then([paused(None, &bounded)]);
}

#[test]
fn a_pause_whose_end_is_past_is_asked_for_anew() {
    let over = pause(10, Some(60));
    let again = pause(60, Some(60));
    given::<WorkflowRuns>([started(1, "a"), paused(None, &over)])
        .when(|runs| runs.pause(ID, run(1), None, &again))
        .then([paused(None, &again)]);
}

#[test]
fn the_pause_of_a_conversation_and_that_of_the_run_end_by_themselves() {
    let pause = pause(10, None);
    let history = [started(1, "a"), paused(None, &pause), paused(Some(AT), &pause)];
    let decided = given::<WorkflowRuns>(history.clone())
        .when(|runs| runs.end_pause(ID, run(1), Some(AT), "ben"))
        .then([pause_ended(Some(AT))])
        .then_again_nothing();
    let state = decided.state();
    let open = state.open_run().unwrap();
    assert_eq!((open.pause_at(None), open.pause_at(Some(AT))), (Some(&pause), None));
    given::<WorkflowRuns>(history)
        .when(|runs| runs.end_pause(ID, run(1), None, "ben"))
        .then([pause_ended(None)]);
}

#[test]
fn a_run_that_is_over_or_unknown_is_neither_paused_nor_goes_on() {
    let pause = pause(10, None);
    let history = [started(1, "a"), completed(1)];
    given::<WorkflowRuns>(history.clone())
        .when(|runs| runs.pause(ID, run(1), None, &pause))
        .then_rejected(WorkflowRejection::RunOver { run_id: run(1) });
    given::<WorkflowRuns>(history)
        .when(|runs| runs.end_pause(ID, run(2), None, "ben"))
        .then_rejected(WorkflowRejection::UnknownRun { run_id: run(2) });
}

#[test]
fn a_cancellation_is_asked_for_once_and_may_become_an_urgent_one() {
    let decided = given::<WorkflowRuns>([started(1, "a")])
        .when(|runs| runs.cancel(ID, run(1), &cancellation(false)))
        .then([cancelled(false)])
        .then_again_nothing();
    let state = decided.state();
    // as long as its postings have not ended it is in progress
    assert_eq!(state.open_run().unwrap().cancellation, Some(cancellation(false)));
    let history = [started(1, "a"), cancelled(false)];
    given::<WorkflowRuns>(history)
        .when(|runs| runs.cancel(ID, run(1), &cancellation(true)))
        .then([cancelled(true)])
        .then_again_nothing();
    given::<WorkflowRuns>([started(1, "a"), cancelled(true)])
        .when(|runs| runs.cancel(ID, run(1), &cancellation(false)))
        .then_nothing();
}

#[test]
fn what_was_cancelled_is_cancelled_and_what_is_over_otherwise_cannot_be() {
    given::<WorkflowRuns>([started(1, "a"), cancelled(false), failed(1)])
        .when(|runs| runs.cancel(ID, run(1), &cancellation(true)))
        .then_nothing();
    for end in [completed(1), failed(1)] {
        given::<WorkflowRuns>([started(1, "a"), end])
            .when(|runs| runs.cancel(ID, run(1), &cancellation(false)))
            .then_rejected(WorkflowRejection::RunOver { run_id: run(1) });
    }
}

#[test]
fn a_run_that_is_being_cancelled_is_paused_no_more() {
    let pause = pause(10, None);
    let history = [started(1, "a"), paused(None, &pause), cancelled(false)];
    let runs: WorkflowRuns = fold(&history);
    given::<WorkflowRuns>(history)
        .when(|runs| runs.pause(ID, run(1), None, &pause))
        .then_rejected(WorkflowRejection::BeingCancelled { run_id: run(1) });
    assert_eq!(runs.open_run().unwrap().pause, None);
}
