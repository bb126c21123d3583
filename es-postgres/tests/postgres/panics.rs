//! A panic within an append is the end of that append, and of nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use es_core::backend::{EventStore, Timestamp};
use es_core::environment::{Clock, SystemClock};
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::sessions::{execute, insert, session};
use crate::support::waiting::{soon, until};
use crate::support::{database, to, value};

/// A clock of the application's that fails when it is told to.
#[derive(Debug, Default)]
struct Faulty(AtomicBool);

impl Clock for Faulty {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "this is how a bug looks");
        SystemClock.now()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_within_an_append_leaves_no_stream_and_no_connection_busy() {
    for is_held_up in [false, true] {
        let database = database(IdType::Text).await;
        let clock = Arc::new(Faulty::default());
        let config = PostgresConfig::new(database.options()).clock(clock.clone()).writers(1);
        let store = PostgresStore::open(config).await.unwrap();
        store.append(to("account/1")).await.unwrap();
        let mut others = session(&database).await;
        execute(&mut others, "BEGIN").await;
        if is_held_up {
            insert(&mut others, "1", 2..=2).await;
        } else {
            clock.0.store(true, Ordering::SeqCst);
        }
        let append = tokio::spawn({
            let store = store.clone();
            async move { store.append(to("account/1")).await }
        });
        if is_held_up {
            let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock')";
            until("it is in the lane", async || value::<bool>(&database, waits).await).await;
            clock.0.store(true, Ordering::SeqCst);
        }
        let answer = soon("it is answered", append).await;
        assert!(!matches!(answer, Ok(Ok(_))), "{answer:?}");
        clock.0.store(false, Ordering::SeqCst);
        execute(&mut others, "ROLLBACK").await;
        for stream in ["account/1", "account/2", "account/1"] {
            soon("others go on", store.append(to(stream))).await.unwrap();
        }
        soon("it is closed", store.close()).await;
    }
}
