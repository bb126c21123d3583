//! Files of names that are retired, of names that were split, and of names of other stores.

use std::cell::RefCell;
use std::fs;

use es_core::event::{
    DecodeError, Decoded, EncodeError, EventType, Fields, Metadata, Payload, StoredEvent,
};
use es_core::{Aggregate, BoxError, Event};
use es_testing::golden::{self, check_aggregate, compare, write_missing};
use serde_json::json;
use tempfile::TempDir;

use super::{problem, write};

#[derive(Debug, PartialEq)]
enum BillEvent {
    BillSent,
    BillPaid,
}
use BillEvent::*;

const BOTH: &[&str] = &["bill_sent_and_paid"];

impl Event for BillEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("bill_sent", 2).part_of(BOTH),
        EventType::new("bill_paid", 1).part_of(BOTH),
    ];
    const RETIRED: &'static [&'static str] = &["bill_flagged", "bill_lost"];

    fn event_type(&self) -> &'static EventType {
        match self {
            BillSent => &Self::TYPES[0],
            BillPaid => &Self::TYPES[1],
        }
    }

    fn encode(&self, _: &mut Metadata) -> Result<Payload, EncodeError> {
        Ok(Payload::of(&()).expect("null is JSON"))
    }

    fn decode(stored: StoredEvent<'_>) -> Result<Decoded<Self>, DecodeError> {
        Ok(match stored.event_type {
            "bill_sent" => Decoded::One(BillSent),
            "bill_sent_and_paid" => Decoded::Several(vec![BillSent, BillPaid]),
            "bill_flagged" => Decoded::Nothing,
            // `bill_lost` included, which is retired
            _ => Decoded::One(BillPaid),
        })
    }
}

thread_local! {
    /// What the fold of this test was given.
    static FOLDED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Default)]
struct Bill;

impl Aggregate for Bill {
    const TYPE: &'static str = "bill";
    type Id = i64;
    type Event = BillEvent;

    fn evolve(&mut self, event: &BillEvent) {
        FOLDED.with_borrow_mut(|folded| folded.push(event.event_type().name));
    }
}

/// A folder with the examples, and with a file of the split name and of each of these.
fn frozen(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let form = json!({"payload": {}, "metadata": {}});
    let freeze = |name: &str| write(folder.path(), &format!("{name}.v1.json"), &form);
    freeze("bill_sent_and_paid");
    fs::write(folder.path().join("bill_sent.v1.never-stored"), "").expect("it can be written");
    write_missing(folder.path(), [BillSent, BillPaid]).expect("files can be written");
    names.iter().for_each(|name| freeze(name));
    folder
}

#[test]
fn a_retired_name_is_read_as_nothing_and_of_a_split_one_each_part_is_folded() {
    let folder = frozen(&["bill_flagged"]);
    check_aggregate::<Bill>(folder.path(), [BillSent, BillPaid]).unwrap();
    assert_eq!(FOLDED.take(), ["bill_paid", "bill_sent", "bill_sent", "bill_paid"]);

    let all = |name| golden::read_all::<BillEvent>(folder.path(), name).unwrap();
    assert_eq!(all("bill_flagged.v1.json"), []);
    assert_eq!(all("bill_sent_and_paid.v1.json"), [BillSent, BillPaid], "in their order");
    assert_eq!(all("bill_paid.v1.json"), [BillPaid]);

    for (name, events) in [("bill_flagged", 0), ("bill_sent_and_paid", 2)] {
        let read = golden::read::<BillEvent>(folder.path(), &format!("{name}.v1.json"));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(&format!("it stands for {events} events, not for one")), "{error}");
    }
}

#[test]
fn a_retired_name_that_is_read_as_an_event_is_a_failure() {
    let folder = frozen(&["bill_lost"]);
    let problem = problem(compare(folder.path(), [BillSent, BillPaid]));
    let expected =
        "bill_lost.v1.json is of a retired name, and is read as an event; it must stand for none";
    assert_eq!(problem, expected);
}

#[test]
fn a_split_name_without_a_file_is_a_failure() {
    let folder = frozen(&[]);
    fs::remove_file(folder.path().join("bill_sent_and_paid.v1.json")).unwrap();
    let problem = problem(compare(folder.path(), [BillSent, BillPaid]));
    let expected = "`bill_sent_and_paid` is split but no golden file shows it; put a stored one at \
                    bill_sent_and_paid.v1.json";
    assert_eq!(problem, expected);
}

/// Orders, which another store closed in one step.
#[derive(Event, Debug)]
#[event(split("com.acme.v1.Closed" => close: OrderPaid, OrderShipped))]
enum OrderEvent {
    OrderPaid,
    OrderShipped { carrier: String },
}

fn close(old: &Fields, _: &StoredEvent<'_>) -> Result<Vec<OrderEvent>, BoxError> {
    let carrier = old.get("carrier").ok_or("there is no carrier")?;
    Ok(vec![OrderEvent::OrderPaid, OrderEvent::OrderShipped { carrier }])
}

#[test]
fn a_file_runs_the_function_that_splits_its_name_also_one_of_another_store() {
    let folder = tempfile::tempdir().unwrap();
    let examples =
        || [OrderEvent::OrderPaid, OrderEvent::OrderShipped { carrier: "DHL".to_owned() }];
    let form = json!({"payload": {"carrier": "DHL"}, "metadata": {}});
    write(folder.path(), "com.acme.v1.Closed.v1.json", &form);
    write(folder.path(), "com.acme.v1.Closed.v2.old.json", &form);
    write_missing(folder.path(), examples()).unwrap();
    compare(folder.path(), examples()).unwrap();

    let form = json!({"payload": {}, "metadata": {}});
    write(folder.path(), "com.acme.v1.Closed.v1.json", &form);
    let problem = problem(compare(folder.path(), examples()));
    assert!(problem.starts_with("com.acme.v1.Closed.v1.json was stored once"), "{problem}");
    assert!(problem.ends_with("cannot be split: there is no carrier"), "{problem}");
}

#[test]
fn the_versions_of_a_split_name_are_not_those_of_its_parts() {
    let folder = frozen(&[]);
    fs::remove_file(folder.path().join("bill_sent.v1.never-stored")).unwrap();
    let problem = problem(compare(folder.path(), [BillSent, BillPaid]));
    assert!(problem.contains("`bill_sent` is at version 2 but no golden file shows"), "{problem}");
}

/// Names that are no file's as they are.
#[derive(Event, Debug, PartialEq)]
#[event(retired("acme:order*flagged?"))]
#[event(split("acme/order%closed" => close_order: OrderClosed))]
enum AcmeEvent {
    OrderClosed { by: String },
}

fn close_order(old: &Fields, _: &StoredEvent<'_>) -> Result<Vec<AcmeEvent>, BoxError> {
    let by = old.get("by").ok_or("nobody closed it")?;
    Ok(vec![AcmeEvent::OrderClosed { by }])
}

#[test]
fn a_name_that_no_file_may_have_is_escaped_there() {
    let folder = tempfile::tempdir().unwrap();
    let closed = || AcmeEvent::OrderClosed { by: "anna".to_owned() };
    let missing = write_missing(folder.path(), [closed()]);
    let file = "acme%2Forder%25closed.v1.json";
    let expected = format!(
        "`acme/order%closed` is split but no golden file shows it; put a stored one at {file}"
    );
    assert_eq!(problem(missing), expected);
    write(folder.path(), file, &json!({"payload": {"by": "anna"}, "metadata": {}}));
    let flagged = "acme%3Aorder%2Aflagged%3F.v1.json";
    write(folder.path(), flagged, &json!({"payload": {}, "metadata": {}}));
    compare(folder.path(), [closed()]).unwrap();
    assert_eq!(golden::read_all::<AcmeEvent>(folder.path(), file).unwrap(), [closed()]);

    // one name has one file
    for odd in ["acme%2forder%25closed.v1.json", "%6Frder_closed.v1.json", "a%+Fb.v1.json"] {
        write(folder.path(), odd, &json!({"payload": {"by": "anna"}, "metadata": {}}));
        assert!(problem(compare(folder.path(), [closed()])).starts_with(odd), "{odd}");
        fs::remove_file(folder.path().join(odd)).unwrap();
    }
}
