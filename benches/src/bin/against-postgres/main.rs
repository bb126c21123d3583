//! es-postgres beside the bare server: the same rows, in one run on one server, in alternating
//! rounds.
#![allow(clippy::print_stdout, reason = "it shows what it found")]

mod bare;
mod delay;
mod pgbench;

use std::time::{Duration, Instant};

use es_benches::rounds::{Round, Rounds, Unit};
use es_benches::{CALLERS, Posting, Workload, concurrently, runtime, server};
use es_core::Repository;
use es_core::backend::{AppendRequest, EventStore, EventStoreExt, ReadLog};
use es_core::execution::StreamVersion;
use es_pgtest::TestDatabase;
use es_postgres::{Identifier, Layout, Migrations, PostgresConfig, PostgresStore};
use futures_util::TryStreamExt;

use crate::bare::Bare;
use crate::pgbench::Pgbench;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rounds that count; one more comes first and does not.
const ROUNDS: usize = 9;
/// Appends of one event in one round.
const SINGLES: u64 = 2_000;
/// Appends of 100 events in one round.
const HUNDREDS: u64 = 50;
/// Callers that stand for many.
const CROWD: usize = 256;
/// Events of the posting that is loaded, and of the log that is read at least.
const LOADED: usize = 10_000;

/// One store in the schema `public` and one in `bare`, which is written to by hand.
async fn prepared(database: &TestDatabase) -> Result<PostgresConfig, Failure> {
    for schema in ["public", "bare"] {
        let layout = Layout { schema: Identifier::new(schema)?, ..Layout::default() };
        let config = PostgresConfig::new(database.options()).layout(layout.clone());
        Migrations::of_store(&layout).apply(&config).await?;
    }
    Ok(PostgresConfig::new(database.options()))
}

/// Requests of one round, from postings that no other round has.
fn requests(round: usize, appends: u64, events: usize) -> Vec<AppendRequest> {
    let mut workload = Workload::seeded(round as u64 * 1_000 + events as u64);
    let first = round as u64 * appends.next_multiple_of(10);
    (first..first + appends).map(|n| workload.in_turn(n, events)).collect()
}

/// The middle append of one caller after the other, in a task of the runtime as those of an
/// application.
async fn latency(store: &PostgresStore, round: usize) -> Result<Duration, Failure> {
    let store = store.clone();
    let appending = tokio::spawn(async move {
        let mut took = Vec::new();
        for request in requests(round, SINGLES, 1) {
            let start = Instant::now();
            store.append(request).await?;
            took.push(start.elapsed());
        }
        took.sort_unstable();
        Ok::<_, Failure>(took[took.len() / 2])
    });
    appending.await?
}

async fn singles(store: &PostgresStore, pgbench: &mut Pgbench) -> Result<(), Failure> {
    let mut rounds = Rounds::new("append 1 event, 1 caller: median", "<= 1.25", Unit::Milliseconds);
    for round in 0..=ROUNDS {
        let ours = Round { events: 1, took: latency(store, round).await? };
        let bare = Round { events: 1, took: pgbench.run(1, SINGLES)?.median };
        if round > 0 {
            rounds.add(&ours, &bare);
        }
    }
    println!("{}", rounds.line());
    Ok(())
}

/// So many callers append one event each, and so many clients of pgbench insert one.
async fn crowds(
    store: &PostgresStore,
    pgbench: &mut Pgbench,
    callers: usize,
    clients: usize,
    name: &'static str,
    goal: &'static str,
) -> Result<(), Failure> {
    let mut rounds = Rounds::new(name, goal, Unit::EventsPerSecond);
    let appends = (callers as u64 * 100).max(SINGLES * 4);
    let each = SINGLES * 4 / clients as u64;
    for round in 0..=ROUNDS {
        let mut lists: Vec<Vec<AppendRequest>> = vec![Vec::new(); callers];
        // ten requests in a row are for one posting
        let numbered = requests(1_000 * callers + round, appends, 1).into_iter().enumerate();
        for (number, request) in numbered {
            lists[number / 10 % callers].push(request);
        }
        let writer = store.clone();
        let took = concurrently(lists, move |request| {
            let store = writer.clone();
            async move {
                store.append(request).await.expect("no other writer has these postings");
            }
        });
        let ours = Round { events: appends, took: took.await };
        let run = pgbench.run(clients, each)?;
        let bare = Round { events: 1_000_000, took: Duration::from_secs_f64(1e6 / run.rate) };
        if round > 0 {
            rounds.add(&ours, &bare);
        }
    }
    println!("{}", rounds.line());
    Ok(())
}

/// 100 events in one append, and in one INSERT from arrays.
async fn hundreds(store: &PostgresStore, bare: &mut Bare) -> Result<(), Failure> {
    let name = "append 100 events at once, 1 caller";
    let mut rounds = Rounds::new(name, ">= 0.85", Unit::EventsPerSecond);
    for round in 0..=ROUNDS {
        let requests = requests(5_000_000 + round, HUNDREDS, 100);
        let start = Instant::now();
        for request in requests.clone() {
            store.append(request).await?;
        }
        let ours = Round { events: HUNDREDS * 100, took: start.elapsed() };
        let start = Instant::now();
        for request in &requests {
            bare.append(request).await?;
        }
        let bare = Round { events: HUNDREDS * 100, took: start.elapsed() };
        if round > 0 {
            rounds.add(&ours, &bare);
        }
    }
    println!("{}", rounds.line());
    Ok(())
}

/// A posting of 10,000 events into its state, and a log of as many and more to its end.
async fn reads(store: &PostgresStore, bare: &mut Bare) -> Result<(), Failure> {
    const POSTING: i64 = 1_000_000_000;
    let mut workload = Workload::seeded(u64::MAX);
    for hundred in 0..LOADED as u64 / 100 {
        let expected = es_core::ExpectedVersion::Exact(StreamVersion::new(hundred * 100));
        let events = workload.events(100);
        let request = AppendRequest::to(Workload::stream(POSTING), expected, events);
        bare.append(&request).await?;
        store.append(request).await?;
    }
    bare.analyze().await?;
    let postings = Repository::<Posting>::new(store.clone());
    let mut load = Rounds::new("load 10,000 events: time", "", Unit::Milliseconds);
    let mut log = Rounds::new("read the log", ">= 0.75", Unit::EventsPerSecond);
    for round in 0..=ROUNDS {
        let start = Instant::now();
        let loaded = postings.load(&POSTING).await?;
        assert_eq!(loaded.version, StreamVersion::new(LOADED as u64));
        let ours = Round { events: LOADED as u64, took: start.elapsed() };
        let start = Instant::now();
        assert_eq!(bare.load(&Workload::stream(POSTING)).await?, (loaded.state, LOADED));
        let theirs = Round { events: LOADED as u64, took: start.elapsed() };

        let start = Instant::now();
        let mut count = 0;
        let mut events = store.log(ReadLog::from_start());
        while events.try_next().await?.is_some() {
            count += 1;
        }
        let ours_log = Round { events: count, took: start.elapsed() };
        let start = Instant::now();
        let events = bare.read_log().await?;
        let theirs_log = Round { events, took: start.elapsed() };
        if round > 0 {
            load.add(&ours, &theirs);
            log.add(&ours_log, &theirs_log);
        }
    }
    println!("{}\n{}", load.line(), log.line());
    Ok(())
}

async fn compare() -> Result<(), Failure> {
    let server = server();
    let database = server.database().await;
    let config = prepared(&database).await?;
    let store = PostgresStore::open(config.clone()).await?;
    let mut pgbench = Pgbench::new(&database)?;
    let mut bare = Bare::connect(&database).await?;
    println!("{ROUNDS} rounds, medians\n\n{}", Rounds::headings("es-postgres", "bare"));
    singles(&store, &mut pgbench).await?;
    let name = "append 1 event, 32 callers to 32 clients";
    crowds(&store, &mut pgbench, CALLERS, CALLERS, name, ">= 1.6").await?;
    let name = "append 1 event, 256 callers to 32 clients";
    crowds(&store, &mut pgbench, CROWD, CALLERS, name, "").await?;
    hundreds(&store, &mut bare).await?;
    reads(&store, &mut bare).await?;
    println!("\n{}", delay::across_processes(&config, database.url()).await?);
    store.close().await;
    Ok(())
}

fn main() -> Result<(), Failure> {
    // the other process of the delay
    if let Some(url) = std::env::args().nth(1) {
        return runtime().block_on(delay::append_and_tell(&url));
    }
    runtime().block_on(compare())
}
