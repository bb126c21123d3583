//! Events and examples of a posting.

use std::time::Duration;

use es_core::event::{Payload, Timestamp};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use turing_domain::{
    ActorId, ConversationId, EndReason, FailureType, Noted, PostingEvent, WorkflowId,
};

use super::executions::Execution;
use super::shared::{ACTOR, CONVERSATION, RUN, WORKFLOW, conversation_ids, noted, run_ids, texts};
use super::told::Told;
use super::{imports, tasks};

fn outputs() -> impl Strategy<Value = Option<Payload>> {
    let json = |text: String| Payload::parse(text).expect("what is generated is JSON");
    prop_oneof![
        4 => texts().prop_map(|text| Some(Value::from(text).into())),
        1 => Just(None),
        1 => any::<f64>().prop_map(|number| Some(json!(number).into())),
        1 => "-?[1-9][0-9]{0,40}([.][0-9]{1,40})?(e[+-]?[0-9]{1,2})?"
            .prop_map(move |digits| Some(json(digits))),
        1 => (texts(), any::<i64>())
            .prop_map(|(text, number)| Some(json!({"a": [text, number]}).into())),
    ]
}

fn failure_types() -> impl Strategy<Value = FailureType> {
    let names = vec!["timeout", "script_error", "unknown", "cosmic_ray"];
    prop::sample::select(names).prop_map(FailureType::from)
}

fn end_reasons() -> impl Strategy<Value = EndReason> {
    let names = vec!["completed", "no_matching_branch", "actor_failed", "tired"];
    prop::sample::select(names).prop_map(EndReason::from)
}

pub(crate) fn events() -> BoxedStrategy<PostingEvent> {
    let counts = || noted(any::<u64>());
    prop_oneof![
        (Execution::any(), outputs(), noted(texts()))
            .prop_map(|(execution, output, status)| execution.script_completed(output, status)),
        (
            Execution::any(),
            outputs(),
            (noted(texts()), noted(texts())),
            [counts(), counts(), counts()],
            Told::any()
        )
            .prop_map(|(execution, output, texts, tokens, told)| {
                execution.llm_completed(output, texts, tokens, told)
            }),
        (Execution::any(), outputs(), noted(texts()), noted(texts())).prop_map(
            |(execution, output, status, by)| execution.human_completed(output, status, by)
        ),
        (Execution::any(), noted(texts()), noted(failure_types()), noted(texts()))
            .prop_map(|(execution, error, failure, stderr)| execution
                .script_failed(error, failure, stderr)),
        (Execution::any(), noted(texts()), noted(failure_types()), noted(texts()), Told::any())
            .prop_map(|(execution, error, failure, model, told)| {
                execution.llm_failed(error, failure, model, told)
            }),
        (Execution::any(), noted(texts()), noted(failure_types()), noted(texts()))
            .prop_map(|(execution, error, failure, by)| execution.human_failed(error, failure, by)),
        tasks::events(),
        way_events(),
        imports::events(outputs()),
    ]
    .boxed()
}

fn way_events() -> BoxedStrategy<PostingEvent> {
    let conversations = || noted(conversation_ids());
    let runs = || noted(run_ids());
    prop_oneof![
        (noted(end_reasons()), conversations(), runs()).prop_map(
            |(reason, final_conversation_id, run_id)| PostingEvent::PostingTerminal {
                reason,
                final_conversation_id,
                run_id,
            }
        ),
        (noted(any::<i32>().prop_map(ActorId)), noted(any::<u32>()), conversations(), runs())
            .prop_map(|(actor_id, failure_count, conversation_id, run_id)| {
                PostingEvent::CircuitBreakerOpen {
                    actor_id,
                    failure_count,
                    conversation_id,
                    run_id,
                }
            }),
        (run_ids(), any::<i32>(), conversation_ids()).prop_map(
            |(run_id, workflow, entry_conversation_id)| PostingEvent::PostingEnteredRun {
                run_id,
                workflow_id: WorkflowId(workflow),
                entry_conversation_id,
            }
        ),
        (
            (any::<u32>(), any::<i32>(), texts()),
            option::of(conversation_ids()),
            conversations(),
            runs()
        )
            .prop_map(|((rule, priority, condition), to, conversation_id, run_id)| {
                PostingEvent::BranchTaken { rule, priority, condition, to, conversation_id, run_id }
            }),
        (
            end_reasons(),
            option::of(any::<u32>()),
            option::of(conversation_ids()),
            conversations(),
            runs()
        )
            .prop_map(|(reason, rule, to, conversation_id, run_id)| {
                PostingEvent::PathEnded { reason, rule, to, conversation_id, run_id }
            }),
        (any::<u32>(), any::<i64>(), failure_types(), conversations(), runs()).prop_map(
            |(attempt, micros, failure_type, conversation_id, run_id)| {
                PostingEvent::RetryScheduled {
                    attempt,
                    due_at: Timestamp::from_micros(micros),
                    failure_type,
                    conversation_id,
                    run_id,
                }
            }
        ),
        (noted(texts()), runs()).prop_map(|(definition_digest, run_id)| {
            PostingEvent::PostingMovedToDefinition { definition_digest, run_id }
        }),
    ]
    .boxed()
}

pub(crate) fn examples() -> Vec<PostingEvent> {
    let success = || Noted(Some("SUCCESS".to_owned()));
    let noted = |text: &str| Noted(Some(text.to_owned()));
    let answer = |text: &str| Some(Value::from(text).into());
    vec![
        Execution::example().script_completed(answer("Berlin"), success()),
        Execution::example()
            .script_completed(Some(json!({"city": "Berlin"}).into()), Noted::ABSENT),
        Execution::example().llm_completed(
            answer("A baker in Berlin"),
            (success(), noted("llama3:8b")),
            [1023.into(), 1000.into(), 23.into()],
            Told::NOTHING,
        ),
        Execution::example().llm_completed(
            answer("A baker in Berlin"),
            (success(), noted("qwen3:8b")),
            [1223.into(), 1000.into(), 223.into()],
            Told::example("stop", "chatcmpl-7f3a"),
        ),
        Execution::example().human_completed(answer("agreed"), success(), Noted::ABSENT),
        Execution::example().human_completed(answer("agreed"), success(), noted("anna")),
        Execution::example().script_failed(
            noted("ended with status 2"),
            FailureType::ScriptError.into(),
            noted("no such column"),
        ),
        Execution::example().llm_failed(
            noted("no answer within 600 s"),
            FailureType::Timeout.into(),
            noted("llama3:8b"),
            Told::NOTHING,
        ),
        Execution::example().llm_failed(
            noted("stopped at the limit of tokens"),
            FailureType::CutOff.into(),
            noted("qwen3:8b"),
            Told::example("length", "chatcmpl-7f3b"),
        ),
        Execution::example().human_failed(
            noted("not my job"),
            FailureType::InvalidInput.into(),
            Noted::ABSENT,
        ),
        Execution::example().human_failed(
            noted("the advert is in Dutch"),
            FailureType::Refused.into(),
            noted("anna"),
        ),
        Execution::example().human_failed(
            noted("nobody answered within 86400 s"),
            FailureType::Overdue.into(),
            Noted::ABSENT,
        ),
        PostingEvent::PostingTerminal {
            reason: EndReason::Completed.into(),
            final_conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::CircuitBreakerOpen {
            actor_id: ACTOR.into(),
            failure_count: 5.into(),
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::PostingEnteredRun {
            run_id: RUN,
            workflow_id: WORKFLOW,
            entry_conversation_id: CONVERSATION,
        },
        PostingEvent::BranchTaken {
            rule: 1,
            priority: 10,
            condition: "contains:[PASS]".to_owned(),
            to: Some(ConversationId(9185)),
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::BranchTaken {
            rule: 2,
            priority: 0,
            condition: "*".to_owned(),
            to: None,
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::PathEnded {
            reason: EndReason::IterationLimit,
            rule: Some(1),
            to: Some(ConversationId(9185)),
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::PathEnded {
            reason: EndReason::NoMatchingBranch,
            rule: None,
            to: None,
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::RetryScheduled {
            attempt: 1,
            due_at: Timestamp::EPOCH.plus(Duration::from_millis(1_763_546_400_500)),
            failure_type: FailureType::Timeout,
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        PostingEvent::PostingMovedToDefinition {
            definition_digest: "sha256:90cd".to_owned().into(),
            run_id: RUN.into(),
        },
    ]
}
