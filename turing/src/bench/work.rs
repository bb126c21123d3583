//! The workflows and postings that are measured.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::BenchError;
use crate::postings::PostingSource;

/// Who makes the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    /// The run itself, which calls nobody.
    Nobody,
    /// A script that does nothing.
    True,
    /// An endpoint in this process that answers at once.
    Model(SocketAddr),
    /// A script that prints what it reads.
    Cat,
}

impl Actor {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::True => "true",
            Self::Model(_) => "an endpoint",
            Self::Cat => "cat",
        }
    }

    /// What follows the id and the name in its table.
    fn definition(self) -> String {
        let script = |program| {
            format!(
                "type = \"script\"\ncommand = [\"{program}\"]\nenv = {{ PATH = \"/usr/bin:/bin\" }}"
            )
        };
        match self {
            Self::Nobody | Self::True => script("true"),
            Self::Cat => script("cat"),
            Self::Model(address) => {
                format!("type = \"llm\"\nmodel = \"none\"\nendpoint = \"http://{address}\"")
            }
        }
    }
}

/// So many postings, each of which makes so many steps, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) actor: Actor,
    pub(super) postings: u32,
    pub(super) steps: u32,
}

impl Work {
    /// Writes it into a folder, in the place of what was there before.
    pub(super) fn write_to(&self, folder: &Path) -> Result<(PathBuf, PostingSource), BenchError> {
        let definition = folder.join("workflow.toml");
        let postings = folder.join("postings.jsonl");
        for (path, text) in [(&definition, self.definition()), (&postings, self.lines())] {
            let failed = BenchError::system(format!("{} cannot be written", path.display()));
            std::fs::write(path, text).map_err(failed)?;
        }
        Ok((definition, PostingSource::Path(postings)))
    }

    fn definition(&self) -> String {
        let Self { actor, steps, .. } = *self;
        let mut text = format!(
            "[workflow]\nid = 1\nname = \"steps\"\nentry = 1\nmax_total_session_runs = {steps}\n\
             [[actors]]\nid = 1\nname = \"actor\"\n{}\n",
            actor.definition()
        );
        for step in 1..=steps {
            let to = if step < steps { format!("to = {}\n", step + 1) } else { String::new() };
            // a String takes whatever is written into it
            let _ = write!(
                text,
                "[[conversations]]\nid = {step}\nname = \"step {step}\"\nactor = 1\n\
                 execution_order = {step}\ninput = \"{{posting_id}}\"\n\
                 [[conversations.branches]]\n{to}"
            );
        }
        text
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        for id in 1..=self.postings {
            let _ = writeln!(text, r#"{{"posting_id":{id},"job_description":"advert {id}"}}"#);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;

    #[test]
    fn what_is_measured_can_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        for actor in [Actor::Nobody, Actor::True, Actor::Model(address), Actor::Cat] {
            for steps in [1, 4, 400] {
                let work = Work { actor, postings: 3, steps };
                let (definition, postings) = work.write_to(folder.path()).unwrap();
                let definition = Definition::load(&definition).unwrap();
                assert_eq!(definition.workflow.conversations.len(), steps as usize);
                assert_eq!(postings.read().unwrap().filter(Result::is_ok).count(), 3);
            }
        }
    }
}
