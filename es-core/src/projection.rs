//! Read models: from events to rows, kept up to date, rebuilt, repaired and watched.
//!
//! A [`Projection`] says which events it wants, which rows an event concerns, and what becomes of a
//! row. The engine does the rest, over any [`ProjectionSink`]: it reads the log, commits rows and
//! checkpoint in one step (so that every event has its effect once, whatever crashes), keeps a second
//! runner out, parks what a projection cannot take, and rebuilds beside the model that is served.
//!
//! ```
//! use es_core::projection::{ApplyError, Projection, Runner, read_row};
//! use es_core::{Event, EventFilter, RecordedEvent, Store};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event)]
//! enum ScriptEvent { ScriptStarted, ScriptFailed }
//!
//! struct Attempts;
//!
//! #[derive(Serialize, Deserialize, Default)]
//! struct AttemptsRow { started: u64, failed: u64 }
//!
//! impl Projection for Attempts {
//!     const NAME: &'static str = "attempts";
//!     const VERSION: u32 = 1;
//!     type Row = AttemptsRow;
//!
//!     fn selection(&self) -> EventFilter {
//!         EventFilter::of::<ScriptEvent>()
//!     }
//!
//!     fn apply(
//!         &self,
//!         _key: &str,
//!         row: Option<AttemptsRow>,
//!         event: &RecordedEvent,
//!     ) -> Result<Option<AttemptsRow>, ApplyError> {
//!         let mut row = row.unwrap_or_default();
//!         match event.decode_one()? {
//!             ScriptEvent::ScriptStarted => row.started += 1,
//!             ScriptEvent::ScriptFailed => row.failed += 1,
//!         }
//!         Ok(Some(row))
//!     }
//! }
//!
//! # async fn example(store: Store) -> Result<(), Box<dyn std::error::Error>> {
//! let mut runner = Runner::new(&store).projection(Attempts);
//! runner.catch_up().await?; // or tokio::spawn(runner.run()), for as long as the program lives
//! let row = read_row::<Attempts>(&store, "posting/7").await?;
//! # Ok(())
//! # }
//! ```
//!
//! | I want to … | look at |
//! |---|---|
//! | keep a model up to date | [`Runner`] |
//! | have it without storing it | [`live`] |
//! | read what I just wrote | [`wait_for`] |
//! | change a projection | raise [`Projection::VERSION`], then [`Rebuild`] |
//! | see what a rebuild would change | [`differences`] |
//! | know whether it is well | [`health`], [`RunnerHandle::health`] |
//! | deal with events that it could not take | [`FailurePolicy`], [`ProjectionSink::parked`] |
//! | run my own statements in the transaction of the commit | [`Definition::handled`] and the backend |
//! | keep a model within the transaction of the append | the backend's inline projections |

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::envelope::RecordedEvent;
use crate::read::EventFilter;
use crate::store::Store;

mod batch;
mod checkpoint;
mod definition;
mod error;
mod fold;
mod health;
mod history;
mod lease;
mod parked;
mod policy;
mod rate;
mod reading;
mod rebuild;
mod runner;
mod signal;
mod sink;
mod status;
mod stop;
mod telemetry;
mod worker;

pub use crate::envelope::EventReference;
pub use batch::{Batch, Content, ModelRow, RowChange};
pub use checkpoint::Checkpoint;
pub use definition::{Definition, RawKeying};
pub use error::{ApplyError, SinkError};
pub use health::{Blocker, Health, HealthState, Lag, LogBlockers, health};
pub use history::{check_active_model, check_history};
pub use lease::{Claim, Lease, Renewal, Renewed, Slot};
pub use parked::{ListParked, Parked, ParkedId, ParkedState};
pub use policy::{BatchLimit, FailurePolicy, LastResort};
pub use reading::{LiveError, WaitError, all_rows, live, read_row, wait_for};
pub use rebuild::{Progress, Rebuild, RebuildError, RowDifference, Watch, differences};
pub use runner::{Runner, RunnerError, RunnerHandle, Stopped};
pub use signal::CommitSignal;
pub use sink::ProjectionSink;
pub use status::{GenerationStatus, Holder, ProjectionStatus, Trouble, TroubleKind};
pub use stop::StopCause;

/// A read model as a pure fold of events to rows, which every backend can store.
///
/// # Contract
///
/// 1. Keys and `apply` are pure: the same arguments give the same answer, in any process. A commit
///    that failed is folded again, and so is the part of a batch before a failure.
///    (`es_testing::projections`: `laws::rebuilt_is_live_is_live_with_restarts`)
/// 2. Keys and `apply` fail for an event that they cannot take, and for nothing else: what becomes
///    of it then is the [`FailurePolicy`]'s business. A panic, of any method of this trait and of the
///    encoding and decoding of a row, counts as a failure of this projection and of no other.
///    (`failures::a_poison_event_stops_without_loss`, `failures::a_panic_is_a_failure`,
///    `guards::an_event_without_keys_waits_for_them`,
///    `guards::a_panic_stops_no_other_projection`)
/// 3. The row that `apply` answers can be stored, has at most
///    [`Limits::STATE_BYTES`](crate::Limits::STATE_BYTES), and is read back as the same JSON value in
///    whatever form a sink gives it back ([`Payload::round_trip`](crate::Payload::round_trip)). One
///    that is not is a failure of its event, whichever events are committed together: each row is
///    judged after each event, and what is read back is what the next event gets.
///    (`failures::a_row_is_judged_after_each_event`, and `es_testing::laws::rows_round_trip`)
pub trait Projection: Send + Sync + 'static {
    /// The name, unique in its store, never used again for another meaning.
    const NAME: &'static str;

    /// To be raised whenever the meaning of the keys or of `apply` changes: models of other versions are
    /// noticed and must be rebuilt.
    const VERSION: u32;

    /// To be raised whenever the stored form of `Row` changes.
    const ROW_REVISION: u32 = 1;

    /// One row of the model, stored as JSON.
    type Row: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Which events the projection wants.
    fn selection(&self) -> EventFilter;

    /// Which rows an event concerns, and with it how a rebuild may divide the work. Unless it is
    /// overridden, each stream has one row, under its name (`type/id`).
    fn keying(&self) -> Keying<Self>
    where
        Self: Sized,
    {
        Keying::Stream
    }

    /// The row under `key` after the event; `None` is no row.
    ///
    /// # Errors
    ///
    /// When the projection cannot take the event, such as one that cannot be decoded.
    fn apply(
        &self,
        key: &str,
        row: Option<Self::Row>,
        event: &RecordedEvent,
    ) -> Result<Option<Self::Row>, ApplyError>;
}

/// Which rows of a projection an event concerns.
///
/// ```
/// use es_core::projection::{ApplyError, Keying, Projection};
/// use es_core::{EventFilter, RecordedEvent};
/// # use serde_json::Value;
///
/// struct Customers;
///
/// impl Customers {
///     fn customer(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError> {
///         let order: Value = event.payload.decode()?;
///         Ok(vec![order["customer"].as_str().ok_or("the order names no customer")?.to_owned()])
///     }
/// }
///
/// impl Projection for Customers {
///     // ...
/// #   const NAME: &'static str = "customers";
/// #   const VERSION: u32 = 1;
/// #   type Row = u64;
/// #   fn selection(&self) -> EventFilter { EventFilter::all() }
/// #   fn apply(&self, _: &str, row: Option<u64>, _: &RecordedEvent) -> Result<Option<u64>, ApplyError> {
/// #       Ok(row)
/// #   }
///     fn keying(&self) -> Keying<Self> {
///         Keying::Across(Self::customer)
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Keying<P> {
    /// The row of its stream, under the stream's name. A rebuild may divide the work by streams.
    Stream,
    /// The rows that the function names, which events of other streams may concern as well; none is
    /// fine. A rebuild has one slice.
    ///
    /// An event of which the keys cannot be told is one that the projection cannot take: if it is
    /// parked, all that follow it in its stream wait behind it, but events of other streams go on,
    /// whichever rows they share with it.
    Across(fn(&P, &RecordedEvent) -> Result<Vec<String>, ApplyError>),
}

impl<P: Projection> Keying<P> {
    /// The keying without its type.
    fn raw(self, projection: &Arc<P>) -> RawKeying {
        match self {
            Self::Stream => RawKeying::Streams,
            Self::Across(keys) => {
                let projection = projection.clone();
                RawKeying::Across(Arc::new(move |event: &RecordedEvent| keys(&projection, event)))
            }
        }
    }
}

/// How the events of a projection may be divided among workers of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slicing {
    /// By stream: nothing is concerned by the events of two streams.
    ByStream,
    /// Not at all.
    Whole,
}

/// Where the store keeps the model of a projection.
fn models<'a>(
    store: &'a Store,
    projection: &str,
) -> Result<&'a Arc<dyn ProjectionSink>, SinkError> {
    store.capabilities().models.as_ref().ok_or_else(|| SinkError::Unusable {
        projection: projection.to_owned(),
        reason: "the store keeps no models".to_owned(),
    })
}

/// The checkpoint that is furthest behind.
fn lowest(checkpoints: &[Checkpoint]) -> &Checkpoint {
    let mut all = checkpoints.iter();
    let first = all.next().unwrap_or(const { &Checkpoint::START });
    all.fold(first, |low, next| if next.position < low.position { next } else { low })
}
