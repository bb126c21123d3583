//! The contract of a store as scenarios: one list, run over every backend.
//!
//! A backend enrols with [`contract_suite!`](crate::contract_suite). Each scenario is a function
//! over a [`Fixture`] whose name is the promise that it checks, and stands in the
//! `# Contract` section of [`EventStore`](es_core::backend::EventStore) or
//! [`SnapshotStore`](es_core::backend::SnapshotStore).
//!
//! `ES_CAMPAIGN=full` makes the storms and races many times longer.

use crate::fixture::Fixture;

pub(crate) mod parts;

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

/// The single list of the scenarios.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_scenario {
    ($arguments:tt) => {
        $crate::__suite! {
            $arguments {
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
                    until_is_the_prefix_before_the_first_later_event needs ["clock"],
                    a_clock_that_steps_back_changes_no_order needs ["clock"],
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
                    recorded_at_is_the_store_clock needs ["clock"],
                    an_import_keeps_its_time needs ["clock"],
                    a_time_ahead_is_refused needs ["clock"],
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
                durability {
                    everything_is_there_after_reopening needs ["durability"],
                    positions_go_on_after_reopening needs ["durability"],
                    keys_survive_reopening needs ["durability"],
                    event_ids_stay_used_after_reopening needs ["durability"],
                }
                snapshots {
                    the_latest_comes_back_equal needs ["snapshots"],
                    an_upper_bound_selects_an_older_one needs ["snapshots"],
                    the_same_version_is_replaced needs ["snapshots"],
                    a_late_older_one_hides_nothing needs ["snapshots"],
                    streams_do_not_mix needs ["snapshots"],
                    deleting_removes_those_of_one_stream needs ["snapshots"],
                    events_do_not_change needs ["snapshots"],
                    pruning_keeps_the_newest needs ["snapshots"],
                    every_one_is_listed_once needs ["snapshots"],
                    the_tail_comes_with_the_latest needs ["snapshots"],
                    what_is_loaded_equals_replay_at_every_version needs ["snapshots"],
                    those_of_another_history_are_not_used needs ["snapshots"],
                    generated_states_come_back_or_are_refused needs ["snapshots"],
                }
            }
        }
    };
}

for_each_scenario!({ scenarios pub dyn Fixture });

/// Makes one test of each scenario of the contract, over the fixtures that a function makes, an
/// `async fn() -> impl Fixture`.
///
/// The version is the newest whose scenarios the backend passes; see [`suite`](crate::suite). What the
/// backend has not is named: `contract_suite!(v1, memory, lacks: ["durability"])`. Scenarios that need
/// it show up as ignored, with that name, and a test of its own checks that the fixture says the same.
#[macro_export]
macro_rules! contract_suite {
    ($version:ident, $factory:path $(, lacks: [$($lacking:tt),* $(,)?])?) => {
        $crate::for_each_scenario!({
            tests $version dyn $crate::Fixture, $factory, [$($($lacking),*)?]
        });
    };
}
