//! What is derived from the events for people who ask often: where each posting stands, how each
//! run goes, how each conversation does.
//!
//! | read model | a row for each | key |
//! |---|---|---|
//! | [`PostingRow`] | posting | `posting/12345` |
//! | [`RunRow`] | run | the run's id |
//! | [`ConversationRow`] | conversation, over all runs | the conversation's id |
//!
//! They are projections of es-core, which a [`Runner`] keeps up to date
//! in the store beside the events. In a PostgreSQL database the state of postings is kept by the
//! database itself, in the table `posting_state_projection`.

// rows may hold any numbers, for instance by hand: arithmetic on them must not end the program
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod conversation_statistics;
mod durations;
mod in_database;
mod posting_states;
mod repair;
mod run_progress;

pub use conversation_statistics::{ConversationRow, Tokens};
pub use durations::Durations;
pub use in_database::{rebuild_in_database, rebuild_one_in_database};
pub use posting_states::PostingRow;
pub use repair::{RepairError, repair_posting};
pub use run_progress::{RunEvent, RunRow, RunStatus};

use std::time::Duration;

use es_core::backend::{Claim, Definition, Slot};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::RecordedEvent;
use es_core::projection::{BatchLimit, FailurePolicy, Rebuild};
use es_core::{Projection, Runner};
use turing_domain::RunId;
use turing_domain::fields::RUN_ID;

use crate::store::Store;

/// Counts one more.
fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

/// The sum of counters.
fn sum<'a>(counters: impl IntoIterator<Item = &'a u64>) -> u64 {
    counters.into_iter().fold(0, |sum, more| sum.saturating_add(*more))
}

/// The read models that programs keep in this store; what its database keeps is not among them.
pub fn definitions(store: &Store) -> Vec<Definition> {
    let mut definitions = vec![Definition::of::<RunRow>(), Definition::of::<ConversationRow>()];
    if !store.keeps_posting_states() {
        definitions.push(Definition::of::<PostingRow>());
    }
    definitions
}

/// What is done with an event that a read model cannot take: others of its row wait behind it, and
/// other rows go on.
const POLICY: FailurePolicy = FailurePolicy::park_key();

/// The bounds of a commit. More bytes than usual, because a row is written anew by each commit that it
/// is in: a wave takes all its postings a step further, so a small commit has a row for each event.
const BATCH: BatchLimit = BatchLimit::events(100_000).bytes(32 * 1024 * 1024);

/// Keeps read models up to date. Its name in leases is that of this process and no other's.
pub fn runner(store: &Store, definitions: impl IntoIterator<Item = Definition>) -> Runner {
    let runner = Runner::new(&store.events).holder(&holder()).batches(BATCH);
    definitions.into_iter().fold(runner, Runner::definition)
}

/// Makes a read model anew, with as many workers as its events can be divided among.
pub fn rebuild(store: &Store, definition: Definition, slices: u32) -> Rebuild {
    let rebuild = Rebuild::definition(&store.events, definition).holder(&holder());
    rebuild.batches(BATCH).slices(slices)
}

/// What this process asks for to write the model that is served, for a moment.
pub(crate) fn claim(definition: &Definition) -> Claim {
    Claim::of(definition, Slot::Active, holder(), Duration::from_secs(10))
}

fn holder() -> String {
    format!("turing {} ({})", std::process::id(), UuidV7Ids.next_id())
}

/// The names of all read models, wherever they are kept.
pub const NAMES: [&str; 3] = [ConversationRow::NAME, PostingRow::NAME, RunRow::NAME];

/// The run that an event belongs to: as its metadata say, or else its payload.
fn run_of(event: &RecordedEvent) -> Option<RunId> {
    event.metadata.get(RUN_ID).or_else(|| {
        #[derive(serde::Deserialize)]
        struct Payload {
            #[serde(default)]
            run_id: turing_domain::Noted<RunId>,
        }
        event.payload.decode::<Payload>().ok()?.run_id.0
    })
}
