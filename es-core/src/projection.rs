//! Read models: from events to rows, kept up to date, rebuilt, repaired and watched.
//!
//! A [`Projection`] is a row: it says what its events are, which rows an event concerns, and how a row
//! evolves. The engine does the rest, over any [`ProjectionSink`]: it reads the log, commits rows and
//! checkpoint in one step (so that every event has its effect once, whatever crashes), keeps a second
//! runner out, parks what a projection cannot take, and rebuilds beside the model that is served.
//!
//! ```
//! use es_core::projection::{Keying, ReadModel};
//! use es_core::{Aggregate, BoxError, Envelope, Event, Projection, Runner, Store};
//! use serde::{Deserialize, Serialize};
//! # #[derive(Event)]
//! # enum ScriptEvent { ScriptStarted, ScriptFailed }
//! # use ScriptEvent::*;
//! # #[derive(Default, Clone)]
//! # struct Script;
//! # impl Aggregate for Script {
//! #     const TYPE: &'static str = "script";
//! #     type Id = i64;
//! #     type Event = ScriptEvent;
//! #     fn evolve(&mut self, _: &ScriptEvent) {}
//! # }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Attempts { started: u64, failed: u64 }
//!
//! impl Projection for Attempts {
//!     const NAME: &'static str = "attempts";
//!     type Event = ScriptEvent;
//!     type Key = i64;
//!     fn keying() -> Keying<Self> {
//!         Keying::per_stream::<Script>()
//!     }
//!     fn evolve(
//!         _: &i64,
//!         row: &mut Option<Self>,
//!         event: &Envelope<ScriptEvent>,
//!     ) -> Result<(), BoxError> {
//!         let row = row.get_or_insert_default();
//!         match event.data {
//!             ScriptStarted => row.started += 1,
//!             ScriptFailed => row.failed += 1,
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # async fn example(store: Store) -> Result<(), Box<dyn std::error::Error>> {
//! // or tokio::spawn(runner.run()), for as long as the program lives
//! Runner::new(&store).projection::<Attempts>().once().await?;
//! let row = ReadModel::<Attempts>::new(&store).get(&7).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | I want to … | look at |
//! |---|---|
//! | keep a model up to date | [`Runner`] |
//! | read rows by their keys, or all | [`ReadModel`] |
//! | have it without storing it | [`ReadModel::live`] |
//! | read what I just wrote | [`ReadModel::wait_for`], [`Table::wait_for`] |
//! | change a projection | raise [`Projection::VERSION`], then [`Rebuild`] |
//! | read several aggregates | an enum of their events, with `#[event(union)]` |
//! | see what a rebuild would change | [`Rebuild::differences`] |
//! | know whether it is well | [`Subscription::health`], [`RunnerHandle::health`] |
//! | deal with events that it could not take | [`Projection::ON_FAILURE`], [`Subscription::parked`] |
//! | have it in a table of my own, for any SQL | [`TableProjection`], [`derive@TableRow`], [`Table`] |
//! | keep a model within the transaction of the append | [`Subscription::keep_inline`] |
//! | do something when something happened | [`Reaction`](crate::Reaction), [`Runner::reaction`] |

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::envelope::Envelope;
use crate::event::Event;
use crate::read::EventFilter;
use crate::store::Store;

pub(crate) mod batch;
pub(crate) mod checkpoint;
pub(crate) mod definition;
pub(crate) mod error;
mod fold;
pub(crate) mod health;
pub(crate) mod history;
mod keying;
pub(crate) mod lease;
mod model;
pub(crate) mod parked;
mod policy;
mod rate;
mod rebuild;
mod runner;
pub(crate) mod signal;
pub(crate) mod sink;
mod status;
mod stop;
pub(crate) mod table;
pub(crate) mod telemetry;
mod typed;
mod waiting;
mod worker;

pub(crate) use crate::envelope::EventReference;
pub use crate::error::BoxError;
pub use crate::subscription::Subscription;
pub(crate) use batch::{Batch, Content, ModelRow, RowChange};
pub(crate) use checkpoint::Checkpoint;
pub(crate) use definition::{Definition, RawKeying};
pub use error::SinkError;
#[cfg(feature = "derive")]
#[cfg_attr(not(doctest), doc = include_str!("derive/table_row.md"))]
#[doc(inline)]
pub use es_macros::TableRow;
pub(crate) use fold::panic_text;
pub(crate) use health::LogBlockers;
pub(crate) use health::health_of;
pub use health::{Blocker, Health, HealthState, Lag};
pub(crate) use history::check_history;
pub use keying::{Keying, Keys, RowKey};
pub(crate) use lease::{Claim, Lease, Renewal, Renewed, Slot};
pub(crate) use model::rows_after;
pub use model::{LiveError, ReadModel};
pub(crate) use parked::ListParked;
pub use parked::{Parked, ParkedId, ParkedState};
pub use policy::{BatchLimit, FailurePolicy, LastResort};
pub use rebuild::{Progress, Rebuild, RebuildError, RowDifference, Watch};
pub(crate) use runner::Means;
pub use runner::{Runner, RunnerError, RunnerHandle, Stopped};
pub(crate) use sink::ProjectionSink;
pub use status::{GenerationStatus, Holder, ProjectionStatus, Trouble, TroubleKind};
pub use stop::StopCause;
pub use table::{
    Changes, Column, Json, KeyOf, RowError, SqlColumn, SqlType, SqlValue, SqlValues, Table,
    TableProjection, TableRow, TableSchema, TableSet, Which,
};
pub(crate) use table::{TableChange, TableRead};
pub(crate) use typed::Parts;
pub use waiting::WaitError;
pub(crate) use waiting::waited_for;
pub(crate) use worker::{chain, forget_passed_trouble};

/// The row of a read model: a pure fold of events, which every backend can store.
///
/// Nothing of a projection stands in a value: what did would be in no fingerprint. Who needs that has
/// [`Definition::rows`].
///
/// # Contract
///
/// 1. Keys and `evolve` are pure: the same arguments give the same answer, in any process. A commit
///    that failed is folded again, and so is the part of a batch before a failure.
///    (`es_testing::projections`: `laws::rebuilt_is_live_is_live_with_restarts`)
/// 2. Keys and `evolve` fail for an event that they cannot take, and for nothing else: what becomes
///    of it then is the [`FailurePolicy`]'s business. A panic, of any function of this trait and of the
///    encoding and decoding of a row, counts as a failure of this projection and of no other.
///    (`failures::a_poison_event_stops_without_loss`, `failures::a_panic_is_a_failure`,
///    `guards::an_event_without_keys_waits_for_them`,
///    `guards::a_panic_stops_no_other_projection`)
/// 3. The row that `evolve` leaves can be stored, has at most
///    [`Limits::STATE_BYTES`](crate::backend::Limits::STATE_BYTES), and is read back as the same
///    JSON value in whatever form a sink gives it back
///    ([`Payload::round_trip`](crate::event::Payload::round_trip)). One that is not is a failure of
///    its event, whichever events are committed together: each row is judged after each event, and
///    what is read back is what the next event gets. (`failures::a_row_is_judged_after_each_event`,
///    and `es_testing::laws::rows_round_trip`)
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no projection",
    note = "implement `Projection` for it; what implements `TableProjection` is added by \
            `Runner::table`, and read by `Table`"
)]
pub trait Projection: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name, unique in its store, never used again for another meaning.
    const NAME: &'static str;

    /// To be raised whenever the meaning of the keys or of `evolve` changes: models of other versions
    /// are noticed and must be rebuilt.
    const VERSION: u32 = 1;

    /// To be raised whenever the stored form of the row changes.
    const ROW_REVISION: u32 = 1;

    /// What becomes of an event that cannot be taken, live and in a rebuild.
    const ON_FAILURE: FailurePolicy = FailurePolicy::stop();

    /// What happens: the events of one aggregate, or a union of several.
    type Event: Event;

    /// What tells one row from another.
    type Key: RowKey;

    /// Which rows an event concerns, and with it how a rebuild may divide the work.
    fn keying() -> Keying<Self>;

    /// Takes an event into the row under `key`; `None` is no row, before and after. Of an event that
    /// stands for several, each that is selected and names the row comes by itself.
    ///
    /// # Errors
    ///
    /// When the projection cannot take the event; whatever became of the row is forgotten.
    fn evolve(
        key: &Self::Key,
        row: &mut Option<Self>,
        event: &Envelope<'_, Self::Event>,
    ) -> Result<(), BoxError>;

    /// Which events the projection wants: all of [`Event`](Self::Event) unless it is overridden. A new
    /// kind of the enum changes that, and marks the model as changed; one that names its kinds goes on.
    fn selection() -> EventFilter {
        EventFilter::of::<Self::Event>()
    }
}

/// Where the store keeps the model of a projection.
pub(crate) fn models<'a>(
    store: &'a Store,
    projection: &str,
) -> Result<&'a Arc<dyn ProjectionSink>, SinkError> {
    store.capabilities().models.as_ref().ok_or_else(|| SinkError::Unusable {
        projection: projection.to_owned(),
        reason: "the store keeps no models".to_owned(),
    })
}

/// The checkpoint that is furthest behind.
pub(crate) fn lowest(checkpoints: &[Checkpoint]) -> &Checkpoint {
    let mut all = checkpoints.iter();
    let first = all.next().unwrap_or(const { &Checkpoint::START });
    all.fold(first, |low, next| if next.position < low.position { next } else { low })
}
