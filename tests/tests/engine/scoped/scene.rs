//! Tenants that have everything that a store keeps, and a search for it.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{
    AppendRequest, Batch, Checkpoint, Claim, Content, Definition, EventReference, EventStoreExt,
    Lease, ListParked, NewEvent, PageLimit, Position, ProjectionSink, RawKeying, ReadLog,
    ReadStream, Renewal, RowChange, Slot, Snapshot, SnapshotStore, StreamId, TableRead, Timestamp,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventFilter, Metadata, Payload, RecordedEvent};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_core::layer::{Layered, scoped};
use es_core::projection::{Blocker, Parked, ParkedId, ParkedState, TableSchema};
use es_core::{ExpectedVersion, Store};
use es_memory::MemoryStore;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use super::super::account::TENANT;
use super::super::observing::HeldBack;

/// What stands in everything of others, and in nothing of the tenant's.
pub(super) const SECRET: &str = "zyx";

pub(super) fn order(id: &str) -> StreamId {
    StreamId::new("order", id).unwrap()
}

pub(super) fn event(mark: &str) -> NewEvent {
    let payload = Payload::of(&serde_json::json!({ "note": mark })).unwrap();
    let metadata = Metadata::new().with(TENANT, mark.to_owned());
    NewEvent::new(UuidV7Ids.next_id(), "order_placed", payload).with_metadata(metadata)
}

pub(super) fn key(mark: &str) -> IdempotencyKey {
    IdempotencyKey::new(&format!("{mark}-key")).unwrap()
}

fn claim(projection: &str, holder: &str) -> Claim {
    Claim::new(projection, "v1", Slot::Active, holder, Lease::LONGEST)
}

pub(super) fn totals() -> Definition {
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    Definition::rows::<()>("totals", 1, all, keying, |_, row, _| Ok(row))
}

pub(super) fn snapshots(store: &Store) -> Arc<dyn SnapshotStore> {
    store.capabilities().snapshots.clone().unwrap()
}

pub(super) fn models(store: &Store) -> Arc<dyn ProjectionSink> {
    store.capabilities().models.clone().unwrap()
}

/// Events, a state, a model with a row, parked events and a trouble, all with this mark in them.
pub(super) async fn fill(store: &Store, mark: &str) -> (Vec<RecordedEvent>, Lease) {
    let stream = order(&format!("{mark}-1"));
    let events = (0..3).map(|_| event(mark)).collect();
    let request = AppendRequest::to(stream.clone(), ExpectedVersion::NoStream, events);
    store.append(request.with_key(key(mark))).await.unwrap();
    let written = store.read_stream(&ReadStream::new(stream.clone())).await.unwrap().events;
    let (last, state) = (&written[2], Payload::of(mark).unwrap());
    let snapshot =
        Snapshot::new(stream, last.version, last.event_id, mark, state, Timestamp::EPOCH);
    snapshots(store).save_snapshot(snapshot).await.unwrap();
    let models = models(store);
    let lease = models.acquire(&claim("totals", &format!("{mark}-holder"))).await.unwrap();
    let row = RowChange { key: mark.to_owned(), value: Some(Payload::of(mark).unwrap()) };
    let here = lease.checkpoints[0].clone();
    let mut batch = Batch::moving(0, here, Checkpoint::at(&written[2]));
    batch.content = Content::Rows(vec![row]);
    batch.park = [("waits", true), ("given up", false)]
        .into_iter()
        .zip(&written)
        .map(parked(mark))
        .collect();
    models.commit(&lease, &batch).await.unwrap();
    let given_up = batch.park[1].id();
    models.discard("totals", Slot::Active, &given_up, mark).await.unwrap();
    models.report(&lease, Some(mark)).await.unwrap();
    (written, lease)
}

fn parked(mark: &str) -> impl FnMut(((&str, bool), &RecordedEvent)) -> Parked {
    move |((what, is_due), event)| Parked {
        event: EventReference::from(event),
        key: format!("{mark} {what}"),
        reason: mark.to_owned(),
        attempts: 1,
        parked_at: Timestamp::EPOCH,
        state: ParkedState::Waiting { is_due },
    }
}

/// Somebody else's session, which holds the log back.
fn importer() -> Blocker {
    let (session, description) = (format!("pid of {SECRET}"), format!("user `{SECRET}`"));
    Blocker { session, description, open_for: Some(Duration::from_secs(9)) }
}

pub(super) async fn blocker(store: &Store) -> Blocker {
    let blockers = store.capabilities().blockers.clone().unwrap();
    blockers.blocker().await.unwrap().unwrap()
}

/// The tenant, and the store, in which tenants of nearly its name have as much, and so has nobody.
pub(super) struct Scene {
    pub(super) base: Store,
    pub(super) acme: Store,
    pub(super) own: Vec<RecordedEvent>,
    lease: Lease,
}

pub(super) async fn scene() -> Scene {
    let base = Store::from(Layered(HeldBack(Arc::new(MemoryStore::new()), importer())));
    let acme = scoped(&base, "acme").unwrap();
    for other in ["acme2", "acm", "zyx"] {
        fill(&scoped(&base, other).unwrap(), SECRET).await;
    }
    let (own, lease) = fill(&acme, "own").await;
    // and after the tenant's own events, under nobody's name
    fill(&base, SECRET).await;
    Scene { base, acme, own, lease }
}

impl Scene {
    /// Everything that is answered to the tenant, method by method, without a name of others in what
    /// is asked.
    pub(super) async fn answers(&self, acme: &Store) -> Vec<(&'static str, String)> {
        let stream = order("own-1");
        let mut told = Vec::new();
        macro_rules! ask {
            ($name:literal, $answer:expr) => {
                told.push(($name, format!("{:?}", $answer.await)))
            };
        }
        let to = |expected| AppendRequest::to(stream.clone(), expected, vec![event("own")]);
        ask!("append", acme.append(to(ExpectedVersion::NoStream)));
        ask!("append", acme.append(to(ExpectedVersion::Any).with_key(key("own"))));
        ask!(
            "append",
            acme.append(AppendRequest::to(stream.clone(), ExpectedVersion::Any, vec![]))
        );
        ask!("find_append", acme.find_append(&stream, &key("own")));
        ask!("read_stream", acme.read_stream(&ReadStream::new(stream.clone())));
        for filter in [
            EventFilter::all(),
            EventFilter::all().stored_name("never_happened"),
            EventFilter::all().ids_with_prefix("o"),
            EventFilter::all().ids_with_prefix("2/"),
        ] {
            for limit in [1, 2, 1_000] {
                let mut read = ReadLog::from_start().filter(filter.clone());
                read.limit = PageLimit::events(limit);
                loop {
                    let page = acme.read_log(&read).await.unwrap();
                    told.push(("read_log", format!("{page:?}")));
                    if page.at_end {
                        break;
                    }
                    read.after = page.next;
                }
            }
        }
        ask!("end_of_log", acme.end_of_log());
        ask!("wait_past", acme.wait_past(Position::START));
        ask!("events", acme.events(ReadStream::new(stream.clone())).try_collect::<Vec<_>>());
        ask!("log", acme.log(ReadLog::from_start()).try_collect::<Vec<_>>());
        let mut tail = acme.tail(ReadLog::from_start());
        while let Some(Some(next)) = tail.next().now_or_never() {
            told.push(("tail", format!("{next:?}")));
        }

        let (snapshots, newest) = (snapshots(acme), StreamVersion::MAX);
        ask!("latest_snapshot", snapshots.latest_snapshot(&stream, newest));
        let page = PageLimit::default();
        ask!("latest_with_tail", snapshots.latest_with_tail(&stream, newest, page));
        for limit in [1, 2, 100] {
            ask!("list_snapshots", snapshots.list_snapshots(None, limit));
        }
        ask!("prune_snapshots", snapshots.prune_snapshots(&stream, 1));
        let kept = snapshots.latest_snapshot(&stream, newest).await.unwrap().unwrap();
        ask!("delete_snapshots", snapshots.delete_snapshots(&stream));
        ask!("save_snapshot", snapshots.save_snapshot(kept));

        let (models, lease) = (models(acme), &self.lease);
        let active = Slot::Active;
        ask!("acquire", models.acquire(&claim("totals", "somebody")));
        ask!("acquire", models.acquire(&claim("others", "somebody")));
        ask!("renew", models.renew(lease, &Renewal::lasting(Lease::LONGEST)));
        ask!("report", models.report(lease, Some("own")));
        let batch = Batch::moving(0, Checkpoint::START, Checkpoint::START);
        ask!("commit", models.commit(lease, &batch));
        ask!("switch", models.switch(lease));
        ask!("abandon", models.abandon("totals"));
        ask!("keep_inline", models.keep_inline(totals()));
        ask!("release_inline", models.release_inline("totals"));
        ask!("load", models.load("totals", active, &["own".to_owned()]));
        ask!("rows", models.rows("totals", active, None, 100));
        let table = TableSchema { name: "totals", columns: &[], indexes: &[] };
        let read = TableRead::Key(Vec::new());
        ask!("table_rows", models.table_rows("totals", active, &table, &read));
        ask!("parked", models.parked("totals", active, &ListParked::default()));
        ask!("request_retry", models.request_retry("totals", active, "own waits"));
        let entry = ParkedId { position: Position::START, key: "own".to_owned() };
        ask!("discard", models.discard("totals", active, &entry, "own"));
        ask!("status", models.status(None));
        ask!("status", models.status(Some("totals")));
        ask!("wait_reached", models.wait_reached("totals", Position::START));
        ask!("release", models.release(lease));
        told.push(("capabilities", format!("{:?}", acme.capabilities())));
        told.push(("capabilities", format!("{:?}", blocker(acme).await)));
        told
    }

    /// What the tenant finds where it asks for what is none of its own: nothing, or it is told here.
    async fn found_elsewhere(&self, acme: &Store) -> Vec<String> {
        let mut found = Vec::new();
        let (snapshots, models) = (snapshots(acme), models(acme));
        // as others know it, as it is stored, as nobody has it; and one's own as it is stored
        for id in ["zyx-1", "acme2/zyx-1", "2/zyx-1", "../acme2/zyx-1", "acme/own-1", "/own-1"] {
            let stream = order(id);
            let page = acme.read_stream(&ReadStream::new(stream.clone())).await.unwrap();
            if page.stream_version != StreamVersion::EMPTY || !page.events.is_empty() {
                found.push(format!("{id}: {page:?}"));
            }
            for key in [key(SECRET), key("own")] {
                let append = acme.find_append(&stream, &key).await.unwrap();
                found.extend(append.map(|append| format!("{id}: {append:?}")));
            }
            let state = snapshots.latest_snapshot(&stream, StreamVersion::MAX).await.unwrap();
            found.extend(state.map(|state| format!("{id}: {state:?}")));
            snapshots.delete_snapshots(&stream).await.unwrap();
        }
        for name in ["acme2/totals", "zyx/totals", "2/totals", "acme/totals", "/totals"] {
            if let Ok(rows) = models.rows(name, Slot::Active, None, 1).await {
                found.push(format!("{name}: {rows:?}"));
            }
            let status = models.status(Some(name)).await.unwrap();
            found.extend(status.into_iter().map(|status| format!("{name}: {status:?}")));
        }
        found
    }

    /// Where this tenant is not kept apart.
    pub(super) async fn breaches(&self, acme: &Store) -> Vec<String> {
        let told = self.answers(acme).await;
        let told = told.into_iter().filter(|(_, answer)| answer.contains(SECRET));
        let mut breaches: Vec<_> =
            told.map(|(method, answer)| format!("{method}: {answer}")).collect();
        breaches.extend(self.found_elsewhere(acme).await);
        let log: Vec<_> = acme.log(ReadLog::from_start()).try_collect().await.unwrap();
        if log != self.own {
            breaches.push(format!("the log is {log:?}"));
        }
        breaches
    }
}
