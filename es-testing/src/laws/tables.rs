//! The law of projections into tables: however a model is made, it has the same rows.

use std::slice;

use es_core::backend::{Definition, Slot, StreamId, TableRead};
use es_core::event::RecordedEvent;
use es_core::projection::{BatchLimit, FailurePolicy, Rebuild, SqlValue};
use es_core::{Store, TableProjection};
use proptest::strategy::Strategy;
use tokio::runtime::Builder;

use super::any_history;
use super::projection::{log, written_and_taken};
use super::violation::{LawViolation, chain, for_all};

/// The rows of a table, each the values of its columns.
type Rows = Vec<Vec<SqlValue>>;

/// Whatever happens, the tables of a projection have the same rows, however they are made.
///
/// - The same event gives the same changes each time, and `project` takes every event. Which rows it
///   changes follows from the event alone so, too.
/// - Live, with a restart after every few events, and rebuilt, in commits of one event and of many, are
///   the same rows. A change that the database refuses, such as an update of a row that is not there,
///   has its event wait in its stream, each time the same.
///
/// `store` makes an empty store that keeps tables, for each case: in memory for rows that are written
/// and removed by their keys, a file of its own for all else, in a folder that outlives them. See
/// [`in_streams_of`](super::in_streams_of) for the events.
///
/// Each case is some hundred commits, of which there are 256, or `PROPTEST_CASES`: over a file that waits
/// for the disk they take minutes, so have it wait for nothing (`Synchronous::Off` of es-sqlite).
///
/// ```
/// # use es_core::projection::{Changes, TableRow};
/// # use es_core::{Aggregate, BoxError, Envelope, Event, Store, TableProjection};
/// use es_memory::MemoryStore;
/// use es_testing::laws;
/// use proptest::prelude::{Strategy, any};
/// # #[derive(Event, Debug, Clone)]
/// # enum OrderEvent { OrderPlaced { cents: u32 } }
/// # #[derive(Default, Clone)]
/// # struct Order;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = String;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
/// # #[derive(TableRow)]
/// # #[table(name = "open_orders")]
/// # struct OpenOrder { #[table(key)] id: String, cents: u32 }
/// # impl TableProjection for OpenOrder {
/// #     type Event = OrderEvent;
/// #     type Tables = Self;
/// #     fn project(event: &Envelope<OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
/// #         let OrderEvent::OrderPlaced { cents } = event.data;
/// #         rows.upsert(Self { id: event.aggregate_id::<Order>()?, cents });
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> Result<(), laws::LawViolation> {
/// let events = any::<u32>().prop_map(|cents| OrderEvent::OrderPlaced { cents });
/// let events = laws::in_streams_of::<Order>(["a", "b", "c"], events);
/// laws::table::<OpenOrder>(events, async || Store::from(MemoryStore::new()))
/// # }
/// ```
///
/// # Errors
///
/// The smallest history with which it is not so.
///
/// # Panics
///
/// When it is called within an asynchronous runtime: it has one of its own.
pub fn table<P: TableProjection>(
    events: impl Strategy<Value = (StreamId, P::Event)>,
    store: impl AsyncFn() -> Store,
) -> Result<(), LawViolation> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    for_all("table", P::NAME, &any_history(events), |history| {
        runtime.block_on(async { checked::<P>(&store().await, &history).await })
    })
}

async fn checked<P: TableProjection>(
    store: &Store,
    history: &[(StreamId, P::Event)],
) -> Result<(), String> {
    let definition = Definition::table::<P>().on_failure(FailurePolicy::park_key());
    let ran = written_and_taken(store, &definition, history).await;
    judge(&definition, &log(store).await?)?;
    ran?;
    let live = Kept::by(store, &definition).await?;
    for limit in [BatchLimit::events(1), BatchLimit::default()] {
        let rebuild = Rebuild::definition(store, definition.clone()).batches(limit);
        let rebuilt = rebuild.run().await;
        rebuilt.map_err(|error| format!("it is not rebuilt: {}", chain(&error)))?;
        let rebuilt = Kept::by(store, &definition).await?;
        live.compare(&rebuilt, &format!("rebuilt in commits of up to {} events", limit.events))?;
    }
    Ok(())
}

/// Fails if an event is not taken, or gives other changes when it is asked for them again.
fn judge(definition: &Definition, log: &[RecordedEvent]) -> Result<(), String> {
    definition.check().map_err(|error| error.to_string())?;
    for event in log.iter().filter(|event| definition.selection().accepts(event)) {
        let place = event.position;
        let changes = || {
            let changes = definition.table_changes(slice::from_ref(event));
            changes
                .map_err(|error| format!("the event at {place} is not taken: {}", chain(&*error)))
        };
        let (first, again) = (changes()?, changes()?);
        if first != again {
            return Err(format!("the event at {place} gives {first:?}, and then {again:?}"));
        }
    }
    Ok(())
}

/// What the model that is served has.
struct Kept {
    tables: Vec<(&'static str, Rows)>,
    /// How many events wait.
    waiting: u64,
}

impl Kept {
    async fn by(store: &Store, definition: &Definition) -> Result<Self, String> {
        let name = definition.name();
        let models = store.capabilities().models.as_ref().ok_or("the store keeps no models")?;
        let mut tables = Vec::new();
        for table in definition.tables().iter() {
            let read = TableRead::Rows { after: None, limit: usize::MAX };
            let rows = models.table_rows(name, Slot::Active, table, &read).await;
            let rows = rows.map_err(|error| format!("it is not read: {}", chain(&error)))?;
            tables.push((table.name, rows));
        }
        let status = models.status(Some(name)).await.map_err(|error| chain(&error))?;
        let active = status.into_iter().next().and_then(|status| status.active);
        Ok(Self { tables, waiting: active.map_or(0, |active| active.waiting) })
    }

    fn compare(&self, other: &Self, how: &str) -> Result<(), String> {
        for ((table, live), (_, found)) in self.tables.iter().zip(&other.tables) {
            let odd = found.iter().find(|row| !live.contains(row));
            if let Some(row) = odd {
                return Err(format!("{how} `{table}` has {row:?}, which it has not live"));
            }
            let odd = live.iter().find(|row| !found.contains(row));
            if let Some(row) = odd {
                return Err(format!("live, with restarts, `{table}` has {row:?}, and not {how}"));
            }
        }
        if self.waiting != other.waiting {
            let (live, found) = (self.waiting, other.waiting);
            return Err(format!("{how} {found} events wait, and live, with restarts, {live}"));
        }
        Ok(())
    }
}
