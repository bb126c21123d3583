//! What all tasks of a run share.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};

use es_core::Repository;
use es_core::environment::Environment;
use es_core::event::EventId;
use turing_domain::{ConversationWaves, Posting, RunId};

use super::breaker::Breakers;
use super::clocks::Clocks;
use super::operators::Operators;
use super::patience::Patience;
use super::pauses::Pauses;
use super::posting_data::PostingData;
use super::starts::Starts;
use super::unread::NewConversations;
use crate::definition::Definition;
use crate::llm::LlmClient;
use crate::lock::RunLock;
use crate::script::Supervisors;
use crate::store::Store;

/// One in so many kept states that loads begin at is folded again, and compared.
pub(super) const SNAPSHOT_CHECKS: NonZeroU64 = NonZeroU64::new(100).expect("100 is not 0");

/// How many states of postings are kept for each attempt in progress: its posting is loaded when it
/// begins and decided on when it is recorded, and one that is alone goes on at once.
pub(super) const STATES: usize = 4;

/// Of how many conversations states are kept at most.
pub(super) const CONVERSATIONS: usize = 1024;

/// What all tasks of a run share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) lock: RunLock,
    pub(super) patience: Patience,
    pub(super) definition: Definition,
    pub(super) run_id: RunId,
    pub(super) postings: Repository<Posting>,
    /// The same, which decides on what is known without reading.
    pub(super) known_postings: Repository<Posting>,
    pub(super) data: PostingData,
    /// They decide so, too: waves tell of the work, and are not needed for it.
    pub(super) conversations: Repository<ConversationWaves>,
    pub(super) new_conversations: NewConversations,
    pub(super) breakers: Breakers,
    /// What actors asked for.
    pub(super) pauses: Pauses,
    pub(super) operators: Operators,
    /// Whether it waits for the end of pauses that have none.
    pub(super) waits_out_pauses: bool,
    pub(super) llm: LlmClient,
    pub(super) supervisors: Supervisors,
    pub(super) starts: Starts,
    pub(super) environment: Environment,
    pub(super) clocks: Clocks,
    pub(super) parallelism: NonZeroUsize,
    /// Whether people are among the actors, who answer while attempts are made.
    pub(super) has_people: bool,
    /// Whether attempts succeed without their actors.
    pub(super) calls_nobody: bool,
    /// The event that began the run.
    pub(super) started_by: Option<EventId>,
    /// How many events this process has recorded for the run.
    pub(super) recorded: AtomicU64,
}

impl Shared {
    pub(super) fn count(&self, events: usize) {
        self.recorded.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(super) fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }
}
