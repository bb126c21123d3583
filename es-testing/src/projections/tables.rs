//! Tables of one's own: changes of rows within the commit, each model by itself.

use es_core::backend::{
    Batch, Checkpoint, Definition, Lease, ListParked, SinkError, Slot, TableChange, TableRead,
};
use es_core::projection::{Rebuild, SqlValue, TableRow};
use futures_util::future::BoxFuture;

use super::ProjectionFixture;
use super::cut::Side;
use super::models::CLOSED;
use super::parts::*;

pub(super) mod entries;
mod values;

use entries::*;
pub(super) use values::values_come_back_as_they_were;

/// Where the active model of the entries stands, how many events it took, and how many wait.
async fn standing(sink: &Sink) -> (Checkpoint, u64, u64) {
    let active = status(sink, ENTRIES).await.and_then(|status| status.active);
    let active = active.expect("the projection has an active model");
    (active.checkpoint().clone(), active.events, active.waiting)
}

/// The commit is refused for the sake of its event.
async fn refused(sink: &Sink, lease: &Lease, batch: &Batch) {
    match sink.commit(lease, batch).await {
        Err(SinkError::Refused { projection, .. }) => assert_eq!(projection, lease.projection),
        other => panic!("a change cannot be carried out, but the answer is {other:?}"),
    }
}

pub(super) async fn changes_take_effect_in_order(fixture: &dyn ProjectionFixture) {
    let sink = fixture.sink();
    let lease = acquired(&sink, &table_claim::<Entry>("one")).await;
    assert_eq!(entries(&sink, Slot::Active).await, [], "a new model has no rows");
    let changes = vec![
        upsert(entry("b", 1, 1)),
        upsert(entry("a", 1, 2)),
        upsert(entry("a", 1, 3)),
        delete("b", 1),
        delete("c", 1),
        upsert(entry("c", 1, 4)),
    ];
    commit(&sink, &lease, changing(0, 3, changes)).await;
    assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 3), entry("c", 1, 4)]);
    let changes = vec![delete("a", 1), upsert(entry("c", 10, 5)), upsert(entry("c", 9, 6))];
    commit(&sink, &lease, changing(3, 4, changes)).await;
    commit(&sink, &lease, changing(4, 5, Vec::new())).await;
    let all = [entry("c", 1, 4), entry("c", 9, 6), entry("c", 10, 5)];
    assert_eq!(entries(&sink, Slot::Active).await, all, "in the order of their keys");
    assert_eq!(standing(&sink).await, (at(5), 5, 0));
}

pub(super) async fn a_refused_change_writes_nothing(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, vec![entry("a", 1, 1)]).await;
    let before = standing(&sink).await;
    let changes = || vec![upsert(entry("b", 1, 2)), delete("a", 1)];
    for place in 0..=2 {
        let mut failing = changes();
        failing.insert(place, upsert(Keyless));
        let mut failing = changing(10, 12, failing);
        failing.park = vec![parked(11, "x", 1)];
        refused(&sink, &lease, &failing).await;
        assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 1)], "none is carried out");
        assert_eq!(standing(&sink).await, before, "nor is anything else of the batch written");
        let waiting = sink.parked(ENTRIES, Slot::Active, &ListParked::default()).await;
        assert_eq!(waiting.expect("the model is there"), []);
    }
    commit(&sink, &lease, changing(10, 12, changes())).await;
    assert_eq!(entries(&sink, Slot::Active).await, [entry("b", 1, 2)], "the sink goes on");
}

pub(super) async fn an_update_of_nothing_is_refused(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, vec![entry("a", 1, 1)]).await;
    let before = standing(&sink).await;
    let failing = changing(10, 11, vec![upsert(entry("b", 1, 2)), moved_on("a", 2)]);
    if fixture.takes_sql() {
        refused(&sink, &lease, &failing).await;
    } else {
        unusable(sink.commit(&lease, &failing).await, "it takes no SQL");
    }
    assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 1)]);
    assert_eq!(standing(&sink).await, before);
    // whereas to remove nothing is fine
    commit(&sink, &lease, changing(10, 11, vec![delete("a", 2)])).await;
    assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 1)]);
}

fn unusable<T: std::fmt::Debug>(answer: Result<T, SinkError>, why: &str) {
    assert!(matches!(answer, Err(SinkError::Unusable { .. })), "{why}, but: {answer:?}");
}

pub(super) async fn a_sink_without_tables_says_so(fixture: &dyn ProjectionFixture) {
    let sink = fixture.sink();
    let lease = acquired(&sink, &claim("one")).await;
    let changes = vec![upsert(entry("a", 1, 1))];
    unusable(sink.commit(&lease, &changing(0, 2, changes)).await, "the claim names no table");
    assert_eq!(checkpoint(&sink).await, at(0), "nothing was written");
    let read = TableRead::Rows { after: None, limit: 1 };
    let rows = sink.table_rows("totals", Slot::Active, &Entry::SCHEMA, &read).await;
    unusable(rows, "the model has no table");

    let lease = match sink.acquire(&table_claim::<Entry>("one")).await {
        Err(SinkError::Unusable { .. }) => return,
        claimed => claimed.expect("a sink that keeps tables lets them be claimed"),
    };
    let by_sql = changing(0, 2, vec![upsert(entry("a", 1, 1)), moved_on("a", 1)]);
    let answer = sink.commit(&lease, &by_sql).await;
    if fixture.takes_sql() {
        assert!(answer.is_ok(), "the fixture says that SQL is taken, but: {answer:?}");
        assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 2)]);
    } else {
        unusable(answer, "the fixture says that no SQL is taken");
        assert_eq!(entries(&sink, Slot::Active).await, [], "nor anything beside it");
        assert_eq!(standing(&sink).await, (at(0), 0, 0));
    }
}

pub(super) async fn claiming_twice_makes_nothing_new(fixture: &dyn ProjectionFixture) {
    let rows = [entry("a", 1, 1), entry("b", 1, 2)];
    let (sink, first) = started_with(fixture, rows.to_vec()).await;
    let mut before = first;
    for holder in ["one", "two", "two"] {
        if holder == "two" {
            sink.release(&before).await.expect("the holder can release");
        }
        let again = acquired(&sink, &table_claim::<Entry>(holder)).await;
        assert_eq!(again.generation, before.generation, "it is the same model");
        assert_eq!(again.tables, before.tables, "with the tables of the claim");
        assert_eq!(entries(&sink, Slot::Active).await, rows, "and its rows");
        before = again;
    }
    commit(&sink, &before, changing(10, 11, vec![delete("a", 1)])).await;
    assert_eq!(entries(&sink, Slot::Active).await, &rows[1..]);
}

pub(super) async fn a_table_is_of_one_projection(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, vec![entry("a", 1, 1)]).await;
    let mut others = table_claim::<Entry>("two");
    others.projection = "entries_of_others".to_owned();
    for slot in [Slot::Active, Slot::Shadow] {
        others.slot = slot;
        unusable(sink.acquire(&others).await, "the table is another projection's");
        assert_eq!(status(&sink, &others.projection).await, None, "nothing was claimed");
    }
    // what is served is still its own
    commit(&sink, &lease, changing(10, 11, vec![upsert(entry("b", 1, 2))])).await;
    assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 1), entry("b", 1, 2)]);
}

/// The entries of newer code, which has a field more.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "account_entries", index(account), index(note))]
struct NotedEntry {
    #[table(key)]
    account: String,
    #[table(key)]
    number: i64,
    place: i64,
    note: Option<String>,
}

fn noted(account: &str, note: Option<&str>) -> NotedEntry {
    let note = note.map(str::to_owned);
    NotedEntry { account: account.to_owned(), number: 1, place: 7, note }
}

pub(super) async fn a_row_can_get_another_field(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, vec![entry("a", 1, 1)]).await;
    let filling = acquired(&sink, &table_shadow::<NotedEntry>("two")).await;
    let rows = [noted("a", Some("first")), noted("b", None)];
    let changes = rows.iter().cloned().map(upsert).collect();
    commit(&sink, &filling, changing(0, 11, changes)).await;
    // the older code goes on with its own model meanwhile, also where it claims it again
    commit(&sink, &lease, changing(10, 11, vec![upsert(entry("b", 1, 2))])).await;
    let older = [entry("a", 1, 1), entry("b", 1, 2)];
    assert_eq!(entries(&sink, Slot::Active).await, older);
    acquired(&sink, &table_claim::<Entry>("one")).await;
    assert_eq!(entries(&sink, Slot::Active).await, older);
    if let Err(error) = sink.switch(&filling).await {
        panic!("a permitted switch was refused: {error}");
    }
    assert_eq!(table::<NotedEntry>(&sink, ENTRIES, Slot::Active).await, rows);
}

pub(super) async fn generations_do_not_mix(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started_with(fixture, vec![entry("a", 1, 1), entry("b", 1, 2)]).await;
    let filling = acquired(&sink, &table_shadow::<Entry>("two")).await;
    assert_eq!(entries(&sink, Slot::Shadow).await, [], "a shadow begins without rows");
    let changes = vec![upsert(entry("a", 1, 7)), delete("b", 1), upsert(entry("c", 1, 8))];
    commit(&sink, &filling, changing(0, 4, changes)).await;
    assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 1), entry("b", 1, 2)]);
    let shadow = [entry("a", 1, 7), entry("c", 1, 8)];
    assert_eq!(entries(&sink, Slot::Shadow).await, shadow);
    let changes = vec![delete("a", 1), delete("c", 1), upsert(entry("d", 1, 9))];
    commit(&sink, &lease, changing(10, 11, changes)).await;
    assert_eq!(entries(&sink, Slot::Active).await, [entry("b", 1, 2), entry("d", 1, 9)]);
    assert_eq!(entries(&sink, Slot::Shadow).await, shadow);
    // by its key, too
    let key = vec![SqlValue::Text("d".to_owned()), SqlValue::Int(1)];
    for (slot, count) in [(Slot::Active, 1), (Slot::Shadow, 0)] {
        let read = TableRead::Key(key.clone());
        let found = sink.table_rows(ENTRIES, slot, &Entry::SCHEMA, &read).await;
        assert_eq!(found.expect("the model is there").len(), count, "{slot}");
    }
}

pub(super) async fn a_switch_serves_the_new_rows_at_once(fixture: &dyn ProjectionFixture) {
    let rows = |n: i64| vec![entry("x", n, n), entry("y", n, n), entry("z", n, n)];
    let (sink, lease) = started_with(fixture, rows(-1)).await;
    for n in 0..int(rounds(10, 200)) {
        let filling = acquired(&sink, &table_shadow::<Entry>("two")).await;
        let changes: Vec<TableChange> = rows(n).into_iter().map(upsert).collect();
        commit(&sink, &filling, changing(0, 10, changes)).await;
        let (old, new) = (rows(n - 1), rows(n));
        let reader: BoxFuture<'static, ()> = {
            let sink = sink.clone();
            Box::pin(async move {
                for _ in 0..20 {
                    let seen = entries(&sink, Slot::Active).await;
                    assert!(
                        seen == old || seen == new,
                        "a reader sees the old rows or the new ones, but: {seen:?}"
                    );
                    tokio::task::yield_now().await;
                }
            })
        };
        let switch: BoxFuture<'static, ()> = {
            let (sink, new) = (sink.clone(), rows(n));
            Box::pin(async move {
                if let Err(error) = sink.switch(&filling).await {
                    panic!("a permitted switch was refused: {error}");
                }
                let served = entries(&sink, Slot::Active).await;
                assert_eq!(served, new, "they are served when it is answered");
            })
        };
        together("a switch and a reader come to an end", [reader, switch]).await;
    }
    let late = changing(10, 11, vec![delete("x", 0)]);
    let answer = sink.commit(&lease, &late).await;
    assert!(matches!(answer, Err(SinkError::LeaseLost { .. })), "its model is gone: {answer:?}");
}

pub(super) async fn an_abandoned_generation_is_gone(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = started_with(fixture, vec![entry("a", 1, 1)]).await;
    let filling = acquired(&sink, &table_shadow::<Entry>("two")).await;
    let changes = vec![upsert(entry("a", 1, 7)), upsert(entry("s", 1, 8))];
    commit(&sink, &filling, changing(0, 4, changes)).await;
    sink.release(&filling).await.expect("the holder can release");
    assert!(sink.abandon(ENTRIES).await.is_ok(), "nobody holds it");
    let read = TableRead::Rows { after: None, limit: 1 };
    let rows = sink.table_rows(ENTRIES, Slot::Shadow, &Entry::SCHEMA, &read).await;
    assert!(matches!(rows, Err(SinkError::NoModel { .. })), "there is no shadow, but: {rows:?}");
    let late = sink.commit(&filling, &changing(4, 5, vec![upsert(entry("s", 2, 9))])).await;
    assert!(matches!(late, Err(SinkError::LeaseLost { .. })), "its model is gone: {late:?}");
    let again = acquired(&sink, &table_shadow::<Entry>("two")).await;
    assert!(again.generation > filling.generation, "it is another one");
    assert_eq!(entries(&sink, Slot::Shadow).await, [], "of which nothing is there yet");
    commit(&sink, &again, changing(0, 4, vec![upsert(entry("t", 1, 7))])).await;
    assert_eq!(entries(&sink, Slot::Shadow).await, [entry("t", 1, 7)]);
    assert_eq!(entries(&sink, Slot::Active).await, [entry("a", 1, 1)], "this one was not touched");
}

pub(super) async fn changes_survive_any_cut(fixture: &dyn ProjectionFixture) {
    const CALLS: u64 = 8;
    let (store, sink) = (fixture.store(), fixture.sink());
    let definition = Definition::table::<Entries>();
    for at in 0..CALLS {
        for side in [Side::Before, Side::After] {
            append(&store, &stream("1"), ANY, events(at * 10..=at * 10 + 3)).await;
            append(&store, &typed_stream("audit", "1"), ANY, events(1..=2)).await;
            append(&store, &stream("2"), ANY, events(at..=at + 1)).await;
            append(&store, &stream("1"), ANY, vec![typed_event(CLOSED, at * 10 + 1)]).await;
            taken_after_a_cut(&store, &sink, &definition, at, side).await;
            let live = entries_in(&read_log(&store).await);
            let found = entries(&sink, Slot::Active).await;
            assert_eq!(found, live, "cut {side:?} call {at}");
        }
    }
    let live = entries(&sink, Slot::Active).await;
    rebuilt(Rebuild::definition(with_models(&store, &sink), definition)).await;
    assert_eq!(entries(&sink, Slot::Active).await, live, "and made anew it is the same");
}
