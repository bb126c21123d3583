//! The small parts that scenarios of projections are built of.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, EventReference, Lease, ListParked, Position, ProjectionSink,
    RowChange, SinkError, Slot,
};
use es_core::event::Payload;
use es_core::projection::{Parked, ParkedId, ParkedState, ProjectionStatus, Rebuild};
use serde_json::json;

use super::ProjectionFixture;
pub(super) use crate::contract::parts::*;
use crate::fault::Faults;

pub(super) type Sink = Arc<dyn ProjectionSink>;

pub(super) const TTL: Duration = Duration::from_secs(30);

/// One handle of both.
pub(super) fn with_models(store: &Store, sink: &Sink) -> es_core::Store {
    es_core::Store::from(store.clone()).with_models(sink.clone())
}

/// The sink with these failures.
pub(super) fn behind(faults: &Faults, store: &Store, sink: &Sink) -> Sink {
    let models = faults.over(with_models(store, sink)).capabilities().models.clone();
    models.expect("the handle was given models")
}

/// A claim of the active model of `totals`.
pub(super) fn claim(holder: &str) -> Claim {
    claim_of("totals", holder)
}

pub(super) fn claim_of(projection: &str, holder: &str) -> Claim {
    Claim::new(projection, format!("{projection} v1"), Slot::Active, holder, TTL)
}

/// A claim of a shadow of `totals`, of other code.
pub(super) fn shadow(holder: &str, slices: u32) -> Claim {
    let mut claim = claim(holder).slices(slices);
    (claim.slot, claim.fingerprint) = (Slot::Shadow, "totals v2".to_owned());
    claim
}

pub(super) async fn acquired(sink: &Sink, claim: &Claim) -> Lease {
    match sink.acquire(claim).await {
        Ok(lease) => lease,
        Err(error) => panic!("a permitted claim was refused: {error}; it was {claim:?}"),
    }
}

/// A checkpoint at this place, with an event that goes with it.
pub(super) fn at(number: u64) -> Checkpoint {
    if number == 0 {
        return Checkpoint::START;
    }
    Checkpoint { position: Position::from_sequence(number), event: Some(reference(number)) }
}

pub(super) fn reference(number: u64) -> EventReference {
    let id = format!("00000000-0000-7000-8000-{number:012x}");
    EventReference {
        position: Position::from_sequence(number),
        event_id: id.parse().expect("these are digits"),
        stream: stream("1"),
        version: version(number),
    }
}

pub(super) fn set(key: &str, value: u64) -> RowChange {
    RowChange { key: key.to_owned(), value: Some(payload(&json!({ "n": value }))) }
}

pub(super) fn removed(key: &str) -> RowChange {
    RowChange { key: key.to_owned(), value: None }
}

pub(super) fn batch(from: u64, to: u64, rows: Vec<RowChange>) -> Batch {
    let mut batch = Batch::moving(0, at(from), at(to)).content(Content::Rows(rows));
    batch.events = to - from;
    batch
}

pub(super) async fn commit(sink: &Sink, lease: &Lease, batch: Batch) {
    if let Err(error) = sink.commit(lease, &batch).await {
        panic!("a permitted commit was refused: {error}; it was {batch:?}");
    }
}

/// All rows of a model, by key.
pub(super) async fn model(sink: &Sink, projection: &str, slot: Slot) -> Vec<(String, Payload)> {
    let rows = match sink.rows(projection, slot, None, 1_000_000).await {
        Ok(rows) => rows,
        Err(error) => panic!("listing the rows failed: {error}"),
    };
    rows.into_iter().map(|row| (row.key, row.value)).collect()
}

/// The rows of `totals` in a slot, as numbers.
pub(super) async fn rows(sink: &Sink, slot: Slot) -> Vec<(String, u64)> {
    let rows = model(sink, "totals", slot).await.into_iter();
    let number = |value: &Payload| {
        let value: serde_json::Value = value.decode().expect("rows are JSON");
        value["n"].as_u64().unwrap_or_else(|| panic!("{value} is not a row that was written"))
    };
    rows.map(|(key, value)| (key, number(&value))).collect()
}

pub(super) fn pairs(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect()
}

pub(super) async fn status(sink: &Sink, projection: &str) -> Option<ProjectionStatus> {
    match sink.status(Some(projection)).await {
        Ok(mut status) => {
            assert!(status.len() <= 1, "one projection has one status");
            status.pop()
        }
        Err(error) => panic!("asking for the status failed: {error}"),
    }
}

/// The checkpoint of the active model of `totals`.
pub(super) async fn checkpoint(sink: &Sink) -> Checkpoint {
    let active = status(sink, "totals").await.and_then(|status| status.active);
    active.expect("the projection has an active model").checkpoint().clone()
}

pub(super) fn lost<T: std::fmt::Debug>(answer: Result<T, SinkError>, why: &str) {
    match answer {
        Err(SinkError::LeaseLost { projection }) => assert_eq!(projection, "totals", "{why}"),
        other => panic!("{why}: the answer must be a lost lease, but is {other:?}"),
    }
}

pub(super) fn parked(number: u64, key: &str, attempts: u32) -> Parked {
    let reason = if attempts == 0 { "waits" } else { "it failed" };
    Parked {
        event: reference(number),
        key: key.to_owned(),
        reason: reason.to_owned(),
        attempts,
        parked_at: es_core::backend::Timestamp::from_micros(1_763_546_400_000_000),
        state: ParkedState::Waiting { is_due: attempts == 0 },
    }
}

pub(super) fn id(number: u64, key: &str) -> ParkedId {
    ParkedId { position: Position::from_sequence(number), key: key.to_owned() }
}

pub(super) async fn listed(sink: &Sink, slot: Slot, list: &ListParked) -> Vec<Parked> {
    match sink.parked("totals", slot, list).await {
        Ok(parked) => parked,
        Err(error) => panic!("listing what is parked failed: {error}"),
    }
}

/// The places and keys of all that is parked in the active model.
pub(super) async fn ids(sink: &Sink, list: &ListParked) -> Vec<(u64, String)> {
    let parked = listed(sink, Slot::Active, list).await;
    parked.into_iter().map(|it| (it.event.position.to_sequence(), it.key)).collect()
}

pub(super) fn park(from: u64, to: u64, entries: Vec<Parked>) -> Batch {
    let mut batch = batch(from, to, Vec::new());
    batch.park = entries;
    batch
}

pub(super) fn unpark(at_number: u64, ids: Vec<ParkedId>, rows: Vec<RowChange>) -> Batch {
    let mut batch = batch(at_number, at_number, rows);
    batch.unpark = ids;
    batch
}

/// An active model of `totals` with a lease, at place 10 with row `a`.
pub(super) async fn started(fixture: &dyn ProjectionFixture) -> (Sink, Lease) {
    let sink = fixture.sink();
    let lease = acquired(&sink, &claim("one")).await;
    commit(&sink, &lease, batch(0, 10, vec![set("a", 1)])).await;
    (sink, lease)
}

/// Asks for another attempt at what waits under the key.
pub(super) async fn retried(sink: &Sink, projection: &str, key: &str) {
    let retry = sink.request_retry(projection, Slot::Active, key).await;
    assert!(retry.is_ok(), "something waits under `{key}`: {retry:?}");
}

/// Runs a rebuild to its end.
pub(super) async fn rebuilt(rebuild: Rebuild) {
    let rebuilt = soon("a rebuild comes to an end", rebuild.run()).await;
    if let Err(error) = rebuilt {
        panic!("nothing keeps the rebuild from its end, but: {error}");
    }
}
