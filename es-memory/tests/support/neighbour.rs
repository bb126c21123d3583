//! A store in which others wrote before, and go on writing.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::backend::{AppendError, AppendRequest, Appended, Capabilities, EventStore, NewEvent};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;
use es_core::layer::{Layered, StoreLayer, scoped};
use es_core::{ExpectedVersion, Store};
use es_memory::MemoryStore;
use futures_util::FutureExt;

/// Others append before each append.
struct Neighbours(Arc<dyn EventStore>);

/// Events of nobody's, under a name that the tenant uses, too, and of tenants of nearly its name.
fn of_others() -> AppendRequest {
    let event = || {
        let payload = Payload::of(&serde_json::json!({ "number": 0 })).expect("it is JSON");
        vec![NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", payload)]
    };
    let [nobodys, longer, shorter] = ["account/1", "account/acme2/1", "account/acm/1"]
        .map(|stream| stream.parse().expect("it is a name"));
    let any = ExpectedVersion::Any;
    AppendRequest::to(nobodys, any, event()).and(longer, any, event()).and(shorter, any, event())
}

#[async_trait]
impl StoreLayer for Neighbours {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.0.append(of_others()).await?;
        self.0.append(request).await
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        // reads are as they were
        inner
    }
}

/// The tenant `acme` of a store that has others.
pub(crate) fn tenant_of(store: &MemoryStore) -> Store {
    let before = store.append(of_others()).now_or_never().expect("a memory store never waits");
    before.expect("nothing keeps them from it");
    let beside = Layered(Neighbours(Arc::new(store.clone())));
    scoped(beside, "acme").expect("it is a name")
}
