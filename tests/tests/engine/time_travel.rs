//! States of the past and what changed between them.

use std::sync::Arc;
use std::time::Duration;

use es_core::Repository;
use es_core::backend::Timestamp;
use es_core::environment::Clock;
use es_core::event::Payload;
use es_core::execution::{Difference, Moment, StreamVersion, differences};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::account::*;

/// An account with one event a second: 1, 2, 4 and 8 cents.
async fn doubling() -> (Repository<Account>, ManualClock) {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let accounts = accounts(&store);
    for cents in [1, 2, 4, 8] {
        clock.step(Duration::from_secs(1));
        accounts.by_id("a").decide(|account| account.deposit(cents)).await.unwrap();
    }
    (accounts, clock)
}

fn balance(old: u64, new: u64) -> Vec<Difference> {
    let (old, new) = (Some(json!(old).into()), Some(json!(new).into()));
    vec![Difference { path: "/balance".to_owned(), old, new }]
}

#[tokio::test]
async fn a_state_is_found_at_every_moment() {
    let (accounts, clock) = doubling().await;
    let last = clock.now();
    let version = |number| Moment::Version(StreamVersion::new(number));
    for (moment, balance, count) in [
        (Moment::Start, 0, 0),
        (version(1), 1, 1),
        (version(3), 7, 3),
        (version(9), 15, 4),
        (Moment::Instant(last), 15, 4),
        (Moment::Instant(Timestamp::from_micros(last.as_micros() - 1)), 7, 3),
        (Moment::Instant(Timestamp::EPOCH), 0, 0),
        (Moment::Now, 15, 4),
    ] {
        let loaded = accounts.load_at("a", moment).await.unwrap();
        let found = (loaded.state.balance, loaded.version.as_u64());
        assert_eq!(found, (balance, count), "{moment:?}");
    }
}

#[tokio::test]
async fn the_difference_of_two_moments_tells_paths_and_both_values() {
    let (accounts, _) = doubling().await;
    let version = StreamVersion::new;
    let changed = accounts.difference("a", version(1), Moment::Now).await.unwrap();
    assert_eq!(changed.differences, balance(1, 15));
    assert_eq!((changed.from.version, changed.to.version), (version(1), version(4)));
    let back = accounts.difference("a", version(3), version(2)).await.unwrap();
    assert_eq!(back.differences, balance(7, 3));
    let none = accounts.difference("a", version(4), Moment::Now).await.unwrap();
    assert_eq!(none.differences, []);
}

fn value_of(payload: &Payload) -> Value {
    payload.decode().unwrap()
}

/// Does to `value` what a difference tells.
fn apply(value: &mut Value, difference: &Difference) {
    if difference.path.is_empty() {
        *value = value_of(difference.new.as_ref().unwrap());
        return;
    }
    let (parent, token) = difference.path.rsplit_once('/').unwrap();
    let key = token.replace("~1", "/").replace("~0", "~");
    match (value.pointer_mut(parent).unwrap(), &difference.new) {
        (Value::Object(fields), Some(new)) => drop(fields.insert(key, value_of(new))),
        (Value::Object(fields), None) => drop(fields.remove(&key)),
        (Value::Array(items), Some(new)) => match items.get_mut(key.parse::<usize>().unwrap()) {
            Some(item) => *item = value_of(new),
            None => items.push(value_of(new)),
        },
        // elements go from the end only
        (Value::Array(items), None) => items.truncate(items.len() - 1),
        (scalar, _) => panic!("{scalar} has nothing in it"),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        "[a/~0-2]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a/~0-2]{0,2}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn differences_are_exactly_what_makes_the_old_value_the_new_one(
        old in any_json(), new in any_json()
    ) {
        let found = differences(&old.clone().into(), &new.clone().into());
        prop_assert_eq!(found.is_empty(), old == new);
        let mut value = old.clone();
        for difference in &found {
            let at = |value: &Value| value.pointer(&difference.path).cloned().map(Payload::from);
            prop_assert_eq!(&at(&old), &difference.old);
            prop_assert_eq!(&at(&new), &difference.new);
            prop_assert_ne!(&difference.old, &difference.new);
        }
        // what goes from arrays goes from their ends
        let (gone, others): (Vec<_>, Vec<_>) =
            found.iter().partition(|difference| difference.new.is_none());
        others.into_iter().chain(gone.into_iter().rev()).for_each(|one| apply(&mut value, one));
        prop_assert_eq!(value, new);
    }
}
