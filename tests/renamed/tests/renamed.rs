//! What the derives make under other names is what they always make.

use es_renamed::{LineId, OrderEvent, OrderId, ShopEvent, WarehouseEvent};
use shop::event::{Decoded, Metadata, Payload, StoredEvent};
use shop::{AggregateId, Event};

fn comes_back<E: Event + std::fmt::Debug + PartialEq>(event: E) {
    let mut metadata = Metadata::new();
    let payload = event.encode(&mut metadata).expect("the event can be written");
    let kind = event.event_type();
    let stored = StoredEvent::new(kind.name, kind.schema_version, payload.as_raw(), &metadata);
    assert_eq!(E::decode(stored).expect("the event can be read"), Decoded::One(event));
}

fn placed(cents: u64) -> OrderEvent {
    OrderEvent::OrderPlaced { cents, customer: Some("anna".to_owned()), told: true }
}

fn cancelled() -> WarehouseEvent {
    WarehouseEvent::BestellungStorniert { grund: "Zeit".to_owned() }
}

#[test]
fn events_come_back() {
    for event in [placed(7), OrderEvent::OrderPaid, OrderEvent::NoteAdded("a".to_owned())] {
        comes_back(event.clone());
        comes_back(ShopEvent::from(event));
    }
    comes_back(cancelled());
    comes_back(ShopEvent::from(cancelled()));
}

#[test]
fn old_names_and_versions_are_read() {
    let payload = Payload::parse(r#"{"cents": 7, "amount": 7}"#.to_owned()).unwrap();
    let metadata = Metadata::new();
    let read = |name: &str, version| {
        let stored = StoredEvent::new(name, version, payload.as_raw(), &metadata);
        OrderEvent::decode(stored).unwrap()
    };
    let bare = OrderEvent::OrderPlaced { cents: 7, customer: None, told: false };
    assert_eq!(read("order_flagged", 1), Decoded::Nothing);
    assert_eq!(read("com.acme.v1.Placed", 1), Decoded::One(bare.clone()));
    let both = Decoded::Several(vec![bare, OrderEvent::OrderPaid]);
    assert_eq!(read("order_placed_and_paid", 1), both);
}

#[test]
fn ids_have_the_text_of_what_is_inside() {
    assert_eq!(LineId(OrderId(7)).to_text(), "7");
    assert_eq!(LineId::parse("7").unwrap(), LineId(OrderId(7)));
    assert!(OrderId::parse("07").is_err());
}
