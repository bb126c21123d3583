//! The contract suite with every append in a transaction of the caller's, from the caller's pool.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, EventStore, StoreError, StoreErrorKind,
};
use es_core::layer::{Layered, StoreLayer};
use es_postgres::sqlx::PgPool;
use es_postgres::sqlx::postgres::PgPoolOptions;
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::fixture::Store;

/// Appends as an application does that writes rows of its own with them.
struct Within {
    inner: Arc<dyn EventStore>,
    store: PostgresStore,
    pool: PgPool,
}

fn failed(error: es_postgres::sqlx::Error) -> AppendError {
    StoreError::new(StoreErrorKind::OutcomeUnknown, "the transaction failed")
        .caused_by(error)
        .into()
}

#[async_trait]
impl StoreLayer for Within {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

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
}

async fn within() -> Store {
    let database = crate::support::database(IdType::Text).await;
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy_with(database.options());
    let config = PostgresConfig::new(database.options());
    let view = move |store: PostgresStore| {
        let inner = Arc::new(store.clone());
        let within = Within { inner, store: store.clone(), pool: pool.clone() };
        (Arc::new(Layered(within)) as Arc<dyn EventStore>, Arc::new(store) as _)
    };
    Store::smaller(config, view, database).await
}

es_testing::contract_suite!(v1, within);
