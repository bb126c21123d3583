//! es-sqlite beside bare rusqlite: durable appends, batches, loads, and appends beside live models.

use std::time::{Duration, Instant};

use es_benches::{Backend, CALLERS, Calls, Opened, Workload};
use es_core::Runner;
use es_core::backend::AppendRequest;
use es_core::execution::StreamVersion;

use crate::bare::Bare;
use crate::calls::{self, Shape, WARM_UP, requests};
use crate::models::{ConversationEvents, PostingEvents, PostingSeen, passed};
use crate::postgres::Postgres;
use crate::samples::{Figures, Sample};
use crate::{Failure, Plan};

/// Events of one append to the posting that is loaded.
const AT_ONCE: usize = 100;
const LOADED: i64 = 1;

/// How many calls each of so many callers makes in about a second.
fn each(plan: &Plan, callers: usize, shape: Shape) -> u64 {
    plan.calls(if callers > 1 { 1_000 } else { 5_000 / shape.events(1).min(16) })
}

async fn append(
    postgres: &Postgres,
    plan: &Plan,
    callers: usize,
    shape: Shape,
) -> Result<Sample, Failure> {
    let opened = Backend::Sqlite.open().await;
    let sample = append_to(&opened, postgres, plan, callers, shape).await?;
    opened.close().await;
    Ok(sample)
}

async fn append_to(
    opened: &Opened,
    postgres: &Postgres,
    plan: &Plan,
    callers: usize,
    shape: Shape,
) -> Result<Sample, Failure> {
    let each = each(plan, callers, shape);
    let lists = requests(0, callers, each, shape);
    calls::append(&opened.store, requests(WARM_UP, callers, plan.warm_up(each), shape)).await;
    let meter = postgres.meter_as_it_is()?;
    let calls = calls::append(&opened.store, lists).await;
    let events = shape.events(callers as u64 * each);
    Ok(meter.stop(events, Some(calls.took))?.timed(calls.each))
}

/// The same beside a runner that keeps three models, which are at the end soon after.
async fn append_beside_models(postgres: &Postgres, plan: &Plan) -> Result<Sample, Failure> {
    let opened = Backend::Sqlite.open().await;
    let runner = Runner::new(&opened.store)
        .projection::<PostingEvents>()
        .projection::<ConversationEvents>()
        .table::<PostingSeen>();
    let handle = runner.handle();
    let running = tokio::spawn(runner.run());
    let sample = append_to(&opened, postgres, plan, CALLERS, Shape::SINGLE).await?;
    let (end, limit) = (opened.store.end_of_log().await?, Duration::from_secs(60));
    let models = opened.store.capabilities().models.clone().ok_or("es-sqlite keeps models")?;
    let each = each(plan, CALLERS, Shape::SINGLE);
    let all = CALLERS as u64 * (each + plan.warm_up(each));
    for name in ["posting_events", "conversation_events", "postings_seen"] {
        tokio::time::timeout(limit, models.wait_reached(name, end)).await??;
        let found = passed(&opened.store, name).await?;
        if found != all {
            return Err(format!("{name} has {found} events of {all}").into());
        }
    }
    handle.stop();
    running.await??;
    opened.close().await;
    Ok(sample)
}

/// One connection, which checks nothing.
fn append_bare(postgres: &Postgres, plan: &Plan, shape: Shape) -> Result<Sample, Failure> {
    let bare = Bare::open()?;
    let each = each(plan, 1, shape);
    let lists = requests(0, 1, each, shape);
    for request in requests(WARM_UP, 1, plan.warm_up(each), shape).concat() {
        bare.append(&request)?;
    }
    let meter = postgres.meter_as_it_is()?;
    let calls = timed(&lists.concat(), |request: &AppendRequest| bare.append(request))?;
    Ok(meter.stop(shape.events(each), Some(calls.took))?.timed(calls.each))
}

/// Calls on this thread.
fn timed<I>(inputs: &[I], call: impl Fn(&I) -> Result<(), Failure>) -> Result<Calls, Failure> {
    let (mut each, begun) = (Vec::with_capacity(inputs.len()), Instant::now());
    for input in inputs {
        let start = Instant::now();
        call(input)?;
        each.push(start.elapsed());
    }
    Ok(Calls { took: begun.elapsed(), each })
}

/// The events of the posting that is loaded, so many at once.
fn long(plan: &Plan) -> Vec<AppendRequest> {
    let mut workload = Workload::seeded(1);
    let versions = (0..plan.long).step_by(AT_ONCE);
    let request = |version| {
        let expected = es_core::ExpectedVersion::Exact(StreamVersion::new(version));
        AppendRequest::to(Workload::stream(LOADED), expected, workload.events(AT_ONCE))
    };
    versions.map(request).collect()
}

/// In pages.
async fn load(postgres: &Postgres, plan: &Plan) -> Result<Sample, Failure> {
    let opened = Backend::Sqlite.open().await;
    for request in long(plan) {
        opened.store.append(request).await?;
    }
    let postings = calls::repository(&opened.store);
    let count = plan.calls(60);
    calls::load(&postings, vec![vec![LOADED; 2]], plan.long).await;
    let list = vec![LOADED; usize::try_from(count)?];
    let meter = postgres.meter_as_it_is()?;
    let calls = calls::load(&postings, vec![list], plan.long).await;
    let sample = meter.stop(count * plan.long, Some(calls.took))?.timed(calls.each);
    opened.close().await;
    Ok(sample)
}

/// In one statement.
fn load_bare(postgres: &Postgres, plan: &Plan) -> Result<Sample, Failure> {
    let bare = Bare::open()?;
    for request in long(plan) {
        bare.append(&request)?;
    }
    let (stream, count) = (Workload::stream(LOADED), plan.calls(60));
    let events = usize::try_from(plan.long)?;
    let load = |(): &()| -> Result<(), Failure> {
        match bare.load(&stream)? {
            (state, found) if found == events && state.conversations() > 0 => Ok(()),
            (_, found) => Err(format!("{found} events of {events} were loaded").into()),
        }
    };
    timed(&[(); 2], load)?;
    let meter = postgres.meter_as_it_is()?;
    let calls = timed(&vec![(); usize::try_from(count)?], load)?;
    Ok(meter.stop(count * plan.long, Some(calls.took))?.timed(calls.each))
}

/// One round, each side in turn.
pub(crate) async fn round(
    postgres: &Postgres,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let (single, hundred) = (Shape::SINGLE, Shape::batch(100));
    figures.take("rusqlite: append", async || append_bare(postgres, plan, single)).await?;
    let name = "SQLite: append, 1 caller";
    figures.take(name, async || append(postgres, plan, 1, single).await).await?;
    let name = "SQLite: append, 32 callers";
    figures.take(name, async || append(postgres, plan, CALLERS, single).await).await?;
    let name = "SQLite: append, 32 callers, three live models";
    figures.take(name, async || append_beside_models(postgres, plan).await).await?;
    let name = "rusqlite: 100 at once";
    figures.take(name, async || append_bare(postgres, plan, hundred)).await?;
    let name = "SQLite: 100 at once";
    figures.take(name, async || append(postgres, plan, 1, hundred).await).await?;
    figures.take("rusqlite: load of 10,000", async || load_bare(postgres, plan)).await?;
    figures.take("SQLite: load of 10,000", async || load(postgres, plan).await).await?;
    Ok(())
}
