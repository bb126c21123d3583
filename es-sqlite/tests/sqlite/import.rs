//! History of another system, as it stands in the file.

use es_core::Repository;
use es_core::execution::StreamVersion;
use es_testing::scenes::imported::{Order, events, history};

use crate::support::Folder;

#[tokio::test]
async fn names_of_elsewhere_are_read_and_todays_are_stored_with_the_times_of_then() {
    let (folder, store) = Folder::with_store().await;
    let orders = Repository::<Order>::new(store);
    let version = orders.by_id("o-1").import(history()).await.unwrap();
    assert_eq!(version, StreamVersion::new(3));

    let stored = || {
        folder.values::<String>(
            "SELECT concat_ws('|', event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
                 created_at, event_data, metadata ->> 'correlation_id', metadata ->> 'event_version')
             FROM execution_events ORDER BY position",
        )
    };
    let id = "0193a1d4-0000-7000-8000-00000000000";
    let (first, second) = ("2019-03-01 09:30:00.500000", "2019-03-04 15:00:00.000000");
    let expected = [
        format!(r#"{id}1|order|o-1|1|order_placed|{first}|{{"cents":700}}|{id}1|1.0"#),
        format!(r#"{id}2|order|o-1|2|order_paid|{second}|{{}}|{id}2|1.0"#),
        format!(r#"{id}3|order|o-1|3|parcel_shipped|{second}|{{"carrier":"DHL"}}|{id}2|1.0"#),
    ];
    assert_eq!(stored(), expected);
    let keys = "SELECT idempotency_key FROM idempotency_keys ORDER BY first_position";
    assert_eq!(folder.values::<String>(keys), ["import/1", "import/2"]);

    // in a program that is started again, it is there already
    let again = Repository::<Order>::new(folder.store().await);
    assert_eq!(again.by_id("o-1").import(history()).await.unwrap(), version);
    assert_eq!(stored(), expected);
    assert_eq!(again.load("o-1").await.unwrap().state.0, events());

    // but for ids and times, and what is made of them, a decision stores the same
    again.by_id("o-2").decide(|_| events()).await.unwrap();
    let of = |id: &str| {
        let query = format!(
            "SELECT concat_ws('|', aggregate_type, aggregate_version, event_type, event_data,
                 json_remove(metadata, '$.correlation_id'))
             FROM execution_events WHERE aggregate_id = '{id}' ORDER BY position"
        );
        folder.values::<String>(&query)
    };
    assert_eq!(of("o-1").len(), 3);
    assert_eq!(of("o-1"), of("o-2"));
}
