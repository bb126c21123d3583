//! Values of every type in a table.

use es_core::backend::{Position, Slot, TableChange, TableRead, Timestamp};
use es_core::event::EventId;
use es_core::projection::{Changes, Json, Table, TableRow};
use es_core::{BoxError, Envelope, TableProjection};

use super::Backend;
use super::orders::{OrderEvent, changing, claim};

/// Every type of column.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "samples")]
pub struct Sample {
    #[table(key)]
    pub number: i64,
    #[table(key)]
    pub flag: bool,
    pub small: u32,
    pub ratio: f64,
    pub text: String,
    pub bytes: Vec<u8>,
    pub at: Timestamp,
    pub event: Option<EventId>,
    pub tags: Json<Vec<String>>,
}

impl TableProjection for Sample {
    type Event = OrderEvent;
    type Tables = Self;

    fn project(_: &Envelope<'_, OrderEvent>, _: &mut Changes) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A row of little beside its key.
pub fn sample(number: i64, flag: bool) -> Sample {
    Sample {
        number,
        flag,
        small: 0,
        ratio: f64::MIN_POSITIVE,
        text: String::new(),
        bytes: Vec::new(),
        at: Timestamp::EPOCH,
        event: None,
        tags: Json(Vec::new()),
    }
}

/// In the order of their keys.
fn samples() -> [Sample; 3] {
    let full = Sample {
        number: i64::MIN,
        flag: false,
        small: u32::MAX,
        ratio: 0.1,
        text: "ü'\"".to_owned(),
        bytes: vec![0, 255],
        at: Timestamp::from_micros(1_764_000_000_000_001),
        event: Some(EventId::stand_in(Position::from_sequence(7))),
        tags: Json(vec!["a".to_owned()]),
    };
    let earliest = Timestamp::from_micros(i64::MIN);
    [full, sample(i64::MAX, false), Sample { at: earliest, ..sample(i64::MAX, true) }]
}

/// Each row is read by its key, and those behind a key are.
pub async fn values_come_back_as_they_were(store: &impl Backend) {
    let samples = samples();
    let lease = store.acquire(&claim::<Sample>(Slot::Active)).await.expect("nobody has it");
    let changes = samples.clone().map(inserting).into();
    store.commit(&lease, &changing(changes)).await.expect("the rows are written");
    let table = Table::<Sample>::new(store.clone());
    for sample in &samples {
        let read = table.get((sample.number, sample.flag)).await.expect("the table is read");
        assert_eq!(read.as_ref(), Some(sample));
    }
    let [first, rest @ ..] = samples.map(Sample::into_values);
    let read = TableRead::Rows { after: Some(Sample::SCHEMA.key_of(&first)), limit: 10 };
    let rows = store.table_rows(Sample::NAME, Slot::Active, &Sample::SCHEMA, &read).await;
    assert_eq!(rows.expect("the table is read"), rest);
}

/// Writes a row.
pub fn inserting(sample: Sample) -> TableChange {
    TableChange::Upsert { table: &Sample::SCHEMA, values: sample.into_values(), set: None }
}
