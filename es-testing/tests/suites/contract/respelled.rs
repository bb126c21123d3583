//! What a store may do is no sin.

use std::sync::Arc;

use es_testing::Fixture;
use es_testing::suite::failures;

use super::Kept;
use super::saboteur::{Sabotaged, harmless};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_takes_stores_that_spell_the_same_values_otherwise() {
    for store in harmless() {
        let (name, store) = (store.name, Arc::new(store));
        let spelled = |_: &'static _| {
            let store = store.clone();
            async move { Sabotaged::new(Kept::new(), store) }
        };
        let failures = failures::<dyn Fixture, _>(spelled, |_| true).await;
        assert_eq!(failures, [""; 0], "{name}");
    }
}
