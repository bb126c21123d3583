//! What a conversation asks of the form of an answer.

use super::spot::conversations;
use super::{Found, ProblemKind};
use crate::definition::{ActorKind, Workflow};

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    for (spot, conversation) in conversations(workflow) {
        let mut add = |setting, message: String, cure: &str| {
            found.add(ProblemKind::UnusableSchema, spot.setting(setting), message, cure);
        };
        let actor = workflow.actor(conversation.actor);
        // an actor that does not exist is told of elsewhere
        let is_model = actor.is_none_or(|actor| matches!(actor.kind, ActorKind::Llm(_)));
        match (&conversation.schema, conversation.repair) {
            (Some(_), _) if !is_model => {
                let message = "`schema` is for language models, and the actor is none".to_owned();
                add("schema", message, "name another actor, or remove it");
            }
            (None, 1..) => {
                let message = "`repair` is set, and there is no `schema`".to_owned();
                add("repair", message, "write the `schema`, or remove it");
            }
            (Some(_), repair @ 2..) => {
                let message = format!("`repair` is {repair}, and an answer is repaired once");
                add("repair", message, "use 0 or 1");
            }
            _ => {}
        }
    }
}
