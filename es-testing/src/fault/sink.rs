//! A sink that fails, or does not answer, when a test says so.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::StoreErrorKind;
use es_core::projection::{
    Batch, Claim, Lease, ProjectionSink, ProjectionStatus, Renewal, Renewed, SinkError,
};

use super::planned;
use crate::sink_wrapper::{SinkWrapper, WrappedSink};

/// A healthy sink whose failures are planned, call by call; a clone is a handle to the same plan.
///
/// It is for tests of what runs projections: what does it do when a commit fails, when its answer is
/// lost, when it never comes?
#[derive(Clone)]
pub struct FaultSink {
    sink: Arc<dyn ProjectionSink>,
    plan: Arc<Mutex<Plan>>,
}

/// A call of a sink that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SinkCall {
    /// [`ProjectionSink::acquire`].
    Acquire,
    /// [`ProjectionSink::renew`].
    Renew,
    /// [`ProjectionSink::release`].
    Release,
    /// [`ProjectionSink::commit`].
    Commit,
    /// [`ProjectionSink::switch`].
    Switch,
    /// [`ProjectionSink::status`].
    Status,
}

#[derive(Debug, Default)]
struct Plan {
    made: HashMap<SinkCall, u64>,
    faults: Vec<(SinkCall, u64, Fault)>,
    outages: HashMap<SinkCall, StoreErrorKind>,
    hanging: HashSet<SinkCall>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Fails(StoreErrorKind),
    LosesTheAnswer,
    Hangs,
}

impl fmt::Debug for FaultSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultSink").field("plan", &*self.plan()).finish_non_exhaustive()
    }
}

impl FaultSink {
    /// A sink that does not fail yet.
    pub fn new(sink: Arc<dyn ProjectionSink>) -> Self {
        Self { sink, plan: Arc::default() }
    }

    /// The sink, for the code under test.
    pub fn sink(&self) -> Arc<dyn ProjectionSink> {
        Arc::new(WrappedSink(self.clone()))
    }

    /// Lets a call fail before anything is done; 1 is the next call of its kind.
    pub fn fail(&self, call: SinkCall, nth: u64, kind: StoreErrorKind) {
        self.plan_for(call, nth, Fault::Fails(kind));
    }

    /// Lets a call have its effect and its answer be lost; 1 is the next call of its kind.
    pub fn lose_answer(&self, call: SinkCall, nth: u64) {
        self.plan_for(call, nth, Fault::LosesTheAnswer);
    }

    /// Lets every call of this kind fail from now on, or with `None` no more.
    pub fn fail_all(&self, call: SinkCall, kind: Option<StoreErrorKind>) {
        let mut plan = self.plan();
        match kind {
            Some(kind) => drop(plan.outages.insert(call, kind)),
            None => drop(plan.outages.remove(&call)),
        }
    }

    /// Lets every call of this kind that is made from now on wait for ever, or none that is made
    /// later.
    pub fn hang(&self, call: SinkCall, is_hanging: bool) {
        let mut plan = self.plan();
        match is_hanging {
            true => plan.hanging.insert(call),
            false => plan.hanging.remove(&call),
        };
    }

    /// How many calls of this kind there were, those that failed included.
    pub fn calls(&self, call: SinkCall) -> u64 {
        self.plan().made.get(&call).copied().unwrap_or(0)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan_for(&self, call: SinkCall, nth: u64, fault: Fault) {
        let nth = self.calls(call) + nth;
        self.plan().faults.push((call, nth, fault));
    }

    /// Counts a call, and tells what is to become of it.
    fn next(&self, call: SinkCall) -> Option<Fault> {
        let mut plan = self.plan();
        let made = plan.made.entry(call).or_default();
        *made += 1;
        let nth = *made;
        if plan.hanging.contains(&call) {
            return Some(Fault::Hangs);
        }
        if let Some(kind) = plan.outages.get(&call) {
            return Some(Fault::Fails(*kind));
        }
        let place = plan.faults.iter().position(|(of, at, _)| (*of, *at) == (call, nth))?;
        Some(plan.faults.remove(place).2)
    }

    async fn with<T>(
        &self,
        call: SinkCall,
        answer: impl Future<Output = Result<T, SinkError>>,
    ) -> Result<T, SinkError> {
        match self.next(call) {
            None => answer.await,
            Some(Fault::Fails(kind)) => Err(planned(kind).into()),
            Some(Fault::LosesTheAnswer) => {
                // a refusal is an answer too, and as lost
                drop(answer.await);
                Err(planned(StoreErrorKind::OutcomeUnknown).into())
            }
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl SinkWrapper for FaultSink {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.sink
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.with(SinkCall::Acquire, self.sink.acquire(claim)).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.with(SinkCall::Renew, self.sink.renew(lease, renewal)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        self.with(SinkCall::Release, self.sink.release(lease)).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.with(SinkCall::Commit, self.sink.commit(lease, batch)).await
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        self.with(SinkCall::Switch, self.sink.switch(lease)).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        self.with(SinkCall::Status, self.sink.status(projection)).await
    }
}
