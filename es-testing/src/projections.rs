//! The contract of a [`ProjectionSink`] and of the engine over it as scenarios: one list, run over
//! every backend.
//!
//! A backend enrols with [`projection_suite!`](crate::projection_suite). Each scenario is a function
//! over a [`ProjectionFixture`] whose name is the promise that it checks.
//!
//! `ES_CAMPAIGN=full` makes the laws and races many times longer.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::EventStore;
use es_core::projection::ProjectionSink;
use futures_util::future::BoxFuture;

use crate::clock::ManualClock;
use crate::contract::Ability;

mod parts;
mod run;

pub mod crash;

mod cut;
mod models;
mod odd_rows;
pub mod saboteur;
mod suite;

pub use odd_rows::spoil_through;
pub use run::{check, check_abilities, run_all, run_one};

mod commit;
mod durability;
mod engine;
mod failures;
mod fidelity;
mod guards;
mod inline;
mod judged;
mod laws;
mod lease;
mod parking;
#[doc(hidden)]
pub mod reactions;
mod rebuild;
mod rebuilding;
mod sql;
mod tables;
mod upcasting;
mod watching;

/// One freshly made, empty store with its sink, and what a scenario must know about it.
///
/// A fixture is made for one scenario and dropped after it. A scenario uses it from several tasks.
#[async_trait]
pub trait ProjectionFixture: Send + Sync + 'static {
    /// The store as it is open now.
    fn store(&self) -> Arc<dyn EventStore>;

    /// The sink as it is open now.
    fn sink(&self) -> Arc<dyn ProjectionSink>;

    /// The clock by which events are recorded and leases expire.
    fn clock(&self) -> ManualClock;

    /// Whether changes of tables may be SQL: updates, and changes of all rows that fit a filter. Rows
    /// that are written and removed by their keys every sink takes that has tables.
    fn takes_sql(&self) -> bool;

    /// Writes a text in the place of the value of a row that an active model has, past every program.
    /// False if the backend can hold no such text: then nothing was done.
    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool;

    /// Closes store and sink and opens the same data again, as a restarted process would. False if
    /// the backend is not durable: then nothing was done.
    async fn reopen(&self) -> bool;
}

/// Makes a fixture for one scenario.
pub type Factory<'a> = &'a (dyn Fn() -> BoxFuture<'static, Box<dyn ProjectionFixture>> + Sync);

/// One promise and the check of it.
#[derive(Debug)]
pub struct Scenario {
    /// The part of the contract, such as `commit`.
    pub concern: &'static str,
    /// The promise as a sentence.
    pub name: &'static str,
    /// What a backend must have so that the promise concerns it.
    pub ability: Option<Ability>,
    run: for<'a> fn(&'a dyn ProjectionFixture) -> BoxFuture<'a, ()>,
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
macro_rules! for_each_projection_scenario {
    ($($callback:ident)::+ { $($arguments:tt)* }) => {
        $($callback)::+! {
            { $($arguments)* }
            always {
                lease {
                    the_first_claim_creates_the_model,
                    another_fingerprint_is_refused,
                    a_second_holder_is_refused_by_name,
                    an_expired_lease_is_taken_over,
                    a_renewed_lease_is_not_taken,
                    a_released_lease_is_free,
                    the_same_holder_takes_over_at_once,
                    a_lost_lease_changes_nothing,
                    an_expired_lease_commits_until_it_is_taken,
                    none_lasts_longer_than_the_longest,
                    one_of_a_clock_that_was_ahead_keeps_nobody_out,
                }
                commit {
                    model_and_checkpoint_move_together,
                    a_dropped_commit_leaves_all_or_nothing,
                    a_repeated_commit_is_refused,
                    racing_commits_have_one_winner,
                    rows_come_back_as_committed,
                    rows_are_listed_in_key_order,
                    projections_do_not_mix,
                }
                tables {
                    changes_take_effect_in_order,
                    a_refused_change_writes_nothing,
                    an_update_of_nothing_is_refused,
                    a_sink_without_tables_says_so,
                    values_come_back_as_they_were,
                    claiming_twice_makes_nothing_new,
                    a_row_can_get_another_field,
                    generations_do_not_mix,
                    a_switch_serves_the_new_rows_at_once,
                    an_abandoned_generation_is_gone,
                    changes_survive_any_cut,
                }
                parking {
                    entries_are_listed_in_order,
                    an_entry_is_replaced,
                    taking_out_what_does_not_wait_is_refused,
                    what_was_discarded_is_not_replaced,
                    a_retry_makes_the_key_due,
                    a_discarded_entry_stays_as_a_record,
                    who_followed_a_discarded_entry_is_due,
                }
                rebuild {
                    a_shadow_grows_beside_the_active_model,
                    a_second_rebuild_is_refused_by_name,
                    a_rebuild_is_resumed,
                    a_shadow_of_other_code_is_replaced,
                    discarded_entries_are_taken_over,
                    a_switch_replaces_the_model_in_one_step,
                    no_switch_before_the_shadow_has_caught_up,
                    no_switch_while_slices_differ,
                    the_old_lease_ends_with_a_switch,
                    an_abandoned_shadow_is_gone,
                }
                watching {
                    the_status_is_true,
                    a_rate_lasts_as_long_as_its_lease,
                    a_commit_clears_the_trouble,
                    a_report_of_nothing_clears_the_trouble,
                    a_wait_ends_with_the_commit,
                    a_switch_ends_a_wait,
                }
                engine {
                    every_event_has_its_effect_once,
                    a_runner_goes_on_after_any_cut,
                    two_runners_double_nothing,
                    projections_share_one_reading,
                    who_is_behind_joins_without_overlap,
                    a_changed_projection_is_noticed,
                    a_restored_log_is_noticed,
                    who_selected_nothing_notices_a_restored_log,
                    a_failing_store_is_waited_out,
                    own_writes_are_read,
                    a_wait_tells_how_far_it_is,
                }
                failures {
                    a_poison_event_stops_without_loss,
                    a_panic_is_a_failure,
                    a_failure_is_tried_again,
                    a_parked_key_lets_others_go_on,
                    parked_events_are_retried_in_order,
                    parked_events_are_retried_through_an_upcaster,
                    a_discarded_event_is_left_out,
                    a_refused_batch_is_halved,
                    health_tells_the_truth,
                    a_row_is_judged_after_each_event,
                }
                guards {
                    an_event_without_keys_waits_for_them,
                    a_panic_stops_no_other_projection,
                    a_wait_for_what_stopped_says_why,
                    trouble_of_the_store_passes,
                    rows_across_streams_survive_slices,
                    a_rebuild_waits_out_a_failing_store,
                    one_name_is_one_projection,
                    a_model_that_somebody_locked_holds_up_no_other,
                }
                odd_rows {
                    one_costs_its_key_and_names_the_cure,
                    one_refuses_its_own_appends,
                    one_with_which_its_code_panics_costs_its_key,
                }
                rebuilding {
                    a_rebuilt_model_is_the_live_one,
                    a_rebuild_goes_on_after_any_cut,
                    a_rebuild_ends_under_writers,
                    a_switch_catches_up_with_who_moved_on,
                    the_old_model_is_served_until_the_switch,
                    a_second_rebuild_is_refused,
                    poison_is_parked_in_the_shadow,
                    its_progress_is_told,
                    a_log_that_was_emptied_is_rebuilt,
                    a_switch_outlasts_failures_that_pass,
                }
                inline {
                    an_append_is_in_the_model_when_it_is_answered,
                    what_is_in_the_log_is_taken_first,
                    an_event_that_cannot_be_taken_refuses_its_append,
                    a_refused_append_refuses_no_other,
                    a_repeat_is_taken_once,
                    no_runner_takes_what_appends_keep,
                    a_model_of_another_history_is_not_kept,
                    a_switch_goes_on_within_the_append,
                    what_appends_keep_is_the_fold_of_the_log,
                    tables_are_kept_within_the_append,
                    a_refused_change_refuses_its_append,
                    what_appends_kept_is_left_to_a_runner,
                    no_lease_is_released_but_the_appends,
                }
                fidelity {
                    generated_rows_come_back_live_and_rebuilt,
                }
                reactions {
                    every_event_is_given_after_any_cut,
                    what_is_not_committed_is_not_given,
                    a_stream_is_in_order,
                    other_streams_go_on,
                    a_stream_goes_on_while_another_hangs,
                    what_fails_for_long_holds_up_no_other,
                    calls_are_bounded,
                    the_start_is_recorded,
                    now_on_an_empty_log,
                    keyed_commands_are_done_once,
                    a_second_command_on_a_stream_needs_a_step,
                    a_failing_event_is_parked_and_retried,
                    a_discarded_event_is_not_given,
                    a_discard_outlasts_an_attempt,
                    a_hanging_call_is_dropped,
                    a_checkpoint_follows_the_effect,
                    two_runners_take_turns,
                    a_long_call_keeps_its_lease,
                    health_tells_the_truth,
                    a_rebuild_repeats_nothing,
                    other_code_goes_on,
                }
                laws {
                    rebuilt_is_live_is_live_with_restarts,
                }
            }
            durability {
                durability {
                    models_and_checkpoints_survive_reopening,
                }
            }
            sql {
                sql {
                    updates_and_filters_change_what_they_say,
                    a_filter_changes_its_own_model_only,
                    a_statement_that_fails_writes_nothing,
                    an_event_is_counted_once_after_any_cut,
                }
            }
        }
    };
}

macro_rules! scenario_list {
    ({}
        always { $($concern:ident { $($name:ident,)+ })* }
        durability { $($d_concern:ident { $($d_name:ident,)+ })* }
        sql { $($s_concern:ident { $($s_name:ident,)+ })* }
    ) => {
        /// Every scenario, in the order of the list.
        pub static SCENARIOS: &[Scenario] = &[
            $($(scenario_list!(@one $concern $name None),)+)*
            $($(scenario_list!(@one $d_concern $d_name Some(Ability::Durability)),)+)*
            $($(scenario_list!(@one $s_concern $s_name Some(Ability::Sql)),)+)*
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

for_each_projection_scenario!(scenario_list {});
