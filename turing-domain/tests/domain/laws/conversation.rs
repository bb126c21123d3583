//! Events, commands and examples of a conversation.

use proptest::prelude::*;
use turing_domain::{
    ConversationEvent, ConversationRejection, ConversationWaves, RunId, WaveCompletion,
};

use super::shared::{CONVERSATION, RUN, conversation_ids, noted, run_ids};

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Start(RunId, u32),
    Complete(WaveCompletion),
}

pub(crate) fn decide(
    waves: &ConversationWaves,
    command: &Command,
) -> Result<Vec<ConversationEvent>, ConversationRejection> {
    match command {
        Command::Start(run_id, count) => Ok(waves.start_wave(CONVERSATION, *run_id, *count)),
        Command::Complete(completion) => waves.complete_wave(completion),
    }
}

pub(crate) fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        (run_ids(), 0..=9_u32).prop_map(|(run_id, count)| Command::Start(run_id, count)),
        (run_ids(), 0..=9_u32, 0..=9_u32).prop_map(|(run_id, processed_count, failed_count)| {
            Command::Complete(WaveCompletion {
                conversation_id: CONVERSATION,
                run_id,
                processed_count,
                failed_count,
                duration: None,
            })
        }),
    ]
}

pub(crate) fn events() -> impl Strategy<Value = ConversationEvent> {
    let counts = || noted(any::<u32>());
    prop_oneof![
        (noted(run_ids()), counts(), counts(), noted(conversation_ids())).prop_map(
            |(run_id, wave, posting_count, conversation_id)| {
                ConversationEvent::ConversationStarted {
                    run_id,
                    wave,
                    posting_count,
                    conversation_id,
                }
            }
        ),
        (
            noted(run_ids()),
            counts(),
            counts(),
            counts(),
            noted(conversation_ids()),
            noted(any::<u64>())
        )
            .prop_map(
                |(run_id, wave, processed_count, failed_count, conversation_id, duration_ms)| {
                    ConversationEvent::ConversationCompleted {
                        run_id,
                        wave,
                        processed_count,
                        failed_count,
                        conversation_id,
                        duration_ms,
                    }
                }
            ),
    ]
}

pub(crate) fn examples() -> Vec<ConversationEvent> {
    vec![
        ConversationEvent::ConversationStarted {
            run_id: RUN.into(),
            wave: 1.into(),
            posting_count: 2062.into(),
            conversation_id: CONVERSATION.into(),
        },
        ConversationEvent::ConversationCompleted {
            run_id: RUN.into(),
            wave: 1.into(),
            processed_count: 2062.into(),
            failed_count: 3.into(),
            conversation_id: CONVERSATION.into(),
            duration_ms: 245_000.into(),
        },
    ]
}
