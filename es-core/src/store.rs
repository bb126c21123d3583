//! What a backend implements, and the handle that its users hold.

mod capabilities;
mod handle;

use std::sync::Arc;

use async_trait::async_trait;

use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey};
use crate::error::StoreError;
use crate::position::Position;
use crate::read::{LogPage, ReadLog, ReadStream, StreamPage};
use crate::stream::StreamId;

pub use capabilities::{Capabilities, StoreIdentity};
pub use handle::Store;

/// An append-only store of events: many streams, one log.
///
/// This is the face for people who write a backend. Who uses a store takes a [`Store`], and
/// [`Repository`](crate::Repository) and [`EventStoreExt`](crate::backend::EventStoreExt).
///
/// A value is a handle: it is shared as `Arc<dyn EventStore>`, and calls run concurrently.
///
/// # Contract
///
/// Each clause names the scenarios of `es_testing::contract` that check it.
///
/// **Append**
///
/// 1. The first event of a stream gets version 1 and versions are dense, in the order of the
///    request. The answer tells every event as it was recorded, stream by stream in the order of
///    the request. (`append::first_event_gets_version_one`, `append::versions_are_dense`,
///    `append::the_answer_tells_what_was_recorded`, `units::the_answer_follows_the_request`)
/// 2. An append is judged by [`ExpectedVersion::accepts`](crate::ExpectedVersion::accepts) against
///    the version that the stream has at the moment of writing.
///    (`versions::each_expectation_is_judged`, `conflicts::one_of_two_racing_writers_wins`)
/// 3. A refused append writes nothing, and its [`Conflict`](crate::execution::Conflict) names the
///    first stream of the request that is not as expected, what was expected and what it is at.
///    (`conflicts::a_stale_writer_writes_nothing`, `conflicts::a_conflict_names_what_it_found`,
///    `conflicts::the_first_unexpected_stream_is_named`)
/// 4. An append is atomic, over all its events and all its streams: no reader ever sees a part.
///    Only the log of a store of which clause 10 speaks may end between the events of an append; the
///    others follow. Appends that name the same streams in different orders never wait for each other for ever.
///    (`batch::a_refused_batch_leaves_nothing`, `batch::readers_never_see_half_a_batch`,
///    `units::all_streams_or_none`, `units::readers_never_see_half_a_unit`,
///    `units::opposite_orders_come_to_an_end`)
/// 5. Event ids are unique in the store; a second use is refused with
///    [`DuplicateEvent`](AppendError::DuplicateEvent) and nothing of the append is written.
///    (`append::a_used_event_id_is_refused`)
/// 6. A request whose idempotency key is recorded is answered with the first result, before its
///    expected versions are looked at, also after the stream moved on and also when two such
///    requests race. (`idempotency::a_repeat_returns_the_first_result`,
///    `idempotency::a_repeat_is_answered_after_the_stream_moved_on`,
///    `idempotency::racing_repeats_write_once`)
/// 7. A request that differs from the first one under its key (other streams, event types or
///    payloads as JSON values) is refused with [`KeyReused`](AppendError::KeyReused), which names
///    the first stream of the request under which the key is recorded, and writes nothing; ids,
///    times, metadata, expected versions and the order of the streams do not count.
///    (`idempotency::another_content_is_refused`, `idempotency::contents_are_compared_to_the_last_digit`,
///    `idempotency::other_streams_are_refused`,
///    `idempotency::ids_and_metadata_do_not_count`,
///    `idempotency::the_order_of_streams_does_not_count`,
///    `idempotency::a_race_of_different_requests_has_one_winner`)
/// 8. A key is recorded under each stream of its request, in the same transaction as the events; a
///    refused append records none; the same key on another stream is another key.
///    [`find_append`](Self::find_append) answers the whole first result under each of its streams.
///    (`idempotency::a_refused_append_records_no_key`,
///    `idempotency::a_key_belongs_to_its_streams`, `idempotency::a_recorded_append_is_found`)
/// 9. What [`AppendRequest::checked`] makes of the request is written, or nothing is. So what a store
///    gave back, each store takes again.
///    (`limits::a_refused_request_writes_nothing`, `limits::what_is_within_the_limits_is_kept`)
/// 10. An acknowledged append is seen by every read that begins afterwards, and survives a reopening
///     of the store if the store is durable; so do its idempotency key and its event ids. Only a
///     store whose appends may take effect in another order than that of their positions may end
///     its log before it for a while: until a read to the end of the log has begun after the
///     acknowledgement and no append is under way any more that began before that read was over.
///     (`append::an_acknowledged_append_is_read_back`,
///     `durability::everything_is_there_after_reopening`, `durability::keys_survive_reopening`,
///     `durability::event_ids_stay_used_after_reopening`)
/// 11. A caller that drops the future of `append` leaves all of the append or nothing of it, and the
///     store goes on. (`append::a_dropped_append_leaves_all_or_nothing`,
///     `storms::dropped_appends_leave_a_consistent_history`)
///
/// **Content**
///
/// 12. Payloads come back as the same JSON value, metadata equal, event ids and types unchanged; but
///     for white space and the order of keys, documents come back in the
///     [canonical](crate::event::Payload::canonical) form, so that an integer stays one for every
///     reader, and a float, too.
///     (`fidelity::payloads_come_back_as_the_same_value`, `fidelity::metadata_comes_back_equal`,
///     `fidelity::numbers_in_metadata_come_back_to_the_last_digit`,
///     `fidelity::large_payloads_come_back`,
///     `fidelity::generated_names_come_back_or_are_refused`,
///     `fidelity::generated_documents_come_back_or_are_refused`)
/// 13. `recorded_at` is the store's clock at the time of writing, or what an import says
///     ([`AppendRequest::recorded_at`]), in microseconds; it orders nothing. A time later than that
///     clock is refused. (`fidelity::recorded_at_is_the_store_clock`,
///     `fidelity::an_import_keeps_its_time`, `fidelity::a_time_ahead_is_refused`,
///     `reads::a_clock_that_steps_back_changes_no_order`)
///
/// **Reading**
///
/// 14. [`read_stream`](Self::read_stream) returns exactly the events of that stream within the
///     bounds, in the direction asked for; an unknown stream is empty, not an error. Whatever is
///     read, the page tells the version of the whole stream.
///     (`reads::forwards_and_backwards_are_mirrored`, `reads::bounds_are_inclusive`,
///     `reads::an_unknown_stream_is_empty`, `reads::streams_do_not_mix`,
///     `reads::a_page_tells_the_version_of_its_stream`)
/// 15. `until` returns the prefix of the stream before its first event recorded later than the
///     instant, and of that prefix what the other bounds select.
///     (`reads::until_is_the_prefix_before_the_first_later_event`)
/// 16. A page keeps its limits in events and bytes, holds at least one event if there is one, and
///     says truly whether more follow. (`reads::pages_keep_their_limits`,
///     `reads::a_large_event_still_comes`, `reads::pages_join_without_gap_or_overlap`,
///     `log::pages_keep_their_limits`)
/// 17. The log holds every event once, positions grow, and within a stream positions follow
///     versions. It ends with the newest event that it shows.
///     (`log::every_event_once_in_position_order`, `log::stream_order_is_log_order`,
///     `log::the_end_is_told_truly`)
/// 18. A log page's `next` passes over what the filter leaves out, and never over an event that is
///     wanted; `last` is the last event of the view at or before `next`, wanted or not. The view is
///     the log, or of it the streams whose ids begin with the filter's prefix.
///     (`filters::types_select_events`, `filters::a_kind_is_found_under_each_of_its_names`,
///     `filters::an_unmatched_page_still_moves_on`, `filters::a_page_tells_the_event_where_it_ends`,
///     `filters::a_prefix_selects_its_streams`)
/// 19. Nothing is skipped: who has read up to a position never later finds an event at or before
///     it, whatever writers do. And an append stands after all that was acknowledged or seen before
///     it began. (`log::later_appends_stand_later`,
///     `tailing::a_follower_sees_every_event_once_under_writers`,
///     `storms::many_writers_leave_a_consistent_history`)
/// 20. A position that was visible is never given to another event, not after a reopening either.
///     (`log::a_position_is_never_reused`, `durability::positions_go_on_after_reopening`)
/// 21. [`wait_past`](Self::wait_past) returns when the log shows an event after the position, at
///     once if it shows one already; it stays pending as long as there is none; it wakes however
///     many wait; dropping it is harmless. (`tailing::wait_past_returns_at_once_when_there_is_more`,
///     `tailing::wait_past_pends_until_an_append`, `tailing::all_waiters_are_woken`,
///     `tailing::a_dropped_wait_is_harmless`, `tailing::a_tail_of_an_idle_log_reads_nothing`)
/// 22. A cursor beyond the end, after every event that the store holds, is of another log, or of this
///     one before it went back: [`read_log`](Self::read_log) and [`wait_past`](Self::wait_past)
///     refuse it with [`Diverged`](crate::backend::StoreErrorKind::Diverged), so that nobody waits
///     there while others fill the log below; the refusal concerns that call only. No place that
///     this log has answered is ever refused so, to whomever it was answered: the `next` of a page,
///     the end, the position of an event that was seen or acknowledged.
///     (`cursors::a_cursor_beyond_the_end_is_refused`,
///     `cursors::a_place_that_was_answered_is_never_refused`)
///
/// **Neighbours**
///
/// 23. A call whose caller stops polling it holds up no other call: what others need, such as a
///     connection, a thread or a turn, is held by the store's own tasks or threads only. Nobody knows
///     when a future is polled again that stands in a buffer or a variable.
///     (`progress::a_call_that_is_not_polled_holds_up_nobody`)
///
/// **Capabilities**
///
/// 24. [`capabilities`](Self::capabilities) answers the same identity for every handle of one opened
///     store and another for each opening; what it names keeps the contracts of
///     [`SnapshotStore`](crate::backend::SnapshotStore) and
///     [`ProjectionSink`](crate::backend::ProjectionSink) on the same data.
///     (`capabilities::handles_are_one_store`, `capabilities::what_is_named_is_there`)
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Writes all events of the request, or none.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]. Only an error for which [`StoreError::is_outcome_unknown`] holds may
    /// have written.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the outcome unknown: the append may still be written, whole.
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError>;

    /// The result of the append that recorded this idempotency key under this stream, if any; its
    /// `repeated` is true.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError>;

    /// One page of a stream.
    ///
    /// # Errors
    ///
    /// When the store fails or a stored row cannot be read.
    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError>;

    /// One page of the log.
    ///
    /// # Errors
    ///
    /// When the store fails, a stored row cannot be read, or the place from which to read is beyond
    /// the end of the log ([`Diverged`](crate::backend::StoreErrorKind::Diverged)).
    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError>;

    /// The place of the newest event that a reader of the log can see; `START` if there is none.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn end_of_log(&self) -> Result<Position, StoreError>;

    /// Waits until the log shows an event after `position`.
    ///
    /// Event-driven: appends of this process wake it; for appends of other processes a backend
    /// documents how soon it notices.
    ///
    /// # Errors
    ///
    /// When the store fails or is closed while waiting, or `position` is beyond the end of the log
    /// ([`Diverged`](crate::backend::StoreErrorKind::Diverged)).
    async fn wait_past(&self, position: Position) -> Result<(), StoreError>;

    /// What this object can do beside its events.
    ///
    /// What keeps the store itself, such as a backend's type, says which of its other traits it is,
    /// as in `Capabilities::of(identity, "sqlite").snapshots(self.clone()).models(self)`. A store
    /// around another one passes the inner one's on, with
    /// [`through_a_layer`](Capabilities::through_a_layer).
    fn capabilities(self: Arc<Self>) -> Capabilities;
}
