//! What the state of postings in SQL costs: an append with and without its trigger, and rebuilds.
//!
//! `cargo bench -p turing-workflows --bench state_in_sql`; only ratios of one run mean anything.
#![allow(clippy::unwrap_used, reason = "a broken assumption must end the measurement")]
#![allow(clippy::print_stdout, reason = "what it finds is printed")]

use std::time::{Duration, Instant};

use es_pgtest::Server;
use es_postgres::PostgresConfig;
use es_postgres::sqlx::{self, Connection, PgConnection, Postgres, query::Query};
use futures_util::TryStreamExt;
use turing::store::postgres::{configured, migrate};

const ROUNDS: usize = 9;
const APPENDS: i32 = 300;

macro_rules! statement {
    ($name:literal) => {
        include_str!(concat!("state_in_sql/", $name, ".sql"))
    };
}

type Bound<'q> = Query<'q, Postgres, sqlx::postgres::PgArguments>;

struct Bench {
    connection: PgConnection,
}

impl Bench {
    async fn run(&mut self, statement: Bound<'_>) -> Duration {
        let start = Instant::now();
        statement.execute(&mut self.connection).await.unwrap();
        start.elapsed()
    }

    async fn register(&mut self, first: i32, last: i32) {
        self.run(sqlx::query(statement!("register")).bind(first).bind(last)).await;
    }

    async fn fill(&mut self, first: i32, last: i32, events: i32, conversations: i32) {
        let fill = sqlx::query(statement!("fill")).bind(first).bind(last);
        self.run(fill.bind(events).bind(conversations)).await;
    }

    /// The median of appends of one event, ten to a posting.
    async fn appends(&mut self, first: i32) -> Duration {
        self.register(first, first + APPENDS / 10 - 1).await;
        let mut took = Vec::new();
        for append in 0..APPENDS {
            let posting = first + append / 10;
            let append = sqlx::query(statement!("append")).bind(posting).bind(append % 10 + 1);
            took.push(self.run(append).await);
        }
        median(took)
    }

    /// With and without the trigger, in turns.
    async fn trigger(&mut self, first: i32, name: &str) {
        let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let first = first + i32::try_from(round).unwrap() * 2 * APPENDS;
            self.run(sqlx::query(statement!("trigger_off"))).await;
            let bare = self.appends(first).await;
            self.run(sqlx::query(statement!("trigger_on"))).await;
            let ours = self.appends(first + APPENDS).await;
            // the first round prepares
            if round > 0 {
                ratios.push(ours.as_secs_f64() / bare.as_secs_f64());
                with.push(ours);
                without.push(bare);
            }
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "append of 1 event, {name}: {:?} with the trigger, {:?} without; ratio {:.2} ({:.2} - {:.2})",
            median(with),
            median(without),
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1],
        );
    }

    /// One more event on a posting that has so many.
    async fn next(&mut self, posting: i32, events: i32) -> Duration {
        let mut took = Vec::new();
        for next in 1..=101 {
            let append = sqlx::query(statement!("append")).bind(posting).bind(events + next);
            took.push(self.run(append).await);
        }
        median(took)
    }

    async fn rebuild(&mut self, posting: i32) -> Duration {
        let mut took = Vec::new();
        for _ in 0..3 {
            took.push(self.run(sqlx::query(statement!("rebuild")).bind(posting)).await);
        }
        median(took)
    }

    /// All columns of the events, read by plain sqlx.
    async fn read(&mut self, first: i32, last: i32) -> Duration {
        let mut took = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            let read = sqlx::query(statement!("read")).bind(first).bind(last);
            let rows = read
                .fetch(&mut self.connection)
                .try_fold(0_u64, |rows, _| async move { Ok(rows + 1) });
            assert!(rows.await.unwrap() > 0);
            took.push(start.elapsed());
        }
        median(took)
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

async fn measure() {
    let server = Server::private(&[("fsync", "on"), ("autovacuum", "off")]);
    let database = server.database().await;
    let config: PostgresConfig = configured(PostgresConfig::new(database.options()));
    migrate(&config).await.unwrap();
    let mut bench =
        Bench { connection: PgConnection::connect_with(&database.options()).await.unwrap() };

    bench.register(1_000_001, 1_010_000).await;
    bench.fill(1_000_001, 1_010_000, 10, 16).await;
    bench.run(sqlx::query(statement!("vacuum"))).await;
    let read = bench.read(1_000_001, 1_010_000).await;
    let times = |took: Duration| took.as_secs_f64() / read.as_secs_f64();
    let validated = bench.run(sqlx::query(statement!("validate"))).await;
    bench.run(sqlx::query(statement!("forget"))).await;
    let rebuilt = bench.run(sqlx::query(statement!("rebuild_all"))).await;
    println!(
        "100000 events over 10000 postings: read in {read:?}; rebuilt from zero in \
         {rebuilt:?} ({:.1} times), validated in {validated:?} ({:.1} times)",
        times(rebuilt),
        times(validated),
    );

    bench.trigger(10_000_000, "flushed").await;
    bench.run(sqlx::query(statement!("no_flush"))).await;
    bench.trigger(20_000_000, "not flushed").await;

    // 100 is what a run may begin by default
    for conversations in [16, 100] {
        let mut before: Option<Duration> = None;
        for (posting, events) in (1..).zip([1_000, 4_000, 16_000, 64_000]) {
            let posting = posting + conversations;
            bench.register(posting, posting).await;
            bench.fill(posting, posting, events, conversations).await;
            bench.run(sqlx::query(statement!("vacuum"))).await;
            let took = bench.rebuild(posting).await;
            let read = bench.read(posting, posting).await;
            let next = bench.next(posting, events).await;
            let step = before.map_or(f64::NAN, |before| took.as_secs_f64() / before.as_secs_f64());
            println!(
                "{events} events on one posting, {conversations} conversations: rebuilt in {took:?}, \
                 {step:.1} times the step before, {:.1} times reading them; one more: {next:?}",
                took.as_secs_f64() / read.as_secs_f64(),
            );
            before = Some(took);
        }
    }
}

fn main() {
    // `cargo test --benches` asks only whether it compiles
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
}
