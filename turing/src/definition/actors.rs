//! Whether the actors of a definition can be executed here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use turing_domain::{Actor, ActorKind, Script, Workflow};

use crate::llm::{EndpointError, check_endpoint};
use crate::script::{StartError, resolve_program};

/// What keeps an actor from executing.
pub(super) struct Fault {
    /// The actor's place in the definition's list.
    pub(super) index: usize,
    /// The key that it is about.
    pub(super) setting: &'static str,
    pub(super) message: String,
    pub(super) cure: String,
}

/// The faults of the actors that conversations name. A path that leads nowhere has this cure, if one is
/// given.
pub(super) fn faults<'a>(
    workflow: &'a Workflow,
    folder: &'a Path,
    cure: Option<&'a str>,
) -> impl Iterator<Item = (&'a Actor, Fault)> {
    let used: BTreeSet<_> = workflow.conversations.iter().map(|one| one.actor).collect();
    let actors = workflow.actors.iter().enumerate();
    actors.filter(move |(_, actor)| used.contains(&actor.id)).filter_map(move |(index, actor)| {
        let (setting, message, cure) = fault(&actor.kind, folder, cure)?;
        Some((actor, Fault { index, setting, message, cure }))
    })
}

fn fault(
    kind: &ActorKind,
    folder: &Path,
    cure: Option<&str>,
) -> Option<(&'static str, String, String)> {
    match kind {
        ActorKind::Script(script) => {
            let (message, cure) = told(&program(script, folder).err()?, cure);
            Some(("command", message, cure))
        }
        ActorKind::Llm(llm) => {
            let error = check_endpoint(llm).err()?;
            let setting = match error {
                EndpointError::KeyUnset { .. }
                | EndpointError::KeyUnusable { .. }
                | EndpointError::KeyExposed { .. } => "api_key_env",
                EndpointError::Temperature { .. } => "temperature",
                _ => "endpoint",
            };
            let error = error.to_string();
            let (message, cure) =
                error.split_once("; ").unwrap_or((&error, "correct the actor's settings"));
            Some((setting, message.to_owned(), cure.to_owned()))
        }
        // its form is looked at as other schemas are
        ActorKind::Human(_) => None,
    }
}

/// Where the program of a script is.
pub(super) fn program(script: &Script, folder: &Path) -> Result<PathBuf, StartError> {
    let command = script.command.first().map_or("", String::as_str);
    resolve_program(command, folder, &script.env)
}

/// What is wrong, and what to do.
fn told(error: &StartError, cure: Option<&str>) -> (String, String) {
    const PATH: &str = "correct the path; it is relative to the definition's folder";
    let (message, cure) = match error {
        StartError::NotExecutable(path) => {
            let path = path.display().to_string();
            let cure = format!("run `chmod +x '{}'`", path.replace('\'', r"'\''"));
            return (format!("script `{path}` is not executable"), cure);
        }
        StartError::NoExec { path, interpreter } => {
            let path = path.display();
            let cure = format!(
                "name its interpreter first, such as `command = [\"{interpreter}\", \"{path}\"]`"
            );
            let message = format!("script `{path}` lies on a file system that is mounted noexec");
            return (message, cure);
        }
        StartError::NotInPath { name, path } => (
            format!("program `{name}` is in no folder of the actor's PATH ({path})"),
            "write its path, or name PATH in the actor's env",
        ),
        StartError::Refused { path, source } => (
            format!("script `{}` cannot be looked at: {source}", path.display()),
            "correct the path, or the rights of its folders",
        ),
        StartError::NotAFile(_) => (error.to_string(), "name the program, not its folder"),
        _ => (error.to_string(), cure.unwrap_or(PATH)),
    };
    (message, cure.to_owned())
}
