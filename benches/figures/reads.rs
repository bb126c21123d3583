//! Loads of one posting, and catch-up and rebuild of models, beside the same read by hand.

use std::sync::Arc;
use std::time::Instant;

use es_benches::{Workload, concurrently};
use es_core::backend::{Definition, StreamId};
use es_core::projection::Rebuild;
use es_core::{Runner, Store};
use tokio::sync::Mutex;

use crate::calls;
use crate::held::Held;
use crate::models::{NoRows, PostingEvents, PostingSeen, passed};
use crate::postgres::{Opened, Postgres};
use crate::samples::{Figures, Sample};
use crate::{Failure, Plan};

/// The database that is read, of which each measurement gets a copy.
pub(crate) const FILLED: &str = "filled";
/// The posting that has many events.
const LONG: i64 = 1_000_000_000;
/// Events of every other posting.
pub(crate) const SHORT: u64 = 10;

/// Fills a store with so many events, ten to a posting, without a client's round trips.
pub(crate) async fn fill(held: &mut Held, events: u64) -> Result<(), Failure> {
    /// What one transaction writes.
    const AT_ONCE: u64 = 500_000;
    held.run(include_str!("sql/without_triggers.sql")).await?;
    let postings = i64::try_from(events / SHORT)?;
    let mut done = 0;
    while done < events {
        let upto = events.min(done + AT_ONCE);
        held.fill(done..upto, 0, postings).await?;
        done = upto;
    }
    Ok(())
}

/// Makes the database that is read: short postings, and a long one behind them.
pub(crate) async fn prepare(postgres: &Postgres, plan: &Plan) -> Result<(), Failure> {
    let mut held = Held::connect(&postgres.with_store(FILLED).await?).await?;
    fill(&mut held, plan.log).await?;
    held.fill(0..plan.long, LONG, 1).await?;
    held.run(include_str!("sql/vacuum.sql")).await?;
    held.close().await
}

fn all(plan: &Plan) -> u64 {
    plan.log + plan.long
}

/// Which postings are loaded.
#[derive(Clone, Copy)]
enum Which {
    Short,
    Long,
}

impl Which {
    fn events(self, plan: &Plan) -> u64 {
        match self {
            Self::Short => SHORT,
            Self::Long => plan.long,
        }
    }

    /// So many postings for a caller.
    fn list(self, plan: &Plan, is_warm_up: bool) -> Vec<i64> {
        let count = match (self, is_warm_up) {
            (Self::Short, false) => plan.calls(6_000),
            (Self::Short, true) => plan.calls(300),
            (Self::Long, false) => plan.calls(60),
            (Self::Long, true) => 2,
        };
        let postings = plan.log / SHORT;
        let short = |n: u64| (n % postings).cast_signed();
        (0..count).map(|n| if matches!(self, Self::Short) { short(n) } else { LONG }).collect()
    }

    /// What a load counts for: a short one for itself, a long one for its events.
    fn operations(self, plan: &Plan, loads: usize) -> u64 {
        match self {
            Self::Short => loads as u64,
            Self::Long => loads as u64 * plan.long,
        }
    }
}

async fn load(postgres: &Postgres, plan: &Plan, which: Which) -> Result<Sample, Failure> {
    let opened = Opened::at(&postgres.fresh_like(FILLED).await?).await?;
    let postings = calls::repository(&opened.store);
    let (list, events) = (which.list(plan, false), which.events(plan));
    calls::load(&postings, vec![which.list(plan, true)], events).await;
    let operations = which.operations(plan, list.len());
    let meter = postgres.meter().await?;
    let calls = calls::load(&postings, vec![list], events).await;
    let sample = meter.stop(operations, Some(calls.took))?.timed(calls.each);
    opened.close().await;
    Ok(sample)
}

/// The same by hand: of short postings by the store's own statement, of long ones by a plain one.
async fn load_held(postgres: &Postgres, plan: &Plan, which: Which) -> Result<Sample, Failure> {
    let url = postgres.fresh_like(FILLED).await?;
    let held = match which {
        Which::Short => Held::like_the_store(&url).await?,
        Which::Long => Held::connect(&url).await?,
    };
    let held = Arc::new(Mutex::new(held));
    let events = usize::try_from(which.events(plan))?;
    let load = move |(held, stream): (Arc<Mutex<Held>>, StreamId)| async move {
        let mut held = held.lock().await;
        let loaded = match which {
            Which::Short => held.load_page(&stream).await,
            Which::Long => held.load(&stream).await,
        };
        let (state, count) = loaded.expect("the posting can be read");
        assert!(count == events && state.conversations() > 0);
    };
    let on = |postings: Vec<i64>| -> Vec<(Arc<Mutex<Held>>, StreamId)> {
        postings.into_iter().map(|id| (held.clone(), Workload::stream(id))).collect()
    };
    concurrently(vec![on(which.list(plan, true))], load).await;
    let list = on(which.list(plan, false));
    let operations = which.operations(plan, list.len());
    let meter = postgres.meter().await?;
    let calls = concurrently(vec![list], load).await;
    Ok(meter.stop(operations, Some(calls.took))?.timed(calls.each))
}

/// Every event in one statement.
async fn fetch(postgres: &Postgres, plan: &Plan) -> Result<Sample, Failure> {
    let mut held = Held::connect(&postgres.fresh_like(FILLED).await?).await?;
    let meter = postgres.meter().await?;
    let begun = Instant::now();
    let reading = tokio::spawn(async move { held.read_log().await });
    let count = reading.await??;
    let took = begun.elapsed();
    if count != all(plan) {
        return Err(format!("{count} events of {} were read", all(plan)).into());
    }
    meter.stop(count, Some(took))
}

/// How a model is made from the first event.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// By a runner that catches up, with a durable checkpoint in each commit.
    CatchUp,
    /// Beside what is served, in so many slices.
    Rebuild(u32),
}

/// Makes a model of a store that has so many events.
pub(crate) async fn made(
    postgres: &Postgres,
    store: &Store,
    definition: Definition,
    way: Way,
    events: u64,
) -> Result<Sample, Failure> {
    let meter = postgres.meter().await?;
    let (begun, name) = (Instant::now(), definition.name().to_owned());
    match way {
        Way::CatchUp => {
            let runner = Runner::new(store).definition(definition);
            tokio::spawn(async move { runner.once().await }).await??;
        }
        Way::Rebuild(slices) => {
            let rebuild = Rebuild::definition(store, definition).slices(slices);
            tokio::spawn(async move { rebuild.run().await }).await??;
        }
    }
    let sample = meter.stop(events, Some(begun.elapsed()))?;
    match passed(store, &name).await? {
        found if found == events => Ok(sample),
        found => Err(format!("{name} has passed {found} events of {events}").into()),
    }
}

async fn model(
    postgres: &Postgres,
    plan: &Plan,
    definition: Definition,
    way: Way,
) -> Result<Sample, Failure> {
    let opened = Opened::at(&postgres.fresh_like(FILLED).await?).await?;
    let sample = made(postgres, &opened.store, definition, way, all(plan)).await?;
    opened.close().await;
    Ok(sample)
}

/// One round of loads, each side in turn.
pub(crate) async fn loads(
    postgres: &Postgres,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<(), Failure> {
    for (name, which) in [("load of 10", Which::Short), ("load of 10,000", Which::Long)] {
        figures.take(name, async || load(postgres, plan, which).await).await?;
        let by_hand = match which {
            Which::Short => "load of 10, held connection",
            Which::Long => "load of 10,000, sqlx fetch",
        };
        figures.take(by_hand, async || load_held(postgres, plan, which).await).await?;
    }
    Ok(())
}

/// One round of models, each side in turn.
pub(crate) async fn models(
    postgres: &Postgres,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<(), Failure> {
    figures.take("plain fetch of the log", async || fetch(postgres, plan).await).await?;
    let all = [
        ("catch-up, no rows", Definition::of::<NoRows>(), Way::CatchUp),
        ("catch-up, a row a stream", Definition::of::<PostingEvents>(), Way::CatchUp),
        ("catch-up, a table of one's own", Definition::table::<PostingSeen>(), Way::CatchUp),
        ("rebuild, a row a stream, 2 slices", Definition::of::<PostingEvents>(), Way::Rebuild(2)),
    ];
    for (name, definition, way) in &all {
        let made = async || model(postgres, plan, definition.clone(), *way).await;
        figures.take(name, made).await?;
    }
    Ok(())
}
