//! Values that all three aggregates need.

use proptest::option;
use proptest::prelude::*;
use turing_domain::{ActorId, ConversationId, Noted, RunId, WorkflowId};
use uuid::Uuid;

pub(crate) const RUN: RunId = RunId(Uuid::from_u128(0x0193_a1d4_0000_7000_8000_0000_0000_0001));
pub(crate) const WORKFLOW: WorkflowId = WorkflowId(3001);
pub(crate) const CONVERSATION: ConversationId = ConversationId(9184);
pub(crate) const ACTOR: ActorId = ActorId(74);

/// A field that may be absent.
pub(crate) fn noted<S: Strategy>(values: S) -> impl Strategy<Value = Noted<S::Value>> {
    option::weighted(0.8, values).prop_map(Noted)
}

/// Few runs, so that events meet.
pub(crate) fn run_ids() -> impl Strategy<Value = RunId> {
    (1..=3_u128).prop_map(|number| RunId(Uuid::from_u128(number)))
}

pub(crate) fn conversation_ids() -> impl Strategy<Value = ConversationId> {
    prop_oneof![4 => 1..=4_i32, 1 => any::<i32>()].prop_map(ConversationId)
}

pub(crate) fn texts() -> impl Strategy<Value = String> {
    "[a-z \\[\\]\"\\\\äö{}]{0,12}"
}
