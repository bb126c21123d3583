//! Tables within the append.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::notes::Note;
use crate::support::{empty_store, run, to, value};

#[tokio::test]
async fn a_constraint_that_is_checked_at_the_end_refuses_its_append() {
    let (database, store) = empty_store().await;
    store.keep_inline(Definition::table::<Note>()).await.unwrap();
    let once = "ALTER TABLE notes_models
                ADD CONSTRAINT once UNIQUE (stream) DEFERRABLE INITIALLY DEFERRED";
    run(&database, once).await;
    let written = AtomicUsize::new(0);
    let appends = (0..20).map(|number| {
        let (store, written) = (&store, &written);
        async move {
            // half of them note the same stream
            let stream = if number % 2 == 0 { 0 } else { number };
            match store.append(to(&format!("account/{stream}"))).await {
                Ok(_) => {
                    written.fetch_add(1, Ordering::Relaxed);
                }
                refused => assert!(!store_error(refused).is_outcome_unknown()),
            }
        }
    });
    futures_util::future::join_all(appends).await;
    assert_eq!(written.into_inner(), 11);
    for table in ["execution_events", "notes"] {
        let count = value::<i64>(&database, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(count, 11, "{table}");
    }
}
