//! A row that cannot be stored is a failure of the event that made it.

use std::collections::BTreeMap;

use es_core::backend::{Definition, ListParked, RawKeying, Slot};
use es_core::projection::{BatchLimit, FailurePolicy};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::ProjectionFixture;
use super::models::*;
use super::parts::*;

/// What cannot be stored, or would not come back, in one of the shapes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum Shape {
    Good,
    /// Not finite.
    Mean(Option<f64>),
    /// The tag comes behind its content where keys are ordered, and then the keys are no numbers.
    Counts(BTreeMap<i64, u32>),
    /// A key that serde_json takes for its own.
    Any(Value),
    /// Read as something else than it is written.
    Name(#[serde(deserialize_with = "trimmed")] String),
    /// What no store takes.
    Text(String),
}

fn trimmed<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(|text| text.trim().to_owned())
}

const ACCOUNTS: [&str; 6] = ["good", "mean", "counts", "any", "name", "text"];

#[derive(Debug, Clone, Serialize, Deserialize)]
struct JudgedRow {
    numbers: Vec<u64>,
    shape: Shape,
}

/// The number of the event after which the rows are bad; after the next one they are good again.
const BAD: u64 = 2;

/// One model for each batch size.
fn judged(name: &str) -> Definition {
    let selection = accounts();
    Definition::rows(name, 1, selection, RawKeying::Streams, |key, row, event| {
        let mut numbers = row.map(|row: JudgedRow| row.numbers).unwrap_or_default();
        numbers.push(number(event));
        let shape = match key.trim_start_matches("account/") {
            _ if number(event) != BAD => Shape::Good,
            "mean" => Shape::Mean(Some(f64::INFINITY)),
            "counts" => Shape::Counts([(1, 1)].into()),
            "any" => Shape::Any(json!({"$serde_json::private::RawValue": "1"})),
            "name" => Shape::Name(" x".to_owned()),
            "text" => Shape::Text("\0".to_owned()),
            _ => Shape::Good,
        };
        Ok(Some(JudgedRow { numbers, shape }))
    })
}

/// The rows, and the keys and numbers of the events that wait.
type Outcome = (BTreeMap<String, SeenRow>, Vec<(String, u64)>);

async fn outcome(store: &Store, sink: &Sink, events: usize) -> Outcome {
    let name = &format!("judged_{events}");
    let mut runner = runner(store, sink, "one")
        .definition(judged(name).on_failure(FailurePolicy::park_key()))
        .batches(BatchLimit::events(events));
    caught_up(&mut runner).await;
    let list = ListParked { limit: 1_000, ..ListParked::default() };
    let parked = sink.parked(name, Slot::Active, &list).await;
    let parked = parked.unwrap_or_else(|error| panic!("listing what is parked failed: {error}"));
    let mut waiting: Vec<_> =
        parked.into_iter().map(|entry| (entry.key, entry.event.version.as_u64())).collect();
    waiting.sort();
    (stored(sink, name, Slot::Active).await, waiting)
}

pub(super) async fn a_row_is_judged_after_each_event(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &ACCOUNTS, 1..=4).await;
    let bad = || ACCOUNTS.iter().filter(|account| **account != "good");
    let mut rows: BTreeMap<_, _> =
        bad().map(|account| (format!("account/{account}"), numbers_of(&[1]))).collect();
    rows.insert("account/good".to_owned(), numbers_of(&[1, 2, 3, 4]));
    let mut waiting: Vec<_> = bad()
        .flat_map(|account| (BAD..=4).map(move |number| (format!("account/{account}"), number)))
        .collect();
    waiting.sort();
    let expected = (rows, waiting);
    for size in [1, 2, 3, 1_000] {
        let found = outcome(&store, &sink, size).await;
        assert_eq!(found, expected, "rows, and what waits, in batches of {size}");
    }
}
