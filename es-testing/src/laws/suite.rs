//! All laws as tests, in one macro.

/// Makes a module of tests, one for each law of [`laws`](crate::laws) that concerns an aggregate.
///
/// ```
/// # mod account {
/// use es_core::execution::Snapshotted;
/// use es_core::{Aggregate, Event};
/// use proptest::prelude::{Just, Strategy, any, prop_oneof};
///
/// #[derive(Event, Debug, Clone, PartialEq)]
/// pub enum AccountEvent {
///     AccountOpened,
///     MoneyDeposited { cents: u32 },
/// }
///
/// #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
/// pub struct Account {
///     open: bool,
///     balance: u64,
/// }
///
/// impl Aggregate for Account {
///     const TYPE: &'static str = "account";
///     type Id = i64;
///     type Event = AccountEvent;
///
///     fn evolve(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::AccountOpened => self.open = true,
///             AccountEvent::MoneyDeposited { cents } => {
///                 self.balance = self.balance.saturating_add(u64::from(*cents));
///             }
///         }
///     }
/// }
///
/// impl Snapshotted for Account {
///     const REVISION: u32 = 1;
/// }
///
/// #[derive(Debug)]
/// pub struct NotOpen;
///
/// impl Account {
///     pub fn deposit(&self, cents: &u32) -> Result<AccountEvent, NotOpen> {
///         let cents = *cents;
///         if self.open { Ok(AccountEvent::MoneyDeposited { cents }) } else { Err(NotOpen) }
///     }
/// }
///
/// pub fn any_event() -> impl Strategy<Value = AccountEvent> {
///     prop_oneof![
///         Just(AccountEvent::AccountOpened),
///         any::<u32>().prop_map(|cents| AccountEvent::MoneyDeposited { cents }),
///     ]
/// }
/// # }
/// # use account::*;
/// # use proptest::prelude::any;
/// # fn main() {}
///
/// es_testing::aggregate_laws! {
///     name = account_laws,
///     aggregate = Account,
///     events = any_event(),
///     // the rest is optional
///     commands = any::<u32>(),
///     decide = Account::deposit,
///     snapshots = true,
/// }
/// ```
///
/// | key | is |
/// |---|---|
/// | `name` | the module that holds the tests |
/// | `aggregate` | the type; it is `Debug` and `PartialEq`, and so are its events |
/// | `events` | a proptest strategy of single events, of all kinds, in no order |
/// | `commands` | a strategy of commands, for the laws of decisions |
/// | `commands_given` | instead of it, `fn(&Aggregate) -> BoxedStrategy<Command>`: see [`series_given`](crate::laws::series_given) |
/// | `decide` | `fn(&Aggregate, &Command) -> Result<_, _>`; by default the aggregate's method `decide` |
/// | `undecided` | stored names of the kinds that no command leads to: an array of `&str`, by default empty |
/// | `snapshots` | `true` for an aggregate that is `Snapshotted` |
/// | `golden`, `examples` | the folder of [`golden`](crate::golden) and an iterator of events |
///
/// The keys stand in any order; the first three must be there. What is wrong with them is said
/// together with all keys that there are:
///
/// ```compile_fail
/// # use es_core::{Aggregate, Event};
/// # #[derive(Event)]
/// # pub enum AccountEvent { AccountOpened }
/// # #[derive(Clone, Default)]
/// # pub struct Account;
/// # impl Aggregate for Account {
/// #     const TYPE: &'static str = "account";
/// #     type Id = i64;
/// #     type Event = AccountEvent;
/// #     fn evolve(&mut self, _: &AccountEvent) {}
/// # }
/// # fn main() {}
/// es_testing::aggregate_laws! { name = account_laws, aggregate = Account, strategy = any_event() }
/// ```
/// ```text
/// error: aggregate_laws!: `strategy` is no key here, stands twice, or lacks a value that fits
///
///        keys, in any order:
///            name = order_laws,
///            aggregate = Order,
///            ...
/// ```
#[macro_export]
macro_rules! aggregate_laws {
    ($($keys:tt)*) => {
        $crate::__law_keys!([] [] [] [] [] [] [] [] [] [] $($keys)*);
    };
}

/// The tests, once the keys are in their slots.
#[doc(hidden)]
#[macro_export]
macro_rules! __law_tests {
    ([$name:ident] [$aggregate:ty] [$events:expr] $commands:tt $given:tt $decide:tt $undecided:tt
        [$($snapshots:ident)?] [$($golden:expr)?] [$($examples:expr)?]) => {
        #[allow(dead_code, unused_imports)]
        mod $name {
            use super::*;

            type __Aggregate = $aggregate;
            type __Event = <__Aggregate as $crate::laws::__es_core::Aggregate>::Event;

            $crate::__law_tests! {
                events_round_trip::<__Event>($events);
                events_are_storable::<__Event>($events);
                kinds_are_distinct::<__Event>($events);
                retired_names_are_never_written::<__Event>($events);
                decode_never_panics::<__Event>($events);
                every_kind_is_generated::<__Event>($events);
                evolve_never_panics::<__Aggregate>($crate::laws::any_history($events));
                evolve_is_deterministic::<__Aggregate>($crate::laws::any_history($events));
            }
            $crate::__law_tests!(@decisions $commands $given $decide $undecided);
            $($crate::__law_tests!(@snapshots $snapshots $events);)?
            $(
                #[test]
                fn stored_forms_stay() -> ::core::result::Result<(), $crate::golden::Mismatch> {
                    $crate::golden::check_aggregate::<__Aggregate>($golden, $examples)
                }
            )?
        }
    };
    (@decisions [] [] [] []) => {};
    (@decisions $commands:tt $given:tt [] $undecided:tt) => {
        $crate::__law_tests!(@decisions $commands $given [__Aggregate::decide] $undecided);
    };
    (@decisions [$commands:expr] [] $decide:tt $undecided:tt) => {
        $crate::__law_tests!(@series [$crate::laws::series($commands)] $decide $undecided);
    };
    (@decisions [] [$given:expr] [$decide:expr] $undecided:tt) => {
        $crate::__law_tests!(@series [
            $crate::laws::series_given::<__Aggregate, _, _, _>($given, $decide)
        ] [$decide] $undecided);
    };
    (@series $series:tt $decide:tt []) => {
        $crate::__law_tests!(@series $series $decide [[]]);
    };
    (@series [$series:expr] [$decide:expr] [$undecided:expr]) => {
        $crate::__law_tests! {
            decided_events_evolve::<__Aggregate, _, _, _>($series, $decide);
            decide_is_deterministic::<__Aggregate, _, _, _>($series, $decide);
            every_kind_is_decided::<__Aggregate, _, _, _>($series, $decide, &$undecided);
        }
    };
    (@snapshots true $events:expr) => {
        $crate::__law_tests! {
            snapshots_equal_replay::<__Aggregate>($crate::laws::any_history($events));
        }
    };
    (@snapshots false $events:expr) => {};
    ($($law:ident::<$($of:ty),+>($($argument:expr),+);)+) => {
        $(
            #[test]
            fn $law() -> ::core::result::Result<(), $crate::laws::LawViolation> {
                // the strategy is made on the large stack too
                $crate::laws::__on_a_large_stack(|| $crate::laws::$law::<$($of),+>($($argument),+))
            }
        )+
    };
}
