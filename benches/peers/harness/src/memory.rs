//! A peer's store in memory, measured as the peer's commands on a server are.

use std::future::Future;

use crate::{Execution, Failure, Outcome, Peer, Ready, Seen};

/// The store in memory of a peer that has one.
pub trait InMemory: Sized + Send + Sync + 'static {
    /// Makes one that is empty.
    ///
    /// # Errors
    ///
    /// When the peer has none.
    fn open() -> Result<Self, Failure>;

    /// A whole command, as [`Peer::command`] is one.
    fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// As [`Peer::forget`].
    fn forget(&self, _aggregate: u64) {}
}

/// The store of those that have none.
pub(crate) enum Nowhere {}

impl InMemory for Nowhere {
    fn open() -> Result<Self, Failure> {
        Err("it has no store in memory".into())
    }

    async fn command(&self, _: u64, _: Vec<Execution>) -> Result<Outcome, Failure> {
        match *self {}
    }
}

/// A store in memory in a peer's place.
pub(crate) struct Memory<M>(M);

impl<M: InMemory> Peer for Memory<M> {
    async fn prepare(_: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn open(_: &str, _: Option<Seen>) -> Result<Self, Failure> {
        M::open().map(Self)
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        self.0.command(aggregate, executions).await
    }

    async fn load(&self, _: u64) -> Result<u64, Failure> {
        Err("only commands are measured in memory".into())
    }

    fn forget(&self, aggregate: u64) {
        self.0.forget(aggregate);
    }

    async fn follow(&self, _: Seen, _: Ready) -> Result<(), Failure> {
        Err("only commands are measured in memory".into())
    }
}
