//! Values of every type, by chance, through a table and back.

use std::collections::BTreeMap;

use es_core::backend::{Limits, Position, Slot, TableRead, Timestamp};
use es_core::event::{EventId, Payload};
use es_core::projection::{Json, SqlValue, TableRow};
use fastrand::Rng;

use super::super::ProjectionFixture;
use super::super::parts::*;
use super::entries::{changing, table, table_claim, upsert};
use crate::contract::documents::document;
use crate::contract::names;

/// Whatever may stand beside a key; names are words of SQL and of Rust.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "kept_values", index(r#type, order))]
struct Values {
    #[table(key)]
    text: String,
    #[table(key)]
    number: i64,
    order: Option<i64>,
    r#type: Option<bool>,
    ratio: Option<f64>,
    note: Option<String>,
    bytes: Option<Vec<u8>>,
    moment: Option<Timestamp>,
    event: Option<EventId>,
    document: Option<Json<Payload>>,
}

/// Whatever else may be a key.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "kept_keys")]
struct Keys {
    #[table(key)]
    moment: Timestamp,
    #[table(key)]
    flag: bool,
    #[table(key)]
    bytes: Vec<u8>,
    #[table(key)]
    event: EventId,
}

/// A text as tables take it.
fn text(rng: &mut Rng, most: usize) -> String {
    names::text(rng, most).replace('\0', "")
}

fn int(rng: &mut Rng) -> i64 {
    rng.i64(..) >> rng.u32(..64)
}

fn ratio(rng: &mut Rng) -> f64 {
    let number = match rng.u8(..4) {
        0 => [0.0, 0.1, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NEG_INFINITY]
            [rng.usize(..6)],
        1 => rng.f64(),
        _ => f64::from_bits(rng.u64(..)),
    };
    if number.is_nan() { 1.5 } else { number }
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    (0..rng.usize(..12)).map(|_| rng.u8(..)).collect()
}

/// From the first moment that a store keeps to the last.
fn moment(rng: &mut Rng) -> Timestamp {
    Timestamp::from_micros(int(rng))
}

fn event(rng: &mut Rng) -> EventId {
    EventId::stand_in(Position::from_sequence(rng.u64(..) >> 1))
}

/// A document that a row may have.
fn storable(rng: &mut Rng) -> Option<Json<Payload>> {
    let document = Payload::parse(document(rng)).ok()?;
    let is_stored = Payload::round_trip(&document, Limits::STATE_BYTES).is_ok();
    is_stored.then_some(Json(document))
}

/// Nothing in one of four.
fn maybe<T>(rng: &mut Rng, value: fn(&mut Rng) -> T) -> Option<T> {
    let is_there = rng.u8(..4) > 0;
    is_there.then(|| value(rng))
}

fn values(rng: &mut Rng) -> Values {
    Values {
        text: text(rng, 60),
        // few, so that rows are replaced
        number: rng.i64(-1..=1),
        order: maybe(rng, int),
        r#type: maybe(rng, |rng| rng.bool()),
        ratio: maybe(rng, ratio),
        note: maybe(rng, |rng| text(rng, 500).repeat(rng.usize(..40))),
        bytes: maybe(rng, bytes),
        moment: maybe(rng, moment),
        event: maybe(rng, event),
        document: maybe(rng, storable).flatten(),
    }
}

fn keys(rng: &mut Rng) -> Keys {
    Keys { moment: moment(rng), flag: rng.bool(), bytes: bytes(rng), event: event(rng) }
}

/// All rows, in pages that are joined.
async fn in_pages<T: TableRow>(sink: &Sink) -> Vec<Vec<SqlValue>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let read = TableRead::Rows { after, limit: 7 };
        let page = sink.table_rows(T::SCHEMA.name, Slot::Active, &T::SCHEMA, &read).await;
        let page = page.expect("the model is there");
        let Some(last) = page.last() else { return all };
        assert!(page.len() <= 7, "a page keeps its limit");
        after = Some(T::SCHEMA.key_of(last));
        all.extend(page);
    }
}

/// Commits the rows, and reads them in the order of their keys, in one page, in many, and one by one.
async fn come_back<T>(sink: &Sink, written: Vec<T>, rows: Vec<T>, seed: u64)
where
    T: TableRow + PartialEq + std::fmt::Debug,
{
    let name = T::SCHEMA.name;
    let lease = acquired(sink, &table_claim::<T>("one")).await;
    let changes = written.into_iter().map(upsert).collect();
    commit(sink, &lease, changing(0, 1, changes)).await;
    let told = || format!("ES_SEED={seed}, table `{name}`");
    let found = table::<T>(sink, name, Slot::Active).await;
    assert_eq!(found.len(), rows.len(), "{}", told());
    for (found, row) in found.iter().zip(&rows) {
        assert_eq!(found, row, "{}", told());
    }
    let values: Vec<_> = rows.into_iter().map(T::into_values).collect();
    assert_eq!(in_pages::<T>(sink).await, values, "{}", told());
    for row in values.iter().step_by(9) {
        let read = TableRead::Key(T::SCHEMA.key_of(row));
        let found = sink.table_rows(name, Slot::Active, &T::SCHEMA, &read).await;
        assert_eq!(found.expect("the model is there"), std::slice::from_ref(row), "{}", told());
    }
}

pub(in super::super) async fn values_come_back_as_they_were(fixture: &dyn ProjectionFixture) {
    let (sink, seed) = (fixture.sink(), seed());
    let mut rng = Rng::with_seed(seed);
    let count = rounds(200, 5_000);
    let written: Vec<_> = (0..count).map(|_| values(&mut rng)).collect();
    let by_key = written.iter().map(|row| ((row.text.clone(), row.number), row.clone()));
    let rows = by_key.collect::<BTreeMap<_, _>>().into_values().collect();
    come_back(&sink, written, rows, seed).await;
    let written: Vec<_> = (0..count).map(|_| keys(&mut rng)).collect();
    let by_key = written
        .iter()
        .map(|row| ((row.moment, row.flag, row.bytes.clone(), row.event), row.clone()));
    let rows = by_key.collect::<BTreeMap<_, _>>().into_values().collect();
    come_back(&sink, written, rows, seed).await;
}
