//! Values of every type.

use es_core::backend::{Position, Timestamp};
use es_core::event::EventId;
use es_core::projection::Json;

use super::*;

/// Every type of column.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "samples")]
pub(super) struct Sample {
    #[table(key)]
    number: i64,
    #[table(key)]
    flag: bool,
    small: u32,
    ratio: f64,
    text: String,
    bytes: Vec<u8>,
    at: Timestamp,
    event: Option<EventId>,
    tags: Json<Vec<String>>,
}

impl TableProjection for Sample {
    type Event = OrderEvent;
    type Tables = Self;

    fn project(_: &Envelope<'_, OrderEvent>, _: &mut Changes) -> Result<(), BoxError> {
        Ok(())
    }
}

/// The same words with values of other types, over one connection.
#[tokio::test]
async fn values_of_several_types_in_one_place_are_what_they_are() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let lease = store.acquire(&claim(&Definition::table::<Sample>(), Slot::Active)).await.unwrap();
    let table = &Sample::SCHEMA;
    let set_to = |value: SqlValue| TableChange::Update {
        table,
        rows: Which::Where("number = 1"),
        set: "ratio = $1",
        values: vec![value],
    };
    let sample = Sample {
        number: 1,
        flag: true,
        small: 0,
        ratio: 0.0,
        text: String::new(),
        bytes: Vec::new(),
        at: Timestamp::EPOCH,
        event: None,
        tags: Json(Vec::new()),
    };
    let insert = TableChange::Upsert { table, values: sample.into_values(), set: None };
    store.commit(&lease, &changing(vec![insert])).await.unwrap();
    let rows = Table::<Sample>::new(store.clone());
    for (value, ratio) in
        [(SqlValue::Int(3), 3.0), (SqlValue::Float(5.5), 5.5), (SqlValue::Int(4), 4.0)]
    {
        let batch = changing(vec![set_to(value)]);
        store.commit(&lease, &batch).await.unwrap();
        assert_eq!(rows.get((1_i64, true)).await.unwrap().unwrap().ratio, ratio);
    }
}

#[tokio::test]
async fn values_come_back_as_they_were() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let samples = [
        Sample {
            number: i64::MIN,
            flag: false,
            small: u32::MAX,
            ratio: 0.1,
            text: "ü'\"".to_owned(),
            bytes: vec![0, 255],
            at: Timestamp::from_micros(1_764_000_000_000_001),
            event: Some(EventId::stand_in(Position::from_sequence(7))),
            tags: Json(vec!["a".to_owned()]),
        },
        Sample {
            number: i64::MAX,
            flag: true,
            small: 0,
            ratio: f64::MIN_POSITIVE,
            text: String::new(),
            bytes: Vec::new(),
            at: Timestamp::from_micros(i64::MIN),
            event: None,
            tags: Json(Vec::new()),
        },
    ];
    let lease = store.acquire(&claim(&Definition::table::<Sample>(), Slot::Active)).await.unwrap();
    let table = &Sample::SCHEMA;
    let changes = samples.iter().map(|sample| {
        let values = sample.clone().into_values();
        TableChange::Upsert { table, values, set: None }
    });
    store.commit(&lease, &changing(changes.collect())).await.unwrap();
    let table = Table::<Sample>::new(store.clone());
    for sample in &samples {
        let key = (sample.number, sample.flag);
        assert_eq!(table.get(key).await.unwrap().as_ref(), Some(sample));
    }
    let second = TableRead::Rows { after: Some(key_of(&samples[0])), limit: 10 };
    let rows = store.table_rows("samples", Slot::Active, &Sample::SCHEMA, &second).await.unwrap();
    assert_eq!(rows, [samples[1].clone().into_values()]);
}

fn key_of(sample: &Sample) -> Vec<SqlValue> {
    Sample::SCHEMA.key_of(&sample.clone().into_values())
}
