//! Laws of every aggregate, and the stored form of every event.

pub(crate) mod actor;
pub(crate) mod conversation;
pub(crate) mod cutover;
pub(crate) mod definition;
pub(crate) mod executions;
pub(crate) mod imports;
pub(crate) mod posting;
pub(crate) mod shared;
pub(crate) mod tasks;
pub(crate) mod told;
pub(crate) mod workflow;

use es_core::Event;
use turing_domain::{
    ActorBreaker, ConversationEvent, ConversationWaves, Cutover, Posting, PostingEvent,
    RecordedDefinitions, WorkflowEvent, WorkflowRuns,
};

es_testing::aggregate_laws! {
    name = posting_laws,
    aggregate = Posting,
    events = posting::events(),
    snapshots = true,
    golden = "tests/golden/posting",
    examples = posting::examples()
        .into_iter()
        .chain(imports::examples())
        .chain(tasks::examples()),
}

es_testing::aggregate_laws! {
    name = workflow_laws,
    aggregate = WorkflowRuns,
    events = workflow::events(),
    commands = workflow::commands(),
    decide = workflow::decide,
    snapshots = true,
    golden = "tests/golden/workflow",
    examples = workflow::examples(),
}

es_testing::aggregate_laws! {
    name = conversation_laws,
    aggregate = ConversationWaves,
    events = conversation::events(),
    commands = conversation::commands(),
    decide = conversation::decide,
    snapshots = true,
    golden = "tests/golden/conversation",
    examples = conversation::examples(),
}

es_testing::aggregate_laws! {
    name = actor_laws,
    aggregate = ActorBreaker,
    events = actor::events(),
    commands = actor::commands(),
    decide = actor::decide,
    snapshots = true,
    golden = "tests/golden/actor",
    examples = actor::examples(),
}

es_testing::aggregate_laws! {
    name = definition_laws,
    aggregate = RecordedDefinitions,
    events = definition::events(),
    commands = definition::commands(),
    decide = definition::decide,
    snapshots = true,
    golden = "tests/golden/definition",
    examples = definition::examples(),
}

es_testing::aggregate_laws! {
    name = cutover_laws,
    aggregate = Cutover,
    events = cutover::events(),
    commands_given = cutover::commands_given,
    decide = cutover::decide,
    snapshots = true,
    golden = "tests/golden/cutover",
    examples = cutover::examples(),
}

#[test]
fn the_specifications_names_are_all_there() {
    let known: Vec<_> = [PostingEvent::TYPES, WorkflowEvent::TYPES, ConversationEvent::TYPES]
        .concat()
        .iter()
        .map(|kind| kind.name)
        .collect();
    for name in [
        "workflow_started",
        "workflow_completed",
        "workflow_failed",
        "script_execution_completed",
        "llm_call_completed",
        "script_execution_failed",
        "llm_call_failed",
        "posting_terminal",
        "circuit_breaker_open",
        "conversation_started",
        "conversation_completed",
    ] {
        assert!(known.contains(&name), "{name} is missing");
    }
}
