//! Values that all three aggregates need.

use std::time::Duration;

use es_core::event::Timestamp;
use proptest::option;
use proptest::prelude::*;
use turing_domain::{ActorId, ConversationId, Noted, Pause, RunId, WorkflowId};
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

/// Pauses of some seconds, or without an end, of which two may ask for the same.
pub(crate) fn pauses() -> impl Strategy<Value = Pause> {
    let people = prop::sample::select(vec!["anna", "ben"]);
    (people, 0..3_u64, option::of(1..3_u64)).prop_map(|(by, since, seconds)| {
        let at = |seconds| Timestamp::EPOCH.plus(Duration::from_secs(seconds));
        Pause::new(by, "the machine moves", at(since), seconds.map(|seconds| at(since + seconds)))
    })
}
