//! Changes of tables that are SQL: updates, and what concerns all rows that fit a filter.

use std::collections::BTreeMap;

use es_core::backend::{Definition, SinkError, Slot, TableChange};
use es_core::event::{EventFilter, RecordedEvent};
use es_core::projection::{Changes, Rebuild, SqlValue, SqlValues, TableRow, TableSchema, Which};
use es_core::{BoxError, Envelope, TableProjection};

use super::ProjectionFixture;
use super::cut::Side;
use super::models::{AccountEvent, CLOSED};
use super::parts::*;
use super::tables::entries::{
    changing, int, of_accounts, started_with, table, table_shadow, taken_after_a_cut, upsert,
};
use crate::laws::chain;

/// How many payments an account got, and what they come to.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "account_counts", index(total))]
struct Count {
    #[table(key)]
    account: String,
    payments: i64,
    total: i64,
}

const COUNTS: &str = Count::SCHEMA.name;

/// How a payment is added to those that are there.
const ADDED: &str = "payments = account_counts.payments + excluded.payments, \
                     total = account_counts.total + excluded.total";

/// Counts the payments of each account, of which none is counted twice unnoticed.
struct Counts;

impl TableProjection for Counts {
    type Event = AccountEvent;
    type Tables = Count;

    fn project(event: &Envelope<'_, AccountEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let account = event.stream.to_string();
        match event.data {
            AccountEvent::AmountPaidIn { number } => {
                let total = i64::try_from(number)?;
                rows.insert_or_update(Count { account, payments: 1, total }, ADDED);
            }
            AccountEvent::AccountClosed { number } => {
                rows.update::<Count>(account, "total = total - $1", i64::try_from(number)?);
            }
            AccountEvent::PoisonFound { .. } | AccountEvent::PanicFound { .. } => {}
        }
        Ok(())
    }

    fn selection() -> EventFilter {
        of_accounts()
    }
}

fn count(account: &str, payments: i64, total: i64) -> Count {
    Count { account: account.to_owned(), payments, total }
}

async fn counts(sink: &Sink, slot: Slot) -> Vec<Count> {
    table(sink, COUNTS, slot).await
}

const TABLE: &TableSchema = &Count::SCHEMA;

fn insert_or_update(row: Count, set: &'static str) -> TableChange {
    TableChange::Upsert { table: TABLE, values: row.into_values(), set: Some(set) }
}

fn update(account: &str, set: &'static str, values: impl SqlValues) -> TableChange {
    let rows = Which::Key(vec![SqlValue::Text(account.to_owned())]);
    TableChange::Update { table: TABLE, rows, set, values: values.into_values() }
}

fn update_where(filter: &'static str, set: &'static str, values: impl SqlValues) -> TableChange {
    let (rows, values) = (Which::Where(filter), values.into_values());
    TableChange::Update { table: TABLE, rows, set, values }
}

fn delete_where(filter: &'static str, values: impl SqlValues) -> TableChange {
    let (rows, values) = (Which::Where(filter), values.into_values());
    TableChange::Delete { table: TABLE, rows, values }
}

/// Three accounts.
fn three() -> Vec<Count> {
    vec![count("a", 1, 10), count("b", 2, 20), count("c", 3, 30)]
}

pub(super) async fn updates_and_filters_change_what_they_say(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, three()).await;
    let changes = vec![
        // a parameter that stands twice, and not in the order of its number
        update("a", "total = total + $2 * $1 - $2", (5_i64, 3_i64)),
        insert_or_update(count("b", 1, 7), ADDED),
        insert_or_update(count("d", 1, 7), ADDED),
    ];
    commit(&sink, &lease, changing(10, 11, changes)).await;
    let expected = [count("a", 1, 22), count("b", 3, 27), count("c", 3, 30), count("d", 1, 7)];
    assert_eq!(counts(&sink, Slot::Active).await, expected);
    let changes = vec![
        // they count the same parameters
        update_where(
            "total > $2 AND account <> $1",
            "payments = payments + $3, total = $2",
            ("c".to_owned(), 10_i64, 100_i64),
        ),
        delete_where("payments = $1 OR account = $2", (3_i64, "nobody".to_owned())),
        update_where("account = $1", "total = 1", "nobody".to_owned()),
        delete_where("total < $1", 0_i64),
    ];
    commit(&sink, &lease, changing(11, 12, changes)).await;
    let expected = [count("a", 101, 10), count("b", 103, 10), count("d", 1, 7)];
    assert_eq!(counts(&sink, Slot::Active).await, expected, "no row that fits is fine");
    commit(&sink, &lease, changing(12, 13, vec![delete_where("true", ())])).await;
    assert_eq!(counts(&sink, Slot::Active).await, []);
}

pub(super) async fn a_filter_changes_its_own_model_only(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, three()).await;
    let filling = acquired(&sink, &table_shadow::<Count>("two")).await;
    commit(&sink, &filling, changing(0, 4, three().into_iter().map(upsert).collect())).await;
    let changes = vec![
        update_where("account = $1 OR total > $2", "payments = 7", ("a".to_owned(), 25_i64)),
        delete_where("account = $1 OR true AND account = $1", "b".to_owned()),
        update("c", "total = 0", ()),
        insert_or_update(count("a", 1, 1), ADDED),
    ];
    commit(&sink, &filling, changing(4, 5, changes)).await;
    let shadow = [count("a", 8, 11), count("c", 7, 0)];
    assert_eq!(counts(&sink, Slot::Shadow).await, shadow);
    assert_eq!(counts(&sink, Slot::Active).await, three(), "what is served stays as it is");
    commit(&sink, &lease, changing(10, 11, vec![delete_where("true OR true", ())])).await;
    assert_eq!(counts(&sink, Slot::Active).await, []);
    assert_eq!(counts(&sink, Slot::Shadow).await, shadow, "and so does what is filled");
}

pub(super) async fn a_statement_that_fails_writes_nothing(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, three()).await;
    for failing in [
        update("a", "total = total + $1", i64::MAX),
        update_where("true", "total = total + $1", i64::MAX),
        update_where("total > 25", "account = $1", "a".to_owned()),
        insert_or_update(count("a", 0, i64::MAX), ADDED),
        // names of nothing; in quotes some take them for texts
        update_where("\"acount\" = $1", "total = 0", "a".to_owned()),
        update("a", "account = account || \"acount\"", ()),
        update("a", "total = account_count.total + 1", ()),
        update("a", "total = no_such_schema.twice(total)", ()),
        update("a", "total = no_such_function(total)", ()),
    ] {
        let changes = vec![upsert(count("z", 1, 1)), failing.clone(), delete_where("true", ())];
        match sink.commit(&lease, &changing(10, 11, changes)).await {
            Err(SinkError::Refused { projection, .. }) => assert_eq!(projection, COUNTS),
            other => panic!("{failing:?} cannot be carried out, but the answer is {other:?}"),
        }
        assert_eq!(counts(&sink, Slot::Active).await, three());
        let active = status(&sink, COUNTS).await.and_then(|status| status.active);
        let place = active.expect("the model is there").checkpoint().clone();
        assert_eq!(place, at(10), "{failing:?}");
    }
}

/// What an account may still take, and what is said of it.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "account_limits")]
struct Limit {
    #[table(key)]
    account: String,
    rest: u32,
    note: String,
    hint: Option<i32>,
}

async fn limits(sink: &Sink) -> Vec<Limit> {
    table(sink, Limit::SCHEMA.name, Slot::Active).await
}

pub(super) async fn what_a_field_does_not_take_is_refused(fixture: &dyn ProjectionFixture) {
    let limit = |rest, hint| Limit { account: "a".to_owned(), rest, note: "new".to_owned(), hint };
    let (sink, lease) = started_with(fixture, vec![limit(10, Some(2))]).await;
    let schema = &Limit::SCHEMA;
    let update = |rows, set, values| TableChange::Update { table: schema, rows, set, values };
    let a = || Which::Key(vec![SqlValue::Text("a".to_owned())]);
    let all = || Which::Where("true");
    let added = TableChange::Upsert {
        table: schema,
        values: limit(11, None).into_values(),
        set: Some("rest = account_limits.rest - excluded.rest"),
    };
    for (column, failing) in [
        ("rest", update(a(), "rest = rest - $1", 11_i64.into_values())),
        ("rest", update(all(), "rest = $1", (1_i64 << 32).into_values())),
        ("rest", added),
        ("note", update(a(), "note = NULL", Vec::new())),
        ("note", update(all(), "note = $1", None::<String>.into_values())),
        ("hint", update(a(), "hint = hint * 2147483647", Vec::new())),
    ] {
        let failing = changing(10, 11, vec![failing]);
        match sink.commit(&lease, &failing).await {
            Err(SinkError::Refused { source, .. }) => {
                let told = chain(&*source);
                assert!(told.contains(&format!("`{column}`")), "{told}");
            }
            other => panic!("`{column}` does not take {failing:?}, but the answer is {other:?}"),
        }
        assert_eq!(limits(&sink).await, [limit(10, Some(2))]);
    }
    let changes = vec![
        update(a(), "rest = rest - $1, hint = NULL", 10_i64.into_values()),
        update(all(), "hint = -2147483648", Vec::new()),
    ];
    commit(&sink, &lease, changing(10, 11, changes)).await;
    assert_eq!(limits(&sink).await, [limit(0, Some(i32::MIN))], "what it takes is written");
}

/// The counts to which these events come, by the rules alone.
fn counts_in(log: &[RecordedEvent]) -> Vec<Count> {
    let (selection, mut rows) = (of_accounts(), BTreeMap::new());
    for event in log.iter().filter(|event| selection.accepts(event)) {
        let number = int(number(event));
        let (payments, total) = rows.entry(event.stream.to_string()).or_insert((0, 0));
        if event.event_type == *CLOSED {
            *total -= number;
        } else {
            *payments += 1;
            *total += number;
        }
    }
    let rows = rows.into_iter();
    rows.map(|(account, (payments, total))| Count { account, payments, total }).collect()
}

pub(super) async fn an_event_is_counted_once_after_any_cut(fixture: &dyn ProjectionFixture) {
    const CALLS: u64 = 8;
    let (store, sink) = (fixture.store(), fixture.sink());
    let definition = Definition::table::<Counts>();
    for at in 0..CALLS {
        for side in [Side::Before, Side::After] {
            append(&store, &stream("1"), ANY, events(at..=at + 3)).await;
            append(&store, &stream("2"), ANY, events(1..=2)).await;
            append(&store, &stream("1"), ANY, vec![typed_event(CLOSED, at)]).await;
            taken_after_a_cut(&store, &sink, &definition, at, side).await;
            let live = counts_in(&read_log(&store).await);
            let found = counts(&sink, Slot::Active).await;
            assert_eq!(found, live, "cut {side:?} call {at}");
        }
    }
    let live = counts(&sink, Slot::Active).await;
    rebuilt(Rebuild::definition(with_models(&store, &sink), definition)).await;
    assert_eq!(counts(&sink, Slot::Active).await, live, "and made anew it is the same");
}
