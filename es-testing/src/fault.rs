//! A store that fails, is late or loses an answer when a test says so.

mod layers;
mod plan;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use es_core::Store;
use es_core::backend::{AppendRequest, StoreErrorKind};
use es_core::layer::Layered;
use tokio::sync::watch;

use self::layers::Events;
use self::plan::{Fault, Plan};

/// The failures of a healthy store, planned call by call; a clone is a handle to the same plan.
///
/// It is for tests of code that uses a store: what does it do when the disk is full, when the answer
/// is lost, when somebody else was quicker? What of the store is events, snapshots, models and blockers
/// fails; a state and the events that follow it are still one call where they were, which is
/// [`Call::LatestWithTail`].
///
/// ```
/// # use es_core::ExpectedVersion;
/// # use es_core::backend::{AppendRequest, NewEvent};
/// # use es_core::environment::{EventIds, UuidV7Ids};
/// # use es_core::event::Payload;
/// use es_core::backend::StoreErrorKind;
/// use es_memory::MemoryStore;
/// use es_testing::fault::{Call, Faults};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let event = || NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&100).unwrap());
/// # let request = || AppendRequest::to("account/1".parse().unwrap(), ExpectedVersion::Any, vec![event()]);
/// let faults = Faults::new();
/// let store = faults.over(MemoryStore::new()); // for the code under test
///
/// faults.fail(Call::Append, 2, StoreErrorKind::Full);
/// assert!(store.append(request()).await.is_ok());
/// assert!(store.append(request()).await.is_err()); // full
/// assert!(store.append(request()).await.is_ok());
/// assert_eq!(faults.calls(Call::Append), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

/// A call that may fail: every method of the three traits, and of
/// [`LogBlockers`](es_core::backend::LogBlockers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each has the name of its method")]
pub enum Call {
    // of `EventStore`
    Append,
    FindAppend,
    ReadStream,
    ReadLog,
    EndOfLog,
    WaitPast,
    // of `SnapshotStore`
    LatestSnapshot,
    SaveSnapshot,
    DeleteSnapshots,
    PruneSnapshots,
    ListSnapshots,
    LatestWithTail,
    // of `ProjectionSink`
    Acquire,
    Renew,
    Release,
    Report,
    Commit,
    Switch,
    Abandon,
    KeepInline,
    ReleaseInline,
    Load,
    Rows,
    Parked,
    RequestRetry,
    Discard,
    Status,
    WaitReached,
    // of `LogBlockers`
    Blocker,
}

/// Where calls wait until a test opens it, for good; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// One that is closed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets go on who waits here, and who comes later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn opened(&self) {
        let mut is_open = self.0.subscribe();
        let opened = is_open.wait_for(|is_open| *is_open).await;
        opened.expect("the sender is this gate's");
    }
}

impl Faults {
    /// No failures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Failures by chance: each call that nothing is planned for fails at this rate, of 1. It is
    /// [`Unavailable`](StoreErrorKind::Unavailable) before anything is done, or, half of the times
    /// where it writes, done and not answered. The same calls in the same order fail the same way.
    pub fn seeded(seed: u64, rate: f64) -> Self {
        Self(Arc::new(Mutex::new(Plan::seeded(seed, rate))))
    }

    /// The store with these failures.
    pub fn over(&self, store: impl Into<Store>) -> Store {
        Layered(Events { store: store.into(), faults: self.clone() }).into()
    }

    /// Lets a call fail before anything is done; 1 is the next call of its kind, 2 the one after it.
    ///
    /// For an append, [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown) is the request that was lost
    /// on its way; [`lose_answer`](Self::lose_answer) is the other half.
    ///
    /// # Panics
    ///
    /// With 0, which is no call.
    #[track_caller]
    pub fn fail(&self, call: Call, nth: u64, kind: StoreErrorKind) {
        self.plan().add(call, nth, Fault::Fails(kind));
    }

    /// Lets every call of this kind fail from now on, or with `None` no more.
    pub fn fail_each(&self, call: Call, kind: Option<StoreErrorKind>) {
        self.plan().fail_each(call, kind);
    }

    /// Lets every call fail from now on, or with `None` no more. Calls are counted meanwhile.
    pub fn fail_all(&self, kind: Option<StoreErrorKind>) {
        self.plan().fail_all(kind);
    }

    /// Lets a call have its effect and its answer be lost: the caller is told
    /// [`OutcomeUnknown`](StoreErrorKind::OutcomeUnknown). 1 is the next call of its kind.
    ///
    /// ```
    /// # use es_core::ExpectedVersion;
    /// # use es_core::backend::{AppendRequest, NewEvent};
    /// # use es_core::environment::{EventIds, UuidV7Ids};
    /// # use es_core::event::Payload;
    /// use es_core::backend::AppendError;
    /// use es_core::execution::IdempotencyKey;
    /// # use es_memory::MemoryStore;
    /// # use es_testing::fault::{Call, Faults};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let event = NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&100)?);
    /// # let request = AppendRequest::to("account/1".parse()?, ExpectedVersion::NoStream, vec![event]);
    /// let faults = Faults::new();
    /// let store = faults.over(MemoryStore::new());
    /// faults.lose_answer(Call::Append, 1);
    /// let request = request.with_key(IdempotencyKey::new("pay in 100")?);
    /// let lost = store.append(request.clone()).await;
    /// assert!(matches!(lost, Err(AppendError::Store(error)) if error.is_outcome_unknown()));
    /// let again = store.append(request).await?;
    /// assert!(again.repeated); // it was written; the key makes the retry safe
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// With 0, which is no call.
    #[track_caller]
    pub fn lose_answer(&self, call: Call, nth: u64) {
        self.plan().add(call, nth, Fault::LosesTheAnswer);
    }

    /// Lets another writer append `first` just before an append; 1 is the next append.
    ///
    /// ```
    /// # use es_core::ExpectedVersion;
    /// # use es_core::backend::{AppendError, AppendRequest, NewEvent};
    /// # use es_core::environment::{EventIds, UuidV7Ids};
    /// # use es_core::event::Payload;
    /// # use es_memory::MemoryStore;
    /// # use es_testing::fault::Faults;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pay_in = |amount: u32| {
    /// #     let event = NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&amount).unwrap());
    /// #     AppendRequest::to("account/1".parse().unwrap(), ExpectedVersion::NoStream, vec![event])
    /// # };
    /// let faults = Faults::new();
    /// let store = faults.over(MemoryStore::new());
    /// faults.overtake(1, pay_in(50));
    /// let late = store.append(pay_in(100)).await;
    /// assert!(matches!(late, Err(AppendError::Conflict(conflict)) if conflict.actual.as_u64() == 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// With 0, which is no call.
    #[track_caller]
    pub fn overtake(&self, nth: u64, first: AppendRequest) {
        self.plan().add(Call::Append, nth, Fault::IsOvertaken(first));
    }

    /// Lets a call wait before anything is done, until the gate is open; 1 is the next call of its
    /// kind.
    ///
    /// # Panics
    ///
    /// With 0, which is no call.
    #[track_caller]
    pub fn delay(&self, call: Call, nth: u64, gate: Gate) {
        self.plan().add(call, nth, Fault::IsDelayed(gate));
    }

    /// The calls that a failure, a delay or a faster writer is planned for, and that were not made yet: a
    /// test that ends with some left has not tested what it planned.
    pub fn left(&self) -> Vec<Call> {
        self.plan().left()
    }

    /// How many calls of this kind there were, those that failed included.
    pub fn calls(&self, call: Call) -> u64 {
        self.plan().calls(call)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
