//! The contract of a [`ProjectionSink`] and of the engine over it as scenarios: one list, run over
//! every backend.
//!
//! A backend enrols with [`projection_suite!`](crate::projection_suite). Each scenario is a function
//! over a [`ProjectionFixture`] whose name is the promise that it checks.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::backend::{EventStore, ProjectionSink, SinkError};

use crate::clock::ManualClock;
use crate::suite::{Scenario, Suite};

mod parts;

mod cut;
mod models;
mod odd_rows;

pub use odd_rows::spoil_through;

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
    fn sink(&self) -> Arc<dyn ProjectionSink> {
        self.store().capabilities().models.expect("the store keeps models")
    }

    /// The clock by which events are recorded and leases expire, or `None` if a test cannot set it.
    fn manual_clock(&self) -> Option<ManualClock> {
        None
    }

    /// Whether changes of tables may be SQL: updates, and changes of all rows that fit a filter. Rows
    /// that are written and removed by their keys every sink takes that has tables.
    fn takes_sql(&self) -> bool {
        false
    }

    /// Writes a text in the place of the value of a row that an active model has, past every program.
    /// False if the backend can hold no such text: then nothing was done.
    async fn spoil_row(&self, _projection: &str, _key: &str, _value: &str) -> bool {
        false
    }

    /// Closes store and sink and opens the same data again, as a restarted process would. False if
    /// the backend is not durable: then nothing was done.
    async fn reopen(&self) -> bool {
        false
    }
}

impl dyn ProjectionFixture + '_ {
    fn clock(&self) -> ManualClock {
        self.manual_clock().expect("a scenario that needs the clock says so")
    }
}

impl<T: ProjectionFixture> From<T> for Box<dyn ProjectionFixture> {
    fn from(fixture: T) -> Self {
        Box::new(fixture)
    }
}

#[async_trait]
impl Suite for dyn ProjectionFixture {
    fn scenarios() -> &'static [Scenario<Self>] {
        SCENARIOS
    }

    async fn has(&self, capability: &str) -> bool {
        match capability {
            "clock" => self.manual_clock().is_some(),
            "durability" => self.reopen().await,
            "inline" => {
                let kept = self.sink().keep_inline(models::Seen::model()).await;
                !matches!(kept, Err(SinkError::Unusable { .. }))
            }
            "spoiling" => {
                parts::started(self).await;
                self.spoil_row("totals", "a", "{\"n\": 2}").await
            }
            "sql" => self.takes_sql(),
            "tables" => {
                let claim = tables::entries::table_claim::<tables::entries::Entry>("one");
                !matches!(self.sink().acquire(&claim).await, Err(SinkError::Unusable { .. }))
            }
            other => unreachable!("no scenario needs `{other}`"),
        }
    }
}

/// The single list of the scenarios.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_projection_scenario {
    ($arguments:tt) => {
        $crate::__suite! {
            $arguments {
                lease {
                    the_first_claim_creates_the_model,
                    another_fingerprint_is_refused,
                    a_second_holder_is_refused_by_name needs ["clock"],
                    an_expired_lease_is_taken_over needs ["clock"],
                    a_renewed_lease_is_not_taken needs ["clock"],
                    a_released_lease_is_free,
                    the_same_holder_takes_over_at_once,
                    a_lost_lease_changes_nothing needs ["clock"],
                    an_expired_lease_commits_until_it_is_taken needs ["clock"],
                    none_lasts_longer_than_the_longest needs ["clock"],
                    one_of_a_clock_that_was_ahead_keeps_nobody_out needs ["clock"],
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
                    changes_take_effect_in_order needs ["tables"],
                    a_refused_change_writes_nothing needs ["tables"],
                    an_update_of_nothing_is_refused needs ["tables"],
                    a_sink_without_tables_says_so,
                    values_come_back_as_they_were needs ["tables"],
                    claiming_twice_makes_nothing_new needs ["tables"],
                    a_table_is_of_one_projection needs ["tables"],
                    a_row_can_get_another_field needs ["tables"],
                    generations_do_not_mix needs ["tables"],
                    a_switch_serves_the_new_rows_at_once needs ["tables"],
                    an_abandoned_generation_is_gone needs ["tables"],
                    changes_survive_any_cut needs ["tables"],
                }
                parking {
                    entries_are_listed_in_order,
                    an_entry_is_replaced,
                    taking_out_what_does_not_wait_is_refused,
                    what_was_discarded_is_not_replaced,
                    a_retry_makes_the_key_due,
                    a_discarded_entry_stays_as_a_record needs ["clock"],
                    who_followed_a_discarded_entry_is_due,
                    so_many_keys_are_told_as_are_asked_for,
                }
                rebuild {
                    a_shadow_grows_beside_the_active_model,
                    a_second_rebuild_is_refused_by_name,
                    a_rebuild_is_resumed needs ["clock"],
                    a_shadow_of_other_code_is_replaced,
                    discarded_entries_are_taken_over,
                    a_switch_replaces_the_model_in_one_step,
                    no_switch_before_the_shadow_has_caught_up,
                    no_switch_while_slices_differ,
                    the_old_lease_ends_with_a_switch,
                    an_abandoned_shadow_is_gone,
                }
                watching {
                    the_status_is_true needs ["clock"],
                    a_rate_lasts_as_long_as_its_lease needs ["clock"],
                    a_commit_clears_the_trouble needs ["clock"],
                    a_report_of_nothing_clears_the_trouble,
                    a_wait_ends_with_the_commit,
                    a_switch_ends_a_wait,
                }
                engine {
                    every_event_has_its_effect_once,
                    a_runner_goes_on_after_any_cut,
                    two_runners_double_nothing needs ["clock"],
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
                    a_panic_is_a_failure needs ["tables"],
                    a_failure_is_tried_again,
                    a_parked_key_lets_others_go_on needs ["clock"],
                    parked_events_are_retried_in_order,
                    parked_events_are_retried_through_an_upcaster,
                    a_discarded_event_is_left_out,
                    a_refused_batch_is_halved needs ["tables"],
                    health_tells_the_truth needs ["clock"],
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
                    one_costs_its_key_and_names_the_cure needs ["spoiling"],
                    one_refuses_its_own_appends needs ["inline", "spoiling"],
                    one_with_which_its_code_panics_costs_its_key needs ["spoiling"],
                }
                rebuilding {
                    a_rebuilt_model_is_the_live_one,
                    a_rebuild_goes_on_after_any_cut,
                    a_rebuild_ends_under_writers,
                    a_switch_catches_up_with_who_moved_on,
                    the_old_model_is_served_until_the_switch,
                    a_second_rebuild_is_refused,
                    poison_is_parked_in_the_shadow,
                    its_progress_is_told needs ["clock"],
                    a_log_that_was_emptied_is_rebuilt,
                    a_switch_outlasts_failures_that_pass,
                }
                inline {
                    an_append_is_in_the_model_when_it_is_answered needs ["clock", "inline"],
                    what_is_in_the_log_is_taken_first needs ["inline"],
                    an_event_that_cannot_be_taken_refuses_its_append needs ["inline"],
                    a_refused_append_refuses_no_other needs ["inline"],
                    a_repeat_is_taken_once needs ["inline"],
                    no_runner_takes_what_appends_keep needs ["clock", "inline"],
                    a_model_of_another_history_is_not_kept needs ["clock", "inline"],
                    a_switch_goes_on_within_the_append needs ["inline"],
                    what_appends_keep_is_the_fold_of_the_log needs ["inline"],
                    tables_are_kept_within_the_append needs ["inline", "tables"],
                    a_refused_change_refuses_its_append needs ["inline", "tables"],
                    what_appends_kept_is_left_to_a_runner needs ["inline"],
                    no_lease_is_released_but_the_appends needs ["inline"],
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
                    two_runners_take_turns needs ["clock"],
                    a_long_call_keeps_its_lease needs ["clock"],
                    health_tells_the_truth needs ["clock"],
                    a_rebuild_repeats_nothing,
                    other_code_goes_on,
                }
                laws {
                    rebuilt_is_live_is_live_with_restarts needs ["clock"],
                }
                durability {
                    models_and_checkpoints_survive_reopening needs ["durability"],
                }
                sql {
                    updates_and_filters_change_what_they_say needs ["sql"],
                    a_filter_changes_its_own_model_only needs ["sql"],
                    a_statement_that_fails_writes_nothing needs ["sql"],
                    what_a_field_does_not_take_is_refused needs ["sql"],
                    an_event_is_counted_once_after_any_cut needs ["sql"],
                }
            }
        }
    };
}

for_each_projection_scenario!({ scenarios pub dyn ProjectionFixture });

/// Makes one test of each scenario of the projections, over the fixtures that a function makes, an
/// `async fn() -> impl ProjectionFixture`.
///
/// Version and abilities are those of [`contract_suite!`](crate::contract_suite):
/// `projection_suite!(v1, memory, lacks: ["durability", "sql"])`.
#[macro_export]
macro_rules! projection_suite {
    ($version:ident, $factory:path $(, lacks: [$($lacking:tt),* $(,)?])?) => {
        $crate::for_each_projection_scenario!({
            tests $version dyn $crate::projections::ProjectionFixture, $factory,
            [$($($lacking),*)?]
        });
    };
}
