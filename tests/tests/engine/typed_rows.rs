//! Rows that evolve: how events find them, and how they are read, watched and mended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{AppendRequest, Definition, EventStore, NewEvent, ReadLog, SinkError};
use es_core::environment::Environment;
use es_core::event::{EventFilter, Fields, Payload, RecordedEvent, StoredEvent};
use es_core::projection::{FailurePolicy, Keying, ReadModel, Subscription};
use es_core::{Aggregate, BoxError, Envelope, Event, ExpectedVersion, Projection, Runner};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::*;

async fn append(store: &MemoryStore, account: &str, event_type: &str, payload: Value) {
    let id = Environment::default().event_ids.next_id();
    let event = NewEvent::new(id, event_type, Payload::of(&payload).unwrap());
    let request = AppendRequest::to(stream(account), ExpectedVersion::Any, vec![event]);
    store.append(request).await.unwrap();
}

async fn log(store: &MemoryStore) -> Vec<RecordedEvent> {
    store.read_log(&ReadLog::from_start()).await.unwrap().events
}

/// What is in an account; more than that cannot be withdrawn.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Balance(u64);

impl Projection for Balance {
    const NAME: &'static str = "balance";
    const ON_FAILURE: FailurePolicy = FailurePolicy::park_key();
    type Event = AccountEvent;
    type Key = String;

    fn keying() -> Keying<Self> {
        Keying::per_stream::<Account>()
    }

    fn evolve(
        account: &String,
        row: &mut Option<Self>,
        event: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        assert_eq!(event.stream, stream(account), "it is told its key");
        let Self(balance) = row.get_or_insert(Self(0));
        match event.data {
            MoneyDeposited { cents } => *balance += cents,
            MoneyWithdrawn { cents } => {
                *balance = balance.checked_sub(cents).ok_or("there is too little")?;
            }
        }
        Ok(())
    }
}

async fn caught_up(store: &Arc<MemoryStore>) {
    let mut runner = Runner::new(store.clone()).projection::<Balance>();
    runner.catch_up().await.unwrap();
    runner.release().await;
}

fn balances(of: &[(&str, u64)]) -> Vec<(String, Balance)> {
    of.iter().map(|(account, cents)| (id(account), Balance(*cents))).collect()
}

#[tokio::test]
async fn rows_are_read_by_their_keys_and_in_the_order_of_their_texts() {
    let store = store();
    for (account, cents) in [("b", 2), ("a", 1), ("c", 3), ("b", 20)] {
        append(&store, account, "money_deposited", json!({ "cents": cents })).await;
    }
    append(&store, "d", "note_taken", json!({})).await;
    let model = ReadModel::<Balance>::new(store.clone());
    let never = model.get("a").await;
    assert!(matches!(never, Err(SinkError::NoModel { .. })), "{never:?}");
    caught_up(&store).await;
    let end = store.end_of_log().await.unwrap();
    model.wait_for(end, Duration::from_secs(60)).await.unwrap();
    assert_eq!(model.get("b").await.unwrap(), Some(Balance(22)));
    assert_eq!(model.get(&id("b")).await.unwrap(), Some(Balance(22)));
    assert_eq!(model.get("d").await.unwrap(), None, "its event is none of the projection's");
    let all = balances(&[("a", 1), ("b", 22), ("c", 3)]);
    assert_eq!(model.all().try_collect::<Vec<_>>().await.unwrap(), all);
    assert_eq!(model.live().await.unwrap(), all);
    for (from, left) in [("", 3), ("a", 3), ("b", 2), ("bb", 1), ("c", 1), ("d", 0)] {
        let found: Vec<_> = model.all_from(&id(from)).try_collect().await.unwrap();
        assert_eq!(found, all[3 - left..], "from {from:?} on");
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_listed_tried_again_and_discarded() {
    let store = store();
    let subscription = Subscription::projection::<Balance>(store.clone());
    assert_eq!(subscription.status().await.unwrap(), None, "it never ran");
    append(&store, "a", "money_deposited", json!({ "cents": 5 })).await;
    append(&store, "a", "money_withdrawn", json!({ "cents": 7 })).await;
    append(&store, "a", "money_deposited", json!({ "cents": 3 })).await;
    append(&store, "b", "money_deposited", json!({ "cents": 1 })).await;
    caught_up(&store).await;
    let parked: Vec<_> = subscription.parked().try_collect().await.unwrap();
    assert_eq!(parked.len(), 2, "the event, and what follows it");
    assert_eq!((&*parked[0].key, &*parked[0].reason), ("account/a", "there is too little"));
    let model = ReadModel::<Balance>::new(store.clone());
    assert_eq!(model.get("a").await.unwrap(), Some(Balance(5)));
    assert_eq!(model.get("b").await.unwrap(), Some(Balance(1)), "others go on");
    assert!(model.live().await.unwrap_err().to_string().contains("`account/a`"));

    subscription.retry("account/a").await.unwrap();
    caught_up(&store).await;
    let again: Vec<_> = subscription.parked().try_collect().await.unwrap();
    assert_eq!((again.len(), again[0].attempts), (2, 2), "nothing was mended");
    let nothing = subscription.retry("account/b").await;
    assert!(matches!(nothing, Err(SinkError::NothingParked { .. })), "{nothing:?}");
    subscription.discard(&parked[0].id(), "it was a test").await.unwrap();
    caught_up(&store).await;
    assert_eq!(model.get("a").await.unwrap(), Some(Balance(8)));
    let left: Vec<_> = subscription.parked().try_collect().await.unwrap();
    assert_eq!((left.len(), left[0].is_waiting()), (1, false), "the record stays");
    let status = subscription.status().await.unwrap().unwrap();
    assert_eq!(status.active.map(|active| (active.waiting, active.discarded)), Some((0, 1)));
}

#[tokio::test]
async fn a_model_is_kept_within_appends_and_left_to_a_runner_again() {
    let store = store();
    let subscription = Subscription::projection::<Balance>(store.clone());
    subscription.keep_inline().await.unwrap();
    let model = ReadModel::<Balance>::new(store.clone());
    append(&store, "a", "money_deposited", json!({ "cents": 5 })).await;
    assert_eq!(model.get("a").await.unwrap(), Some(Balance(5)));
    subscription.release_inline().await.unwrap();
    append(&store, "a", "money_deposited", json!({ "cents": 6 })).await;
    assert_eq!(model.get("a").await.unwrap(), Some(Balance(5)));
    caught_up(&store).await;
    assert_eq!(model.get("a").await.unwrap(), Some(Balance(11)));
}

/// A bill whose sending and payment were one event once.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(retired("bill_flagged"))]
#[event(split("bill_settled" => settled: BillSent, BillPaid))]
enum BillEvent {
    BillSent,
    BillPaid,
}

fn settled(_: &Fields, _: &StoredEvent<'_>) -> Result<Vec<BillEvent>, BoxError> {
    Ok(vec![BillEvent::BillSent, BillEvent::BillPaid])
}

/// Which kinds an event names, and the parts that a row was given.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Parts<const FORM: u8>(Vec<u32>);

/// By kind, from all of them; by the stream, from one kind; by what is recorded, from all.
const BY_KIND: u8 = 0;
const SENT_ONLY: u8 = 1;
const BY_NAME: u8 = 2;

impl<const FORM: u8> Projection for Parts<FORM> {
    const NAME: &'static str = "parts";
    type Event = BillEvent;
    type Key = String;

    fn selection() -> EventFilter {
        match FORM {
            SENT_ONLY => EventFilter::events([BillEvent::BILL_SENT]),
            _ => EventFilter::of::<BillEvent>(),
        }
    }

    fn keying() -> Keying<Self> {
        match FORM {
            BY_NAME => Keying::<Self>::by_metadata(|recorded| recorded.event_type.to_string()),
            _ => Keying::<Self>::across_streams(|event| event.data.event_type().name.to_owned()),
        }
    }

    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        event: &Envelope<'_, BillEvent>,
    ) -> Result<(), BoxError> {
        row.get_or_insert(Self(Vec::new())).0.push(event.part);
        Ok(())
    }
}

fn rows<P: Projection>(events: &[RecordedEvent]) -> Vec<(String, Option<Vec<u32>>)> {
    let changes = Definition::of::<P>().changes(events, &HashMap::new()).unwrap();
    let row = |row: Option<Payload>| row.map(|row| row.decode().unwrap());
    changes.into_iter().map(|change| (change.key, row(change.value))).collect()
}

#[tokio::test]
async fn of_a_split_event_each_part_that_is_selected_finds_the_rows_that_it_names() {
    let store = store();
    for name in ["bill_sent", "bill_settled", "bill_flagged"] {
        append(&store, "a", name, json!({})).await;
    }
    let events = log(&store).await;
    let row = |key: &str, parts: &[u32]| (key.to_owned(), Some(parts.to_vec()));
    let [sent, settled, flagged] = &events[..] else { panic!("three were written: {events:?}") };
    assert_eq!(
        rows::<Parts<BY_KIND>>(&events),
        [row("bill_paid", &[1]), row("bill_sent", &[0, 0])]
    );
    assert_eq!(rows::<Parts<SENT_ONLY>>(&events), [row("bill_sent", &[0, 0])]);
    assert_eq!(
        rows::<Parts<BY_NAME>>(&[sent.clone(), settled.clone()]),
        [row("bill_sent", &[0]), row("bill_settled", &[0, 1])]
    );
    let nothing = ("bill_flagged".to_owned(), None);
    assert_eq!(rows::<Parts<BY_NAME>>(std::slice::from_ref(flagged)), [nothing]);
    let definition = Definition::of::<Parts<SENT_ONLY>>();
    assert_eq!(definition.fingerprint(), "parts v1 rows 1 [*] [bill_sent, bill_settled]");
}

/// Cannot say which rows it has.
#[derive(Debug, Serialize, Deserialize)]
struct Keyless;

impl Projection for Keyless {
    const NAME: &'static str = "keyless";
    type Event = AccountEvent;
    type Key = String;

    fn keying() -> Keying<Self> {
        panic!("no keys")
    }

    fn evolve(
        _: &String,
        _: &mut Option<Self>,
        _: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_projection_that_panics_is_told_by_whatever_is_asked_of_its_model() {
    let model = ReadModel::<Keyless>::new(store());
    let (one, all) = (model.get("a").await, model.all().try_collect::<Vec<_>>().await);
    let from = model.all_from(&id("a")).try_collect::<Vec<_>>().await;
    for told in [one.map(drop), all.map(drop), from.map(drop)] {
        match told {
            Err(SinkError::Unusable { reason, .. }) => assert!(reason.contains("no keys")),
            other => panic!("it cannot say its keys, but: {other:?}"),
        }
    }
}

/// Counts what was paid in.
#[derive(Serialize, Deserialize)]
struct Deposits(u64);

impl Projection for Deposits {
    const NAME: &'static str = "deposits";
    type Event = AccountEvent;
    type Key = String;

    fn selection() -> EventFilter {
        EventFilter::events([AccountEvent::MONEY_DEPOSITED]).aggregate::<Account>()
    }

    fn keying() -> Keying<Self> {
        Keying::per_stream::<Account>()
    }

    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        _: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        row.get_or_insert(Self(0)).0 += 1;
        Ok(())
    }
}

/// By these words models are known that older programs made: a projection without a word on streams
/// told none, though each stream had a row.
#[test]
fn a_fingerprint_tells_the_selection_as_it_was_written() {
    let (balance, deposits) = (Definition::of::<Balance>(), Definition::of::<Deposits>());
    let events = "[money_deposited, money_withdrawn]";
    assert_eq!(balance.fingerprint(), format!("balance v1 rows 1 [*] {events}"));
    assert_eq!(deposits.fingerprint(), "deposits v1 rows 1 [account] [money_deposited]");
    // what is read is that of the aggregate, said or not
    for definition in [balance, deposits] {
        let streams = definition.selection().aggregate_types.iter();
        assert_eq!(streams.collect::<Vec<_>>(), [Account::TYPE]);
    }
}
