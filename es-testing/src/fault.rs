//! A store, and a sink, that fail when a test says so.

mod sink;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use es_core::{
    AppendError, AppendRequest, Appended, Capabilities, EventStore, IdempotencyKey, LogPage,
    Position, ReadLog, ReadStream, StoreError, StoreErrorKind, StreamId, StreamPage,
};

pub use sink::{FaultSink, SinkCall};

/// A healthy store whose failures are planned, call by call; a clone is a handle to the same plan.
///
/// It is for tests of code that uses a store: what does it do when the disk is full, when the answer
/// is lost, when somebody else was quicker?
///
/// ```
/// # use std::sync::Arc;
/// # use es_core::{AppendRequest, EventStore, ExpectedVersion, NewEvent, Payload};
/// # use es_core::environment::{EventIds, UuidV7Ids};
/// use es_core::StoreErrorKind;
/// use es_memory::MemoryStore;
/// use es_testing::fault::FaultStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let event = || NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&100).unwrap());
/// # let request = || AppendRequest::to("account/1".parse().unwrap(), ExpectedVersion::Any, vec![event()]);
/// let faults = FaultStore::new(Arc::new(MemoryStore::new()));
/// let store: Arc<dyn EventStore> = Arc::new(faults.clone()); // for the code under test
///
/// faults.fail_append(2, StoreErrorKind::Full);
/// assert!(store.append(request()).await.is_ok());
/// assert!(store.append(request()).await.is_err()); // full
/// assert!(store.append(request()).await.is_ok());
/// assert_eq!(faults.appends(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FaultStore {
    store: Arc<dyn EventStore>,
    plan: Arc<Mutex<Plan>>,
}

/// A call of a store that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`EventStore::append`].
    Append,
    /// [`EventStore::find_append`].
    FindAppend,
    /// [`EventStore::read_stream`] and [`EventStore::read_log`].
    Read,
    /// [`EventStore::end_of_log`].
    EndOfLog,
    /// [`EventStore::wait_past`].
    WaitPast,
}

#[derive(Debug, Default)]
struct Plan {
    made: HashMap<Call, u64>,
    faults: Vec<(Call, u64, Fault)>,
    /// What every call fails with.
    outage: Option<StoreErrorKind>,
}

#[derive(Debug)]
enum Fault {
    Fails(StoreErrorKind),
    LosesTheAnswer,
    IsOvertaken(AppendRequest),
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore").field("plan", &self.plan()).finish_non_exhaustive()
    }
}

impl FaultStore {
    /// A store that does not fail yet.
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, plan: Arc::default() }
    }

    /// Lets an append fail before anything is written; 1 is the next append, 2 the one after it.
    ///
    /// With [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown) this is the request that was lost on
    /// its way; [`lose_answer`](Self::lose_answer) is the other half.
    pub fn fail_append(&self, nth: u64, kind: StoreErrorKind) {
        self.fail(Call::Append, nth, kind);
    }

    /// Lets an append be written and its answer be lost: the caller is told
    /// [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown). 1 is the next append.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use es_core::{AppendRequest, EventStore, ExpectedVersion, NewEvent, Payload};
    /// # use es_core::environment::{EventIds, UuidV7Ids};
    /// use es_core::{AppendError, IdempotencyKey};
    /// # use es_memory::MemoryStore;
    /// # use es_testing::fault::FaultStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let event = NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&100)?);
    /// # let request = AppendRequest::to("account/1".parse()?, ExpectedVersion::NoStream, vec![event]);
    /// let store = FaultStore::new(Arc::new(MemoryStore::new()));
    /// store.lose_answer(1);
    /// let request = request.with_key(IdempotencyKey::new("pay in 100")?);
    /// let lost = store.append(request.clone()).await;
    /// assert!(matches!(lost, Err(AppendError::Store(error)) if error.is_outcome_unknown()));
    /// let again = store.append(request).await?;
    /// assert!(again.repeated); // it was written; the key makes the retry safe
    /// # Ok(())
    /// # }
    /// ```
    pub fn lose_answer(&self, nth: u64) {
        self.plan_for(Call::Append, nth, Fault::LosesTheAnswer);
    }

    /// Lets another writer append `first` just before an append; 1 is the next append.
    ///
    /// This is one conflict, and then success: the other writer comes only once. If its append is
    /// refused, the append fails with [`Other`](StoreErrorKind::Other), because the test did not
    /// plan what it meant to.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use es_core::{AppendRequest, EventStore, ExpectedVersion, NewEvent, Payload};
    /// # use es_core::environment::{EventIds, UuidV7Ids};
    /// # use es_core::AppendError;
    /// # use es_memory::MemoryStore;
    /// # use es_testing::fault::FaultStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pay_in = |amount: u32| {
    /// #     let event = NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&amount).unwrap());
    /// #     AppendRequest::to("account/1".parse().unwrap(), ExpectedVersion::NoStream, vec![event])
    /// # };
    /// let store = FaultStore::new(Arc::new(MemoryStore::new()));
    /// store.overtake(1, pay_in(50));
    /// let late = store.append(pay_in(100)).await;
    /// assert!(matches!(late, Err(AppendError::Conflict(conflict)) if conflict.actual.as_u64() == 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn overtake(&self, nth: u64, first: AppendRequest) {
        self.plan_for(Call::Append, nth, Fault::IsOvertaken(first));
    }

    /// Lets a read fail, of a stream or of the log; 1 is the next read.
    pub fn fail_read(&self, nth: u64, kind: StoreErrorKind) {
        self.fail(Call::Read, nth, kind);
    }

    /// Lets a call fail before anything is done; 1 is the next call of its kind.
    pub fn fail(&self, call: Call, nth: u64, kind: StoreErrorKind) {
        self.plan_for(call, nth, Fault::Fails(kind));
    }

    /// Lets every call fail from now on, or with `None` no more; what was planned call by call waits.
    pub fn fail_all(&self, kind: Option<StoreErrorKind>) {
        self.plan().outage = kind;
    }

    /// How many appends there were, those that failed included.
    pub fn appends(&self) -> u64 {
        self.calls(Call::Append)
    }

    /// How many reads of streams and of the log there were, those that failed included.
    pub fn reads(&self) -> u64 {
        self.calls(Call::Read)
    }

    /// How many calls of this kind there were, those that failed included.
    pub fn calls(&self, call: Call) -> u64 {
        self.plan().made.get(&call).copied().unwrap_or(0)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan_for(&self, call: Call, nth: u64, fault: Fault) {
        let nth = self.calls(call) + nth;
        self.plan().faults.push((call, nth, fault));
    }

    /// Counts a call, and tells what is to become of it.
    fn next(&self, call: Call) -> Option<Fault> {
        let mut plan = self.plan();
        let made = plan.made.entry(call).or_default();
        *made += 1;
        let nth = *made;
        if let Some(kind) = plan.outage {
            return Some(Fault::Fails(kind));
        }
        let place = plan.faults.iter().position(|(of, at, _)| (*of, *at) == (call, nth))?;
        Some(plan.faults.remove(place).2)
    }

    fn check(&self, call: Call) -> Result<(), StoreError> {
        match self.next(call) {
            Some(Fault::Fails(kind)) => Err(planned(kind)),
            _ => Ok(()),
        }
    }
}

fn planned(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "this failure was planned by the test")
}

#[async_trait]
impl EventStore for FaultStore {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        match self.next(Call::Append) {
            None => self.store.append(request).await,
            Some(Fault::Fails(kind)) => Err(planned(kind).into()),
            Some(Fault::LosesTheAnswer) => {
                // a refusal is an answer too, and as lost
                let _ = self.store.append(request).await;
                Err(planned(StoreErrorKind::OutcomeUnknown).into())
            }
            Some(Fault::IsOvertaken(first)) => {
                self.store.append(first).await.map_err(|error| {
                    let what = "the writer that the test planned to be quicker was refused";
                    StoreError::new(StoreErrorKind::Other, what).caused_by(error)
                })?;
                self.store.append(request).await
            }
        }
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.check(Call::FindAppend)?;
        self.store.find_append(stream, key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.check(Call::Read)?;
        self.store.read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.check(Call::Read)?;
        self.store.read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.check(Call::EndOfLog)?;
        self.store.end_of_log().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.check(Call::WaitPast)?;
        self.store.wait_past(position).await
    }

    /// Snapshots and models are those of the healthy store.
    fn capabilities(self: Arc<Self>) -> Capabilities {
        self.store.clone().capabilities().through_a_layer()
    }
}
