//! The server is killed, or ends sessions.

use std::sync::atomic::Ordering;
use std::time::Duration;

use es_pgtest::Server;
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use es_testing::suite::rounds;

use super::seed;
use super::storm::Storm;
use crate::support::{database_on, open};

async fn stores(database: &es_pgtest::TestDatabase) -> [PostgresStore; 2] {
    let config = PostgresConfig::new(database.options()).connect_timeout(Duration::from_secs(2));
    [PostgresStore::open(config).await.unwrap(), open(database).await]
}

fn tell(what: &str, count: u64, storm: &super::storm::Met, summary: &es_testing::checker::Summary) {
    println!(
        "{count} {what}: {summary}; {} unknown answers, {} of them found written by the repetition, \
         {} refused for want of a server, {} restarts of the follower; no event lost, none twice, no append torn",
        storm.unknown.load(Ordering::Relaxed),
        storm.found.load(Ordering::Relaxed),
        storm.unavailable.load(Ordering::Relaxed),
        storm.follower_restarts.load(Ordering::Relaxed),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_kills_campaign() {
    let (kills, seed) = (rounds(4, 100), seed());
    let mut chance = fastrand::Rng::with_seed(seed);
    // with flushes, between which and the answers a kill finds what is written and not told
    let server = Server::private(&[("fsync", "on")]);
    let database = database_on(&server, IdType::Text).await;
    let stores = stores(&database).await;
    let storm = Storm::begin(&stores, seed);
    let mut counter = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..kills {
        // in the middle of appends, at a random moment
        for _ in 0..chance.u64(100..400) {
            counter.tick().await;
        }
        let server = server.clone();
        let killed = tokio::task::spawn_blocking(move || {
            server.kill();
            server.start();
        });
        killed.await.unwrap();
        counter.reset();
    }
    let met = storm.met.clone();
    let summary = storm.end().await;
    tell("kills of the server", kills, &met, &summary);
    assert!(summary.acknowledged > 20 && met.unknown.load(Ordering::Relaxed) > 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_kills_campaign() {
    let (wanted, seed) = (rounds(40, 1_000), seed());
    let mut chance = fastrand::Rng::with_seed(seed);
    let server = Server::shared();
    let database = database_on(server, IdType::Text).await;
    let stores = stores(&database).await;
    let storm = Storm::begin(&stores, seed);
    let mut counter = tokio::time::interval(Duration::from_millis(1));
    let mut ended = 0;
    while ended < wanted {
        for _ in 0..chance.u64(1..30) {
            counter.tick().await;
        }
        ended += u64::from(server.terminate_one(database.name(), &mut chance).await);
    }
    let met = storm.met.clone();
    let summary = storm.end().await;
    tell("sessions ended", ended, &met, &summary);
    assert!(summary.acknowledged > 20, "{summary}");
}
