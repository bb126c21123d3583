//! Snapshots in the store's database: one round trip with their tail, and in nobody's way.

use std::sync::Arc;

use es_core::backend::{PageLimit, SnapshotStore};
use es_core::execution::{Snapshotted, StreamVersion};
use es_core::{Aggregate, Event, Repository, Store};
use es_postgres::sqlx::Connection;
use serde::{Deserialize, Serialize};

use crate::round_trips::counted;
use crate::support::sessions::{execute, session};
use crate::support::waiting::until;
use crate::support::{empty_store, value};

#[derive(Event)]
enum MeterEvent {
    MeterRead { units: u64 },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Meter {
    units: u64,
}

impl Aggregate for Meter {
    const TYPE: &'static str = "meter";
    type Id = String;
    type Event = MeterEvent;

    fn evolve(&mut self, MeterEvent::MeterRead { units }: &MeterEvent) {
        self.units += units;
    }
}

impl Snapshotted for Meter {
    const REVISION: u32 = 1;
}

fn meter() -> String {
    "m-1".to_owned()
}

/// A repository that keeps a state each so many events.
fn meters(store: impl Into<Store>, every: u64) -> Repository<Meter> {
    Repository::new(store).snapshot_every(every)
}

async fn read_meter(meters: &Repository<Meter>, times: u64) {
    for _ in 0..times {
        meters.by_id(&meter()).decide(|_| MeterEvent::MeterRead { units: 1 }).await.unwrap();
    }
}

#[tokio::test]
async fn a_load_from_a_snapshot_is_one_round_trip_and_two_if_it_is_kept_elsewhere() {
    let (_database, proxy, store) = counted().await;
    let store = Arc::new(store);
    let within = meters(store.clone(), 10);
    read_meter(&within, 25).await;
    within.flush_snapshots().await;
    // whether these are of this store nobody knows
    let elsewhere = Store::from(store.clone()).with_snapshots(store.clone());
    let beside = meters(elsewhere, 10);
    let plain = Repository::<Meter>::new(store.clone());
    for (meters, round_trips) in [(&within, 1), (&beside, 2), (&plain, 1)] {
        // prepares the statements
        meters.load(&meter()).await.unwrap();
        // now and then the frontier is written down meanwhile, which is counted, too
        let mut least = u64::MAX;
        for _ in 0..5 {
            proxy.reset();
            let loaded = meters.load(&meter()).await.unwrap();
            least = least.min(proxy.syncs());
            assert_eq!((loaded.state.units, loaded.version.as_u64()), (25, 25));
        }
        assert_eq!(least, round_trips);
    }
    let limit = PageLimit::default();
    let stream = "meter/m-1".parse().unwrap();
    let together = store.latest_with_tail(&stream, StreamVersion::MAX, limit).await.unwrap();
    let together = together.unwrap();
    let versions: Vec<_> =
        together.tail.events.iter().map(|event| event.version.as_u64()).collect();
    assert_eq!(together.snapshot.unwrap().version.as_u64(), 20);
    assert_eq!(versions, [20, 21, 22, 23, 24, 25], "from the last event in it on");
}

#[tokio::test]
async fn saving_that_is_blocked_delays_no_command() {
    let (database, store) = empty_store().await;
    let store = Arc::new(store);
    let meters = meters(store.clone(), 1);
    let mut other = session(&database).await;
    execute(&mut other, "BEGIN; LOCK TABLE execution_events_snapshots IN SHARE MODE").await;
    read_meter(&meters, 50).await;
    assert_eq!(meters.load(&meter()).await.unwrap().state.units, 50);
    let waiting = "SELECT count(*) FROM pg_locks
        WHERE NOT granted AND relation = 'execution_events_snapshots'::regclass";
    until("a snapshot waits to be saved", async || value::<i64>(&database, waiting).await == 1)
        .await;
    let kept: i64 = value(&database, "SELECT count(*) FROM execution_events_snapshots").await;
    assert_eq!(kept, 0);
    execute(&mut other, "ROLLBACK").await;
    meters.flush_snapshots().await;
    let kept: i64 = value(&database, "SELECT count(*) FROM execution_events_snapshots").await;
    assert!((1..=50).contains(&kept), "{kept} snapshots");
    assert_eq!(meters.load(&meter()).await.unwrap().state.units, 50);
    other.close().await.unwrap();
}

#[tokio::test]
async fn what_lies_in_the_table_of_snapshots_is_listed_and_pruned() {
    let (database, store) = empty_store().await;
    let store = Arc::new(store);
    let meters = meters(store.clone(), 10);
    read_meter(&meters, 50).await;
    meters.flush_snapshots().await;
    let listed = store.list_snapshots(None, 100).await.unwrap();
    let versions: Vec<_> = listed.iter().map(|one| one.version.as_u64()).collect();
    assert!(versions.ends_with(&[50]), "{versions:?}");
    let pruned = es_core::backend::prune_all(&*store, 1).await.unwrap();
    assert_eq!(pruned.removed as usize, versions.len() - 1);
    let kept: i64 =
        value(&database, "SELECT max(aggregate_version) FROM execution_events_snapshots").await;
    assert_eq!(kept, 50);
    assert_eq!(meters.load(&meter()).await.unwrap().state.units, 50);
}
