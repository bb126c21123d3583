//! How far the read models are behind, which the store is asked for now and then.

use std::fmt;
use std::time::{Duration, Instant};

use es_core::projection::Subscription;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::read_models::definitions;
use crate::store::Store;

/// For how long an answer is good enough: whoever scrapes often costs the store no more.
const FRESH: Duration = Duration::from_secs(10);

/// How long a scrape waits for the store.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far a read model is behind.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ModelLag {
    pub(super) model: String,
    pub(super) events: u64,
    pub(super) time: Duration,
}

/// What the store last answered. One asks at a time.
#[derive(Default)]
pub(super) struct Lags(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    store: Option<Store>,
    at: Option<Instant>,
    answer: Vec<ModelLag>,
}

impl fmt::Debug for Lags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lags").finish_non_exhaustive()
    }
}

impl Lags {
    /// From now on this store is asked.
    pub(super) async fn ask(&self, store: Store) {
        *self.0.lock().await = Asked { store: Some(store), ..Asked::default() };
    }

    /// How far each read model is behind; nothing, while the store cannot say.
    pub(super) async fn look(&self) -> Vec<ModelLag> {
        let mut asked = self.0.lock().await;
        let is_fresh = asked.at.is_some_and(|at| at.elapsed() < FRESH);
        if !is_fresh && let Some(store) = asked.store.clone() {
            // on the heap: what a store is asked is large
            let answer = timeout(PATIENCE, Box::pin(lags_in(&store))).await;
            asked.answer = answer.unwrap_or_default();
            asked.at = Some(Instant::now());
        }
        asked.answer.clone()
    }
}

/// How far each read model is behind that programs keep in the store; those are left out that cannot
/// be asked about.
async fn lags_in(store: &Store) -> Vec<ModelLag> {
    let mut lags = Vec::new();
    for definition in definitions(store) {
        let model = definition.name().to_owned();
        let health = Subscription::definition(&store.events, definition).health().await;
        if let Ok(health) = health {
            lags.push(ModelLag { model, events: health.lag.events, time: health.lag.time });
        }
    }
    lags
}
