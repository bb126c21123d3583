//! What is done with read models, on any store.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use es_benches::Workload;
use es_core::backend::{AppendRequest, Definition, Slot};
use es_core::{ExpectedVersion, Projection};
use turing::read_models::{ConversationRow, PostingRow, RunRow, rebuild, runner};
use turing::store::Store;

use crate::Failure;

/// Slices of a rebuild, as many as the runtime has workers.
const SLICES: u32 = 2;

/// How a model is made from the first event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// A rebuild: in a shadow, which is then switched to.
    Rebuild,
    /// A runner that catches up.
    CatchUp,
}

/// A read model whose rows tell from how many events they were made.
pub(crate) trait Counted: Projection {
    /// How many events are in it.
    fn events(&self) -> u64;
}

impl Counted for PostingRow {
    fn events(&self) -> u64 {
        self.version.as_u64()
    }
}

impl Counted for ConversationRow {
    fn events(&self) -> u64 {
        self.attempts()
    }
}

/// Appends events to postings, whose streams then lie interleaved in the log, as they do in life.
pub(crate) async fn fill(
    store: &Store,
    postings: RangeInclusive<i64>,
    events: usize,
) -> Result<(), Failure> {
    const STREAMS: usize = 50;
    let is_one = postings.start() == postings.end();
    let at_once = if is_one { 500 } else { 1 };
    let mut workload = Workload::seeded(postings.start().unsigned_abs());
    let mut left = events;
    while left > 0 {
        let count = left.min(at_once);
        left -= count;
        let mut parts = postings.clone().map(|posting| (posting, workload.events(count)));
        while let Some((posting, first)) = parts.next() {
            let any = ExpectedVersion::Any;
            let request = AppendRequest::to(Workload::stream(posting), any, first);
            let request = parts
                .by_ref()
                .take(STREAMS - 1)
                .fold(request, |request, part| request.and(Workload::stream(part.0), any, part.1));
            store.events.append(request).await?;
        }
    }
    Ok(())
}

/// How long it takes to make a model from the first event; it then holds as many events as it must.
pub(crate) async fn made<P: Counted>(
    store: &Store,
    way: Way,
    events: u64,
) -> Result<Duration, Failure> {
    let took = run(store, Definition::of::<P>(), way).await?;
    let found = counted::<P>(store).await?;
    if found != events {
        return Err(format!("{} holds {found} events of {events}", P::NAME).into());
    }
    Ok(took)
}

/// How long a model takes that reads every event and keeps none: the events here are of no run. What
/// remains is reading, and commits that move the checkpoint.
pub(crate) async fn passed(store: &Store, events: u64) -> Result<Duration, Failure> {
    let took = run(store, Definition::of::<RunRow>(), Way::CatchUp).await?;
    let status = store.models()?.status(Some(RunRow::NAME)).await?;
    let active = status.first().and_then(|status| status.active.as_ref());
    let found = active.map_or(0, |active| active.events);
    if found != events {
        return Err(format!("{} has passed {found} events of {events}", RunRow::NAME).into());
    }
    Ok(took)
}

async fn run(store: &Store, definition: Definition, way: Way) -> Result<Duration, Failure> {
    let start = Instant::now();
    match way {
        Way::Rebuild => rebuild(store, definition, SLICES).run().await?,
        Way::CatchUp => {
            let mut runner = runner(store, [definition]);
            runner.catch_up().await?;
            runner.release().await;
        }
    }
    Ok(start.elapsed())
}

/// How many events are in the rows of a model.
async fn counted<P: Counted>(store: &Store) -> Result<u64, Failure> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.models()?.rows(P::NAME, Slot::Active, after.as_deref(), 1_000).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.key.clone());
        for row in &page {
            count += row.value.decode::<P>()?.events();
        }
    }
}
