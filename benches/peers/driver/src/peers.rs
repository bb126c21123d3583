//! Who is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One row of the table.
pub(crate) struct Peer {
    /// As `--only` and the table call it.
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    /// Whether it keeps an aggregate in memory between commands; those that load are compared apart.
    pub(crate) keeps: bool,
    program: Program,
}

/// Where it keeps its events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Postgres,
    UmaDb,
}

enum Program {
    /// One of this workspace, by its name.
    Built(&'static str),
    Python,
    Node,
}

const fn built(name: &'static str, program: &'static str) -> Peer {
    Peer { name, place: Place::Postgres, keeps: false, program: Program::Built(program) }
}

/// All, ours first.
pub(crate) const ALL: [Peer; 12] = [
    built("ours-append", "peer-append"),
    built("ours-command", "peer-command"),
    Peer { keeps: true, ..built("ours-cached", "peer-cached") },
    built("cqrs-es", "peer-cqrs-es"),
    built("esrs", "peer-esrs"),
    built("es-entity", "peer-es-entity"),
    built("disintegrate", "peer-disintegrate"),
    Peer { keeps: true, ..built("eventsourced", "peer-eventsourced") },
    built("eventually", "peer-eventually"),
    Peer { place: Place::UmaDb, ..built("umadb", "peer-umadb") },
    Peer { program: Program::Python, ..built("pyeventsourcing", "") },
    Peer { program: Program::Node, ..built("emmett", "") },
];

/// The server alone.
pub(crate) const LIMITS: Peer = built("sqlx by hand", "peer-limits");

impl Peer {
    /// Whether it is this repository's.
    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with("ours-")
    }

    /// Whether others are compared with it: ours are not, and another store is another thing.
    pub(crate) fn is_measure(&self) -> bool {
        !self.is_ours() && self.place == Place::Postgres && self.name != LIMITS.name
    }

    /// Its program, or why there is none.
    pub(crate) fn command(&self) -> Result<Command, String> {
        let (path, script) = match self.program {
            Program::Built(program) => (folder("PEERS_PROGRAMS")?.join(program), None),
            Program::Python => {
                let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
                (folder("PEERS_PYTHON")?, Some(home.join("python/peer.py")))
            }
            Program::Node => {
                let script = folder("PEERS_WORK")?.join("emmett/peer.mjs");
                (folder("PEERS_NODE")?, Some(script))
            }
        };
        if let Some(why_not) = self.why_not() {
            return Err(why_not);
        }
        if !path.is_file() {
            return Err(self
                .why_not()
                .unwrap_or_else(|| format!("there is no {}", path.display())));
        }
        let mut command = Command::new(path);
        command.args(script);
        Ok(command)
    }

    /// What `run` found when it could not be built.
    fn why_not(&self) -> Option<String> {
        let name = match self.program {
            Program::Built(program) => program,
            Program::Python => "python",
            Program::Node => "emmett",
        };
        let told = folder("PEERS_WORK").ok()?.join(format!("{name}.error"));
        let told = std::fs::read_to_string(told).ok()?;
        Some(format!("cannot be built: {}", told.trim()))
    }
}

/// What `run` tells by a variable.
fn folder(variable: &str) -> Result<PathBuf, String> {
    std::env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("{variable} is not set"))
}
