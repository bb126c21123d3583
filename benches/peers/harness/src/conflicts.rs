//! Two callers at one aggregate, each through a peer of its own, as two processes of a service are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::posting::Source;
use crate::{Failure, Outcome, Peer};

/// The one aggregate.
const AGGREGATE: u64 = 7;

/// What one caller was told.
#[derive(Default)]
struct Told {
    stored: u64,
    conflicts: u64,
    errors: u64,
    error: Option<String>,
}

async fn caller<P: Peer>(peer: Arc<P>, seed: u64, until: Instant) -> Told {
    let mut told = Told::default();
    let mut source = Source::seeded(seed);
    let mut number = 0;
    while Instant::now() < until {
        let execution = source.execution(AGGREGATE, number);
        number += 1;
        match peer.command(AGGREGATE, vec![execution]).await {
            Ok(Outcome::Stored) => told.stored += 1,
            Ok(Outcome::Conflict) => told.conflicts += 1,
            Err(error) => {
                told.errors += 1;
                told.error = Some(error.to_string());
                // so that the next command finds the aggregate as it is stored
                peer.forget(AGGREGATE);
            }
        }
    }
    told
}

pub(crate) async fn contend<P: Peer>(url: &str, time: Duration) -> Result<Value, Failure> {
    let first = Arc::new(P::open(url, None).await?);
    let second = Arc::new(P::open(url, None).await?);
    first.command(AGGREGATE, Source::seeded(0).executions(AGGREGATE, 0, 1)).await?;
    let until = Instant::now() + time;
    let callers = [tokio::spawn(caller(first, 1, until)), tokio::spawn(caller(second, 2, until))];
    let mut all = Told { stored: 1, ..Told::default() };
    for caller in callers {
        let told = caller.await?;
        all.stored += told.stored;
        all.conflicts += told.conflicts;
        all.errors += told.errors;
        all.error = all.error.or(told.error);
    }
    // nobody's memory counts
    let found = P::open(url, None).await?.load(AGGREGATE).await?;
    Ok(json!({
        "stored": all.stored,
        "conflicts": all.conflicts,
        "errors": all.errors,
        "error": all.error,
        "found": found,
    }))
}
