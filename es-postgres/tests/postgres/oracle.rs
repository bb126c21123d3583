//! The loss oracle: writers of every kind, sessions that are ended at random, foreign transactions
//! that stay open, and readers that must see every committed event once and in order.

mod readers;
mod writers;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use es_core::backend::Position;
use es_pgtest::{Server, TestDatabase, TransactionPooler};
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::sqlx::{self, ConnectOptions, PgConnection};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};
use es_testing::suite::{rounds, seed};
use tokio::sync::watch;
use tokio::task::JoinSet;

use readers::{Reader, Seen};
use writers::Writer;

use crate::support::{database, value};

/// What happened, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) transactions: AtomicU64,
    pub(crate) rolled_back: AtomicU64,
    /// Appends that were sent again under their keys.
    pub(crate) repeated: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) restarts: AtomicU64,
    ended: AtomicU64,
    pub(crate) is_over: AtomicBool,
    /// Events that are certainly committed, and that certainly never are.
    pub(crate) acknowledged: Mutex<Vec<String>>,
    pub(crate) undone: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn add(&self, what: &AtomicU64, count: u64) {
        what.fetch_add(count, Ordering::Relaxed);
    }
}

/// Sessions of writers and readers; others are left alone.
const ENDED: &str = "SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'oracle%'
    ORDER BY random() LIMIT 1) s";

async fn end_sessions(database: PgConnectOptions, tally: Arc<Tally>) {
    let mut connection = database.connect().await.unwrap();
    while !tally.is_over.load(Ordering::Relaxed) {
        // the pause is the server's
        sqlx::raw_sql("SELECT pg_sleep(random() * 0.1)").execute(&mut connection).await.unwrap();
        let ended = sqlx::raw_sql(ENDED).fetch_all(&mut connection).await.unwrap();
        tally.add(&tally.ended, ended.len() as u64);
    }
}

/// A transaction that has an id, a lock on another table or an old snapshot, and stays open.
async fn foreign(database: &TestDatabase, statements: &'static str) -> PgConnection {
    let mut connection = database.options().connect().await.unwrap();
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection
}

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Writing {
    /// Each of ten on a store of its own, in every way there is.
    Apart,
    /// So many callers of one store, whose appends share transactions.
    Together(u64),
}

/// What writers that share transactions must have saved; the last digits of xmin are enough here.
const TRANSACTIONS: &str = "SELECT count(DISTINCT xmin::text) FROM execution_events";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_oracle_campaign() {
    campaign(Writing::Apart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_oracle_of_shared_transactions_campaign() {
    campaign(Writing::Together(40)).await;
}

#[expect(clippy::print_stdout, reason = "a campaign tells what it has done")]
async fn campaign(how: Writing) {
    let wanted = rounds(6_000, 40_000);
    let seed = seed();
    println!("ES_SEED={seed}");
    let database = database(IdType::Text).await;
    let elsewhere = Server::shared().database().await;
    let began = Instant::now();

    let mut held = [
        foreign(&database, "CREATE TABLE theirs (x INT); BEGIN; INSERT INTO theirs VALUES (1)")
            .await,
        foreign(&elsewhere, "BEGIN; SELECT pg_current_xact_id()").await,
        foreign(
            &database,
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM execution_events",
        )
        .await,
        foreign(&database, "BEGIN; LOCK TABLE execution_events_snapshots").await,
    ];

    let tally = Arc::new(Tally::default());
    let (target, known_target) = watch::channel(None);
    let options = |name: &str| database.options().application_name(name);
    let mut reading = JoinSet::new();
    let pooler = TransactionPooler::start(Server::shared()).await;
    for reader in Reader::ALL {
        let config = match reader {
            Reader::Pooled => {
                let options = pooler.options(database.name()).application_name("oracle pooler");
                PostgresConfig::new(options).session(Session::Pooled)
            }
            _ => PostgresConfig::new(options("oracle reader")),
        };
        reading.spawn(reader.read(config, known_target.clone(), Arc::clone(&tally)));
    }
    let mut writing = JoinSet::new();
    let writer = |number, of| Writer::new(number, seed, wanted / of, Arc::clone(&tally));
    match how {
        Writing::Apart => (0..10).for_each(|number| {
            writing.spawn(writer(number, 10).write(options("oracle writer")));
        }),
        Writing::Together(callers) => {
            let config = PostgresConfig::new(options("oracle writer"));
            let store = PostgresStore::open(config).await.unwrap();
            (0..callers).for_each(|number| {
                writing.spawn(writer(number, callers).write_to(store.clone()));
            });
        }
    }
    let ending = tokio::spawn(end_sessions(database.options(), Arc::clone(&tally)));
    while let Some(written) = writing.join_next().await {
        written.unwrap();
    }
    tally.is_over.store(true, Ordering::Relaxed);
    ending.await.unwrap();

    let log = readers::log(&database).await;
    let last = log.last().unwrap().position;
    target.send_replace(Some(last));
    let all = async {
        let mut answers = Vec::new();
        while let Some(seen) = reading.join_next().await {
            answers.push(seen.unwrap());
        }
        answers
    };
    let limit = Duration::from_secs(120);
    let answers = tokio::time::timeout(limit, all).await;
    // the foreign transactions are open until here, and have held back nobody
    for foreign in &mut held {
        let began_before: bool = sqlx::query_scalar("SELECT now() < statement_timestamp()")
            .fetch_one(foreign)
            .await
            .expect("nobody has ended it");
        assert!(began_before, "it is the same transaction still");
    }
    drop(held);
    let answers =
        answers.unwrap_or_else(|_| panic!("ES_SEED={seed}: readers do not come to the end"));
    for (reader, seen) in answers {
        check(reader, &seen, &log, seed);
    }
    if let Writing::Together(_) = how {
        let (made, asked) = (
            value::<i64>(&database, TRANSACTIONS).await,
            tally.transactions.load(Ordering::Relaxed),
        );
        assert!(made.unsigned_abs() < asked / 2, "{made} transactions for {asked} appends");
    }
    let stored: HashSet<&str> = log.iter().map(|event| event.event_id.as_str()).collect();
    let is_stored = |id: &String| stored.contains(id.as_str());
    let acknowledged = tally.acknowledged.lock().unwrap();
    assert!(acknowledged.iter().all(is_stored), "ES_SEED={seed}: what was acknowledged is lost");
    let undone = tally.undone.lock().unwrap();
    assert!(!undone.iter().any(is_stored), "ES_SEED={seed}: what was rolled back is there");
    let get = |what: &AtomicU64| what.load(Ordering::Relaxed);
    println!(
        "{} events, {} of them acknowledged, in {} writers' transactions, {} rolled back, {} \
         failed, {} sent again, {} sessions ended, {} restarts of readers, 4 foreign transactions \
         open throughout: {} readers saw every event once and in order, {:.0} s",
        log.len(),
        acknowledged.len(),
        get(&tally.transactions),
        get(&tally.rolled_back),
        get(&tally.failed),
        get(&tally.repeated),
        get(&tally.ended),
        get(&tally.restarts),
        Reader::ALL.len(),
        began.elapsed().as_secs_f64(),
    );
    assert!(log.len() >= wanted as usize, "only {} events", log.len());
}

/// Exactly the wanted events, in position order, each stream in version order.
fn check(reader: Reader, seen: &[Seen], log: &[Seen], seed: u64) {
    let mut versions = std::collections::HashMap::new();
    for event in log {
        let version = versions.entry(&event.stream).or_insert(0);
        assert_eq!(event.version, *version + 1, "ES_SEED={seed}: {event:?} is out of order");
        *version = event.version;
    }
    let wanted: Vec<_> = log.iter().filter(|event| reader.wants(event)).collect();
    let same = seen.iter().zip(&wanted).take_while(|(seen, wanted)| seen == *wanted).count();
    assert!(
        same == wanted.len() && same == seen.len(),
        "ES_SEED={seed}: {reader:?} saw {} of {} events as they are; then it saw {:?} instead of {:?}",
        same,
        wanted.len(),
        seen.get(same),
        wanted.get(same),
    );
    assert!(Position::START < log[0].position);
}
