//! Appends and commands on PostgreSQL, and what the server takes at most.

use std::sync::Arc;

use es_benches::concurrently;
use es_core::backend::AppendRequest;
use tokio::sync::Mutex;

use crate::calls::{self, Shape, WARM_UP, commands, requests};
use crate::held::Held;
use crate::postgres::Postgres;
use crate::samples::{Figures, Sample};
use crate::{Failure, Plan, pgbench};

/// Callers of the figures that are compared with as many clients of pgbench.
pub(crate) const FEW: [usize; 3] = [1, 8, 32];
/// Callers that share statements.
const CROWDS: [usize; 2] = [256, 1_024];
/// States that the cache keeps: more than any number of callers has postings in hand.
const CACHED: usize = 4_096;

pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// How many calls each of so many callers makes in about two seconds.
fn each(plan: &Plan, callers: usize) -> u64 {
    plan.calls((callers as u64 * 2_000).clamp(8_000, 60_000) / callers as u64)
}

/// Appends of one event with the exact version.
pub(crate) async fn append(
    postgres: &Postgres,
    plan: &Plan,
    callers: usize,
) -> Result<Sample, Failure> {
    let opened = postgres.fresh_store().await?;
    let each = each(plan, callers);
    let lists = requests(0, callers, each, Shape::SINGLE);
    calls::append(&opened.store, requests(WARM_UP, callers, plan.warm_up(each), Shape::SINGLE))
        .await;
    let meter = postgres.meter().await?;
    let calls = calls::append(&opened.store, lists).await;
    let sample = meter.stop(callers as u64 * each, Some(calls.took))?.timed(calls.each);
    opened.close().await;
    Ok(sample)
}

/// Where a command gets its state from.
#[derive(Clone, Copy)]
pub(crate) enum From {
    /// From its events, each time.
    Events,
    /// From memory and the events that follow, if there are any.
    Cache,
    /// From memory alone; its append proves that nothing followed.
    CacheAlone,
}

/// What commands are called by where their state comes from.
pub(crate) const COMMANDS: [(&str, From); 3] = [
    ("command", From::Events),
    ("command with cache", From::Cache),
    ("command deciding from cache", From::CacheAlone),
];

/// Whole commands.
pub(crate) async fn command(
    postgres: &Postgres,
    plan: &Plan,
    callers: usize,
    from: From,
) -> Result<Sample, Failure> {
    let shape = Shape::SINGLE;
    command_of(postgres, shape, callers, each(plan, callers), from, plan).await
}

async fn command_of(
    postgres: &Postgres,
    shape: Shape,
    callers: usize,
    each: u64,
    from: From,
    plan: &Plan,
) -> Result<Sample, Failure> {
    let opened = postgres.fresh_store().await?;
    let mut postings = calls::repository(&opened.store);
    postings = match from {
        From::Events => postings,
        From::Cache => postings.with_cache(CACHED),
        From::CacheAlone => postings.with_cache(CACHED).deciding_from_cache(),
    };
    let lists = commands(0, callers, each, shape);
    calls::command(&postings, commands(WARM_UP, callers, plan.warm_up(each), shape)).await;
    let meter = postgres.meter().await?;
    let calls = calls::command(&postings, lists).await;
    let events = shape.events(callers as u64 * each);
    let sample = meter.stop(events, Some(calls.took))?.timed(calls.each);
    opened.close().await;
    Ok(sample)
}

/// A connection that its caller has for itself.
type Shared = Arc<Mutex<Held>>;

/// Gives each caller its connection.
fn on(held: &[Shared], lists: Vec<Vec<AppendRequest>>) -> Vec<Vec<(Shared, AppendRequest)>> {
    let pairs = lists.into_iter().zip(held);
    pairs
        .map(|(list, held)| list.into_iter().map(|request| (held.clone(), request)).collect())
        .collect()
}

/// So many events in one INSERT from arrays, on connections that are held.
async fn unnest(
    postgres: &Postgres,
    plan: &Plan,
    events: usize,
    connections: usize,
) -> Result<Sample, Failure> {
    let url = postgres.fresh().await?;
    Held::connect(&url).await?.run(include_str!("sql/create_events.sql")).await?;
    let shape = Shape::batch(events);
    let each = plan.calls(60_000 / events as u64 / connections as u64);
    let mut held = Vec::new();
    for _ in 0..connections {
        held.push(Arc::new(Mutex::new(Held::connect(&url).await?)));
    }
    let insert = |(held, request): (Shared, AppendRequest)| async move {
        held.lock().await.append(&request).await.expect("nobody else writes these postings");
    };
    let warm_up = requests(WARM_UP, connections, plan.warm_up(each), shape);
    let lists = on(&held, requests(0, connections, each, shape));
    concurrently(on(&held, warm_up), insert).await;
    let meter = postgres.meter().await?;
    let calls = concurrently(lists, insert).await;
    let all = shape.events(connections as u64 * each);
    Ok(meter.stop(all, Some(calls.took))?.timed(calls.each))
}

/// The same events as so many callers append, one to each of their postings, in one INSERT each time on
/// one connection.
async fn unnest_each(postgres: &Postgres, plan: &Plan, postings: usize) -> Result<Sample, Failure> {
    let url = postgres.fresh().await?;
    Held::connect(&url).await?.run(include_str!("sql/create_events.sql")).await?;
    let held = Arc::new(Mutex::new(Held::connect(&url).await?));
    // each posting's first event, then each one's second, as callers take turns
    let turns = |first, each| {
        let lists = requests(first, postings, each, Shape::SINGLE);
        let mut callers: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
        let turn = move |_| callers.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>();
        (0..each).map(turn).collect::<Vec<_>>()
    };
    let each = plan.calls(60_000 / postings as u64);
    let insert = move |turn: Vec<AppendRequest>| {
        let held = held.clone();
        async move {
            held.lock().await.append_each(&turn).await.expect("nobody else writes these postings");
        }
    };
    let (warm_up, lists) = (turns(WARM_UP, plan.warm_up(each)), turns(0, each));
    concurrently(vec![warm_up], insert.clone()).await;
    let meter = postgres.meter().await?;
    let calls = concurrently(vec![lists], insert).await;
    Ok(meter.stop(postings as u64 * each, Some(calls.took))?.timed(calls.each))
}

pub(crate) async fn pgbench(
    postgres: &Postgres,
    plan: &Plan,
    clients: usize,
) -> Result<Sample, Failure> {
    pgbench::run(postgres, clients, each(plan, clients)).await
}

/// One round, each side in turn.
pub(crate) async fn round(
    postgres: &Postgres,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<(), Failure> {
    for count in FEW {
        let name = format!("pgbench, {}", counted(count, "client"));
        figures.take(&name, async || pgbench(postgres, plan, count).await).await?;
        let name = format!("append, {}", counted(count, "caller"));
        figures.take(&name, async || append(postgres, plan, count).await).await?;
        for (what, from) in COMMANDS {
            let name = format!("{what}, {}", counted(count, "caller"));
            figures.take(&name, async || command(postgres, plan, count, from).await).await?;
        }
    }
    for (events, connections) in [(100, 1), (100, 2), (1_000, 1), (1_000, 2)] {
        let name = format!("UNNEST-{events}, {}", counted(connections, "connection"));
        figures.take(&name, async || unnest(postgres, plan, events, connections).await).await?;
    }
    let name = "UNNEST-1000 to as many postings, 1 connection";
    figures.take(name, async || unnest_each(postgres, plan, 1_000).await).await?;
    for count in CROWDS {
        let name = format!("append, {count} callers");
        figures.take(&name, async || append(postgres, plan, count).await).await?;
    }
    let (shape, each) = (Shape::batch(100), plan.calls(600));
    let hundred = async || command_of(postgres, shape, 1, each, From::Events, plan).await;
    figures.take("100 events in one command", hundred).await?;
    Ok(())
}
