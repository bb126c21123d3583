//! Why a cutover does not go on.

use std::path::PathBuf;

use es_core::CommandError;
use es_core::event::Timestamp;
use es_core::execution::{LoadError, NotAppended, StoreError, StoreErrorKind};
use es_postgres::sql_state;
use turing_domain::{CutoverPhase, CutoverRejection, CutoverStep};

use super::mapping::MappingError;
use crate::proposal::command;

/// Why a cutover does not go on. Nothing of the step was done, unless it says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CutoverError {
    /// The store is none in PostgreSQL.
    #[error(
        "a cutover is of PostgreSQL, and this store is not there; open the one in the database that has \
         the old table"
    )]
    NotPostgres,
    /// The mapping is wrong.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// It is another command's turn.
    #[error("{}{}", .0, cure(.0))]
    Rejected(CutoverRejection),
    /// Somebody else carries the cutover on now.
    #[error(
        "the cutover is being carried on by {process}{}; wait for that, or stop it",
        told_since(*since)
    )]
    Held {
        /// The process and its session, as the server names them.
        process: String,
        /// Since when, if the server tells.
        since: Option<Timestamp>,
    },
    /// The columns of the old table are not those of its mapping any more.
    #[error(
        "the columns of {table} are not those that it had when the cutover was created: their names, types \
         or order; make them so again, or take the cutover back by `{}` and create it with a mapping \
         for the table as it is now",
        command("cutover rollback --to none")
    )]
    TableChanged {
        /// The table.
        table: String,
    },
    /// The old table is not there any more.
    #[error(
        "{table} is not there any more, in spite of the cutover; restore it from a backup, or if it is gone \
         for good, go on with the events alone"
    )]
    TableGone {
        /// The table, as it was called when the cutover was created.
        table: String,
    },
    /// The stream and the table `cutovers` tell of different phases.
    #[error(
        "the stream cutover/1 is in phase `{stream}` and the table cutovers in phase `{table}`, though both \
         are written together; somebody has changed the table: set its phase back to {}",
        stream.number()
    )]
    Disagreement {
        /// The phase by the events.
        stream: CutoverPhase,
        /// The phase by the table, or its number.
        table: String,
    },
    /// The name that was given is not that of the table that would be dropped.
    #[error("`{given}` is not the table that would be dropped; if it is to go, confirm `{table}`")]
    NotConfirmed {
        /// The table.
        table: String,
        /// The name that was given.
        given: String,
    },
    /// The old table has been written since it was archived.
    #[error(
        "{table} is not as it was archived; somebody has written it since: archive it again, to another file"
    )]
    WrittenSinceArchive {
        /// The table.
        table: String,
    },
    /// There is another file of the name that the archive is to have.
    #[error("{} is there already and is another file; name one that is not", path.display())]
    ArchiveExists {
        /// The file.
        path: PathBuf,
    },
    /// Something has the name that the archive has until it is whole.
    #[error(
        "{} is in the way of the archive, and is no file that an earlier call has left; remove it, or name \
         another archive",
        path.display()
    )]
    ArchiveInTheWay {
        /// What is in the way.
        path: PathBuf,
    },
    /// The archive cannot be written or read.
    #[error("cannot {} the archive {}", what, path.display())]
    Archive {
        /// What was to be done with it: `write` or `read`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It was stopped before it was done: before the phase began, or was taken back.
    #[error("stopped before it was done; the same command goes on")]
    Stopped,
    /// The cutover's own events cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The database failed, refused, or had no time.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CutoverRejection> for CutoverError {
    fn from(rejection: CutoverRejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl CutoverError {
    /// The same of a decision that was not prepared.
    pub(super) fn of_decision(error: CommandError<CutoverRejection>) -> Self {
        match error {
            CommandError::Rejected(rejection) => Self::Rejected(rejection),
            CommandError::Load(error) => Self::Load(error),
            CommandError::Store(error) => Self::Store(error),
            other => {
                let text = "deciding on the cutover";
                Self::Store(StoreError::new(StoreErrorKind::Other, text).caused_by(other))
            }
        }
    }

    /// The same of an event that was not appended.
    pub(super) fn of_append(error: NotAppended) -> Self {
        let kind = match error.is_transient() {
            true => StoreErrorKind::Busy,
            false => StoreErrorKind::Other,
        };
        let text = "recording what became of the cutover; nothing was done";
        Self::Store(StoreError::new(kind, text).caused_by(error))
    }

    /// Whether the same may succeed a moment later: a lock was held, or somebody was faster.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Store(error) => {
                error.kind() == StoreErrorKind::Busy
                    || matches!(sql_state(error), Some("40001" | "40P01" | "55P03"))
            }
            _ => false,
        }
    }
}

/// A step of the cutover as a command of the program.
pub(crate) fn command_of(step: CutoverStep) -> String {
    command(format_args!("cutover {step}"))
}

/// What is to be done about a refusal, behind a semicolon; or nothing.
fn cure(rejection: &CutoverRejection) -> String {
    use CutoverRejection as Refusal;
    let next = rejection.next().map(command_of);
    match (rejection, next) {
        (Refusal::DiscrepanciesOpen { .. }, Some(next)) => {
            format!("; `{next}` shows them, and how to resolve them")
        }
        (Refusal::OutOfOrder { .. } | Refusal::BackfilledAlready, Some(next)) => {
            format!("; the next step is `{next}`")
        }
        (_, Some(next)) => format!("; that is done by `{next}`"),
        (Refusal::OtherArchive { .. }, None) => {
            let again = command_of(CutoverStep::Archive);
            format!("; name the file that was recorded, or archive the table once more: `{again}`")
        }
        (Refusal::TooEarly { .. }, None) => "; try again then".to_owned(),
        (_, None) => format!("; `{}` shows how far it is", command("cutover status")),
    }
}

fn told_since(since: Option<Timestamp>) -> String {
    since.map_or_else(String::new, |since| format!(" since {since}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_command_whose_turn_it_is() {
        let (phase, needed) = (CutoverPhase::Created, CutoverPhase::ReadsSwitched);
        let next = Some(CutoverStep::DualWrite);
        for (rejection, told) in [
            (
                CutoverRejection::OutOfOrder { phase, needed, next },
                "the cutover is in phase `created`, and this is done in phase `reads-switched`; the \
                 next step is `turing cutover dual-write`",
            ),
            (
                CutoverRejection::DiscrepanciesOpen { open: 2 },
                "discrepancies between the old table and the events are open: 2; `turing cutover \
                 validate` shows them, and how to resolve them",
            ),
            (
                CutoverRejection::NotArchived,
                "the old table is not archived; that is done by `turing cutover deprecate --archive \
                 FILE`",
            ),
            (
                CutoverRejection::TooEarly { until: Timestamp::EPOCH },
                "the old table is kept for 60 days, which is until 1970-01-01T00:00:00.000000Z; try \
                 again then",
            ),
            (
                CutoverRejection::Over,
                "the cutover is over: the old table was dropped; `turing cutover status` shows how \
                 far it is",
            ),
        ] {
            assert_eq!(CutoverError::Rejected(rejection).to_string(), told);
        }
    }

    #[test]
    fn who_holds_the_cutover_is_named_with_the_time() {
        let (process, since) = ("turing 7 on a (session 70)".to_owned(), Some(Timestamp::EPOCH));
        let held = CutoverError::Held { process, since }.to_string();
        assert_eq!(
            held,
            "the cutover is being carried on by turing 7 on a (session 70) since \
             1970-01-01T00:00:00.000000Z; wait for that, or stop it"
        );
    }
}
