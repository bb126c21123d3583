//! Postings that operators keep from going on.

use turing_domain::{WorkflowEvent, WorkflowRuns};

use super::*;

/// A run of which these events tell.
fn record(events: &[WorkflowEvent]) -> Option<WorkflowRun> {
    let started = WorkflowEvent::WorkflowStarted {
        run_id: run().into(),
        workflow_id: WorkflowId(3001).into(),
        posting_count: Noted::ABSENT,
        input_digest: Noted::ABSENT,
        definition_digest: Noted::ABSENT,
    };
    let mut runs = WorkflowRuns::default();
    runs.evolve(&started);
    events.iter().for_each(|event| runs.evolve(event));
    runs.open_run().cloned()
}

fn paused(at: Option<i32>, until: Option<u64>) -> WorkflowEvent {
    WorkflowEvent::WorkflowPaused {
        run_id: run().into(),
        workflow_id: WorkflowId(3001).into(),
        conversation_id: at.map(ConversationId).into(),
        by: "anna".to_owned().into(),
        because: "the disk is full".to_owned().into(),
        paused_at: after(5).into(),
        until: until.map(after).into(),
    }
}

const HELD: &str = "held at conversation 10 (start), since ";
const UNPAUSE: &str = "turing run unpause 0193a1d4-0000-7000-8000-000000000001";

#[test]
fn what_is_paused_says_by_whom_since_when_until_when_and_why() {
    let entered = [entered_at(10)];
    let by = "paused by anna since 2025-11-24T16:00:05Z";
    let scene = Scene { record: record(&[paused(None, None)]), ..Scene::new() };
    let told = format!("{HELD}its run is {by}: the disk is full; `{UNPAUSE}` ends the pause");
    scene.says(&entered, &told);
    let scene = Scene { record: record(&[paused(Some(10), Some(60))]), ..Scene::new() };
    let told = format!(
        "{HELD}the conversation is {by} until 2025-11-24T16:01:00Z: the disk is full; `{UNPAUSE} \
         --conversation 10` ends the pause"
    );
    scene.says(&entered, &told);
    let pause = ActorEvent::ActorPaused {
        by: "anna".to_owned().into(),
        because: "the machine moves".to_owned().into(),
        paused_at: after(5).into(),
        until: Noted::ABSENT,
    };
    let told = format!(
        "{HELD}actor 1 (shell) is {by}: the machine moves; `turing actor unpause 1` ends the pause"
    );
    Scene::new().broken(1, &[pause]).says(&entered, &told);
}

#[test]
fn a_pause_that_is_over_or_of_another_conversation_keeps_nothing() {
    let entered = [entered_at(10)];
    for pause in [paused(None, Some(10)), paused(Some(20), None)] {
        let scene = Scene { record: record(&[pause]), ..Scene::new() };
        assert!(matches!(scene.ask(&entered).why, Why::Ready { .. }));
    }
}

#[test]
fn a_person_is_waited_for_whatever_is_paused() {
    let scene = Scene { record: record(&[paused(None, None)]), ..Scene::new() };
    assert!(matches!(scene.ask(&[entered_at(50)]).why, Why::Person { .. }));
}

#[test]
fn a_paused_run_on_which_nobody_works_says_how_it_goes_on() {
    let record = record(&[paused(None, None)]);
    let scene = Scene { record, ..Scene::held_by(&Holder::Nobody) };
    let told = scene.ask(&[entered_at(10)]).sentence;
    assert!(told.ends_with(&format!("; nobody works on this run: {RESUME}")), "{told}");
}

#[test]
fn a_run_that_is_being_cancelled_says_so() {
    let cancelled = WorkflowEvent::WorkflowCancellationRequested {
        run_id: run().into(),
        workflow_id: WorkflowId(3001).into(),
        by: "anna".to_owned().into(),
        because: "the wrong adverts".to_owned().into(),
        at_once: false.into(),
    };
    let asked = "its run is being cancelled, as anna wants: the wrong adverts";
    let scene = Scene { record: record(std::slice::from_ref(&cancelled)), ..Scene::new() };
    let told = format!("{HELD}{asked}; process 4711 works on this run");
    scene.says(&[entered_at(10)], &told);
    let scene = Scene { record: record(&[cancelled]), ..Scene::held_by(&Holder::Nobody) };
    let told = scene.ask(&[entered_at(10)]).sentence;
    let cure = "; nobody works on this run: `turing run cancel \
                0193a1d4-0000-7000-8000-000000000001 --because TEXT` ends it";
    assert!(told.ends_with(cure), "{told}");
}
