//! Commands, batches and loads against the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::posting::Source;
use crate::{Execution, Failure, Outcome, Peer, cpu};

/// How much of the measured time is spent before it, for connections and plans.
const WARM_UP: f64 = 0.2;
/// Events of one command while an aggregate is made that is loaded.
const AT_ONCE: u64 = 100;

/// Calls that were timed.
#[derive(Default)]
struct Calls {
    nanos: Vec<u64>,
}

impl Calls {
    fn add(&mut self, took: Duration) {
        self.nanos.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// In how many microseconds so many of a hundred ended.
    fn within(&mut self, hundredths: usize) -> Option<f64> {
        self.nanos.sort_unstable();
        let index = self.nanos.len() * hundredths / 100;
        self.nanos.get(index).or(self.nanos.last()).map(|nanos| *nanos as f64 / 1_000.0)
    }
}

/// What `events` events of so many timed calls come to.
fn shown(mut calls: Calls, events: u64, took: Duration, cpu: u64) -> Result<Value, Failure> {
    if calls.nanos.is_empty() {
        return Err("not one call ended in time".into());
    }
    Ok(json!({
        "rate": events as f64 / took.as_secs_f64(),
        "p50": calls.within(50),
        "p99": calls.within(99),
        "cpu": cpu as f64 / events as f64,
    }))
}

/// What callers do with an aggregate before they go on to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    commands: u64,
    /// Of one command.
    events: u64,
}

impl Shape {
    /// Ten commands of one event.
    pub(crate) const SINGLE: Self = Self { commands: 10, events: 1 };

    /// One command of several events.
    pub(crate) const fn batch(events: u64) -> Self {
        Self { commands: 1, events }
    }
}

/// One caller's commands until `until`, on aggregates that only it has.
async fn caller<P: Peer>(
    peer: Arc<P>,
    shape: Shape,
    first: u64,
    step: u64,
    until: Instant,
) -> Result<(Calls, u64), Failure> {
    let (mut calls, mut aggregate) = (Calls::default(), first);
    let mut source = Source::seeded(first);
    while Instant::now() < until {
        for command in 0..shape.commands {
            let executions = source.executions(aggregate, command * shape.events, shape.events);
            let begun = Instant::now();
            if begun >= until {
                break;
            }
            insist(&*peer, aggregate, &executions).await?;
            calls.add(begun.elapsed());
        }
        peer.forget(aggregate);
        aggregate += step;
        // where nothing is waited for, as in memory, the others would not get a turn
        tokio::task::yield_now().await;
    }
    Ok((calls, aggregate))
}

/// Sends a command until it is stored. Nobody else has the aggregate, so a conflict is the peer's own
/// making, and counts as its work.
async fn insist<P: Peer>(
    peer: &P,
    aggregate: u64,
    executions: &[Execution],
) -> Result<(), Failure> {
    while peer.command(aggregate, executions.to_vec()).await? == Outcome::Conflict {}
    Ok(())
}

/// All callers at once; answers their calls, the time that they took, and the next free aggregate.
async fn callers<P: Peer>(
    peer: &Arc<P>,
    shape: Shape,
    count: u64,
    first: u64,
    time: Duration,
) -> Result<(Calls, Duration, u64), Failure> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..count {
        tasks.spawn(caller(peer.clone(), shape, first + number, count, begun + time));
    }
    let (mut all, mut next) = (Calls::default(), first);
    while let Some(done) = tasks.join_next().await {
        let (calls, aggregate) = done??;
        all.nanos.extend(calls.nanos);
        next = next.max(aggregate + count);
    }
    Ok((all, begun.elapsed(), next))
}

pub(crate) async fn commands<P: Peer>(
    url: &str,
    shape: Shape,
    count: u64,
    time: Duration,
) -> Result<Value, Failure> {
    let peer = Arc::new(P::open(url, None).await?);
    let (_, _, next) = callers(&peer, shape, count, 0, time.mul_f64(WARM_UP)).await?;
    let before = cpu::micros()?;
    let (calls, took, _) = callers(&peer, shape, count, next, time).await?;
    let events = calls.nanos.len() as u64 * shape.events;
    shown(calls, events, took, cpu::micros()? - before)
}

/// Puts the first `events` events into an aggregate, at most so many at once.
async fn fill<P: Peer>(peer: &P, aggregate: u64, events: u64, at_once: u64) -> Result<(), Failure> {
    let mut source = Source::seeded(aggregate);
    let mut begin = 0;
    while begin < events {
        let count = at_once.min(events - begin);
        insist(peer, aggregate, &source.executions(aggregate, begin, count)).await?;
        begin += count;
    }
    peer.forget(aggregate);
    Ok(())
}

pub(crate) async fn load<P: Peer>(
    url: &str,
    events: u64,
    time: Duration,
) -> Result<Value, Failure> {
    // in the middle of others, as in life
    const AGGREGATE: u64 = 50;
    let peer = P::open(url, None).await?;
    for aggregate in (0..2 * AGGREGATE).filter(|aggregate| *aggregate != AGGREGATE) {
        fill(&peer, aggregate, Shape::SINGLE.commands, 1).await?;
    }
    // a peer that takes one event a command gets them so
    if fill(&peer, AGGREGATE, events, AT_ONCE).await.is_err() {
        fill(&peer, AGGREGATE, events, 1).await?;
    }
    let mut calls = Calls::default();
    let mut begun = Instant::now();
    let mut until = begun + time.mul_f64(WARM_UP);
    let mut before = 0;
    for is_measured in [false, true] {
        // one at least, however long it takes
        loop {
            let call = Instant::now();
            let loaded = peer.load(AGGREGATE).await?;
            if loaded != events {
                return Err(format!("loaded {loaded} of {events} events").into());
            }
            if is_measured {
                calls.add(call.elapsed());
            }
            if Instant::now() >= until {
                break;
            }
        }
        if !is_measured {
            before = cpu::micros()?;
            begun = Instant::now();
            until = begun + time;
        }
    }
    let events = calls.nanos.len() as u64 * events;
    shown(calls, events, begun.elapsed(), cpu::micros()? - before)
}
