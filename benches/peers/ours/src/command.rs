//! Ours, the whole command, which loads each time.

use std::process::ExitCode;

use es_core::Repository;
use es_memory::MemoryStore;
use es_postgres::PostgresStore;
use peer_ours::PostingAggregate;
use peers_harness::{Execution, Failure, InMemory, Outcome, Peer, Ready, Seen};

struct Command {
    store: PostgresStore,
    repository: Repository<PostingAggregate>,
}

impl Peer for Command {
    async fn prepare(url: &str) -> Result<(), Failure> {
        peer_ours::prepare(url).await
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        let store = peer_ours::open(url).await?;
        Ok(Self { repository: Repository::new(store.clone()), store })
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
struct Commands(Repository<PostingAggregate>);

impl InMemory for Commands {
    fn open() -> Result<Self, Failure> {
        Ok(Self(Repository::new(MemoryStore::new())))
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
    peers_harness::main_with_memory::<Command, Commands>()
}
