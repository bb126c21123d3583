//! Events, commands and examples of a workflow.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::event::Timestamp;
use proptest::option;
use proptest::prelude::*;
use turing_domain::{
    Cancellation, ConversationId, EndReason, Noted, Pause, RunCompletion, RunId, RunStart,
    WorkflowEvent, WorkflowId, WorkflowRejection, WorkflowRuns,
};

use super::shared::{CONVERSATION, RUN, WORKFLOW, conversation_ids, noted, pauses, run_ids, texts};

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Start(RunStart),
    Complete(RunCompletion),
    Fail(RunId),
    Move(RunId, String),
    Pause(RunId, Option<ConversationId>, Pause),
    EndPause(RunId, Option<ConversationId>),
    Cancel(RunId, Cancellation),
}

pub(crate) fn decide(
    runs: &WorkflowRuns,
    command: &Command,
) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
    match command {
        Command::Start(start) => runs.start(start),
        Command::Complete(completion) => runs.complete(completion),
        Command::Fail(run_id) => runs.fail(WORKFLOW, *run_id, "disk gone"),
        Command::Move(run_id, digest) => runs.move_to_definition(WORKFLOW, *run_id, digest),
        Command::Pause(run_id, at, pause) => runs.pause(WORKFLOW, *run_id, *at, pause),
        Command::EndPause(run_id, at) => runs.end_pause(WORKFLOW, *run_id, *at, "ben"),
        Command::Cancel(run_id, cancellation) => runs.cancel(WORKFLOW, *run_id, cancellation),
    }
}

pub(crate) fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        (run_ids(), "[ab]", any::<bool>()).prop_map(|(run_id, input_digest, again)| {
            Command::Start(RunStart {
                workflow_id: WORKFLOW,
                run_id,
                posting_count: 2,
                input_digest,
                definition_digest: "d".to_owned(),
                again,
            })
        }),
        (run_ids(), ended()).prop_map(|(run_id, ended_postings)| {
            let (workflow_id, duration) = (WORKFLOW, None);
            Command::Complete(RunCompletion { workflow_id, run_id, ended_postings, duration })
        }),
        run_ids().prop_map(Command::Fail),
        (run_ids(), "[de]").prop_map(|(run_id, digest)| Command::Move(run_id, digest)),
        (run_ids(), places(), pauses())
            .prop_map(|(run_id, at, pause)| Command::Pause(run_id, at, pause)),
        (run_ids(), places()).prop_map(|(run_id, at)| Command::EndPause(run_id, at)),
        (run_ids(), texts(), any::<bool>()).prop_map(|(run_id, because, at_once)| {
            let by = "anna".to_owned();
            Command::Cancel(run_id, Cancellation { by, because, at_once })
        }),
    ]
}

/// One conversation of few, or all of them.
fn places() -> impl Strategy<Value = Option<ConversationId>> {
    option::of((1..=2_i32).prop_map(ConversationId))
}

fn times() -> impl Strategy<Value = Timestamp> {
    (0..2_000_u64).prop_map(|seconds| Timestamp::EPOCH.plus(Duration::from_secs(seconds)))
}

fn ended() -> impl Strategy<Value = BTreeMap<EndReason, u32>> {
    let reasons = prop::sample::select(vec![EndReason::Completed, EndReason::ActorFailed]);
    prop::collection::btree_map(reasons, 0..=2_u32, 0..=2)
}

pub(crate) fn events() -> impl Strategy<Value = WorkflowEvent> {
    let workflows = || noted(any::<i32>().prop_map(WorkflowId));
    prop_oneof![
        (noted(run_ids()), workflows(), noted(any::<u32>()), noted(texts()), noted(texts()))
            .prop_map(|(run_id, workflow_id, posting_count, input_digest, definition_digest)| {
                WorkflowEvent::WorkflowStarted {
                    run_id,
                    workflow_id,
                    posting_count,
                    input_digest,
                    definition_digest,
                }
            }),
        (noted(run_ids()), workflows(), noted(ended()), noted(any::<u64>())).prop_map(
            |(run_id, workflow_id, ended_postings, duration_ms)| {
                WorkflowEvent::WorkflowCompleted {
                    run_id,
                    workflow_id,
                    ended_postings,
                    duration_ms,
                }
            }
        ),
        (noted(run_ids()), workflows(), noted(texts())).prop_map(|(run_id, workflow_id, error)| {
            WorkflowEvent::WorkflowFailed { run_id, workflow_id, error }
        }),
        (noted(run_ids()), workflows(), noted(texts()), noted(texts())).prop_map(
            |(run_id, workflow_id, from_digest, definition_digest)| {
                WorkflowEvent::WorkflowMovedToDefinition {
                    run_id,
                    workflow_id,
                    from_digest,
                    definition_digest,
                }
            }
        ),
        (
            (noted(run_ids()), workflows(), noted(conversation_ids())),
            (noted(texts()), noted(texts()), noted(times()), noted(times())),
        )
            .prop_map(
                |((run_id, workflow_id, conversation_id), (by, because, paused_at, until))| {
                    WorkflowEvent::WorkflowPaused {
                        run_id,
                        workflow_id,
                        conversation_id,
                        by,
                        because,
                        paused_at,
                        until,
                    }
                }
            ),
        (noted(run_ids()), workflows(), noted(conversation_ids()), noted(texts())).prop_map(
            |(run_id, workflow_id, conversation_id, by)| WorkflowEvent::WorkflowPauseEnded {
                run_id,
                workflow_id,
                conversation_id,
                by,
            }
        ),
        (noted(run_ids()), workflows(), noted(texts()), noted(texts()), noted(any::<bool>()))
            .prop_map(|(run_id, workflow_id, by, because, at_once)| {
                WorkflowEvent::WorkflowCancellationRequested {
                    run_id,
                    workflow_id,
                    by,
                    because,
                    at_once,
                }
            }),
    ]
}

pub(crate) fn examples() -> Vec<WorkflowEvent> {
    vec![
        WorkflowEvent::WorkflowStarted {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            posting_count: 2089.into(),
            input_digest: "sha256:1f0c".to_owned().into(),
            definition_digest: "sha256:77aa".to_owned().into(),
        },
        WorkflowEvent::WorkflowCompleted {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            ended_postings: BTreeMap::from([
                (EndReason::Completed, 2080),
                (EndReason::NoMatchingBranch, 5),
                (EndReason::ActorFailed, 4),
            ])
            .into(),
            duration_ms: 360_000.into(),
        },
        WorkflowEvent::WorkflowFailed {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            error: "the definition was changed during the run".to_owned().into(),
        },
        WorkflowEvent::WorkflowMovedToDefinition {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            from_digest: "sha256:77aa".to_owned().into(),
            definition_digest: "sha256:90cd".to_owned().into(),
        },
        WorkflowEvent::WorkflowPaused {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            conversation_id: CONVERSATION.into(),
            by: "anna".to_owned().into(),
            because: "the prompt is looked at".to_owned().into(),
            paused_at: Timestamp::from_micros(1_763_546_400_500_000).into(),
            until: Timestamp::from_micros(1_763_553_600_500_000).into(),
        },
        WorkflowEvent::WorkflowPaused {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            conversation_id: Noted::ABSENT,
            by: "anna".to_owned().into(),
            because: "the disk is full".to_owned().into(),
            paused_at: Timestamp::from_micros(1_763_546_400_500_000).into(),
            until: Noted::ABSENT,
        },
        WorkflowEvent::WorkflowPauseEnded {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            conversation_id: CONVERSATION.into(),
            by: "ben".to_owned().into(),
        },
        WorkflowEvent::WorkflowCancellationRequested {
            run_id: RUN.into(),
            workflow_id: WORKFLOW.into(),
            by: "anna".to_owned().into(),
            because: "the wrong adverts".to_owned().into(),
            at_once: false.into(),
        },
    ]
}
