//! The contract of a store as scenarios: one list, run over every backend.
//!
//! A backend enrols with [`contract_suite!`](crate::contract_suite). Each scenario is a function
//! over a [`Fixture`] whose name is the promise that it checks, and stands in the
//! `# Contract` section of [`EventStore`](es_core::EventStore) or
//! [`SnapshotStore`](es_core::SnapshotStore).
//!
//! `ES_CAMPAIGN=full` makes the storms and races many times longer.

use futures_util::future::BoxFuture;

use crate::fixture::Fixture;

pub(crate) mod parts;
pub(crate) mod run;

mod append;
mod batch;
mod capabilities;
mod conflicts;
mod cursors;
pub(crate) mod documents;
mod durability;
mod fidelity;
mod filters;
mod idempotency;
mod limits;
mod log;
mod named;
pub(crate) mod names;
mod progress;
mod reads;
mod snapshots;
mod storms;
mod tailing;
mod units;
mod versions;

pub use run::{Factory, Outcome, TimeLimits, Verdict, run_all, run_one};
#[doc(hidden)]
pub use run::{check, check_abilities};

/// Something that a backend may visibly lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// What was acknowledged is there after the store was closed and opened again.
    Durability,
    /// The backend keeps snapshots.
    Snapshots,
    /// Changes of tables may be SQL.
    Sql,
}

/// One promise of the contract and the check of it.
#[derive(Debug)]
pub struct Scenario {
    /// The part of the contract, such as `append`.
    pub concern: &'static str,
    /// The promise as a sentence, such as `first_event_gets_version_one`.
    pub name: &'static str,
    /// What a backend must have so that the promise concerns it.
    pub ability: Option<Ability>,
    run: for<'a> fn(&'a dyn Fixture) -> BoxFuture<'a, ()>,
}

impl Scenario {
    /// The name as it stands in the contract: `concern::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.concern, self.name)
    }
}

/// The single list of the scenarios; hands it to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_scenario {
    ($($callback:ident)::+ { $($arguments:tt)* }) => {
        $($callback)::+! {
            { $($arguments)* }
            always {
                append {
                    first_event_gets_version_one,
                    versions_are_dense,
                    the_answer_tells_what_was_recorded,
                    a_used_event_id_is_refused,
                    an_acknowledged_append_is_read_back,
                    a_dropped_append_leaves_all_or_nothing,
                }
                batch {
                    a_refused_batch_leaves_nothing,
                    readers_never_see_half_a_batch,
                }
                versions {
                    each_expectation_is_judged,
                }
                conflicts {
                    one_of_two_racing_writers_wins,
                    a_stale_writer_writes_nothing,
                    a_conflict_names_what_it_found,
                    the_first_unexpected_stream_is_named,
                }
                idempotency {
                    a_repeat_returns_the_first_result,
                    a_repeat_is_answered_after_the_stream_moved_on,
                    racing_repeats_write_once,
                    a_race_of_different_requests_has_one_winner,
                    another_content_is_refused,
                    contents_are_compared_to_the_last_digit,
                    other_streams_are_refused,
                    ids_and_metadata_do_not_count,
                    the_order_of_streams_does_not_count,
                    a_refused_append_records_no_key,
                    a_key_belongs_to_its_streams,
                    a_recorded_append_is_found,
                }
                units {
                    all_streams_or_none,
                    readers_never_see_half_a_unit,
                    the_answer_follows_the_request,
                    opposite_orders_come_to_an_end,
                }
                reads {
                    forwards_and_backwards_are_mirrored,
                    bounds_are_inclusive,
                    an_unknown_stream_is_empty,
                    streams_do_not_mix,
                    a_page_tells_the_version_of_its_stream,
                    until_is_the_prefix_before_the_first_later_event,
                    a_clock_that_steps_back_changes_no_order,
                    pages_keep_their_limits,
                    a_large_event_still_comes,
                    pages_join_without_gap_or_overlap,
                }
                log {
                    every_event_once_in_position_order,
                    stream_order_is_log_order,
                    later_appends_stand_later,
                    a_position_is_never_reused,
                    pages_keep_their_limits,
                    the_end_is_told_truly,
                }
                filters {
                    types_select_events,
                    a_kind_is_found_under_each_of_its_names,
                    an_unmatched_page_still_moves_on,
                    a_page_tells_the_event_where_it_ends,
                    a_prefix_selects_its_streams,
                }
                tailing {
                    wait_past_returns_at_once_when_there_is_more,
                    wait_past_pends_until_an_append,
                    all_waiters_are_woken,
                    a_dropped_wait_is_harmless,
                    a_follower_sees_every_event_once_under_writers,
                    a_tail_of_an_idle_log_reads_nothing,
                }
                cursors {
                    a_cursor_beyond_the_end_is_refused,
                    a_place_that_was_answered_is_never_refused,
                }
                fidelity {
                    payloads_come_back_as_the_same_value,
                    metadata_comes_back_equal,
                    numbers_in_metadata_come_back_to_the_last_digit,
                    generated_names_come_back_or_are_refused,
                    large_payloads_come_back,
                    generated_documents_come_back_or_are_refused,
                    recorded_at_is_the_store_clock,
                    an_import_keeps_its_time,
                    a_time_ahead_is_refused,
                }
                limits {
                    a_refused_request_writes_nothing,
                    what_is_within_the_limits_is_kept,
                }
                progress {
                    a_call_that_is_not_polled_holds_up_nobody,
                }
                storms {
                    many_writers_leave_a_consistent_history,
                    dropped_appends_leave_a_consistent_history,
                }
                capabilities {
                    handles_are_one_store,
                    what_is_named_is_there,
                }
            }
            durability {
                durability {
                    everything_is_there_after_reopening,
                    positions_go_on_after_reopening,
                    keys_survive_reopening,
                    event_ids_stay_used_after_reopening,
                }
            }
            snapshots {
                snapshots {
                    the_latest_comes_back_equal,
                    an_upper_bound_selects_an_older_one,
                    the_same_version_is_replaced,
                    a_late_older_one_hides_nothing,
                    streams_do_not_mix,
                    deleting_removes_those_of_one_stream,
                    events_do_not_change,
                    pruning_keeps_the_newest,
                    every_one_is_listed_once,
                    the_tail_comes_with_the_latest,
                    what_is_loaded_equals_replay_at_every_version,
                    those_of_another_history_are_not_used,
                    generated_states_come_back_or_are_refused,
                }
            }
        }
    };
}

macro_rules! scenario_list {
    ({}
        always { $($concern:ident { $($name:ident,)+ })* }
        durability { $($d_concern:ident { $($d_name:ident,)+ })* }
        snapshots { $($s_concern:ident { $($s_name:ident,)+ })* }
    ) => {
        /// Every scenario, in the order of the list.
        pub static SCENARIOS: &[Scenario] = &[
            $($(scenario_list!(@one $concern $name None),)+)*
            $($(scenario_list!(@one $d_concern $d_name Some(Ability::Durability)),)+)*
            $($(scenario_list!(@one $s_concern $s_name Some(Ability::Snapshots)),)+)*
        ];
    };
    (@one $concern:ident $name:ident $ability:expr) => {
        Scenario {
            concern: stringify!($concern),
            name: stringify!($name),
            ability: $ability,
            run: |fixture| Box::pin($concern::$name(fixture)),
        }
    };
}

for_each_scenario!(scenario_list {});

/// Makes one test of each scenario of the contract, over the fixtures that a function makes.
///
/// The argument is an `async fn() -> impl Fixture`. An ability that the backend does not have is
/// named; its scenarios then show up as ignored:
/// `contract_suite!(memory, lacks: [durability])`. A test of its own checks that the fixture says
/// the same.
#[macro_export]
macro_rules! contract_suite {
    ($factory:path) => {
        $crate::__contract_suite!($factory, [] [] []);
    };
    ($factory:path, lacks: [durability]) => {
        $crate::__contract_suite!($factory, [Durability]
            [#[ignore = "this backend is not durable"]] []);
    };
    ($factory:path, lacks: [snapshots]) => {
        $crate::__contract_suite!($factory, [Snapshots]
            [] [#[ignore = "this backend has no snapshots"]]);
    };
    ($factory:path, lacks: [durability, snapshots]) => {
        $crate::__contract_suite!($factory, [Durability, Snapshots]
            [#[ignore = "this backend is not durable"]]
            [#[ignore = "this backend has no snapshots"]]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __contract_suite {
    ($factory:path, [$($lacking:ident),*] [$($durability:tt)*] [$($snapshots:tt)*]) => {
        fn contract_fixture() -> ::std::pin::Pin<::std::boxed::Box<
            dyn ::std::future::Future<Output = ::std::boxed::Box<dyn $crate::Fixture>> + Send,
        >> {
            ::std::boxed::Box::pin(async {
                ::std::boxed::Box::new($factory().await) as ::std::boxed::Box<dyn $crate::Fixture>
            })
        }

        mod abilities {
            #[test]
            fn the_fixture_lacks_what_the_suite_says() {
                $crate::contract::check_abilities(
                    &super::contract_fixture,
                    &[$($crate::contract::Ability::$lacking),*],
                );
            }
        }

        $crate::for_each_scenario!($crate::__contract_tests {
            [$($durability)*] [$($snapshots)*]
        });
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __contract_tests {
    ({ $durability:tt $snapshots:tt }
        always { $($always:tt)* }
        durability { $($durable:tt)* }
        snapshots { $($snapshot:tt)* }
    ) => {
        $crate::__contract_tests!(@concerns [] $($always)*);
        $crate::__contract_tests!(@concerns $durability $($durable)*);
        $crate::__contract_tests!(@concerns $snapshots $($snapshot)*);
    };
    (@concerns $attribute:tt $($concern:ident $names:tt)*) => {
        $($crate::__contract_tests!(@concern $attribute $concern $names);)*
    };
    (@concern $attribute:tt $concern:ident { $($name:ident,)+ }) => {
        mod $concern {
            $($crate::__contract_tests!(@test $attribute $concern $name);)+
        }
    };
    (@test [$($attribute:tt)*] $concern:ident $name:ident) => {
        #[test]
        $($attribute)*
        fn $name() {
            $crate::contract::check(
                &super::contract_fixture,
                concat!(stringify!($concern), "::", stringify!($name)),
            );
        }
    };
}
