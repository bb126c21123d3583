//! The law of projections: however a model is made, it is the fold of its events.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::slice;

use es_core::backend::{Definition, ReadLog, StreamId};
use es_core::event::{Payload, RecordedEvent};
use es_core::projection::{BatchLimit, ReadModel, Rebuild};
use es_core::{Envelope, Event, Projection, Runner, Store};
use futures_util::TryStreamExt;
use proptest::strategy::Strategy;
use tokio::runtime::Builder;

use super::any_history;
use super::violation::{LawViolation, chain, for_all};
use crate::projection::{read, take};
use crate::recorded::{Log, request};

/// The numbers of slices in which each model is rebuilt.
const SLICES: [u32; 4] = [1, 2, 3, 7];

/// Whatever happens, a model is the fold of its events, however it is made.
///
/// - The same event names the same keys, and makes the same of the same rows, each time.
/// - Rows are read back as they were written.
/// - Every history is taken: where an event may be refused on purpose, keep such histories out of the
///   strategy.
/// - Live, with a restart after every few events, rebuilt in any number of slices and folded at once
///   are the same rows. What `per_stream` claims, that no row is concerned by the events of two
///   streams, is checked so, too.
///
/// `store` makes an empty store that keeps models, for each case; see
/// [`in_streams_of`](super::in_streams_of) for the events.
///
/// ```
/// # use es_core::projection::Keying;
/// # use es_core::{Aggregate, BoxError, Envelope, Event, Projection};
/// # use serde::{Deserialize, Serialize};
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
/// # #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// # struct Totals(u64);
/// # impl Projection for Totals {
/// #     const NAME: &'static str = "totals";
/// #     type Event = OrderEvent;
/// #     type Key = String;
/// #     fn keying() -> Keying<Self> { Keying::per_stream::<Order>() }
/// #     fn evolve(
/// #         _: &String, row: &mut Option<Self>, event: &Envelope<OrderEvent>,
/// #     ) -> Result<(), BoxError> {
/// #         let OrderEvent::OrderPlaced { cents } = event.data;
/// #         row.get_or_insert(Self(0)).0 += u64::from(cents);
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> Result<(), laws::LawViolation> {
/// let events = any::<u32>().prop_map(|cents| OrderEvent::OrderPlaced { cents });
/// let events = laws::in_streams_of::<Order>(["a", "b", "c"], events);
/// laws::projection::<Totals>(events, || MemoryStore::new().into())
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
pub fn projection<P>(
    events: impl Strategy<Value = (StreamId, P::Event)>,
    store: impl Fn() -> Store,
) -> Result<(), LawViolation>
where
    P: Projection + Debug + PartialEq,
{
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    for_all("projection", P::NAME, &any_history(events), |history| {
        let store = store();
        runtime.block_on(checked::<P>(&store, &history))
    })
}

async fn checked<P>(store: &Store, history: &[(StreamId, P::Event)]) -> Result<(), String>
where
    P: Projection + Debug + PartialEq,
{
    let ran = written_and_taken(store, &Definition::of::<P>(), history).await;
    let expected = judged::<P>(&log(store).await?)?;
    // an event that cannot be taken is told of by now
    ran?;
    let model = ReadModel::<P>::new(store);
    compare(&expected, stored(&model).await?, "live, with restarts,")?;
    for slices in SLICES {
        let rebuilt = Rebuild::projection::<P>(store).slices(slices).run().await;
        rebuilt.map_err(|error| format!("it is not rebuilt: {}", chain(&error)))?;
        compare(&expected, stored(&model).await?, &format!("rebuilt in {slices} slices"))?;
    }
    let live = model.live().await;
    let live = live.map_err(|error| format!("it is not folded: {}", chain(&error)))?;
    compare(&expected, by_text(live), "folded without a store")
}

/// Appends the events, and brings the model to their end after every few of them, each time by a new
/// runner and in commits of another size.
pub(super) async fn written_and_taken<E: Event>(
    store: &Store,
    definition: &Definition,
    history: &[(StreamId, E)],
) -> Result<(), String> {
    let mut log = Log::default();
    let mut ran = taken(store, definition, 1).await;
    for (events, part) in (1..).zip(history.chunks(3)) {
        for (stream, event) in part {
            let appended = store.append(request(log.record(stream, event)?)).await;
            appended.map_err(|error| format!("the store takes no event: {}", chain(&error)))?;
        }
        ran = ran.and(taken(store, definition, events).await);
    }
    ran
}

async fn taken(store: &Store, definition: &Definition, events: usize) -> Result<(), String> {
    let runner = Runner::new(store).definition(definition.clone());
    let mut runner = runner.batches(BatchLimit::events(events));
    let ran = runner.catch_up().await;
    runner.release().await;
    ran.map_err(|error| chain(&error))
}

pub(super) async fn log(store: &Store) -> Result<Vec<RecordedEvent>, String> {
    let (mut events, mut read) = (Vec::new(), ReadLog::from_start());
    loop {
        let page = store.read_log(&read).await.map_err(|error| chain(&error))?;
        events.extend(page.events);
        if page.at_end {
            return Ok(events);
        }
        read.after = page.next;
    }
}

/// The rows by the texts of their keys, if each event does the same each time and no row becomes
/// another one by being stored.
fn judged<P>(log: &[RecordedEvent]) -> Result<BTreeMap<String, P>, String>
where
    P: Projection + Debug + PartialEq,
{
    let (definition, keying) = (Definition::of::<P>(), P::keying());
    definition.check().map_err(|error| error.to_string())?;
    let mut rows: HashMap<String, Payload> = HashMap::new();
    for event in log.iter().filter(|event| definition.selection().accepts(event)) {
        let (one, place) = (slice::from_ref(event), &event.position);
        let keys = || {
            let keys = definition.keys_of(one);
            keys.map_err(|error| format!("the keys at {place} are not told: {}", chain(&*error)))
        };
        let (first, again) = (keys()?, keys()?);
        if first != again {
            return Err(format!("the event at {place} names {first:?}, and then {again:?}"));
        }
        let changes = || {
            let changes = definition.changes(one, &rows);
            changes
                .map_err(|error| format!("the event at {place} is not taken: {}", chain(&*error)))
        };
        let (first, again) = (changes()?, changes()?);
        if first != again {
            return Err(format!(
                "the event at {place} makes {first:?} of the rows, and then {again:?} of the same"
            ));
        }
        for change in &first {
            let key = keying.parse_key(&change.key);
            let key = key.map_err(|error| format!("its key is not read back: {error}"))?;
            let before = rows.get(&change.key);
            let mut row = before.map(|row| read::<P>(&change.key, row)).transpose()?;
            // what was just written stands for one event
            let events = Envelope::<P::Event>::read(event).map_err(|error| chain(&error))?;
            for event in events {
                P::evolve(&key, &mut row, &event).map_err(|error| chain(&*error))?;
            }
            let stored = change.value.as_ref();
            let read = stored.map(|row| read::<P>(&change.key, row)).transpose()?;
            if row != read {
                return Err(format!("the row `{}` is {row:?}, and {read:?} is read", change.key));
            }
        }
        take(&mut rows, first);
    }
    rows.iter().map(|(key, row)| Ok((key.clone(), read(key, row)?))).collect()
}

/// All rows of the model that is served.
async fn stored<P: Projection>(model: &ReadModel<P>) -> Result<BTreeMap<String, P>, String> {
    let rows = model.all().try_collect::<Vec<_>>().await;
    Ok(by_text(rows.map_err(|error| format!("it is not read: {}", chain(&error)))?))
}

fn by_text<P: Projection>(rows: Vec<(P::Key, P)>) -> BTreeMap<String, P> {
    let keying = P::keying();
    rows.into_iter().map(|(key, row)| (keying.stored_key(&key), row)).collect()
}

fn compare<P: Debug + PartialEq>(
    expected: &BTreeMap<String, P>,
    found: BTreeMap<String, P>,
    how: &str,
) -> Result<(), String> {
    let mut keys = expected.keys().chain(found.keys());
    let differing = keys.find(|key| expected.get(*key) != found.get(*key));
    let Some(key) = differing else { return Ok(()) };
    let shown = |row: Option<&P>| row.map_or_else(|| "none".to_owned(), |row| format!("{row:?}"));
    Err(format!(
        "{how} the row `{key}` is {}; of all events folded at once it is {}",
        shown(found.get(key)),
        shown(expected.get(key)),
    ))
}
