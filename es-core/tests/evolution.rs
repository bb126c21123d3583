//! What `#[derive(Event)]` makes of names that are read and not written any more: retired, split, and
//! those of other stores.
#![deny(missing_docs, unused, clippy::all, clippy::pedantic)]

use std::collections::BTreeSet;

use es_core::event::{
    DecodeError, Decoded, EventFilter, EventName, EventType, Fields, Metadata, MetadataField,
    Payload, StoredEvent, assert_distinct_event_types,
};
use es_core::{BoxError, Event};

/// Everything that a stored name may become.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(retired("order_flagged", "com.acme.v1.Flagged"))]
#[event(split("order_placed_and_paid" => place_and_pay: OrderPlaced, OrderPaid))]
#[event(split("com.acme.v1.Closed" => Self::close: OrderPaid, OrderShipped,))]
pub enum OrderEvent {
    /// With a field that is not in the payload.
    OrderPlaced {
        /// The sum.
        cents: u64,
        /// Who placed it.
        #[event(metadata)]
        customer: Option<String>,
    },
    /// Under the name of another store, too.
    #[event(alias = "com.acme.v1.Paid", alias = "Zahlung-eingegangen:ü")]
    OrderPaid,
    /// A part as it is stored alone, with an older version.
    #[event(version = 2, upcast(1 => by_carrier))]
    OrderShipped {
        /// Who carries it.
        carrier: String,
    },
    /// No part of anything.
    OrderLost,
}
use OrderEvent::{OrderLost, OrderPaid, OrderPlaced, OrderShipped};

/// Who placed an order.
const CUSTOMER: MetadataField<String> = MetadataField::new("customer");

fn place_and_pay(old: &Fields, stored: &StoredEvent<'_>) -> Result<Vec<OrderEvent>, BoxError> {
    let cents = old.get("cents").ok_or("there is no sum")?;
    let placed = OrderPlaced { cents, customer: stored.metadata.get(CUSTOMER) };
    match old.get("paid") {
        None | Some(true) => Ok(vec![placed, OrderPaid]),
        Some(false) => Ok(vec![placed]),
    }
}

impl OrderEvent {
    /// Up to version 6 there was one carrier only.
    fn close(old: &Fields, stored: &StoredEvent<'_>) -> Result<Vec<Self>, BoxError> {
        match &*old.get::<String>("how").ok_or("nobody says how")? {
            "shipped" => {
                let only = (stored.schema_version <= 6).then(|| "DHL".to_owned());
                let carrier = only.or_else(|| old.get("carrier")).ok_or("nobody says by whom")?;
                Ok(vec![OrderPaid, OrderShipped { carrier }])
            }
            "lost" => Ok(vec![OrderPaid, OrderLost]),
            _ => Ok(Vec::new()),
        }
    }
}

fn by_carrier(payload: &mut Fields) {
    payload.rename("by", "carrier");
}

/// A language whose participles do not end in "-ed".
#[derive(Event, Debug, Clone, PartialEq)]
#[event(tense = "any", reason = "the warehouse speaks German")]
pub enum WarehouseEvent {
    /// Derived.
    BestellungStorniert {
        /// Why.
        grund: String,
    },
    /// No participle at all.
    Inventur,
}

/// Both.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(union)]
pub enum ShopEvent {
    /// Orders.
    Order(OrderEvent),
    /// The warehouse.
    Warehouse(WarehouseEvent),
}

assert_distinct_event_types!(OrderEvent, WarehouseEvent);

fn decode<E: Event>(name: &str, version: u32, payload: &str) -> Result<Decoded<E>, DecodeError> {
    let payload = Payload::parse(payload.to_owned()).expect("the test gives JSON");
    let metadata = Metadata::new();
    E::decode(StoredEvent::new(name, version, payload.as_raw(), &metadata))
}

fn orders(name: &str, version: u32, payload: &str) -> Result<Decoded<OrderEvent>, String> {
    decode(name, version, payload).map_err(|error| error.to_string())
}

fn placed(cents: u64) -> OrderEvent {
    OrderPlaced { cents, customer: None }
}

#[test]
fn a_retired_name_is_nothing_in_any_version_and_with_any_payload() {
    assert_eq!(OrderEvent::RETIRED, ["order_flagged", "com.acme.v1.Flagged"]);
    for name in OrderEvent::RETIRED {
        for (version, payload) in [(0, "{}"), (1, "null"), (7, "[1]"), (u32::MAX, "\"x\"")] {
            assert_eq!(orders(name, version, payload), Ok(Decoded::Nothing), "{name} {payload}");
        }
    }
}

#[test]
fn a_split_name_stands_for_its_parts_in_their_order() {
    let both = Decoded::Several(vec![placed(7), OrderPaid]);
    let split = "order_placed_and_paid";
    for version in [1, 2, 9] {
        assert_eq!(orders(split, version, r#"{"cents": 7}"#), Ok(both.clone()), "{version}");
    }
    let one = Decoded::Several(vec![placed(7)]);
    assert_eq!(orders(split, 1, r#"{"cents": 7, "paid": false}"#), Ok(one));
    let none = Decoded::Several(Vec::new());
    assert_eq!(orders("com.acme.v1.Closed", 1, r#"{"how": "not"}"#), Ok(none));
    let shipped = Decoded::Several(vec![OrderPaid, OrderShipped { carrier: "DHL".to_owned() }]);
    assert_eq!(orders("com.acme.v1.Closed", 1, r#"{"how": "shipped"}"#), Ok(shipped));
}

#[test]
fn a_function_that_splits_sees_the_version_and_the_metadata() {
    let shipped = |version, payload| {
        let by = |event: OrderEvent| match event {
            OrderShipped { carrier } => Some(carrier),
            _ => None,
        };
        let read = orders("com.acme.v1.Closed", version, payload)?;
        Ok::<_, String>(read.into_iter().find_map(by))
    };
    assert_eq!(shipped(6, r#"{"how": "shipped", "carrier": "UPS"}"#), Ok(Some("DHL".to_owned())));
    assert_eq!(shipped(7, r#"{"how": "shipped", "carrier": "UPS"}"#), Ok(Some("UPS".to_owned())));
    assert!(shipped(7, r#"{"how": "shipped"}"#).is_err());

    let payload = Payload::parse(r#"{"cents": 7, "paid": false}"#.to_owned()).unwrap();
    let metadata = Metadata::new().with(CUSTOMER, "anna".to_owned());
    let stored = StoredEvent::new("order_placed_and_paid", 1, payload.as_raw(), &metadata);
    let placed = OrderPlaced { cents: 7, customer: Some("anna".to_owned()) };
    assert_eq!(OrderEvent::decode(stored).unwrap(), Decoded::Several(vec![placed]));
}

#[test]
fn what_a_split_name_cannot_become_is_refused_with_the_reason() {
    let refused = |name, version, payload| match decode::<OrderEvent>(name, version, payload) {
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            (error.to_string(), source.unwrap_or_default())
        }
        Ok(read) => panic!("{payload} was read as {read:?}"),
    };
    let split = "order_placed_and_paid";
    let no_sum = ("event `order_placed_and_paid` cannot be split", "there is no sum");
    for payload in ["{}", "null", r#"{"cents": -1}"#] {
        let (error, source) = refused(split, 1, payload);
        assert_eq!((&*error, &*source), no_sum, "{payload}");
    }
    let (error, source) = refused("com.acme.v1.Closed", 1, r#"{"how": "lost"}"#);
    assert_eq!(error, "event `com.acme.v1.Closed` cannot be split");
    assert_eq!(source, "`order_lost` is not named as a part of it");

    let no_object = decode::<OrderEvent>(split, 3, "[7]").unwrap_err();
    assert!(matches!(no_object, DecodeError::Payload { schema_version: 3, .. }), "{no_object}");
    let no_version = decode::<OrderEvent>(split, 0, r#"{"cents": 7}"#).unwrap_err();
    assert!(matches!(no_version, DecodeError::BadVersion { .. }), "{no_version}");
}

#[test]
fn a_kind_is_selected_under_the_names_of_which_it_is_a_part() {
    let names = |kind: EventType| EventFilter::events([kind]).event_types;
    let is = |kind: EventType, expected: &[&str]| {
        let expected: BTreeSet<_> = expected.iter().map(|name| EventName::from(*name)).collect();
        assert_eq!(names(kind), expected);
    };
    is(OrderEvent::ORDER_PLACED, &["order_placed", "order_placed_and_paid"]);
    is(OrderEvent::ORDER_SHIPPED, &["com.acme.v1.Closed", "order_shipped"]);
    is(OrderEvent::ORDER_LOST, &["order_lost"]);
    let paid = names(OrderEvent::ORDER_PAID);
    assert_eq!(paid.len(), 5, "its own, two aliases and two splits: {paid:?}");
    let all = EventFilter::of::<OrderEvent>().event_types;
    assert_eq!(all.len(), 8, "retired names are not among them: {all:?}");
}

#[test]
fn names_of_other_stores_are_read_and_not_written() {
    for name in ["order_paid", "com.acme.v1.Paid", "Zahlung-eingegangen:ü"] {
        assert_eq!(orders(name, 1, "{}"), Ok(Decoded::One(OrderPaid)), "{name}");
    }
    assert_eq!(OrderPaid.event_type().name, "order_paid");
}

#[test]
fn a_part_that_is_stored_alone_keeps_its_own_versions() {
    let shipped = Decoded::One(OrderShipped { carrier: "DHL".to_owned() });
    assert_eq!(orders("order_shipped", 1, r#"{"by": "DHL"}"#), Ok(shipped.clone()));
    assert_eq!(orders("order_shipped", 2, r#"{"carrier": "DHL"}"#), Ok(shipped));
    assert!(orders("order_shipped", 3, r#"{"carrier": "DHL"}"#).is_err());
}

#[test]
fn an_enum_of_another_language_has_its_names_from_its_variants() {
    let names: Vec<_> = WarehouseEvent::TYPES.iter().map(|kind| kind.name).collect();
    assert_eq!(names, ["bestellung_storniert", "inventur"]);
    let read = decode("bestellung_storniert", 1, r#"{"grund": "Zeit"}"#).unwrap();
    let grund = "Zeit".to_owned();
    assert_eq!(read, Decoded::One(WarehouseEvent::BestellungStorniert { grund }));
}

#[test]
fn a_union_reads_what_its_members_retired_and_split() {
    for (name, payload) in [
        ("order_flagged", "[]"),
        ("com.acme.v1.Flagged", "{}"),
        ("order_placed_and_paid", r#"{"cents": 7}"#),
        ("com.acme.v1.Closed", r#"{"how": "shipped"}"#),
        ("com.acme.v1.Paid", "{}"),
    ] {
        let order = orders(name, 1, payload).unwrap().map(ShopEvent::Order);
        assert_eq!(decode(name, 1, payload).unwrap(), order, "{name}");
    }
    assert_eq!(ShopEvent::RETIRED, OrderEvent::RETIRED);
}
