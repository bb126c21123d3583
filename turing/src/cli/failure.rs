//! Why a command ends without its answer, and what is told of that.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use es_core::execution::StoreError;

use super::Verdict;
use super::postings::none_of;
use super::telling::{tell, tell_error};
use crate::proposal::command;
use crate::store::postgres::{Role, is_for_want_of_a_right, missing_grant};
use crate::store::{StoreUrl, StoreUrlError};
use crate::{cutover, descriptors};

/// Why a command ends without its answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("--store: {0}")]
    StoreUrl(#[from] StoreUrlError),
    #[error(transparent)]
    Definition(#[from] crate::definition::DefinitionError),
    #[error(transparent)]
    OfRun(#[from] crate::definition::OfRunError),
    #[error(transparent)]
    Given(#[from] crate::given::GivenError),
    #[error(transparent)]
    Intake(#[from] crate::run::IntakeError),
    #[error(transparent)]
    Run(#[from] crate::run::RunError),
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    #[error(transparent)]
    Account(#[from] crate::account::AccountError),
    #[error(transparent)]
    Load(#[from] es_core::execution::LoadError),
    #[error(transparent)]
    Difference(#[from] es_core::execution::DifferenceError),
    #[error("--diff: the range ends before it begins: {from}, and {to}")]
    Reversed { from: String, to: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Postings(#[from] crate::postings::PostingsError),
    #[error("no posting could be read from {place}: {}", none_of(*refused))]
    NoPostings { place: String, refused: usize },
    #[error(
        "--snapshot-interval and EVENT_SNAPSHOT_INTERVAL take a whole number of events from 1, such \
         as 10, not `{text}`"
    )]
    SnapshotInterval { text: String },
    #[error("{what}")]
    NotFound { what: String },
    #[error("{what}")]
    Usage { what: String },
    #[error("{what}")]
    InTheWay { what: String },
    #[error(
        "the database itself keeps {name}, in the table posting_state_projection: ask that table; \
         `{}` checks it and `{}` mends it",
        command("validate"),
        rebuild(name)
    )]
    KeptByDatabase { name: &'static str },
    #[error(transparent)]
    Projection(#[from] es_core::projection::RunnerError),
    #[error(transparent)]
    Repair(#[from] crate::read_models::RepairError),
    #[error(transparent)]
    Rebuild(#[from] es_core::projection::RebuildError),
    #[error(transparent)]
    Sink(#[from] es_core::projection::SinkError),
    #[error("ended before the attempts in progress were; run the same command to go on")]
    Interrupted,
    #[error("cannot write the demo's files to {}", folder.display())]
    DemoFiles {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{store} has nothing to be made so: name a PostgreSQL database, --store postgres://…")]
    NothingToMigrate { store: String },
    #[error(
        "--metrics: nothing can be served at {address}; give another port, or port 0 for any that is \
         free"
    )]
    Metrics {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("there is not enough left for one attempt, so that none is begun")]
    NoAttempt(#[source] std::io::Error),
    #[error("SIGINT and SIGTERM cannot be received, so nothing could be stopped")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Backup(#[from] es_sqlite::BackupError),
    #[error(transparent)]
    Cutover(#[from] crate::cutover::CutoverError),
    #[error(transparent)]
    People(#[from] crate::people::PeopleError),
    #[error(transparent)]
    Bench(#[from] crate::bench::BenchError),
    #[error("ended before the backup was whole; remove what is there of it, `FILE.unfinished`")]
    BackupInterrupted,
}

/// True if no other path in the same place could be written either.
fn is_of_the_disk(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

fn rebuild(name: &str) -> String {
    command(format_args!("projection rebuild {name}"))
}

impl Failure {
    pub(super) fn verdict(&self) -> Verdict {
        use crate::account::AccountError;
        use crate::bench::BenchError;
        use crate::definition::{OfRunError, RecordedError};
        use crate::given::GivenError;
        use crate::lock::LockError;
        use crate::postings::PostingsError;
        use crate::read_models::RepairError;
        use crate::run::{IntakeError, RunError, StepError};
        use Verdict::{Elsewhere, Found, InTheWay, NoStore, Stopped, Wrong};
        use es_core::projection::{RebuildError, SinkError};
        use es_sqlite::BackupError;
        use turing_domain::PostingRejection;
        match self {
            _ if descriptors::are_lacking(self) => NoStore,
            Self::Run(error) if error.is_of_starts() => NoStore,
            Self::Account(AccountError::NoRun | AccountError::NoSuchRun { .. }) => Found,
            Self::Account(_) => NoStore,
            Self::Given(GivenError::Definition(error)) | Self::OfRun(error) => match error {
                OfRunError::Account(AccountError::NoRun | AccountError::NoSuchRun { .. }) => Found,
                OfRunError::NotRecorded { .. }
                | OfRunError::Recorded(RecordedError::Malformed { .. }) => Wrong,
                _ => NoStore,
            },
            Self::Given(GivenError::Store(_) | GivenError::Load(_)) => NoStore,
            Self::Given(_) => Found,
            Self::NotFound { .. } => Found,
            Self::Postings(PostingsError::Unkept { .. })
            | Self::Intake(IntakeError::Postings(PostingsError::Unkept { .. })) => NoStore,
            Self::DemoFiles { source, .. } if is_of_the_disk(source) => NoStore,
            Self::Metrics { .. } => NoStore,
            Self::Interrupted | Self::BackupInterrupted => Stopped,
            Self::Cutover(error) => verdict_of(error),
            Self::People(error) => verdict_of_people(error),
            Self::Bench(BenchError::Interrupted) => Stopped,
            Self::Bench(BenchError::Incomplete { .. }) => Found,
            Self::Bench(_) => NoStore,
            Self::Backup(BackupError::GivenUp { .. }) => Stopped,
            Self::Backup(BackupError::Store(_)) => NoStore,
            Self::Sink(SinkError::Store(_))
            | Self::Rebuild(RebuildError::Sink(SinkError::Store(_))) => NoStore,
            Self::Repair(RepairError::Sink(SinkError::Store(_))) => NoStore,
            Self::Sink(_) | Self::Rebuild(_) | Self::Projection(_) | Self::Repair(_) => Found,
            Self::Store(_)
            | Self::Load(_)
            | Self::Difference(es_core::execution::DifferenceError::Load(_))
            | Self::Lock(LockError::Store(_) | LockError::Unusable { .. })
            | Self::Intake(IntakeError::Store(_))
            | Self::Run(RunError::Store(_) | RunError::Record(_) | RunError::Lock(_))
            | Self::Run(RunError::Step(StepError::Store(_) | StepError::Load { .. })) => NoStore,
            Self::Run(RunError::Step(_) | RunError::Broken(_)) => Found,
            Self::Run(RunError::NotBegun) => Stopped,
            Self::Lock(LockError::Held { .. }) | Self::Run(RunError::LockLost { .. }) => Elsewhere,
            Self::InTheWay { .. } | Self::Run(RunError::OtherRunOpen { .. }) => InTheWay,
            Self::Run(RunError::Posting {
                source: PostingRejection::InAnotherRun { .. }, ..
            }) => InTheWay,
            _ => Wrong,
        }
    }

    /// True if it may come of a path that leads nowhere.
    fn is_of_files(&self) -> bool {
        use crate::cutover::CutoverError::{Archive, Mapping};
        matches!(
            self,
            Self::Definition(_)
                | Self::Intake(_)
                | Self::Postings(_)
                | Self::Cutover(Mapping(_) | Archive { .. })
        )
    }
}

/// What it means for a cutover that it does not go on.
fn verdict_of(error: &crate::cutover::CutoverError) -> Verdict {
    use crate::cutover::CutoverError;
    use turing_domain::CutoverRejection;
    match error {
        CutoverError::Rejected(CutoverRejection::DiscrepanciesOpen { .. })
        | CutoverError::TableChanged { .. }
        | CutoverError::TableGone { .. }
        | CutoverError::Disagreement { .. } => Verdict::Found,
        CutoverError::Held { .. } => Verdict::Elsewhere,
        CutoverError::Stopped => Verdict::Stopped,
        CutoverError::Archive { .. } | CutoverError::Load(_) | CutoverError::Store(_) => {
            Verdict::NoStore
        }
        CutoverError::NotPostgres
        | CutoverError::Mapping(_)
        | CutoverError::Rejected(_)
        | CutoverError::NotConfirmed { .. }
        | CutoverError::WrittenSinceArchive { .. }
        | CutoverError::ArchiveExists { .. }
        | CutoverError::ArchiveInTheWay { .. } => Verdict::Wrong,
    }
}

/// What it means for who answers that nothing was recorded.
fn verdict_of_people(error: &crate::people::PeopleError) -> Verdict {
    use crate::people::PeopleError;
    match error {
        PeopleError::NotInRun { .. }
        | PeopleError::RunOver { .. }
        | PeopleError::Stale { .. }
        | PeopleError::Claimed { .. } => Verdict::Found,
        PeopleError::NoDefinition { .. }
        | PeopleError::Form { .. }
        | PeopleError::Refused(_)
        | PeopleError::Invalid(_) => Verdict::Wrong,
        PeopleError::Definition(_)
        | PeopleError::Load(_)
        | PeopleError::Contended { .. }
        | PeopleError::Store(_) => Verdict::NoStore,
    }
}

/// The grant that this login lacks for what it asked for, if that is why it failed.
pub(super) async fn grant_lacked(
    failure: &Failure,
    store: Option<&str>,
    role: Role,
) -> Option<String> {
    if !is_for_want_of_a_right(failure) {
        return None;
    }
    let Ok(StoreUrl::Postgres(url)) = store?.parse() else { return None };
    let config = url.config();
    match missing_grant(&config, role).await {
        // the old table may be somebody else's
        None if matches!(failure, Failure::Cutover(_)) => cutover::missing_grant(&config).await,
        grant => grant,
    }
}

pub(super) fn exit_code(done: &Result<Verdict, Failure>) -> u8 {
    done.as_ref().map_or_else(Failure::verdict, |verdict| *verdict).exit_code()
}

/// Tells what is to be done if there were too few descriptors for something.
pub(super) fn tell_descriptors(error: &(dyn Error + 'static)) {
    if descriptors::are_lacking(error) {
        tell(format_args!("  {}", descriptors::cure(descriptors::limit())));
    }
}

/// The file of a store, if nothing is there any more.
fn file_that_is_gone(store: &str) -> Option<PathBuf> {
    match store.parse() {
        Ok(StoreUrl::Sqlite(path)) if matches!(path.try_exists(), Ok(false)) => Some(path),
        _ => None,
    }
}

pub(super) fn tell_failure(failure: &Failure, store: Option<&str>) {
    tell_error(failure);
    tell_descriptors(failure);
    let is_of_run = matches!(failure, Failure::Run(error) if error.is_of_store());
    if let (true, Some(path)) = (is_of_run, store.and_then(file_that_is_gone)) {
        tell(format_args!(
            "  what was recorded is gone with {0}, unless it is at another place by now: put it, or a \
             backup, back before the next call, or that begins a store without it; {0}-wal, if it is \
             there, may have the newest events and belongs to that file",
            path.display()
        ));
    } else if is_of_run {
        tell(
            "  what was recorded stays, and attempts whose results could not be recorded are made again; \
             once the store can be used, the same command goes on",
        );
    }
    if matches!(failure, Failure::Run(error) if error.is_of_starts()) {
        tell("  what was recorded stays; once scripts can be started, the same command goes on");
    }
    let folder = std::env::current_dir();
    let is_gone = folder.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if failure.is_of_files() && is_gone {
        tell("  the working folder was deleted; change to one that exists");
    }
    if let (Verdict::NoStore, Ok(Some(StoreUrl::Sqlite(_))), Some(bytes)) = (
        failure.verdict(),
        store.map(str::parse::<StoreUrl>).transpose(),
        descriptors::largest_file(),
    ) {
        tell(format_args!("  files may have {bytes} bytes at most here, as `ulimit -f` is set"));
    }
}
