//! Actors that cannot be started, and limits that let nothing happen.

use super::spot::{Spot, actors, conversations};
use super::{Found, ProblemKind};
use crate::definition::{ActorKind, Llm, LlmProtocol, Script, Workflow};

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    for (spot, actor) in actors(workflow) {
        let fault = match &actor.kind {
            ActorKind::Script(script) => script_fault(script),
            ActorKind::Llm(llm) => llm_fault(llm),
            ActorKind::Human(_) => None,
        };
        if let Some((setting, message, cure)) = fault {
            found.add(ProblemKind::UnusableActor, spot.setting(setting), message, cure);
        }
    }
    limits(workflow, found);
}

/// The setting that is wrong, what is wrong with it, and the cure.
type Fault = (&'static str, String, &'static str);

fn script_fault(script: &Script) -> Option<Fault> {
    if script.command.first().is_none_or(String::is_empty) {
        let message = "`command` names no program".to_owned();
        return Some(("command", message, "name it as the first element"));
    }
    if script.command.iter().any(|part| part.contains('\0')) {
        return Some(("command", "`command` contains U+0000".to_owned(), "remove it"));
    }
    let is_bad = |name: &str, value: &str| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    let (name, _) = script.env.iter().find(|(name, value)| is_bad(name, value))?;
    let message = format!("`env` sets {name:?}, which cannot stand in an environment");
    Some(("env", message, "use a name without `=`, and no U+0000"))
}

fn llm_fault(llm: &Llm) -> Option<Fault> {
    if llm.model.is_empty() {
        let message = "`model` is empty".to_owned();
        return Some(("model", message, "name the model as the endpoint does"));
    }
    if llm.model.contains('\0') {
        return Some(("model", "`model` contains U+0000".to_owned(), "remove it"));
    }
    let rest = ["http://", "https://"].iter().find_map(|scheme| llm.endpoint.strip_prefix(scheme));
    if rest.is_none_or(str::is_empty) {
        let message = format!("`endpoint` is {:?}, which is no address", shown(&llm.endpoint));
        return Some(("endpoint", message, "use an address such as http://localhost:11434"));
    }
    if !llm.stream {
        let limits = [
            ("first_token_seconds", llm.first_token_limit),
            ("between_tokens_seconds", llm.between_tokens_limit),
        ];
        if let Some((setting, _)) = limits.into_iter().find(|(_, limit)| limit.is_some()) {
            let message = format!("`{setting}` is set, and `stream` is false");
            return Some((setting, message, "remove it, or have the answer streamed"));
        }
    }
    llm.max_completion_tokens?;
    let setting = "max_completion_tokens";
    if llm.protocol != LlmProtocol::OpenaiChat {
        let message = "only `openai_chat` has `max_completion_tokens`".to_owned();
        return Some((setting, message, "use `max_tokens`"));
    }
    llm.max_tokens?;
    let message = "`max_tokens` and `max_completion_tokens` are both set".to_owned();
    Some((setting, message, "keep the one that the endpoint takes"))
}

/// An endpoint without the user, the password and the query that somebody wrote into it.
fn shown(endpoint: &str) -> String {
    // a password may hold any of the characters that end a host, so the last `@` ends it
    let (user_info, host) = match endpoint.rsplit_once('@') {
        Some((before, host)) => (Some(before), host),
        None => (None, endpoint),
    };
    let host = host.split(['?', '#']).next().unwrap_or_default();
    let is_scheme = |text: &str| {
        let name = text.strip_suffix(':').filter(|name| !name.is_empty());
        text.is_empty() || name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric()))
    };
    match user_info.map(|before| before.split_once("//")) {
        None => host.to_owned(),
        Some(Some((scheme, _))) if is_scheme(scheme) => format!("{scheme}//***@{host}"),
        Some(_) => format!("***@{host}"),
    }
}

fn limits(workflow: &Workflow, found: &mut Found) {
    let mut zero = |spot: Spot, name: &'static str| {
        let message = format!("`{name}` is 0, so nothing could ever happen");
        let cure = match name {
            name if name.ends_with("_seconds") => "use more than 0, such as 0.5, or leave it out",
            _ => "use at least 1, or leave it out",
        };
        found.add(ProblemKind::ZeroLimit, spot.setting(name), message, cure);
    };
    if workflow.max_total_session_runs == 0 {
        zero(Spot::WORKFLOW, "max_total_session_runs");
    }
    if workflow.circuit_breaker.failures == 0 {
        zero(Spot::WORKFLOW, "circuit_breaker.failures");
    }
    for (spot, actor) in actors(workflow) {
        let limits = match &actor.kind {
            ActorKind::Script(_) => [None; 3],
            ActorKind::Llm(llm) => [
                Some(("connect_seconds", llm.connect_limit)),
                Some(("first_token_seconds", llm.first_token_limit)),
                Some(("between_tokens_seconds", llm.between_tokens_limit)),
            ],
            ActorKind::Human(human) => [Some(("due_seconds", human.due)), None, None],
        };
        for (name, limit) in limits.into_iter().flatten() {
            if limit.is_some_and(|limit| limit.is_zero()) {
                zero(spot, name);
            }
        }
    }
    for (spot, conversation) in conversations(workflow) {
        if conversation.max_instruction_runs == 0 {
            zero(spot, "max_instruction_runs");
        }
        if conversation.time_limit.is_some_and(|limit| limit.is_zero()) {
            zero(spot, "timeout_seconds");
        }
        for (number, rule) in (1..).zip(&conversation.branches) {
            if rule.max_iterations == Some(0) {
                zero(spot.branch(number), "max_iterations");
            }
        }
    }
}
