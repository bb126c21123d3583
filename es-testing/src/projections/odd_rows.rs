//! Rows of models that somebody, or another program, changed.

use es_core::backend::{
    Batch, Claim, Content, Definition, Lease, ListParked, ProjectionSink, RowChange, SinkError,
    Slot,
};
use es_core::event::Payload;
use es_core::projection::{FailurePolicy, Keying, ReadModel, Rebuild, StopCause, TroubleKind};
use es_core::{BoxError, Envelope, Projection, Runner};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ProjectionFixture;
use super::models::*;
use super::parts::*;
use crate::laws::chain;

/// Writes a text in the place of a row's value through the sink, for fixtures of stores that keep
/// nothing which could be changed past them.
///
/// # Panics
///
/// When the active model is not there.
pub async fn spoil_through(sink: &dyn ProjectionSink, projection: &str, key: &str, value: &str) {
    let value = Payload::parse(value.to_owned());
    let value = value.unwrap_or_else(|error| Payload::unreadable(&error.to_string()));
    let status = sink.status(Some(projection)).await.expect("the status is told").pop();
    let active = status.and_then(|status| status.active).expect("the model is there");
    let stands = active.checkpoint().clone();
    let change = RowChange { key: key.to_owned(), value: Some(value) };
    let batch = Batch::moving(0, stands.clone(), stands).content(Content::Rows(vec![change]));
    let claim = Claim::new(projection, "", Slot::Active, "", TTL);
    let mut lease = Lease::new(&claim, active.generation, 0, Vec::new());
    // whoever has the lease keeps it, and notices nothing
    let mut written = sink.commit(&lease, &batch).await;
    while let Err(SinkError::LeaseLost { .. }) = written {
        lease.epoch += 1;
        assert!(lease.epoch < 10_000, "nobody took the lease so often");
        written = sink.commit(&lease, &batch).await;
    }
    assert!(written.is_ok(), "the row is written: {written:?}");
}

/// What is no row of any projection here: JSON of another shape, and none at all.
const ODD: [&str; 2] = ["\"of another program\"", "no JSON at all"];

async fn waiting(sink: &Sink, projection: &str, key: &str) -> Vec<String> {
    let waiting = sink.parked(projection, Slot::Active, &ListParked::waiting(key)).await;
    waiting.expect("the model is there").into_iter().map(|entry| entry.reason).collect()
}

fn parking(store: &Store, sink: &Sink, model: Definition) -> Runner {
    runner(store, sink, "one").definition(model.on_failure(FailurePolicy::park_key()))
}

pub(super) async fn one_costs_its_key_and_names_the_cure(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1", "2"], 1..=2).await;
    let mut healthy = runner(&store, &sink, "one").definition(Seen::model());
    caught_up(&mut healthy).await;
    healthy.release().await;
    for (odd, number) in ODD.into_iter().zip(3..) {
        if !fixture.spoil_row("seen", "account/1", odd).await {
            continue;
        }
        assert_eq!(model(&sink, "seen", Slot::Active).await.len(), 2, "all rows are listed");
        let well = ReadModel::<SeenRow>::new(with_models(&store, &sink)).get("account/2").await;
        assert!(matches!(well, Ok(Some(_))), "the other row is read: {well:?}");
        let told = ReadModel::<SeenRow>::new(with_models(&store, &sink)).get("account/1").await;
        assert!(told.is_err(), "{odd} is no row, but: {told:?}");

        accounts_paid(&store, &["1", "2"], number..=number).await;
        let mut stopping = runner(&store, &sink, "one").definition(Seen::model());
        let error = soon("it stops", stopping.catch_up()).await.expect_err("a row is odd");
        match &error.stopped[0].cause {
            StopCause::Row { key, .. } => assert_eq!(key, "account/1"),
            other => panic!("no event is at fault, but: {other}"),
        }
        let told = error.to_string();
        assert!(told.contains("row `account/1`") && told.contains("rebuild"), "{told}");
        let active = status(&sink, "seen").await.and_then(|status| status.active);
        let trouble = active.and_then(|active| active.trouble).expect("it says what is wrong");
        assert_eq!(trouble.kind(), TroubleKind::Row, "{trouble:?}");

        let mut parking = parking(&store, &sink, Seen::model());
        caught_up(&mut parking).await;
        parking.release().await;
        let (seen, live) = (
            ReadModel::<SeenRow>::new(with_models(&store, &sink)).get("account/2").await,
            lives(&store, Seen::model()),
        );
        assert_eq!(seen.ok().flatten().as_ref(), live.await.get("account/2"), "others go on");
        let reasons = waiting(&sink, "seen", "account/1").await;
        assert!(reasons[0].contains("row `account/1`"), "{reasons:?}");

        rebuilt(Rebuild::definition(with_models(&store, &sink), Seen::model())).await;
        serves_the_fold(&store, &sink, Seen::model()).await;
        assert!(waiting(&sink, "seen", "account/1").await.is_empty(), "nothing waits any more");
    }
}

pub(super) async fn one_refuses_its_own_appends(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let kept = fixture.sink().keep_inline(Seen::model()).await;
    assert!(kept.is_ok(), "{kept:?}");
    let mut number = 1;
    for odd in ODD {
        accounts_paid(&store, &["1", "2"], number..=number).await;
        if !fixture.spoil_row("seen", "account/1", odd).await {
            continue;
        }
        let request = |account, number| {
            es_core::backend::AppendRequest::to(stream(account), ANY, vec![event(number)])
        };
        let refused = soon("it is answered", store.append(request("1", 50))).await;
        let told = chain(&refused.expect_err("a row is odd"));
        assert!(told.contains("row `account/1`") && told.contains("rebuild"), "{told}");
        accepted(&store, request("2", number + 1)).await;
        rebuilt(Rebuild::definition(with_models(&store, &sink), Seen::model())).await;
        accepted(&store, request("1", number + 2)).await;
        serves_the_fold(&store, &sink, Seen::model()).await;
        number += 3;
    }
}

/// A row with which writing, or reading, panics.
#[derive(Debug, Default)]
struct FragileRow(Vec<u64>);

/// The number with which writing panics.
const UNWRITABLE: u64 = 13;
/// The number with which reading panics.
const UNREADABLE: u64 = 666;

impl Serialize for FragileRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!self.0.contains(&UNWRITABLE), "this is how a bug looks");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FragileRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = Vec::deserialize(deserializer)?;
        assert!(!numbers.contains(&UNREADABLE), "this is how a bug looks");
        Ok(Self(numbers))
    }
}

/// The numbers of each account.
impl Projection for FragileRow {
    const NAME: &'static str = "fragile";
    const ON_FAILURE: FailurePolicy = FailurePolicy::park_key();
    type Event = AccountEvent;
    type Key = String;

    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.stream.to_string())
    }

    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        event: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        row.get_or_insert_default().0.push(number(event));
        Ok(())
    }
}

pub(super) async fn one_with_which_its_code_panics_costs_its_key(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let row = async |account: &str| {
        ReadModel::<FragileRow>::new(with_models(&store, &sink))
            .get(&stream(account).to_string())
            .await
    };
    accounts_paid(&store, &["1", "2"], 11..=14).await;
    let mut parking = runner(&store, &sink, "one").projection::<FragileRow>();
    caught_up(&mut parking).await;
    for account in ["1", "2"] {
        let found = row(account).await.ok().flatten().map(|row| row.0);
        assert_eq!(found, Some(vec![11, 12]), "what stands before it is taken");
        let reasons = waiting(&sink, "fragile", &stream(account).to_string()).await;
        assert_eq!(reasons.len(), 2, "the event and what follows it");
        assert!(reasons[0].contains("how a bug looks"), "{reasons:?}");
    }
    accounts_paid(&store, &["3", "4"], 1..=2).await;
    caught_up(&mut parking).await;
    parking.release().await;
    assert!(fixture.spoil_row("fragile", "account/3", "[666]").await, "it is JSON");
    accounts_paid(&store, &["3", "4"], 3..=3).await;
    let mut parking = runner(&store, &sink, "one").projection::<FragileRow>();
    caught_up(&mut parking).await;
    let found = row("4").await.ok().flatten().map(|row| row.0);
    assert_eq!(found, Some(vec![1, 2, 3]), "others go on");
    let told = row("3").await;
    assert!(told.is_err(), "a panic is an error of who reads: {told:?}");
    let reasons = waiting(&sink, "fragile", "account/3").await;
    assert!(reasons[0].contains("row `account/3`"), "{reasons:?}");
    assert!(reasons[0].contains("how a bug looks"), "{reasons:?}");
}
