//! Ours, the whole command deciding from the cache of states; the append proves that nothing followed.

use std::process::ExitCode;

use es_core::{Repository, Store};
use es_memory::MemoryStore;
use es_postgres::PostgresStore;
use peer_ours::PostingAggregate;
use peers_harness::{Execution, Failure, InMemory, Outcome, Peer, Ready, Seen};

/// As many states as the largest number of callers has aggregates in hand, and some.
const AGGREGATES: usize = 4_096;

fn repository(store: impl Into<Store>) -> Repository<PostingAggregate> {
    Repository::new(store).with_cache(AGGREGATES).deciding_from_cache()
}

struct Cached {
    store: PostgresStore,
    repository: Repository<PostingAggregate>,
}

impl Peer for Cached {
    async fn prepare(url: &str) -> Result<(), Failure> {
        peer_ours::prepare(url).await
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        let store = peer_ours::open(url).await?;
        Ok(Self { repository: repository(store.clone()), store })
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        peer_ours::decide(&self.repository, aggregate, executions).await
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        peer_ours::load(&self.repository, aggregate).await
    }

    async fn follow(&self, seen: Seen, ready: Ready) -> Result<(), Failure> {
        peer_ours::follow(&self.store, seen, ready).await
    }
}

/// The same in memory.
struct Kept(Repository<PostingAggregate>);

impl InMemory for Kept {
    fn open() -> Result<Self, Failure> {
        Ok(Self(repository(MemoryStore::new())))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        peer_ours::decide(&self.0, aggregate, executions).await
    }
}

fn main() -> ExitCode {
    peers_harness::main_with_memory::<Cached, Kept>()
}
