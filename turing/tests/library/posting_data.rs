//! How often a run reads what its postings are made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::execution::StoreError;
use es_memory::MemoryStore;
use serde_json::{Map, Value};
use tokio::sync::watch;
use turing::postings::{PostingInput, RefusedPosting};
use turing::registry::{MemoryRegistry, PostingRegistry};
use turing::run::RunOutcome;
use turing::store::Store;
use turing_domain::PostingId;

use crate::support::Workspace;
use crate::support::within::{Quiet, options};

/// Counts how often it is asked for the data of a posting.
#[derive(Default)]
struct Counting {
    inner: MemoryRegistry,
    asked: AtomicUsize,
}

#[async_trait]
impl PostingRegistry for Counting {
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
        self.inner.register(postings).await
    }
    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.data(posting).await
    }
}

#[tokio::test]
async fn the_data_of_a_posting_are_read_once() {
    let workspace = Workspace::with_chain(3, 4);
    let registry = Arc::new(Counting::default());
    let store = Store::new(MemoryStore::new(), registry.clone());
    let (_stop, stopped) = watch::channel(false);
    let ran = workspace.run_within(&store, options(), stopped, &mut Quiet).await.unwrap();
    match ran {
        RunOutcome::Finished(report) => assert_eq!((report.completed(), report.open), (3, 0)),
        other => panic!("{other:?}"),
    }
    assert_eq!(registry.asked.load(Ordering::SeqCst), 3);
}
