//! The laws hold for an honest aggregate, and each is broken by one that deserves it.

/// An aggregate that has events and no state.
macro_rules! stateless {
    ($name:ident, $stored:literal, $id:ty, $event:ty) => {
        #[derive(Default, Clone)]
        struct $name;

        impl es_core::Aggregate for $name {
            const TYPE: &'static str = $stored;
            type Id = $id;
            type Event = $event;

            fn evolve(&mut self, _: &$event) {}
        }
    };
}

mod decided;
mod encoded;
mod evolved;
mod large;
mod projection;
mod rows;
mod storable;
mod tables;
mod union;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use es_core::event::Fields;
use es_core::execution::Snapshotted;
use es_core::{Aggregate, Event};
use es_testing::laws::{self, LawViolation, any_history, decided_history, series};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde::{Deserialize, Serialize};

#[derive(Event, Debug, Clone, PartialEq)]
enum AccountEvent {
    AccountOpened,
    MoneyMoved {
        cents: i64,
        #[event(metadata)]
        request_id: Option<i64>,
        #[event(metadata)]
        #[serde(default)]
        labels: BTreeMap<String, String>,
    },
    #[event(version = 2, upcast(1 => note_text), alias = "note_added")]
    NoteChanged {
        text: String,
    },
}
use AccountEvent::*;

fn note_text(payload: &mut Fields) {
    payload.rename("note", "text");
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    open: bool,
    cents: i64,
    moves: BTreeMap<i64, i64>,
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = i64;
    type Event = AccountEvent;

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountOpened => self.open = true,
            MoneyMoved { cents, request_id, .. } => {
                self.cents = self.cents.saturating_add(*cents);
                if let Some(id) = request_id {
                    self.moves.insert(*id, *cents);
                }
            }
            NoteChanged { .. } => {}
        }
    }
}

impl Snapshotted for Account {
    const REVISION: u32 = 1;
}

#[derive(Debug, Clone)]
enum AccountCommand {
    Open,
    Move(i32),
}

#[derive(Debug)]
struct NotOpen;

impl Account {
    fn decide(&self, command: &AccountCommand) -> Result<Vec<AccountEvent>, NotOpen> {
        match command {
            AccountCommand::Open if self.open => Ok(vec![]),
            AccountCommand::Open => Ok(vec![AccountOpened]),
            AccountCommand::Move(_) if !self.open => Err(NotOpen),
            AccountCommand::Move(cents) => Ok(vec![moved(i64::from(*cents), None)]),
        }
    }
}

fn moved(cents: i64, request_id: Option<i64>) -> AccountEvent {
    MoneyMoved { cents, request_id, labels: BTreeMap::new() }
}

fn any_event() -> impl Strategy<Value = AccountEvent> {
    let labels = proptest::collection::btree_map("[a-z]{1,4}", "\\PC{0,4}", 0..3);
    prop_oneof![
        Just(AccountOpened),
        (any::<i64>(), any::<Option<i64>>(), labels)
            .prop_map(|(cents, request_id, labels)| { MoneyMoved { cents, request_id, labels } }),
        any::<String>().prop_map(|text| NoteChanged { text }),
    ]
}

fn any_command() -> impl Strategy<Value = AccountCommand> {
    prop_oneof![Just(AccountCommand::Open), any::<i32>().prop_map(AccountCommand::Move),]
}

es_testing::aggregate_laws! {
    name = account_laws,
    aggregate = Account,
    events = any_event(),
    commands = any_command(),
    undecided = ["note_changed"],
    snapshots = true,
    golden = "tests/golden/account",
    examples = [
        AccountOpened,
        moved(-100, Some(9184)),
        NoteChanged { text: "ä".to_owned() },
    ],
}

// the shorter forms, and the keys in another order
es_testing::aggregate_laws! {
    name = account_laws_of_events_alone,
    aggregate = Account,
    events = any_event(),
}
es_testing::aggregate_laws! {
    snapshots = false,
    undecided = ["note_changed"],
    decide = |account: &Account, command: &AccountCommand| account.decide(command),
    commands_given = |account: &Account| match account.open {
        true => any_command().boxed(),
        false => Just(AccountCommand::Open).boxed(),
    },
    events = any_event(),
    aggregate = Account,
    name = account_laws_with_a_method
}
es_testing::aggregate_laws! {
    name = account_laws_with_commands_by_the_state,
    commands_given = |account| match account.open {
        true => any_command().boxed(),
        false => Just(AccountCommand::Open).boxed(),
    },
    undecided = ["note_changed"],
    aggregate = Account,
    events = any_event(),
}

#[test]
fn snapshots_of_decided_histories_equal_replay() -> Result<(), LawViolation> {
    laws::snapshots_equal_replay::<Account>(decided_history(series(any_command()), Account::decide))
}

/// Asserts that exactly this law is broken, and that the violation tells why.
#[track_caller]
fn broken(checked: Result<(), LawViolation>, law: &str, reason: &str) {
    let violation = checked.expect_err("the law must be broken");
    assert_eq!(violation.law(), law);
    assert!(violation.to_string().contains(reason), "{violation}");
}

#[test]
fn a_payload_field_that_is_not_stored_breaks_the_round_trip() {
    #[derive(Event, Debug, PartialEq)]
    enum Forgetful {
        NumberChosen {
            #[serde(skip)]
            number: u8,
        },
    }
    let events = any::<u8>().prop_map(|number| Forgetful::NumberChosen { number });
    let checked = laws::events_round_trip(events);
    broken(checked.clone(), "events_round_trip", "read back as NumberChosen { number: 0 }");
    // 1 is the smallest number that is not the default
    broken(checked, "events_round_trip", "smallest case: NumberChosen {\n    number: 1,\n}");
}

#[test]
fn a_metadata_field_that_is_read_differently_breaks_the_round_trip() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rounded(#[serde(serialize_with = "tens")] u32);

    fn tens<S: serde::Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(number / 10 * 10)
    }

    #[derive(Event, Debug, PartialEq)]
    enum Rounding {
        NumberChosen {
            #[event(metadata)]
            number: Rounded,
        },
    }
    let events = any::<u32>().prop_map(|n| Rounding::NumberChosen { number: Rounded(n) });
    broken(laws::events_round_trip(events), "events_round_trip", "read back");
}

#[test]
fn what_cannot_be_read_at_all_breaks_the_round_trip() {
    #[derive(Event, Debug, PartialEq)]
    enum NotANumber {
        RateFound { rate: f64 },
    }
    let events = Just(f64::NAN).prop_map(|rate| NotANumber::RateFound { rate });
    broken(laws::events_round_trip(events), "events_round_trip", "is no number of JSON");

    // serde reads the content only where the tag comes first, which no store promises
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Reading {
        Total(u128),
    }
    #[derive(Event, Debug, PartialEq)]
    enum Meter {
        ReadingTaken { reading: Reading },
    }
    let events = Just(7).prop_map(|n| Meter::ReadingTaken { reading: Reading::Total(n) });
    broken(laws::events_round_trip(events), "events_round_trip", "u128");
}

/// An aggregate whose fold and decision are given.
macro_rules! aggregate {
    ($name:ident { $($(#[$attribute:meta])? $field:ident: $ty:ty),* }, $evolve:expr) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        struct $name { $($(#[$attribute])? $field: $ty),* }

        impl Aggregate for $name {
            const TYPE: &'static str = "wrong";
            type Id = i64;
            type Event = AccountEvent;

            fn evolve(&mut self, event: &AccountEvent) {
                let evolve: fn(&mut $name, &AccountEvent) = $evolve;
                evolve(self, event);
            }
        }

        impl Snapshotted for $name {
            const REVISION: u32 = 1;
        }
    };
}

#[test]
fn a_fold_that_is_not_total_is_found() {
    aggregate!(Partial { open: bool }, |state, event| match event {
        AccountOpened => state.open = true,
        _ => assert!(state.open, "not open"),
    });
    let checked = laws::evolve_never_panics::<Partial>(any_history(any_event()));
    broken(checked, "evolve_never_panics", "panic: not open");
}

#[test]
fn a_fold_with_hidden_state_is_found() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    aggregate!(Counting { calls: u32 }, |state, _| {
        state.calls = CALLS.fetch_add(1, Ordering::Relaxed);
    });
    let checked = laws::evolve_is_deterministic::<Counting>(any_history(any_event()));
    broken(checked, "evolve_is_deterministic", "the second");
}

#[test]
fn a_decision_whose_events_break_the_fold_is_found() {
    aggregate!(Fragile { cents: i32 }, |state, event| {
        if let MoneyMoved { cents, .. } = event {
            let cents = i32::try_from(*cents).expect("moves are small");
            state.cents = state.cents.checked_add(cents).expect("the sum is small");
        }
    });
    let decide = |_: &Fragile, cents: &i32| Ok::<_, NotOpen>(moved(i64::from(*cents), None));
    let checked = laws::decided_events_evolve(series(any::<i32>()), decide);
    broken(checked, "decided_events_evolve", "of the case: panic: the sum is small");
}

#[test]
fn a_decision_that_panics_is_found() {
    let decide = |_: &Account, cents: &i32| Ok::<_, NotOpen>(moved(i64::from(100 / cents), None));
    let checked = laws::decided_events_evolve(series(-1..=1), decide);
    broken(checked, "decided_events_evolve", "divide by zero");
}

#[test]
fn a_decision_by_chance_is_found() {
    let calls = AtomicU32::new(0);
    let decide = |_: &Account, _: &()| {
        let calls = calls.fetch_add(1, Ordering::Relaxed);
        Ok::<_, NotOpen>(moved(i64::from(calls), None))
    };
    let checked = laws::decide_is_deterministic(series(Just(())), decide);
    broken(checked, "decide_is_deterministic", "was decided as");
}

#[test]
fn a_decision_on_the_order_of_a_hash_map_is_found() {
    use std::collections::HashMap;

    #[derive(Debug, Clone, Default)]
    struct Hashed(HashMap<i64, i64>);

    impl Aggregate for Hashed {
        const TYPE: &'static str = "wrong";
        type Id = i64;
        type Event = AccountEvent;

        fn evolve(&mut self, event: &AccountEvent) {
            if let MoneyMoved { cents, .. } = event {
                self.0.insert(*cents, *cents);
            }
        }
    }
    // rejections are compared too
    let decide = |state: &Hashed, cents: &i64| match state.0.len() {
        0..10 => Ok(moved(*cents, None)),
        _ => Err(state.0.keys().copied().collect::<Vec<_>>()),
    };
    let checked = laws::decide_is_deterministic(series(any::<i64>()), decide);
    broken(checked, "decide_is_deterministic", "Err");
}

#[test]
fn a_state_that_is_not_kept_completely_is_found() {
    aggregate!(
        Leaky {
            #[serde(skip)]
            open: bool
        },
        |state, event| if *event == AccountOpened {
            state.open = true;
        }
    );
    let checked = laws::snapshots_equal_replay::<Leaky>(any_history(any_event()));
    broken(checked, "snapshots_equal_replay", "kept after 1 events as {}");
}

#[test]
fn a_state_that_cannot_be_kept_is_found() {
    aggregate!(Keyed { moves: BTreeMap<(i64, i64), i64> }, |state, event| {
        if let MoneyMoved { cents, .. } = event {
            state.moves.insert((*cents, 0), 1);
        }
    });
    let checked = laws::snapshots_equal_replay::<Keyed>(any_history(any_event()));
    broken(
        checked,
        "snapshots_equal_replay",
        "cannot be kept: it cannot be written as JSON: key must be a string",
    );
}
