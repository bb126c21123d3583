//! History of another system, as it stands in the table.

use es_core::Repository;
use es_core::execution::StreamVersion;
use es_postgres::IdType;
use es_testing::scenes::imported::{Order, events, history};

use crate::support::{database, open, value};

#[tokio::test]
async fn the_row_of_an_imported_event_is_that_of_a_decided_one_but_for_its_time() {
    let database = database(IdType::Text).await;
    let orders = Repository::<Order>::new(open(&database).await);
    let rows = "SELECT string_agg(concat_ws('|', event_id, aggregate_type, aggregate_id,
                    aggregate_version, event_type, event_data, metadata ->> 'correlation_id',
                    metadata ->> 'event_version',
                    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
                    idempotency_key), E'\\n' ORDER BY position)
                FROM execution_events WHERE aggregate_id = 'o-1'";
    let id = "0193a1d4-0000-7000-8000-00000000000";
    let (first, second) = ("2019-03-01 09:30:00.500000", "2019-03-04 15:00:00.000000");
    let carrier = r#"{"carrier": "DHL"}"#;
    let expected = [
        format!(r#"{id}1|order|o-1|1|order_placed|{{"cents": 700}}|{id}1|1.0|{first}|import/1"#),
        format!("{id}2|order|o-1|2|order_paid|{{}}|{id}2|1.0|{second}|import/2"),
        format!("{id}3|order|o-1|3|parcel_shipped|{carrier}|{id}2|1.0|{second}"),
    ];
    // the second time it is there already
    for _ in 0..2 {
        let version = orders.by_id("o-1").import(history()).await.unwrap();
        assert_eq!(version, StreamVersion::new(3));
        assert_eq!(value::<String>(&database, rows).await, expected.join("\n"));
    }

    orders.by_id("o-2").decide(|_| events()).await.unwrap();
    let of = async |id: &str| {
        let rows = format!(
            "SELECT string_agg(concat_ws('|', aggregate_type, aggregate_version, event_type,
                 event_data, metadata - 'correlation_id'), E'\\n' ORDER BY position)
             FROM execution_events WHERE aggregate_id = '{id}'"
        );
        value::<String>(&database, &rows).await
    };
    assert_eq!(of("o-1").await, of("o-2").await);
}
