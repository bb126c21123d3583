//! A kept state and its tail equal replay at every version, whatever was kept and removed before.

use es_core::backend::{PageLimit, Snapshot, SnapshotStore, Timestamp};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;
use es_core::execution::{Snapshotted, StreamVersion, fold};
use es_core::{Aggregate, Repository, Store};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::account::*;

/// What an account became after its type was changed: another shape, and another meaning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counted {
    balance: u64,
    deposits: u64,
}

impl Aggregate for Counted {
    const TYPE: &'static str = Account::TYPE;
    type Id = String;
    type Event = AccountEvent;

    fn evolve(&mut self, event: &AccountEvent) {
        if let MoneyDeposited { cents } = event {
            self.deposits += 1;
            self.balance += 10 * cents;
        }
    }
}

impl Snapshotted for Counted {
    const REVISION: u32 = Account::REVISION + 1;
}

#[derive(Debug, Clone)]
enum Step {
    /// As many events in one command, by a repository of the old type or of the new one.
    Append {
        events: u64,
        is_new: bool,
    },
    Prune {
        keep: u64,
    },
    Delete,
    /// Somebody keeps a state that is no state at all, under the fingerprint of the new type.
    Garbage {
        version: u64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u64..6, any::<bool>()).prop_map(|(events, is_new)| Step::Append { events, is_new }),
        2 => (0_u64..4).prop_map(|keep| Step::Prune { keep }),
        1 => Just(Step::Delete),
        1 => (1_u64..40).prop_map(|version| Step::Garbage { version }),
    ]
}

async fn append<A>(accounts: &Repository<A>, from: u64, events: u64)
where
    A: Aggregate<Id = String, Event = AccountEvent>,
{
    let deposits = |_: &A| -> Vec<AccountEvent> {
        (from..from + events).map(|cents| MoneyDeposited { cents }).collect()
    };
    accounts.by_id("a").decide(deposits).await.unwrap();
}

async fn check<A>(accounts: &Repository<A>, count: u64)
where
    A: Aggregate<Id = String, Event = AccountEvent> + PartialEq + std::fmt::Debug,
{
    let events: Vec<_> = (0..count).map(|cents| MoneyDeposited { cents }).collect();
    for version in 0..=count {
        let loaded = accounts.load_at("a", StreamVersion::new(version)).await.unwrap();
        assert_eq!(loaded.state, fold(&events[..version as usize]), "after {version} of {count}");
        assert_eq!(loaded.version.as_u64(), version);
    }
    assert_eq!(accounts.load("a").await.unwrap().state, fold(&events));
}

/// The snapshots are the store's own, or the same data kept elsewhere.
async fn play(steps: &[Step], every: u64, page: usize, is_own: bool) {
    let snapshots = store();
    let store = match is_own {
        true => Store::from(snapshots.clone()),
        false => Store::from(snapshots.clone()).with_snapshots(snapshots.clone()),
    };
    let page = PageLimit::events(page);
    let old = Repository::<Account>::new(&store).with_page_limit(page).snapshot_every(every);
    let new = Repository::<Counted>::new(&store).with_page_limit(page).snapshot_every(every);
    let mut count = 0;
    for step in steps {
        match step {
            Step::Append { events, is_new } => {
                match is_new {
                    true => append(&new, count, *events).await,
                    false => append(&old, count, *events).await,
                }
                count += events;
            }
            Step::Prune { keep } => {
                snapshots.prune_snapshots(&stream("a"), *keep).await.unwrap();
            }
            Step::Delete => snapshots.delete_snapshots(&stream("a")).await.unwrap(),
            Step::Garbage { version } => {
                let garbage = Snapshot::new(
                    stream("a"),
                    StreamVersion::new(*version),
                    UuidV7Ids.next_id(),
                    Counted::fingerprint(),
                    Payload::of(&["?"]).unwrap(),
                    Timestamp::EPOCH,
                );
                snapshots.save_snapshot(garbage).await.unwrap();
            }
        }
        assert!(old.flush_snapshots().await && new.flush_snapshots().await);
        check(&old, count).await;
        check(&new, count).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn snapshot_and_tail_equal_replay_at_every_version(
        steps in proptest::collection::vec(any_step(), 1..10),
        every in 1_u64..5,
        page in 1_usize..6,
        is_own in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(&steps, every, page, is_own));
    }
}
