//! Values of every type.

use es_testing::scenes::values::{self, Sample, inserting, sample};

use super::*;

/// The same words with values of other types, over one connection.
#[tokio::test]
async fn values_of_several_types_in_one_place_are_what_they_are() {
    let (_database, store) = empty_store().await;
    let lease = store.acquire(&claim::<Sample>(Slot::Active)).await.unwrap();
    let table = &Sample::SCHEMA;
    let set_to = |value: SqlValue| TableChange::Update {
        table,
        rows: Which::Where("number = 1"),
        set: "ratio = $1",
        values: vec![value],
    };
    store.commit(&lease, &changing(vec![inserting(sample(1, true))])).await.unwrap();
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
    let (_database, store) = empty_store().await;
    values::values_come_back_as_they_were(&store).await;
}
