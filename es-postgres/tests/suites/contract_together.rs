//! The contract suite where every load shares its statement with loads of other streams.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::backend::{
    EventStore, PageLimit, ReadStream, SnapshotAndTail, SnapshotStore, StoreError, StreamId,
    StreamPage,
};
use es_core::execution::StreamVersion;
use es_core::layer::{Layered, LayeredSnapshots, SnapshotLayer, StoreLayer};
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use futures_util::future::join_all;

use crate::support::fixture::Store;

/// Loads with the store's one reading connection, after others.
struct Together<S: ?Sized>(Arc<S>);

const OTHERS: usize = 7;

/// Streams that no scenario has, and then the one that is wanted.
fn after_others(stream: &StreamId) -> Vec<StreamId> {
    let others = (0..OTHERS).map(|number| format!("nowhere/{number}").parse().unwrap());
    others.chain([stream.clone()]).collect()
}

#[async_trait]
impl StoreLayer for Together<dyn EventStore> {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut reads = vec![read.clone(); OTHERS + 1];
        for (read, stream) in reads.iter_mut().zip(after_others(&read.stream)) {
            read.stream = stream;
        }
        let mut pages = join_all(reads.iter().map(|read| self.0.read_stream(read))).await;
        let wanted = pages.pop().unwrap();
        for page in pages.into_iter().flatten() {
            assert_eq!(page, StreamPage::new(Vec::new(), StreamVersion::EMPTY, false));
        }
        wanted
    }
}

#[async_trait]
impl SnapshotLayer for Together<dyn SnapshotStore> {
    fn inner(&self) -> &Arc<dyn SnapshotStore> {
        &self.0
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        let streams = after_others(stream);
        let loads = streams.iter().map(|stream| self.0.latest_with_tail(stream, up_to, limit));
        let mut found = join_all(loads).await;
        let wanted = found.pop().unwrap();
        for one in found.into_iter().flatten().flatten() {
            assert_eq!((one.snapshot, one.tail.stream_version), (None, StreamVersion::EMPTY));
        }
        wanted
    }
}

async fn together() -> Store {
    let database = crate::support::database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).readers(1);
    let view = |store: PostgresStore| {
        let store = Arc::new(store);
        let events: Arc<dyn EventStore> = store.clone();
        let snapshots: Arc<dyn SnapshotStore> = store;
        (
            Arc::new(Layered(Together(events))) as Arc<dyn EventStore>,
            Arc::new(LayeredSnapshots(Together(snapshots))) as Arc<dyn SnapshotStore>,
        )
    };
    Store::smaller(config, view, database).await
}

es_testing::contract_suite!(v1, together);
