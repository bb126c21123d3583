//! What `#[derive(Event)]` makes of an enum of enums of events.
#![deny(missing_docs, unused, clippy::all, clippy::pedantic)]

use std::collections::BTreeSet;

use es_core::Event;
use es_core::event::{
    DecodeError, Decoded, EncodeError, EventFilter, EventType, Fields, Metadata, Payload,
    StoredEvent, assert_distinct_event_types,
};

/// Orders.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum OrderEvent {
    /// With a version and an alias.
    #[event(version = 2, upcast(1 => in_cents), alias = "order_made")]
    OrderPlaced {
        /// The sum.
        cents: u64,
        /// Who placed it.
        #[event(metadata)]
        customer: Option<String>,
    },
    /// Without fields.
    OrderPaid,
}

fn in_cents(payload: &mut Fields) {
    payload.rename("amount", "cents");
}

/// Stock.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum StockEvent {
    /// A payload of its own.
    StockCounted(u32),
}

/// Written by hand: a retired name, and one that was split.
#[derive(Debug, Clone, PartialEq)]
pub enum BillEvent {
    /// One part.
    BillSent,
    /// The other.
    BillPaid,
}

impl Event for BillEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("bill_sent", 1).part_of(&["bill_sent_and_paid"]),
        EventType::new("bill_paid", 1).part_of(&["bill_sent_and_paid"]),
    ];
    const RETIRED: &'static [&'static str] = &["bill_flagged"];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::BillSent => &Self::TYPES[0],
            Self::BillPaid => &Self::TYPES[1],
        }
    }

    fn encode(&self, _: &mut Metadata) -> Result<Payload, EncodeError> {
        Ok(Payload::of(&()).expect("null is JSON"))
    }

    fn decode(stored: StoredEvent<'_>) -> Result<Decoded<Self>, DecodeError> {
        match stored.event_type {
            "bill_sent" => Ok(Decoded::One(Self::BillSent)),
            "bill_paid" => Ok(Decoded::One(Self::BillPaid)),
            "bill_sent_and_paid" => Ok(Decoded::Several(vec![Self::BillSent, Self::BillPaid])),
            "bill_flagged" => Ok(Decoded::Nothing),
            other => {
                Err(DecodeError::UnknownType { event_type: other.to_owned(), known: Vec::new() })
            }
        }
    }
}

/// What happens in the shop.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(union)]
pub enum ShopEvent {
    /// Orders.
    Order(OrderEvent),
    /// Stock.
    Stock(StockEvent),
}

/// All of it: a union may hold a union.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(union)]
pub enum Everything {
    /// The shop.
    Shop(ShopEvent),
    /// Bills.
    Bill(BillEvent),
}

assert_distinct_event_types!(ShopEvent, BillEvent);

fn placed() -> OrderEvent {
    OrderEvent::OrderPlaced { cents: 7, customer: Some("anna".to_owned()) }
}

fn stored<E: Event>(name: &str, version: u32, payload: &str) -> Result<Decoded<E>, String> {
    let payload = Payload::parse(payload.to_owned()).expect("the test gives JSON");
    let mut metadata = Metadata::new();
    placed().encode(&mut metadata).expect("it is JSON");
    let decoded = E::decode(StoredEvent::new(name, version, payload.as_raw(), &metadata));
    decoded.map_err(|error| error.to_string())
}

#[test]
fn its_kinds_are_those_of_its_members_in_their_order() {
    let members = [OrderEvent::TYPES, StockEvent::TYPES].concat();
    assert_eq!(ShopEvent::TYPES, members);
    assert_eq!(ShopEvent::RETIRED.len(), 0);
    assert_eq!(Everything::TYPES, [ShopEvent::TYPES, BillEvent::TYPES].concat());
    assert_eq!(Everything::RETIRED, BillEvent::RETIRED);
}

#[test]
fn an_event_is_written_as_its_members() {
    let (placed, counted) = (placed(), StockEvent::StockCounted(3));
    let (mut alone, mut together) = (Metadata::new(), Metadata::new());
    for (member, union) in [
        (placed.encode(&mut alone), ShopEvent::from(placed.clone()).encode(&mut together)),
        (counted.encode(&mut alone), ShopEvent::from(counted.clone()).encode(&mut together)),
    ] {
        assert_eq!(member.unwrap(), union.unwrap());
        assert_eq!(alone, together);
    }
    assert_ne!(together, Metadata::new());
    assert_eq!(ShopEvent::from(placed).event_type(), &OrderEvent::ORDER_PLACED);
    assert_eq!(ShopEvent::Stock(counted).event_type(), &StockEvent::STOCK_COUNTED);
}

#[test]
fn what_is_stored_is_read_as_its_member_reads_it() {
    for (name, version, payload) in [
        ("order_placed", 2, r#"{"cents": 7}"#),
        ("order_placed", 1, r#"{"amount": 7}"#),
        ("order_made", 2, r#"{"cents": 7}"#),
        ("order_paid", 1, "{}"),
        // refused alike
        ("order_placed", 2, r#"{"amount": 7}"#),
        ("order_placed", 3, r#"{"cents": 7}"#),
        ("order_paid", 0, "{}"),
    ] {
        let order = stored::<OrderEvent>(name, version, payload);
        let shop = order.clone().map(|event| event.map(ShopEvent::Order));
        assert_eq!(stored(name, version, payload), shop, "{name} v{version} {payload}");
        let everything = shop.map(|event| event.map(Everything::Shop));
        assert_eq!(stored(name, version, payload), everything, "{name} v{version} {payload}");
    }
    let counted = Decoded::One(StockEvent::StockCounted(3));
    assert_eq!(stored::<StockEvent>("stock_counted", 1, "3"), Ok(counted.clone()));
    assert_eq!(stored("stock_counted", 1, "3"), Ok(counted.map(ShopEvent::Stock)));
}

#[test]
fn retired_and_split_names_of_a_member_are_read_by_the_union() {
    for name in ["bill_sent", "bill_sent_and_paid", "bill_flagged"] {
        let bill = stored::<BillEvent>(name, 1, "null").unwrap();
        assert_eq!(stored(name, 1, "null"), Ok(bill.map(Everything::Bill)), "{name}");
    }
}

#[test]
fn what_no_member_knows_is_refused_with_all_that_they_know() {
    let refused = stored::<ShopEvent>("bill_sent", 1, "null").unwrap_err();
    for name in ["`bill_sent`", "order_placed", "order_paid", "stock_counted"] {
        assert!(refused.contains(name), "{refused}");
    }
}

#[test]
fn its_filter_is_that_of_all_its_members() {
    let (shop, bill) = (EventFilter::of::<ShopEvent>(), EventFilter::of::<BillEvent>());
    let both: BTreeSet<_> = shop.event_types.union(&bill.event_types).cloned().collect();
    assert_eq!(EventFilter::of::<Everything>().event_types, both);
    let names: Vec<_> = both.iter().map(es_core::event::EventName::as_str).collect();
    assert_eq!(
        names,
        [
            "bill_paid",
            "bill_sent",
            "bill_sent_and_paid",
            "order_made",
            "order_paid",
            "order_placed",
            "stock_counted",
        ],
        "aliases and split names are in, retired ones are not"
    );
}
