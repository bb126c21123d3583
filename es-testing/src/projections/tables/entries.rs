//! A table of what accounts were paid, how scenarios change it, and the projection that keeps it.

use std::collections::BTreeMap;

use es_core::backend::{Batch, Claim, Content, Definition, Lease, Slot, TableChange, TableRead};
use es_core::event::{EventFilter, RecordedEvent};
use es_core::projection::{
    BatchLimit, Changes, RowError, SqlType, SqlValue, TableRow, TableSchema, Which,
};
use es_core::{BoxError, Envelope, TableProjection};

use super::super::ProjectionFixture;
use super::super::cut::{Side, cut};
use super::super::models::{AccountEvent, CLOSED, caught_up, runner};
use super::super::parts::*;

/// What an account was paid under a number, and where the log says so.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "account_entries", index(account))]
pub(in super::super) struct Entry {
    #[table(key)]
    account: String,
    #[table(key)]
    number: i64,
    place: i64,
}

/// The name of the table, and of its projection.
pub(in super::super) const ENTRIES: &str = Entry::SCHEMA.name;

pub(in super::super) fn entry(account: &str, number: i64, place: i64) -> Entry {
    Entry { account: account.to_owned(), number, place }
}

/// A row of entries without an account, which no database keeps.
pub(super) struct Keyless;

impl TableRow for Keyless {
    const SCHEMA: TableSchema = Entry::SCHEMA;
    type Key = (String, i64);

    fn into_values(self) -> Vec<SqlValue> {
        vec![SqlValue::Null(SqlType::Text), SqlValue::Int(0), SqlValue::Int(0)]
    }

    fn from_values(_: Vec<SqlValue>) -> Result<Self, RowError> {
        Err(RowError::new("nobody has written it"))
    }
}

/// Keeps the entries of each account. It cannot take poison as long as it is not healed: the sink
/// refuses what it makes of it. The model is the same.
pub(in super::super) struct Entries<const HEALED: bool = false>;

impl<const HEALED: bool> TableProjection for Entries<HEALED> {
    type Event = AccountEvent;
    type Tables = Entry;

    fn project(event: &Envelope<'_, AccountEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let account = event.stream.to_string();
        let place = i64::try_from(event.position.to_sequence())?;
        match event.data {
            AccountEvent::PanicFound { .. } => panic!("this is how a bug looks"),
            AccountEvent::PoisonFound { .. } if !HEALED => rows.upsert(Keyless),
            AccountEvent::AccountClosed { number } => {
                rows.delete::<Entry>((account, i64::try_from(number)?));
            }
            AccountEvent::AmountPaidIn { number } | AccountEvent::PoisonFound { number } => {
                rows.upsert(Entry { account, number: i64::try_from(number)?, place });
            }
        }
        Ok(())
    }

    fn selection() -> EventFilter {
        of_accounts()
    }
}

/// The events of accounts, in streams of accounts only.
pub(in super::super) fn of_accounts() -> EventFilter {
    EventFilter::of::<AccountEvent>().stored_aggregate_type("account")
}

/// A number of an event, or of a place in the log, as a column has it.
pub(in super::super) fn int(number: u64) -> i64 {
    i64::try_from(number).expect("scenarios count no further")
}

/// The entries to which these events come, by the rules alone.
pub(in super::super) fn entries_in<'a>(
    events: impl IntoIterator<Item = &'a RecordedEvent>,
) -> Vec<Entry> {
    let (selection, mut rows) = (of_accounts(), BTreeMap::new());
    for event in events.into_iter().filter(|event| selection.accepts(event)) {
        let key = (event.stream.to_string(), int(number(event)));
        if event.event_type == *CLOSED {
            rows.remove(&key);
        } else {
            rows.insert(key, int(event.position.to_sequence()));
        }
    }
    let rows = rows.into_iter();
    rows.map(|((account, number), place)| Entry { account, number, place }).collect()
}

/// All rows of a table of the projection's.
pub(in super::super) async fn table<T: TableRow>(
    sink: &Sink,
    projection: &str,
    slot: Slot,
) -> Vec<T> {
    let name = T::SCHEMA.name;
    let read = TableRead::Rows { after: None, limit: 1_000_000 };
    let rows = match sink.table_rows(projection, slot, &T::SCHEMA, &read).await {
        Ok(rows) => rows,
        Err(error) => panic!("reading table `{name}` failed: {error}"),
    };
    let row = |values| match T::from_values(values) {
        Ok(row) => row,
        Err(error) => panic!("a row of table `{name}` is none: {error}"),
    };
    rows.into_iter().map(row).collect()
}

pub(in super::super) async fn entries(sink: &Sink, slot: Slot) -> Vec<Entry> {
    table(sink, ENTRIES, slot).await
}

pub(in super::super) fn upsert<T: TableRow>(row: T) -> TableChange {
    TableChange::Upsert { table: &T::SCHEMA, values: row.into_values(), set: None }
}

fn key(account: &str, number: i64) -> Which {
    Which::Key(vec![SqlValue::Text(account.to_owned()), SqlValue::Int(number)])
}

pub(super) fn delete(account: &str, number: i64) -> TableChange {
    TableChange::Delete { table: &Entry::SCHEMA, rows: key(account, number), values: Vec::new() }
}

/// Moves an entry one place on, by SQL.
pub(super) fn moved_on(account: &str, number: i64) -> TableChange {
    let (table, rows, values) = (&Entry::SCHEMA, key(account, number), vec![SqlValue::Int(1)]);
    TableChange::Update { table, rows, set: "place = place + $1", values }
}

/// A claim of the active model of a table's projection.
pub(in super::super) fn table_claim<T: TableRow>(holder: &str) -> Claim {
    claim_of(T::SCHEMA.name, holder).tables([T::SCHEMA])
}

/// A claim of a shadow of it, of other code.
pub(in super::super) fn table_shadow<T: TableRow>(holder: &str) -> Claim {
    let mut claim = table_claim::<T>(holder);
    (claim.slot, claim.fingerprint) = (Slot::Shadow, format!("{} v2", T::SCHEMA.name));
    claim
}

pub(in super::super) fn changing(from: u64, to: u64, changes: Vec<TableChange>) -> Batch {
    batch(from, to, Vec::new()).content(Content::Tables(changes))
}

/// An active model with a lease, at place 10 with these rows.
pub(in super::super) async fn started_with<T: TableRow>(
    fixture: &dyn ProjectionFixture,
    rows: Vec<T>,
) -> (Sink, Lease) {
    let sink = fixture.sink();
    let lease = acquired(&sink, &table_claim::<T>("one")).await;
    let rows = rows.into_iter().map(upsert).collect();
    commit(&sink, &lease, changing(0, 10, rows)).await;
    (sink, lease)
}

/// Cuts a runner off at this call, and has another one go on to the end of the log.
pub(in super::super) async fn taken_after_a_cut(
    store: &Store,
    sink: &Sink,
    definition: &Definition,
    at: u64,
    side: Side,
) {
    let cut_off = cut(sink, at, side);
    let mut first = runner(store, &cut_off, "one")
        .definition(definition.clone())
        .batches(BatchLimit::events(2));
    // whether it notices depends on how many calls it makes
    let _ = soon("a runner that is cut off comes back", first.catch_up()).await;
    drop(first);
    let mut second = runner(store, sink, "one").definition(definition.clone());
    caught_up(&mut second).await;
}
