//! What every peer's program has in common: the event, the state, the figures and how they are timed.
//!
//! A peer implements [`Peer`] by its own public API and calls [`main`], or [`main_with_memory`] if it has
//! a store in memory, too. Its program measures one figure in one database, whose address is in
//! `DATABASE_URL`, and prints a line of JSON to its standard error.

mod arguments;
mod conflicts;
mod cpu;
mod following;
mod memory;
mod posting;
mod speed;

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;

use serde_json::Value;
use tokio::runtime::Builder;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

pub use memory::InMemory;
pub use posting::{Execution, Posting};

use crate::arguments::Figure;
use crate::memory::{Memory, Nowhere};
use crate::speed::Shape;

/// Whatever went wrong; the peer's own error inside.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its events are stored.
    Stored,
    /// Refused, and the peer says that somebody else was faster.
    Conflict,
}

/// Who is told of each event that a follower sees, in the order in which it sees them.
pub type Seen = UnboundedSender<Execution>;

/// Who is told that a follower misses nothing from now on.
pub type Ready = oneshot::Sender<()>;

/// A peer in the form in which it is measured. Aggregates have numbers; it makes its ids of them.
pub trait Peer: Sized + Send + Sync + 'static {
    /// Makes the tables in an empty database, in the peer's own way.
    fn prepare(url: &str) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Connects; whoever follows from within the writers' process tells `seen`.
    fn open(url: &str, seen: Option<Seen>) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// A whole command: loads the aggregate, decides over it, and appends `executions` at once.
    fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Loads the aggregate from its events, and answers how many there were.
    fn load(&self, aggregate: u64) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// Forgets what it keeps of the aggregate in memory, if anything; nobody needs it any more.
    fn forget(&self, _aggregate: u64) {}

    /// Sees every event that is stored after it has said that it is ready, until it is dropped. Called
    /// where [`FOLLOWS`](Self::FOLLOWS) is [`Follows::Log`].
    fn follow(&self, seen: Seen, ready: Ready) -> impl Future<Output = Result<(), Failure>> + Send;

    /// How it follows.
    const FOLLOWS: Follows = Follows::Log;
}

/// How a peer's users learn what was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// By reading the log.
    Log,
    /// By a handler that the writing process calls after it has committed.
    Handler,
    /// Not at all.
    Nothing,
}

/// The runtime of all peers: that of an application, with two workers.
fn measured<P: Peer>(url: &str, figure: &Figure) -> Result<Value, Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        P::prepare(url).await?;
        match *figure {
            Figure::Command { callers, seconds } => {
                speed::commands::<P>(url, Shape::SINGLE, callers, seconds).await
            }
            Figure::Batch { events, callers, seconds } => {
                speed::commands::<P>(url, Shape::batch(events), callers, seconds).await
            }
            Figure::Load { events, seconds } => speed::load::<P>(url, events, seconds).await,
            Figure::Conflicts { seconds } => conflicts::contend::<P>(url, seconds).await,
            Figure::Loss { seconds } => following::storm::<P>(url, seconds).await,
        }
    })
}

/// Measures the figure that the arguments name and prints it; the peer has no store in memory.
pub fn main<P: Peer>() -> ExitCode {
    main_with_memory::<P, Nowhere>()
}

/// Measures the figure that the arguments name and prints it. After the word `memory` it is one of the
/// peer's store in memory, and nothing else of the peer is used.
#[allow(clippy::print_stderr, reason = "the driver reads it; stores of peers print elsewhere")]
pub fn main_with_memory<P: Peer, M: InMemory>() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let is_in_memory = words.next_if(|word| word == "memory").is_some();
    let answered = Figure::from_arguments(words).and_then(|figure| {
        if is_in_memory {
            measured::<Memory<M>>("", &figure)
        } else {
            measured::<P>(&std::env::var("DATABASE_URL")?, &figure)
        }
    });
    match answered {
        Ok(value) => {
            eprintln!("{value}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut shown = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                shown += &format!(": {cause}");
                source = cause.source();
            }
            eprintln!("{shown}");
            ExitCode::FAILURE
        }
    }
}
