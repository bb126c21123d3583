//! The contract suite with every append in a transaction of the caller's, from the caller's pool.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use es_core::{
    AppendError, AppendRequest, Appended, Capabilities, EventStore, IdempotencyKey, LogPage,
    Position, ReadLog, ReadStream, StoreError, StoreErrorKind, StreamId, StreamPage,
};
use es_postgres::sqlx::PgPool;
use es_postgres::sqlx::postgres::PgPoolOptions;
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use support::fixture::Store;

/// Appends as an application does that writes rows of its own with them.
struct Within {
    store: PostgresStore,
    pool: PgPool,
}

fn failed(error: es_postgres::sqlx::Error) -> AppendError {
    StoreError::new(StoreErrorKind::OutcomeUnknown, "the transaction failed")
        .caused_by(error)
        .into()
}

#[async_trait]
impl EventStore for Within {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let (store, pool) = (self.store.clone(), self.pool.clone());
        // the transaction is the application's, and so is that somebody polls it
        let work = tokio::spawn(async move {
            let mut transaction = pool.begin().await.map_err(failed)?;
            let answer = store.append_in(&mut transaction, request).await;
            // a refused append has left nothing, and the transaction goes on
            transaction.commit().await.map_err(failed)?;
            answer
        });
        work.await.expect("it neither panics nor is it cancelled")
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.store.find_append(stream, key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.store.read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.store.read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.store.end_of_log().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.store.wait_past(position).await
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        Arc::new(self.store.clone()).capabilities().through_a_layer()
    }
}

async fn within() -> Store {
    let database = support::database(IdType::Text).await;
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy_with(database.options());
    let config = PostgresConfig::new(database.options());
    let view = move |store: PostgresStore| {
        let within = Within { store: store.clone(), pool: pool.clone() };
        (Arc::new(within) as Arc<dyn EventStore>, Arc::new(store) as _)
    };
    Store::open(config, view, database).await
}

es_testing::contract_suite!(within);
