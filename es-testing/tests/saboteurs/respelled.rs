//! What a store may do is no sin.

use std::sync::Arc;

use es_testing::Fixture;
use es_testing::contract::{Outcome, SCENARIOS, TimeLimits, run_all};
use es_testing::saboteur::{Sabotaged, harmless};
use futures_util::future::BoxFuture;

use super::matrix::Kept;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_takes_stores_that_spell_the_same_values_otherwise() {
    for store in harmless() {
        let store = Arc::new(store);
        let spelled = store.clone();
        let factory = move || -> BoxFuture<'static, Box<dyn Fixture>> {
            let store = spelled.clone();
            Box::pin(async move {
                Box::new(Sabotaged::new(Box::new(Kept::new()), store)) as Box<dyn Fixture>
            })
        };
        let verdicts = run_all(&factory, TimeLimits::default()).await;
        assert_eq!(verdicts.len(), SCENARIOS.len());
        for verdict in verdicts {
            let name = verdict.scenario.full_name();
            assert_eq!(verdict.outcome, Outcome::Kept, "{}: {name}", store.name);
        }
    }
}
