//! Orders that another system kept: what it wrote, and what is imported of it.

use es_core::backend::Timestamp;
use es_core::event::{EventId, Fields, Metadata, Payload, StoredEvent};
use es_core::execution::Imported;
use es_core::{Aggregate, Event};

use OrderEvent::*;

#[derive(Event, Debug, Clone, PartialEq)]
pub enum OrderEvent {
    OrderPlaced { cents: u64 },
    OrderPaid,
    ParcelShipped { carrier: String },
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order(pub Vec<OrderEvent>);

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

fn in_euros(payload: &mut Fields) {
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

/// The events with the numbers 1 to 3 as their ids, the second and third of one time.
pub fn history() -> Vec<Imported<OrderEvent>> {
    let mut history = Vec::new();
    for (name, version, time, payload) in ROWS {
        let time: Timestamp = time.parse().expect("the text is a time");
        let payload = Payload::parse(payload.to_owned()).expect("the text is JSON");
        let metadata = Metadata::new();
        let stored = StoredEvent::new(name, version, payload.as_raw(), &metadata);
        let old = OldEvent::decode(stored).expect("it is one of the old shop's");
        for event in old.into_iter().flat_map(today) {
            history.push(Imported::new(event, time).event_id(id(history.len() + 1)));
        }
    }
    history
}

fn id(number: usize) -> EventId {
    let text = format!("0193a1d4-0000-7000-8000-{number:012}");
    text.parse().expect("the text is a UUID")
}

/// The same events without their past.
pub fn events() -> [OrderEvent; 3] {
    [OrderPlaced { cents: 700 }, OrderPaid, ParcelShipped { carrier: "DHL".to_owned() }]
}
