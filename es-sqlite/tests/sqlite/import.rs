//! History of another system, as it stands in the file.

use es_core::backend::Timestamp;
use es_core::event::{EventId, Metadata, Payload, StoredEvent};
use es_core::execution::{Imported, StreamVersion};
use es_core::{Aggregate, Event, Repository};

use crate::support::Folder;

#[derive(Event, Debug, Clone, PartialEq)]
enum OrderEvent {
    OrderPlaced { cents: u64 },
    OrderPaid,
    ParcelShipped { carrier: String },
}
use OrderEvent::*;

#[derive(Debug, Clone, Default, PartialEq)]
struct Order(Vec<OrderEvent>);

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        self.0.push(event.clone());
    }
}

/// What the old shop wrote.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(retired("com.acme.v1.Viewed"))]
enum OldEvent {
    #[event(alias = "com.acme.v1.Placed", version = 2, upcast(1 => in_euros))]
    OrderPlaced { euros: u64 },
    #[event(alias = "com.acme.v1.PaidAndShipped")]
    OrderPaidAndShipped { by: String },
}

fn in_euros(payload: &mut es_core::event::Fields) {
    payload.rename("sum", "euros");
}

fn today(old: OldEvent) -> Vec<OrderEvent> {
    match old {
        OldEvent::OrderPlaced { euros } => vec![OrderPlaced { cents: euros * 100 }],
        OldEvent::OrderPaidAndShipped { by } => vec![OrderPaid, ParcelShipped { carrier: by }],
    }
}

const ROWS: [(&str, u32, &str, &str); 3] = [
    ("com.acme.v1.Placed", 1, "2019-03-01T10:30:00.5+01:00", r#"{"sum": 7}"#),
    ("com.acme.v1.Viewed", 1, "2019-03-01T09:31:00Z", "[]"),
    ("com.acme.v1.PaidAndShipped", 1, "2019-03-04T15:00:00Z", r#"{"by": "DHL"}"#),
];

fn id_of(number: usize) -> EventId {
    format!("0193a1d4-0000-7000-8000-{number:012}").parse().unwrap()
}

fn history() -> Vec<Imported<OrderEvent>> {
    let mut history = Vec::new();
    for (name, version, time, payload) in ROWS {
        let time: Timestamp = time.parse().unwrap();
        let (payload, metadata) = (Payload::parse(payload.to_owned()).unwrap(), Metadata::new());
        let stored = StoredEvent::new(name, version, payload.as_raw(), &metadata);
        for event in OldEvent::decode(stored).unwrap().into_iter().flat_map(today) {
            let id = id_of(history.len() + 1);
            history.push(Imported::new(event, time).event_id(id));
        }
    }
    history
}

/// The answers of a query for text.
fn texts(folder: &Folder, query: &str) -> Vec<String> {
    let connection = folder.connection();
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn names_of_elsewhere_are_read_and_todays_are_stored_with_the_times_of_then() {
    let folder = Folder::new();
    let store = folder.store().await;
    let orders = Repository::<Order>::new(store);
    let version = orders.by_id("o-1").import(history()).await.unwrap();
    assert_eq!(version, StreamVersion::new(3));

    let stored = || {
        texts(
            &folder,
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
    assert_eq!(texts(&folder, keys), ["import/1", "import/2"]);

    // in a program that is started again, it is there already
    let again = Repository::<Order>::new(folder.store().await);
    assert_eq!(again.by_id("o-1").import(history()).await.unwrap(), version);
    assert_eq!(stored(), expected);
    let now = again.load("o-1").await.unwrap().state;
    let carrier = "DHL".to_owned();
    assert_eq!(now.0, [OrderPlaced { cents: 700 }, OrderPaid, ParcelShipped { carrier }]);

    // but for ids and times, and what is made of them, a decision stores the same
    let decided = again.by_id("o-2").decide(|_| now.0.clone());
    decided.await.unwrap();
    let of = |id: &str| {
        let query = format!(
            "SELECT concat_ws('|', aggregate_type, aggregate_version, event_type, event_data,
                 json_remove(metadata, '$.correlation_id'))
             FROM execution_events WHERE aggregate_id = '{id}' ORDER BY position"
        );
        texts(&folder, &query)
    };
    assert_eq!(of("o-1").len(), 3);
    assert_eq!(of("o-1"), of("o-2"));
}
