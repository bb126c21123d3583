//! A small aggregate, and a store that another writer can slip into.

use std::sync::Arc;

use es_core::backend::{AppendRequest, EventStore, NewEvent, ReadStream, StreamId};
use es_core::environment::Environment;
use es_core::event::{MetadataField, Payload, RecordedEvent};
use es_core::execution::Snapshotted;
use es_core::layer::StoreLayer;
use es_core::projection::Keying;
use es_core::{Aggregate, BoxError, Envelope, Event, ExpectedVersion, Projection, Repository};
use es_memory::MemoryStore;
use es_testing::fault::Faults;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

#[derive(Event, Debug, Clone, PartialEq)]
pub(crate) enum AccountEvent {
    MoneyDeposited { cents: u64 },
    MoneyWithdrawn { cents: u64 },
}
pub(crate) use AccountEvent::*;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) balance: u64,
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn evolve(&mut self, event: &AccountEvent) {
        self.balance = match event {
            MoneyDeposited { cents } => self.balance.saturating_add(*cents),
            MoneyWithdrawn { cents } => self.balance.saturating_sub(*cents),
        };
    }
}

impl Snapshotted for Account {
    const REVISION: u32 = 1;
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the balance is {balance}")]
pub(crate) struct TooLittle {
    pub(crate) balance: u64,
}

impl Account {
    pub(crate) fn deposit(&self, cents: u64) -> Result<AccountEvent, TooLittle> {
        Ok(MoneyDeposited { cents })
    }

    pub(crate) fn withdraw(&self, cents: u64) -> Result<AccountEvent, TooLittle> {
        match self.balance.checked_sub(cents) {
            Some(_) => Ok(MoneyWithdrawn { cents }),
            None => Err(TooLittle { balance: self.balance }),
        }
    }
}

/// Counts the events of each account, under one of two names.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted<const SECOND: bool = false>(pub(crate) u64);

impl<const SECOND: bool> Projection for Counted<SECOND> {
    const NAME: &'static str = if SECOND { "second" } else { "first" };
    type Event = AccountEvent;
    type Key = String;

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

/// Who the account belongs to.
pub(crate) const TENANT: MetadataField<String> = MetadataField::new("tenant");

pub(crate) fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}

pub(crate) fn accounts(store: &Arc<MemoryStore>) -> Repository<Account> {
    Repository::new(store.clone())
}

pub(crate) fn id(text: &str) -> String {
    text.to_owned()
}

pub(crate) fn stream(text: &str) -> StreamId {
    StreamId::new("account", text).unwrap()
}

pub(crate) async fn events(store: &MemoryStore, account: &str) -> Vec<RecordedEvent> {
    store.read_stream(&ReadStream::new(stream(account))).await.unwrap().events
}

/// Another writer deposits, at once: a memory store never waits.
pub(crate) fn slip_in(store: &Arc<MemoryStore>, account: &str, cents: u64) {
    let payload = Payload::of(&serde_json::json!({ "cents": cents })).unwrap();
    let event_id = Environment::default().event_ids.next_id();
    let event = NewEvent::new(event_id, "money_deposited", payload);
    let request = AppendRequest::to(stream(account), ExpectedVersion::Any, vec![event]);
    store.append(request).now_or_never().expect("a memory store never waits").unwrap();
}

/// Appends events of these types, which hold nothing.
pub(crate) async fn append(store: &MemoryStore, stream: &str, types: &[&str]) {
    let ids = Environment::default().event_ids;
    let event =
        |event_type: &&str| NewEvent::new(ids.next_id(), event_type, Payload::of(&()).unwrap());
    let events = types.iter().map(event).collect();
    let stream = stream.parse().unwrap();
    store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.unwrap();
}

/// A layer that says nothing of what a store can do.
pub(crate) struct Around(pub(crate) Arc<dyn EventStore>);

impl StoreLayer for Around {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }
}

/// A store, what has its calls fail, and the accounts in it.
pub(crate) fn faulty() -> (Arc<MemoryStore>, Faults, Repository<Account>) {
    let (memory, faults) = (store(), Faults::new());
    let accounts = Repository::new(faults.over(memory.clone()));
    (memory, faults, accounts)
}
