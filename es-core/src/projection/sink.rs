//! What a backend implements so that projections can live in it.

use async_trait::async_trait;

use crate::position::Position;

use super::{
    Batch, Claim, Definition, Lease, ListParked, ModelRow, Parked, ParkedId, ProjectionStatus,
    Renewal, Renewed, SinkError, Slot, SqlValue, TableRead, TableSchema,
};

/// A place for the models of projections, with their checkpoints and what was parked.
///
/// This is the face for people who write a backend. Who runs projections takes
/// [`Runner`](super::Runner) and [`Rebuild`](super::Rebuild); who reads models takes
/// [`ReadModel`](super::ReadModel) or the backend's own queries.
///
/// A sink keeps, for each projection, at most one active model and at most one shadow. A model has
/// rows by key, a checkpoint for each of its slices, parked events, a fingerprint, and a lease. A
/// value is a handle: it is shared as `Arc<dyn ProjectionSink>`, and calls run concurrently.
///
/// # Contract
///
/// Each clause names the scenarios of `es_testing::projections` that check it.
///
/// **Lease**
///
/// 1. [`acquire`](Self::acquire) of an active model that does not exist creates it, empty, at
///    [`Checkpoint::START`](super::Checkpoint::START), under the fingerprint of the claim. One of
///    another fingerprint is refused with [`Changed`](SinkError::Changed), and no lease is taken.
///    (`lease::the_first_claim_creates_the_model`, `lease::another_fingerprint_is_refused`)
/// 2. A model has one holder: while its lease is held and has not expired, by the sink's clock,
///    another holder is refused with [`Held`](SinkError::Held), which names who has it. One that has
///    expired, was released or is one's own is taken with a higher epoch, and with the checkpoints
///    that were committed last. (`lease::a_second_holder_is_refused_by_name`,
///    `lease::an_expired_lease_is_taken_over`, `lease::a_renewed_lease_is_not_taken`,
///    `lease::a_released_lease_is_free`, `lease::the_same_holder_takes_over_at_once`) But for that of
///    the appends no lease lasts longer than [`Lease::LONGEST`], whatever was asked for, and one that
///    ends later than [`Lease::BELIEVED`] from now is of a clock that was ahead: it is nobody's.
///    (`lease::none_lasts_longer_than_the_longest`,
///    `lease::one_of_a_clock_that_was_ahead_keeps_nobody_out`)
/// 3. A call with a lease whose epoch is not the model's, or whose model is gone, is refused with
///    [`LeaseLost`](SinkError::LeaseLost) and changes nothing; only [`release`](Self::release)
///    accepts it, and changes nothing either. Time alone loses no lease: until somebody takes it, an expired
///    one still commits. (`lease::a_lost_lease_changes_nothing`,
///    `lease::an_expired_lease_commits_until_it_is_taken`)
///
/// **Commit**
///
/// 4. A commit is atomic: rows, parked events and the checkpoint, all or none; also for who reads
///    meanwhile and for who drops the future. (`commit::model_and_checkpoint_move_together`,
///    `commit::a_dropped_commit_leaves_all_or_nothing`)
/// 5. A commit is refused with [`LeaseLost`](SinkError::LeaseLost) unless the slice stands at the
///    position of `from`: what was committed once is not committed again.
///    (`commit::a_repeated_commit_is_refused`, `commit::racing_commits_have_one_winner`)
/// 6. [`load`](Self::load) answers the rows among the given keys, as they were committed last, each
///    once, in any order, as the same JSON values to the last digit; [`rows`](Self::rows) answers all in the order of their keys, byte by byte,
///    in pages that join without gap or overlap. Projections and slots do not mix. A value that
///    somebody changed into what is no JSON is answered as an
///    [unreadable](crate::event::Payload::unreadable) one, and costs no other row.
///    (`commit::rows_come_back_as_committed`, `commit::rows_are_listed_in_key_order`,
///    `commit::projections_do_not_mix`, `fidelity::generated_rows_come_back_live_and_rebuilt`,
///    `odd_rows::one_costs_its_key_and_names_the_cure`)
/// 7. [`Content::Tables`](super::Content::Tables) is carried out in order, within the transaction of
///    the commit, on the rows of the lease's generation and no others; a shadow's are not seen by who
///    reads the active model. If a change is refused, such as one by SQL that leaves in a column what its
///    field does not take, nothing of the batch is written, and the answer is
///    [`Refused`](SinkError::Refused). A sink that keeps no tables, or not these changes, answers
///    [`Unusable`](SinkError::Unusable), and so it answers a claim of a table that the active model of
///    another projection has. Who fills a batch leaves out what [`may_condense`](Self::may_condense)
///    lets it leave out. (`tables::changes_take_effect_in_order`,
///    `tables::a_refused_change_writes_nothing`, `tables::an_update_of_nothing_is_refused`,
///    `tables::a_sink_without_tables_says_so`, `tables::values_come_back_as_they_were`,
///    `tables::claiming_twice_makes_nothing_new`, `tables::a_table_is_of_one_projection`,
///    `tables::a_row_can_get_another_field`,
///    `tables::generations_do_not_mix`, `tables::changes_survive_any_cut`,
///    `sql::updates_and_filters_change_what_they_say`, `sql::a_filter_changes_its_own_model_only`,
///    `sql::a_statement_that_fails_writes_nothing`, `sql::what_a_field_does_not_take_is_refused`,
///    `sql::an_event_is_counted_once_after_any_cut`)
/// 8. What was committed is there after the sink was closed and opened again, if it is durable.
///    (`durability::models_and_checkpoints_survive_reopening`)
///
/// **Parking**
///
/// 9. Parked entries are listed as [`ListParked`] says, and are kept until a commit names them in
///    `unpark`; an entry with the same id replaces the earlier one. A commit that names one which
///    does not wait is refused with [`ParkedChanged`](SinkError::ParkedChanged), and nothing of it
///    is written. One that is named in `unpark` and in `park` is replaced, if it waits.
///    (`parking::entries_are_listed_in_order`, `parking::an_entry_is_replaced`,
///    `parking::taking_out_what_does_not_wait_is_refused`,
///    `parking::what_was_discarded_is_not_replaced`)
/// 10. [`request_retry`](Self::request_retry) makes the first waiting entry of the key due.
///     [`discard`](Self::discard) keeps the entry, with the reason and the time, as one that does not wait.
///     Neither needs a lease. [`renew`](Self::renew) tells the keys whose first waiting entry is due, as
///     many as it asks for at most.
///     (`parking::a_retry_makes_the_key_due`, `parking::a_discarded_entry_stays_as_a_record`,
///     `parking::who_followed_a_discarded_entry_is_due`,
///     `parking::so_many_keys_are_told_as_are_asked_for`)
///
/// **Rebuild**
///
/// 11. [`acquire`](Self::acquire) of a shadow that does not exist creates it, empty, in the number
///     of slices that the claim says, with copies of the active model's discarded entries. One of the same fingerprint is resumed
///     with its slices; one of another fingerprint that nobody holds is replaced. While one is held
///     by another holder, the answer is [`RebuildRunning`](SinkError::RebuildRunning). The active
///     model is not touched. (`rebuild::a_shadow_grows_beside_the_active_model`,
///     `rebuild::a_second_rebuild_is_refused_by_name`, `rebuild::a_rebuild_is_resumed`,
///     `rebuild::a_shadow_of_other_code_is_replaced`, `rebuild::discarded_entries_are_taken_over`)
/// 12. [`switch`](Self::switch) makes the shadow the active model, in one slice and held by nobody, and removes the
///     earlier one, in one step for every reader. It is refused with
///     [`NotCaughtUp`](SinkError::NotCaughtUp) unless all slices stand at one position which is not
///     before the active model's. (`rebuild::a_switch_replaces_the_model_in_one_step`,
///     `rebuild::no_switch_before_the_shadow_has_caught_up`,
///     `rebuild::no_switch_while_slices_differ`, `rebuild::the_old_lease_ends_with_a_switch`,
///     `tables::a_switch_serves_the_new_rows_at_once`)
/// 13. [`abandon`](Self::abandon) removes a shadow, and is refused with
///     [`RebuildRunning`](SinkError::RebuildRunning) while it is held.
///     (`rebuild::an_abandoned_shadow_is_gone`, `tables::an_abandoned_generation_is_gone`)
///
/// **Watching**
///
/// 14. [`status`](Self::status) tells what was committed, who holds what, the rate of the holder's
///     last renewal as long as that lease is held, and what was reported and not followed by a
///     commit, or by a report of nothing. (`watching::the_status_is_true`, `watching::a_rate_lasts_as_long_as_its_lease`,
///     `watching::a_commit_clears_the_trouble`, `watching::a_report_of_nothing_clears_the_trouble`)
/// 15. [`wait_reached`](Self::wait_reached) returns when the active model's checkpoint is at the position or after it,
///     at once if it is; it stays pending as long as it is not; commits and switches wake it,
///     however many wait; dropping it is harmless. (`watching::a_wait_ends_with_the_commit`,
///     `watching::a_switch_ends_a_wait`)
///
/// **Inline**
///
/// 16. [`keep_inline`](Self::keep_inline) keeps a projection within the appends of the store, be it
///     rows or tables. Who is answered by an append, or by the repeat of one, finds its effect in the model,
///     once, and all of the log before it in its order. An event that cannot be taken refuses its
///     append, and no other, and nothing is written; also where it panics. The lease is the appends', until a switch to
///     other code's model. A model of another history than the log is refused with
///     [`Diverged`](SinkError::Diverged), and is not kept. (`inline::an_append_is_in_the_model_when_it_is_answered`,
///     `inline::what_is_in_the_log_is_taken_first`,
///     `inline::an_event_that_cannot_be_taken_refuses_its_append`,
///     `inline::a_refused_append_refuses_no_other`, `inline::a_repeat_is_taken_once`,
///     `inline::no_runner_takes_what_appends_keep`,
///     `inline::a_model_of_another_history_is_not_kept`,
///     `inline::a_switch_goes_on_within_the_append`,
///     `inline::what_appends_keep_is_the_fold_of_the_log`,
///     `inline::tables_are_kept_within_the_append`, `inline::a_refused_change_refuses_its_append`,
///     `odd_rows::one_refuses_its_own_appends`)
/// 17. [`release_inline`](Self::release_inline) ends that: appends of this store leave the model as
///     it is from then on, and any holder can take it, from where it stands. Nobody's lease ends but
///     the appends'. (`inline::what_appends_kept_is_left_to_a_runner`,
///     `inline::no_lease_is_released_but_the_appends`)
#[async_trait]
pub trait ProjectionSink: Send + Sync + 'static {
    /// Takes the lease of a model, which is created if there is none.
    ///
    /// # Errors
    ///
    /// [`SinkError::Held`], [`SinkError::RebuildRunning`], [`SinkError::Changed`],
    /// [`SinkError::Unusable`] if its tables cannot be had, or a failure of the store.
    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError>;

    /// Keeps the lease from now on for as long as the renewal says, and tells which parked keys are
    /// due.
    ///
    /// # Errors
    ///
    /// [`SinkError::LeaseLost`], or a failure of the store.
    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError>;

    /// Gives the lease back; nothing happens if it was lost.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn release(&self, lease: &Lease) -> Result<(), SinkError>;

    /// Tells operators what keeps the model from going on; `None` that nothing does any more.
    ///
    /// # Errors
    ///
    /// [`SinkError::LeaseLost`], or a failure of the store.
    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError>;

    /// Writes one batch and moves the checkpoint, in one step.
    ///
    /// # Errors
    ///
    /// [`SinkError::LeaseLost`], [`SinkError::ParkedChanged`], [`SinkError::Refused`],
    /// [`SinkError::Unusable`], or a failure of the store.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the outcome unknown: the batch may still be written, whole.
    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError>;

    /// Whether nobody can tell in which steps a row of the lease's tables became what it is: there are no
    /// triggers, and no constraints but the library's. Then a batch may leave out an upsert that another
    /// one of its row replaces, and the sink may write the changes of different rows in any order.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn may_condense(&self, _lease: &Lease) -> Result<bool, SinkError> {
        Ok(false)
    }

    /// Makes the shadow, whose lease this is, the active model. The lease ends.
    ///
    /// # Errors
    ///
    /// [`SinkError::NotCaughtUp`], [`SinkError::LeaseLost`], or a failure of the store.
    async fn switch(&self, lease: &Lease) -> Result<(), SinkError>;

    /// Removes the shadow of a projection.
    ///
    /// # Errors
    ///
    /// [`SinkError::RebuildRunning`], [`SinkError::NoModel`], or a failure of the store.
    async fn abandon(&self, projection: &str) -> Result<(), SinkError>;

    /// Keeps the model of a projection within every append of this store from now on: who is answered
    /// by an append finds its effect in the model.
    ///
    /// The model is first brought to the end of the log. An event that the projection cannot take
    /// refuses its append, and nothing is written. No runner can take the projection meanwhile. A switch to a model that the same code rebuilt goes on inline; after one
    /// to other code's, that code must be given here.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), [`SinkError::Unusable`], [`SinkError::Diverged`] if the model
    /// is of another history than the log, and when the projection cannot take an event that is in the
    /// log.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the projection with what it has taken, kept by this store or not,
    /// and held or not.
    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError>;

    /// Keeps a projection within the appends of this store no longer, and gives back the lease that
    /// appends have. One that appends do not keep stays as it is.
    ///
    /// An append of another process that keeps the projection takes the lease again: end those
    /// processes first.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`] if there is no active model of this name, or a failure of the store.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the projection kept by this store or not, and held or not.
    async fn release_inline(&self, projection: &str) -> Result<(), SinkError>;

    /// The rows among these keys.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`], or a failure of the store.
    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError>;

    /// One page of the rows whose keys are greater than `after`, byte by byte; at most `limit`, of
    /// which 0 counts as 1. An empty page is the end.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`], or a failure of the store.
    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError>;

    /// Rows of a table, each the values of its columns in their order; of a list, an empty page is the
    /// end.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`], [`SinkError::Unusable`] if the model has no such table, or a failure of
    /// the store.
    async fn table_rows(
        &self,
        projection: &str,
        _slot: Slot,
        _table: &TableSchema,
        _read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let reason = "the store keeps no tables".to_owned();
        Err(SinkError::Unusable { projection: projection.to_owned(), reason })
    }

    /// One page of the parked events. An empty page is the end.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`], or a failure of the store.
    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError>;

    /// Asks the holder for another attempt at what waits under the key.
    ///
    /// # Errors
    ///
    /// [`SinkError::NothingParked`], [`SinkError::NoModel`], or a failure of the store.
    async fn request_retry(&self, projection: &str, slot: Slot, key: &str)
    -> Result<(), SinkError>;

    /// Decides that the model goes without a parked event; `reason` is kept.
    ///
    /// # Errors
    ///
    /// [`SinkError::NothingParked`] if it does not wait, [`SinkError::NoModel`], or a failure of the
    /// store.
    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError>;

    /// What is known about one projection, or about all, in the order of their names.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError>;

    /// Waits until the active model has come to `position`, or further; also if there is no such
    /// projection yet.
    ///
    /// Event-driven: commits of this process wake it; for commits of other processes a backend
    /// documents how soon it notices.
    ///
    /// # Errors
    ///
    /// When the store fails or is closed while waiting.
    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError>;
}
