//! Reading a workflow definition from its file, and everything that must be right before a run.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use turing_domain::check::{Problem, Severity, check};
use turing_domain::{Actor, ActorId, ActorKind, Script, Workflow};

use crate::postings::digest_of;
use crate::script::{StartError, resolve_program};

/// The largest definition, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A workflow that is ready to be run.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The workflow.
    pub workflow: Workflow,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The folder of that file, absolute: scripts are looked for and run there.
    pub folder: PathBuf,
    /// SHA-256 of the file's text.
    pub digest: String,
    /// What may be a mistake, but does not keep the workflow from running.
    pub warnings: Vec<Problem>,
}

/// Why a definition cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The file cannot be read.
    #[error("cannot read the workflow definition {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be a definition.
    #[error("{} has {bytes} bytes; a definition has at most {MAX_BYTES}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The text is not a definition.
    #[error("{} is no workflow definition: {}", path.display(), source.to_string().trim_end())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why; part of the message, because it shows the line.
        source: Box<toml::de::Error>,
    },
    /// The definition has errors.
    #[error("{} cannot be run:{}", path.display(), list(problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The errors.
        problems: Vec<Problem>,
    },
    /// Scripts are missing or not executable, or an actor is of a kind that cannot be executed.
    #[error("{} cannot be run:{}", path.display(), list(problems))]
    Actors {
        /// The file.
        path: PathBuf,
        /// What is wrong with which actor.
        problems: Vec<ActorProblem>,
    },
}

/// What keeps an actor from executing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorProblem {
    /// The actor.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for ActorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor {} ({}): {}", self.actor, self.name, self.problem)
    }
}

fn list(problems: &[impl fmt::Display]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Definition {
    /// Reads and checks the definition in `path`.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`], with all problems of one kind at once.
    pub fn load(path: &Path) -> Result<Self, DefinitionError> {
        let unreadable = |source| DefinitionError::Unreadable { path: path.to_owned(), source };
        let bytes = fs::metadata(path).map_err(unreadable)?.len();
        if bytes > MAX_BYTES {
            return Err(DefinitionError::TooLarge { path: path.to_owned(), bytes });
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let workflow: Workflow = toml::from_str(&text).map_err(|source| {
            DefinitionError::Malformed { path: path.to_owned(), source: Box::new(source) }
        })?;
        let (problems, warnings): (Vec<_>, Vec<_>) =
            check(&workflow).into_iter().partition(|found| found.severity() == Severity::Error);
        if !problems.is_empty() {
            return Err(DefinitionError::Wrong { path: path.to_owned(), problems });
        }
        let file = std::path::absolute(path).map_err(unreadable)?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let digest = digest_of(&text);
        let definition = Self { workflow, path: path.to_owned(), folder, digest, warnings };
        definition.check_actors()?;
        Ok(definition)
    }

    /// Where the program of a script is.
    ///
    /// # Errors
    ///
    /// As [`resolve_program`].
    pub fn program(&self, script: &Script) -> Result<PathBuf, StartError> {
        let command = script.command.first().map_or("", String::as_str);
        resolve_program(command, &self.folder, &script.env)
    }

    fn check_actors(&self) -> Result<(), DefinitionError> {
        let used = |actor: &&Actor| {
            self.workflow.conversations.iter().any(|conversation| conversation.actor == actor.id)
        };
        let problems: Vec<_> = self
            .workflow
            .actors
            .iter()
            .filter(used)
            .filter_map(|actor| {
                let problem = self.problem_of(&actor.kind)?;
                Some(ActorProblem { actor: actor.id, name: actor.name.clone(), problem })
            })
            .collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(DefinitionError::Actors { path: self.path.clone(), problems }),
        }
    }

    fn problem_of(&self, kind: &ActorKind) -> Option<String> {
        match kind {
            ActorKind::Script(script) => self.program(script).err().map(|error| error.to_string()),
            ActorKind::Llm(_) => Some("this version cannot execute actors of type llm".to_owned()),
            ActorKind::Human => Some("this version cannot execute actors of type human".to_owned()),
        }
    }
}
