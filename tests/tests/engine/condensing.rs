//! Changes of tables that many pages of the log come to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::backend::{
    AppendRequest, Batch, Content, Definition, EventStore, Lease, ListParked, NewEvent, Position,
    ProjectionSink, SinkError, Slot, TableRead,
};
use es_core::environment::Environment;
use es_core::event::Payload;
use es_core::layer::{LayeredSink, SinkLayer};
use es_core::projection::{BatchLimit, Changes, FailurePolicy, Rebuild, TableRow};
use es_core::{BoxError, Envelope, ExpectedVersion, Runner, Store, TableProjection};
use es_memory::MemoryStore;
use serde_json::json;

use super::account::AccountEvent;

/// More than two pages.
const EVENTS: u64 = 9_000;
const ACCOUNTS: u64 = 7;
/// The place of the event that cannot be taken, in the third page.
const POISON: u64 = 8_500;
/// Each so many events a row is removed.
const REMOVED: u64 = 50;

/// The newest deposit of an account, until somebody withdraws.
#[derive(Debug, TableRow)]
#[table(name = "deposits")]
struct Deposit {
    #[table(key)]
    account: String,
    place: i64,
}

impl TableProjection for Deposit {
    type Event = AccountEvent;
    type Tables = Self;

    fn project(event: &Envelope<'_, AccountEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let (account, place) = (event.stream.to_string(), event.position.to_sequence());
        match &event.data {
            AccountEvent::MoneyDeposited { cents: 0 } => return Err("it is nothing".into()),
            AccountEvent::MoneyDeposited { .. } => {
                rows.upsert(Self { account, place: place.try_into()? });
            }
            AccountEvent::MoneyWithdrawn { .. } => rows.delete::<Self>(account),
        }
        Ok(())
    }
}

fn is_removed(place: u64) -> bool {
    place.is_multiple_of(REMOVED)
}

/// So many events of seven accounts in turn, of which one may be poison.
async fn filled(is_poisoned: bool) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let ids = Environment::default().event_ids;
    for place in 1..=EVENTS {
        let (name, cents) = match place {
            POISON if is_poisoned => ("money_deposited", 0),
            place if is_removed(place) => ("money_withdrawn", 1),
            _ => ("money_deposited", 1),
        };
        let payload = Payload::of(&json!({ "cents": cents })).unwrap();
        let events = vec![NewEvent::new(ids.next_id(), name, payload)];
        let stream = format!("account/{}", place % ACCOUNTS).parse().unwrap();
        store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.unwrap();
    }
    store
}

/// What the log comes to up to a place, without some accounts from there on.
fn expected(until: u64) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for place in (1..=EVENTS).filter(|place| *place < until || place % ACCOUNTS != until % ACCOUNTS)
    {
        let account = format!("account/{}", place % ACCOUNTS);
        if is_removed(place) {
            rows.remove(&account);
        } else {
            rows.insert(account, i64::try_from(place).unwrap());
        }
    }
    rows
}

async fn rows(store: &MemoryStore) -> BTreeMap<String, i64> {
    let read = TableRead::Rows { after: None, limit: 100 };
    let rows = store.table_rows(Deposit::NAME, Slot::Active, &Deposit::SCHEMA, &read).await;
    let rows = rows.unwrap().into_iter().map(|row| Deposit::from_values(row).unwrap());
    rows.map(|row| (row.account, row.place)).collect()
}

/// Counts the changes that are handed over.
struct Counted {
    inner: Arc<dyn ProjectionSink>,
    changes: AtomicUsize,
}

#[async_trait]
impl SinkLayer for Counted {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.inner
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        if let Content::Tables(changes) = &batch.content {
            self.changes.fetch_add(changes.len(), Ordering::SeqCst);
        }
        self.inner.commit(lease, batch).await
    }
}

#[tokio::test]
async fn of_a_row_that_is_written_over_and_over_little_is_handed_over() {
    let limits = [BatchLimit::default(), BatchLimit::events(4_500), BatchLimit::default().rows(40)];
    for limit in limits {
        let store = filled(false).await;
        let counted = Counted { inner: store.clone(), changes: AtomicUsize::new(0) };
        let counted = Arc::new(LayeredSink(counted));
        let models = Store::from(store.clone()).with_models(counted.clone());
        Runner::new(models).batches(limit).table::<Deposit>().once().await.unwrap();
        assert_eq!(rows(&store).await, expected(u64::MAX), "{limit:?}");
        let changes = counted.0.changes.load(Ordering::SeqCst);
        assert!(changes < 1_000, "{limit:?}: {changes} changes");
        let status = store.status(Some(Deposit::NAME)).await.unwrap().remove(0);
        let active = status.active.unwrap();
        let place = active.checkpoint().position;
        assert_eq!((place, active.events), (Position::from_sequence(EVENTS), EVENTS), "{limit:?}");
    }
}

#[tokio::test]
async fn what_fails_pages_later_is_parked_as_if_each_page_stood_alone() {
    let parking = || Definition::table::<Deposit>().on_failure(FailurePolicy::park_key());
    for limit in [BatchLimit::default(), BatchLimit::events(100)] {
        let store = filled(true).await;
        Runner::new(store.clone()).batches(limit).definition(parking()).once().await.unwrap();
        let parked = async || {
            let list = ListParked { limit: 1_000, ..ListParked::default() };
            let parked = store.parked(Deposit::NAME, Slot::Active, &list).await.unwrap();
            parked.iter().map(|entry| entry.event.position.to_sequence()).collect::<Vec<_>>()
        };
        let wanted: Vec<_> =
            (POISON..=EVENTS).filter(|place| place % ACCOUNTS == POISON % ACCOUNTS).collect();
        assert_eq!(parked().await, wanted, "{limit:?}");
        assert_eq!(rows(&store).await, expected(POISON), "{limit:?}");
        Rebuild::definition(store.clone(), parking()).batches(limit).run().await.unwrap();
        assert_eq!(parked().await, wanted, "{limit:?}");
        assert_eq!(rows(&store).await, expected(POISON), "{limit:?}");
    }
}
