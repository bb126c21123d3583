//! Running a workflow over postings: whatever is ready, every fact recorded, resumable at any instant.
//!
//! ```text
//! start or continue the run ─► every posting enters it ─► agenda
//!        ┌──────────────────────────────────────────────────┘
//!        ▼
//!   a free place ─► attempt what is preferred of all that is ready ─► record ─► agenda ─┐
//!        ▲                                                                              │
//!        └──────── until nothing is in progress, nothing is ready and nothing waits ◄───┘
//! ```
//!
//! No posting waits for another one (`wave`); what is attempted meanwhile at one conversation is a wave
//! (`open_waves`). That it begins is recorded, with the end of one that is over just then, while its first
//! attempts are made, and before any of their results. The first of a process, and the first after the
//! store was away, is recorded before its attempts: nobody is called where nothing can be written.
//!
//! A posting for which nothing can be recorded stands apart, and holds up no other.
//!
//! Tasks of people are attempted by nobody (`people`), and do not keep the run from ending its call: they
//! stay open until somebody answers, in whatever process (`ears`), or they are overdue.
//!
//! All that is known between two lines of this picture is in the store: a run that was killed is
//! continued by starting it again.

mod agenda;
mod apart;
mod attempt;
mod before;
mod begin;
mod breaker;
mod clocks;
mod difference;
mod ears;
mod ending;
mod enter;
mod error;
mod gates;
mod give_up;
mod held_file;
mod intake;
mod keep_definition;
mod locked;
mod move_run;
mod moved;
mod noted;
mod notices;
mod observer;
mod open_waves;
mod operators;
mod options;
mod patience;
mod pauses;
mod people;
mod posting_data;
mod report;
mod shared;
mod sight;
mod starts;
mod step;
mod unread;
mod wait;
mod wave;
mod wave_record;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use es_core::Repository;
use es_core::execution::Retry;
use tokio::sync::watch;
use turing_domain::{Cancellation, Posting, PostingId, WorkflowRuns};

use crate::definition::Definition;
use crate::llm::LlmClient;
use crate::lock::RunLock;
use crate::script::Supervisors;
use crate::store::Store;

pub use agenda::{Agenda, Chosen, Gate, Task};
use apart::Apart;
pub(crate) use attempt::script_document;
pub use before::Before;
use begin::{Begin, Found, Histories, begin, fail};
use breaker::Breakers;
use clocks::Clocks;
pub use difference::Difference;
use ending::{cancel, complete};
pub use error::{RunError, StepError};
use error::{told, unless_stopped};
pub use give_up::{GivenUp, postings_of};
pub use intake::{Intake, IntakeError, take_in, take_in_telling};
pub use move_run::{RunMove, move_run};
use notices::Notices;
pub use observer::{Observer, Preparation};
use operators::Operators;
pub use operators::{Cancelled, Paused, PausedNow, carry_out_cancellation};
pub use options::{DEFAULT_SNAPSHOT_INTERVAL, RunOptions};
use patience::Patience;
use pauses::Pauses;
use people::People;
pub use people::WaitingForPeople;
use posting_data::PostingData;
pub(crate) use report::peak_memory_bytes;
pub use report::{ConversationReport, Ending, Left, Report, Without};
use shared::{CONVERSATIONS, SNAPSHOT_CHECKS, STATES, Shared};
pub use sight::{ActorNow, Sight};
use starts::Starts;
use unread::{NewConversations, unread};
pub use wait::{Held, HeldBy, Wait};

/// How often what a run records meets another writer before it gives up.
const RETRY: Retry = Retry::times(5);

/// How a request to run ended.
#[derive(Debug)]
pub enum RunOutcome {
    /// Everything that could be executed was.
    Finished(Report),
    /// It was asked to stop; what is open can be continued. If nothing is, the run is not recorded as
    /// complete yet, and whoever continues it does that. Or only people or ends of pauses are waited for,
    /// or it was cancelled, and is over.
    Stopped(Report),
    /// The same postings went through the same definition in an earlier run, or all of them completed
    /// it in several; or nothing is new, if that was asked for. Nothing was added.
    AlreadyCompleted(Before),
}

/// A run in progress in this process.
struct Run<'a> {
    shared: Arc<Shared>,
    agenda: Agenda,
    apart: Apart,
    people: People,
    report: Report,
    stop: watch::Receiver<bool>,
    /// That another process runs the workflow now.
    lost: Option<RunError>,
    /// How many losses of the lock are told.
    losses: usize,
    /// How often the store had been away when a wave was recorded before its attempts.
    proven_at: Option<usize>,
    /// The pauses that are told, and the cancellation.
    paused_told: BTreeMap<Paused, PausedNow>,
    cancellation_told: Option<Cancellation>,
    notices: Notices,
    observer: &'a mut dyn Observer,
}

/// Runs the postings of `intake` through the workflow, or continues the run that does so; `lock` is
/// what [`Store::lock_run`] gave for it.
///
/// Once `stop` becomes true it lets no further posting enter and starts no attempt, lets those in
/// progress finish, and answers [`RunOutcome::Stopped`], or [`RunError::NotBegun`] if it had not
/// begun.
///
/// Before each attempt the lock is asked whether it is still held. One that was lost is taken again;
/// if another process was faster, the run stops in the same way.
///
/// A store that is away is waited for, for 30 s each time, whatever is asked of it; so is a file that
/// another program holds, from when that has lasted for as long as SQLite waits. So is the start of
/// a script that the system refuses, from when nothing else of the run is in progress that could free
/// what is missing.
///
/// # Errors
///
/// [`RunError`], among them [`RunError::LockLost`]. The run can be continued by the same call.
///
/// # Cancellation
///
/// Dropping the future ends all scripts that it started; the run can be continued.
pub async fn run(
    store: &Store,
    lock: &RunLock,
    definition: Definition,
    mut intake: Intake,
    options: RunOptions,
    stop: watch::Receiver<bool>,
    observer: &mut dyn Observer,
) -> Result<RunOutcome, RunError> {
    if intake.postings.is_empty() {
        return Err(RunError::NoPostings { refused: intake.refused.len() });
    }
    let RunOptions { parallelism, environment, timer, supervisor, .. } = options.clone();
    if lock.workflow() != definition.workflow.id {
        return Err(RunError::OtherLock { locked: lock.workflow(), asked: definition.workflow.id });
    }
    let store = &held_file::asked_once(store);
    let clocks = Clocks { wall: environment.clock.clone(), timer };
    let (notifier, mut notices) = Notices::new();
    let patience = Patience::new(stop.clone(), clocks.timer.clone(), notifier.clone());
    // what came before, the taking in of postings, may have taken long
    let asking = patience.unless_stopped(patience.hold(lock));
    notices.telling(observer, asking).await?;
    let began = clocks.timer.now();
    let runs =
        Repository::<WorkflowRuns>::new(store.events.clone()).with_environment(environment.clone());
    let postings = Repository::<Posting>::new(&store.events)
        .with_retry(RETRY)
        .with_environment(environment.clone())
        .snapshot_every(options.snapshot_interval.get())
        .checked_one_in(SNAPSHOT_CHECKS)
        .with_cache(parallelism.get().saturating_mul(STATES));
    let histories = Histories { runs: &runs, postings: &postings };
    let beginning = begin(store, histories, &definition, &mut intake, &options, &patience);
    let Begin { gave_up, found } = notices.telling(observer, beginning).await?;
    if let Some(gave_up) = &gave_up {
        observer.run_given_up(gave_up);
        for Left { posting, reason } in &gave_up.not_released {
            observer.posting_left(*posting, reason);
        }
    }
    let begun = match found {
        Found::Done(mut before) => {
            before.gave_up = gave_up;
            return Ok(RunOutcome::AlreadyCompleted(before));
        }
        Found::Run(begun) => begun,
    };
    let run_id = begun.run_id;
    if begun.before.postings() > 0 {
        observer.executes_again(&begun.before, intake.postings.len());
    }
    observer.run_begins(run_id, intake.postings.len(), begun.is_continued);

    // their streams have the waves of all runs, of which each wave reads what is new
    let states = definition.workflow.conversations.len().min(CONVERSATIONS);
    let conversations = Repository::new(&store.events).with_retry(RETRY).with_cache(states);
    let conversations = unread(store, conversations.with_environment(environment.clone()));
    let actors = Repository::new(&store.events).with_retry(RETRY);
    let actors = actors.with_environment(environment.clone());
    let policy = definition.workflow.circuit_breaker;
    let breakers = Breakers::new(actors, policy, clocks.clone(), notifier.clone());
    let agenda = Agenda::of(&definition.workflow);
    let workflow = &definition.workflow;
    let has_people = workflow.conversations.iter().any(|one| workflow.person_at(one).is_some());
    let shared = Shared {
        store: store.clone(),
        lock: lock.clone(),
        patience,
        definition,
        run_id,
        known_postings: unread(store, postings.clone()),
        postings,
        data: PostingData::default(),
        conversations,
        new_conversations: NewConversations::of_run(begun.is_continued),
        breakers,
        pauses: Pauses::default(),
        operators: Operators::default(),
        waits_out_pauses: options.waits_out_pauses,
        llm: LlmClient::new(),
        supervisors: Supervisors::new(supervisor),
        starts: Starts::new(stop.clone(), clocks.timer.clone(), notifier),
        environment,
        clocks,
        parallelism,
        has_people,
        calls_nobody: options.calls_nobody,
        started_by: begun.started_by,
        recorded: AtomicU64::new(begun.events as u64),
    };
    let mut run = Run {
        shared: Arc::new(shared),
        agenda,
        apart: Apart::default(),
        people: People::default(),
        report: Report::new(run_id, &intake, begun.is_continued),
        stop,
        lost: None,
        losses: 0,
        proven_at: None,
        paused_told: BTreeMap::new(),
        cancellation_told: None,
        notices,
        observer,
    };
    run.report.gave_up = gave_up;
    if let Some(reason) = begun.unkept {
        run.goes_without("a record of its definition".to_owned(), reason);
    }
    run.observer.can_be_seen(&Sight::of(&run.shared));
    let done = run.carry_out(intake.postings.keys().copied().collect()).await;
    run.observer.run_ends();
    run.people.listening.shutdown().await;
    if let (Err(error @ RunError::Posting { .. }), false) = (&done, begun.is_continued) {
        // a run that not all of its postings can enter cannot be finished by anybody
        let (shared, told) = (run.shared.clone(), error.told());
        let workflow = shared.definition.workflow.id;
        let failing = shared.patience.persist(|| fail(&runs, workflow, run_id, &told));
        unless_stopped(run.telling(failing).await)?;
    }
    let mut is_complete = done?;
    let shared = run.shared.clone();
    if !is_complete {
        match run.telling(cancel(&shared)).await {
            Ok(Some(cancelled)) => run.report.cancelled(cancelled),
            Ok(None) | Err(RunError::NotBegun) => {}
            Err(error) => return Err(error),
        }
    }

    let Run { mut report, mut notices, observer, .. } = run;
    report.elapsed = shared.clocks.timer.now().saturating_duration_since(began);
    report.peak_memory_bytes = peak_memory_bytes();
    if is_complete {
        // over several processes only the wall clock tells, and it may have been set
        let in_all = begun.began.map(|began| shared.clocks.wall.now().since(began));
        let duration = in_all.unwrap_or_default().max(report.elapsed);
        let completing = shared.patience.persist(|| complete(&runs, &shared, &report, duration));
        match notices.telling(observer, completing).await {
            Err(RunError::NotBegun) => is_complete = false,
            completed => completed?,
        }
    }
    report.events = shared.recorded() + u64::from(is_complete);
    shared.postings.flush_snapshots().await;
    Ok(if is_complete { RunOutcome::Finished(report) } else { RunOutcome::Stopped(report) })
}

impl Run<'_> {
    /// Answers whether the run is complete, and is to be recorded as such.
    async fn carry_out(&mut self, postings: Vec<PostingId>) -> Result<bool, RunError> {
        // before anything is looked at, so that nothing is missed
        unless_stopped(self.listen().await)?;
        unless_stopped(self.load_breakers().await)?;
        self.tell_unreadable_breakers();
        self.load_operators().await?;
        self.enter_all(postings).await?;
        // what an interrupted wave had done is known when all postings are
        if self.report.is_continued && self.report.not_entered == 0 && self.lost.is_none() {
            unless_stopped(self.end_interrupted_waves().await)?;
        }
        let executed = self.execute_all().await;
        // a wave whose end is not recorded is ended by who goes on
        let are_waves_over = executed.is_ok();
        let executed = unless_stopped(executed);
        // what was attempted is recorded before it stops, whatever stops it
        while self.apart.len() > 0 {
            let waited = self.wait_for_one_apart().await;
            if executed.is_ok() {
                waited?;
            }
        }
        executed?;
        // somebody may have written to one meanwhile
        self.tell_unreadable_breakers();
        match self.open_breakers().await {
            Err(RunError::NotBegun) => {}
            open => self.report.open_breakers = open?,
        }
        self.report.people = self.waiting_for_people();
        self.report.paused = self.waits_for_pauses();
        if self.report.open > 0 && self.hears() {
            // who cancels it now is told that this process ends it, and it hears nothing any more
            self.load_operators().await?;
        }
        if self.is_cancelled() {
            // what is open is ended by who has the lock
            self.keep_lock().await?;
        }
        let is_complete = are_waves_over && self.report.open == 0 && self.may_complete().await?;
        self.lost.take().map_or(Ok(is_complete), Err)
    }

    /// False once it is asked to stop, another process runs the workflow, or the run is cancelled.
    fn goes_on(&self) -> bool {
        self.hears() && !self.is_cancelled()
    }

    /// False once it is asked to stop, or another process runs the workflow.
    fn hears(&self) -> bool {
        !*self.stop.borrow() && self.lost.is_none()
    }

    fn is_cancelled(&self) -> bool {
        self.shared.operators.cancellation().is_some()
    }

    /// Does some work that does not need the run itself, and tells meanwhile what tasks have to tell.
    async fn telling<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.notices.telling(self.observer, work).await
    }

    /// Tells once that the run goes on without something.
    fn goes_without(&mut self, what: String, reason: String) {
        if self.report.without.iter().all(|known| known.what != what) {
            self.observer.goes_without(&what, &reason);
            self.report.without.push(Without { what, reason });
        }
    }
}
