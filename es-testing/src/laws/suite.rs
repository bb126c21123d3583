//! All laws as tests, in one macro.

/// Makes a module of tests, one for each law of [`laws`](crate::laws) that concerns an aggregate.
///
/// ```
/// # mod account {
/// use es_core::{Aggregate, Event, Snapshotted};
/// use proptest::prelude::{Just, Strategy, any, prop_oneof};
///
/// #[derive(Event, Debug, Clone, PartialEq)]
/// pub enum AccountEvent {
///     AccountOpened,
///     MoneyDeposited { cents: u32 },
/// }
///
/// #[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
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
/// | `decide` | `fn(&Aggregate, &Command) -> Result<_, _>`; by default the aggregate's `Decide` |
/// | `snapshots` | `true` for an aggregate that is `Snapshotted` |
/// | `golden`, `examples` | the folder of [`golden`](crate::golden) and an iterator of events |
///
/// The keys stand in this order.
#[macro_export]
macro_rules! aggregate_laws {
    (
        name = $name:ident,
        aggregate = $aggregate:ty,
        events = $events:expr
        $(, commands = $commands:expr $(, decide = $decide:expr)?)?
        $(, snapshots = $snapshots:ident)?
        $(, golden = $golden:expr, examples = $examples:expr)?
        $(,)?
    ) => {
        #[allow(dead_code, unused_imports)]
        mod $name {
            use super::*;

            type __Aggregate = $aggregate;
            type __Event = <__Aggregate as $crate::laws::__es_core::Aggregate>::Event;
            type __Checked = ::core::result::Result<(), $crate::laws::LawViolation>;

            #[test]
            fn events_round_trip() -> __Checked {
                $crate::laws::events_round_trip::<__Event>($events)
            }

            #[test]
            fn kinds_are_distinct() -> __Checked {
                $crate::laws::kinds_are_distinct::<__Event>($events)
            }

            #[test]
            fn decode_never_panics() -> __Checked {
                $crate::laws::decode_never_panics::<__Event>($events)
            }

            #[test]
            fn every_kind_is_generated() -> __Checked {
                $crate::laws::every_kind_is_generated::<__Event>($events)
            }

            #[test]
            fn evolve_never_panics() -> __Checked {
                $crate::laws::evolve_never_panics::<__Aggregate>($crate::laws::any_history($events))
            }

            #[test]
            fn evolve_is_deterministic() -> __Checked {
                $crate::laws::evolve_is_deterministic::<__Aggregate>(
                    $crate::laws::any_history($events),
                )
            }

            $(
                #[test]
                fn decided_events_evolve() -> __Checked {
                    $crate::laws::decided_events_evolve::<__Aggregate, _, _, _>(
                        $commands,
                        $crate::aggregate_laws!(@decide $($decide)?),
                    )
                }

                #[test]
                fn decide_is_deterministic() -> __Checked {
                    $crate::laws::decide_is_deterministic::<__Aggregate, _, _, _>(
                        $commands,
                        $crate::aggregate_laws!(@decide $($decide)?),
                    )
                }
            )?

            $($crate::aggregate_laws!(@snapshots $snapshots, $events);)?

            $(
                #[test]
                fn stored_forms_stay() -> ::core::result::Result<(), $crate::golden::Mismatch> {
                    $crate::golden::check_aggregate::<__Aggregate>($golden, $examples)
                }
            )?
        }
    };
    (@decide $decide:expr) => {
        $decide
    };
    (@decide) => {
        |state: &__Aggregate, command| $crate::laws::__es_core::Decide::decide(state, command)
    };
    (@snapshots true, $events:expr) => {
        #[test]
        fn snapshots_equal_replay() -> __Checked {
            $crate::laws::snapshots_equal_replay::<__Aggregate>($crate::laws::any_history($events))
        }
    };
    (@snapshots false, $events:expr) => {};
}
