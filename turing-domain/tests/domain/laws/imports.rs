//! Events and examples of what was taken over of another system's state of a posting.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::event::{Payload, Timestamp};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use turing_domain::{ConversationId, PostingEvent};

use super::shared::{CONVERSATION, conversation_ids, texts};

/// Whatever was known there, with these as outputs; `null` is an output that is none.
pub(crate) fn events(
    outputs: impl Strategy<Value = Option<Payload>> + 'static,
) -> BoxedStrategy<PostingEvent> {
    let outputs = outputs.prop_map(|output| output.unwrap_or_else(|| Value::Null.into()));
    (
        (texts(), "[0-9a-f]{64}", option::of(any::<i64>().prop_map(Timestamp::from_micros))),
        (option::of(conversation_ids()), any::<bool>(), any::<bool>()),
        prop::collection::vec(conversation_ids(), 0..4),
        prop::collection::btree_map(conversation_ids(), outputs, 0..4),
    )
        .prop_map(
            |(
                (source, row_digest, recorded_at),
                (current_conversation_id, is_terminal, replaces),
                execution_sequence,
                outputs,
            )| {
                PostingEvent::PostingStateImported {
                    source,
                    row_digest,
                    recorded_at,
                    current_conversation_id,
                    is_terminal,
                    replaces,
                    execution_sequence,
                    outputs,
                }
            },
        )
        .boxed()
}

/// What was added, and what took the place of everything.
pub(crate) fn examples() -> [PostingEvent; 2] {
    let source = || "public.posting_state_checkpoints".to_owned();
    let digest = || "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7".to_owned();
    [
        PostingEvent::PostingStateImported {
            source: source(),
            row_digest: digest(),
            recorded_at: Some(Timestamp::EPOCH.plus(Duration::from_millis(1_763_546_400_500))),
            current_conversation_id: Some(ConversationId(9185)),
            is_terminal: false,
            replaces: false,
            execution_sequence: vec![CONVERSATION],
            outputs: BTreeMap::from([(CONVERSATION, json!({"city": "Berlin"}).into())]),
        },
        PostingEvent::PostingStateImported {
            source: source(),
            row_digest: digest(),
            recorded_at: None,
            current_conversation_id: None,
            is_terminal: true,
            replaces: true,
            execution_sequence: Vec::new(),
            outputs: BTreeMap::new(),
        },
    ]
}
