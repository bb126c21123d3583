//! Actors that cannot be started, and limits that let nothing happen.

use super::{Found, Place, ProblemKind};
use crate::definition::{ActorKind, Llm, Script, Workflow};

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    for actor in &workflow.actors {
        let fault = match &actor.kind {
            ActorKind::Script(script) => script_fault(script),
            ActorKind::Llm(llm) => llm_fault(llm),
            ActorKind::Human => None,
        };
        if let Some((message, cure)) = fault {
            found.add(ProblemKind::UnusableActor, Place::Actor(actor.id), message, cure);
        }
    }
    limits(workflow, found);
}

fn script_fault(script: &Script) -> Option<(String, &'static str)> {
    if script.command.first().is_none_or(String::is_empty) {
        return Some(("`command` names no program".to_owned(), "name it as the first element"));
    }
    if script.command.iter().any(|part| part.contains('\0')) {
        return Some(("`command` contains U+0000".to_owned(), "remove it"));
    }
    let is_bad = |name: &str, value: &str| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    let (name, _) = script.env.iter().find(|(name, value)| is_bad(name, value))?;
    let message = format!("`env` sets {name:?}, which cannot stand in an environment");
    Some((message, "use a name without `=`, and no U+0000"))
}

fn llm_fault(llm: &Llm) -> Option<(String, &'static str)> {
    if llm.model.is_empty() {
        return Some(("`model` is empty".to_owned(), "name the model as the endpoint does"));
    }
    let rest = ["http://", "https://"].iter().find_map(|scheme| llm.endpoint.strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) {
        let message = format!("`endpoint` is {:?}, which is no address", llm.endpoint);
        return Some((message, "use an address such as http://localhost:11434"));
    }
    None
}

fn limits(workflow: &Workflow, found: &mut Found) {
    let mut zero = |place, name: &str| {
        let message = format!("`{name}` is 0, so nothing could ever happen");
        found.add(ProblemKind::ZeroLimit, place, message, "use at least 1, or leave it out");
    };
    if workflow.max_total_session_runs == 0 {
        zero(Place::Workflow, "max_total_session_runs");
    }
    if workflow.circuit_breaker.failures == 0 {
        zero(Place::Workflow, "circuit_breaker.failures");
    }
    for conversation in &workflow.conversations {
        let place = Place::Conversation(conversation.id);
        if conversation.max_instruction_runs == 0 {
            zero(place, "max_instruction_runs");
        }
        if conversation.time_limit.is_some_and(|limit| limit.is_zero()) {
            zero(place, "timeout_seconds");
        }
        for (number, rule) in (1..).zip(&conversation.branches) {
            if rule.max_iterations == Some(0) {
                zero(Place::Branch(conversation.id, number), "max_iterations");
            }
        }
    }
}
