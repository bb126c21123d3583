//! The contract suite over the SQLite store.

use crate::fixture::Sqlite;

async fn sqlite() -> Sqlite {
    Sqlite::open(|config| config).await
}

es_testing::contract_suite!(v1, sqlite);

/// With the least of everything that calls could keep from each other.
mod narrow {
    use super::Sqlite;

    async fn narrow() -> Sqlite {
        Sqlite::smaller(|config| config.queue(1).readers(1)).await
    }

    es_testing::contract_suite!(v1, narrow);
}

/// As stores that must survive a loss of power: each commit is flushed.
mod full {
    use super::Sqlite;
    use es_sqlite::Synchronous;

    async fn full() -> Sqlite {
        Sqlite::smaller(|config| config.synchronous(Synchronous::Full)).await
    }

    es_testing::contract_suite!(v1, full);
}

/// Only checkpoints are flushed.
mod normal {
    use super::Sqlite;
    use es_sqlite::Synchronous;

    async fn normal() -> Sqlite {
        Sqlite::smaller(|config| config.synchronous(Synchronous::Normal)).await
    }

    es_testing::contract_suite!(v1, normal);
}
