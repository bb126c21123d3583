//! Watching and mending what is kept up to date: the same calls, whatever it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::stream::try_unfold;

use crate::environment::Environment;
use crate::position::Position;
use crate::projection::{
    Definition, Health, ListParked, ModelRow, Parked, ParkedId, Projection, ProjectionSink,
    ProjectionStatus, SinkError, Slot, TableProjection, WaitError, health_of, models, rows_after,
    waited_for,
};
use crate::reaction::Reaction;
use crate::store::Store;

/// One projection or reaction, as its store keeps it.
///
/// ```
/// # use es_core::projection::Subscription;
/// # use es_core::{Projection, Store};
/// # use futures_util::TryStreamExt;
/// # async fn example<CustomerTotals: Projection>(
/// #     store: Store,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let subscription = Subscription::projection::<CustomerTotals>(&store);
/// println!("{}", subscription.health().await?.state);
/// let mut parked = subscription.parked();
/// while let Some(entry) = parked.try_next().await? {
///     println!("{} waits under {}: {}", entry.event.event_id, entry.key, entry.reason);
/// }
/// subscription.retry("anna").await?; // what waits under a key, in order, from its first
/// # Ok(())
/// # }
/// ```
pub struct Subscription {
    store: Store,
    definition: Definition,
    environment: Environment,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Subscription");
        told.field("definition", &self.definition).field("store", &self.store);
        told.finish_non_exhaustive()
    }
}

impl Subscription {
    /// That of a projection. Nothing is read.
    pub fn projection<P: Projection>(store: impl Into<Store>) -> Self {
        Self::definition(store, Definition::of::<P>())
    }

    /// That of a reaction: its events are parked by stream, under the stream's name (`order/o-1`).
    /// Nothing is read.
    pub fn reaction<R: Reaction>(store: impl Into<Store>) -> Self {
        Self::definition(store, Definition::reaction::<R>())
    }

    /// That of a projection into tables. Nothing is read.
    pub fn table<P: TableProjection>(store: impl Into<Store>) -> Self {
        Self::definition(store, Definition::table::<P>())
    }

    /// That of what a tool or a suite has defined.
    pub fn definition(store: impl Into<Store>, definition: Definition) -> Self {
        Self { store: store.into(), definition, environment: Environment::default() }
    }

    /// Replaces the clock, and the runtime by which is waited.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self { environment, ..self }
    }

    /// Waits until what was appended up to `position` is in the model, parked, or not selected: with
    /// the position of one's own append, one reads one's own writes.
    ///
    /// # Errors
    ///
    /// [`WaitError::TimedOut`] tells how far the projection is. At once: [`WaitError::Stopped`], that
    /// somebody must do something before it gets further, and [`SinkError::Changed`] or
    /// [`SinkError::Unusable`], that nobody runs it and this code never will.
    ///
    /// # Cancellation
    ///
    /// Dropping the future is harmless.
    pub async fn wait_for(&self, position: Position, limit: Duration) -> Result<(), WaitError> {
        self.check()?;
        let runtime = &*self.environment.runtime;
        waited_for(runtime, &**self.models()?, &self.definition, position, limit).await
    }

    /// How it is; any process is told the same. The store is also asked who holds its log back.
    ///
    /// # Errors
    ///
    /// When the store fails, or keeps no models ([`SinkError::Unusable`]).
    pub async fn health(&self) -> Result<Health, SinkError> {
        health_of(&self.store, &*self.environment.clock, &self.definition).await
    }

    /// What the store knows of it; `None` if it never ran.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn status(&self) -> Result<Option<ProjectionStatus>, SinkError> {
        Ok(self.models()?.status(Some(self.name())).await?.into_iter().next())
    }

    /// The events that it could not take, in the order of the log, with the memory of one page; those
    /// that were discarded are among them.
    pub fn parked(&self) -> BoxStream<'_, Result<Parked, SinkError>> {
        type Rest = (ListParked, std::vec::IntoIter<Parked>);
        let start: Rest = (ListParked::default(), Vec::new().into_iter());
        Box::pin(try_unfold(start, move |(mut list, mut page): Rest| async move {
            if let Some(entry) = page.next() {
                return Ok(Some((entry, (list, page))));
            }
            let parked = self.models()?.parked(self.name(), Slot::Active, &list).await?;
            if let Some(last) = parked.last() {
                list.after = Some(last.id());
            }
            let mut page = parked.into_iter();
            Ok(page.next().map(|entry| (entry, (list, page))))
        }))
    }

    /// Asks whoever runs it for another attempt at what waits under a key, as
    /// [`parked`](Self::parked) tells it. After an outage that parked much, all of it is asked for:
    ///
    /// ```
    /// # use std::collections::BTreeSet;
    /// # use es_core::backend::SinkError;
    /// # use es_core::projection::Subscription;
    /// # use futures_util::TryStreamExt;
    /// # async fn example(subscription: Subscription) -> Result<(), SinkError> {
    /// let mut keys = BTreeSet::new();
    /// let mut parked = subscription.parked();
    /// while let Some(entry) = parked.try_next().await? {
    ///     if entry.is_waiting() {
    ///         keys.insert(entry.key);
    ///     }
    /// }
    /// for key in keys {
    ///     match subscription.retry(&key).await {
    ///         // somebody dealt with it meanwhile
    ///         Ok(()) | Err(SinkError::NothingParked { .. }) => {}
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SinkError::NothingParked`], [`SinkError::NoModel`], or a failure of the store.
    pub async fn retry(&self, key: &str) -> Result<(), SinkError> {
        self.models()?.request_retry(self.name(), Slot::Active, key).await
    }

    /// Decides that it goes without a parked event; `reason` is kept.
    ///
    /// # Errors
    ///
    /// [`SinkError::NothingParked`] if it does not wait, [`SinkError::NoModel`], or a failure of the
    /// store.
    pub async fn discard(&self, entry: &ParkedId, reason: &str) -> Result<(), SinkError> {
        self.models()?.discard(self.name(), Slot::Active, entry, reason).await
    }

    /// Keeps it within every append to this store from now on, instead of a runner: who is answered
    /// by an append finds its effect in the model. See [`ProjectionSink::keep_inline`].
    ///
    /// # Errors
    ///
    /// As there; a reaction is refused ([`SinkError::Unusable`]).
    pub async fn keep_inline(&self) -> Result<(), SinkError> {
        let fingerprint = self.definition.fingerprint();
        self.definition.check_projection(fingerprint, "no append can wait for it")?;
        self.models()?.keep_inline(self.definition.clone()).await
    }

    /// Leaves it to a runner again.
    ///
    /// # Errors
    ///
    /// As [`ProjectionSink::release_inline`].
    pub async fn release_inline(&self) -> Result<(), SinkError> {
        self.models()?.release_inline(self.name()).await
    }

    /// All rows as they are stored, for tools: in the order of their keys, byte by byte, with the
    /// memory of one page.
    ///
    /// Rows that are committed meanwhile are included if the reader has not passed them.
    pub fn rows(&self, slot: Slot) -> BoxStream<'_, Result<ModelRow, SinkError>> {
        rows_after(&self.store, self.name(), slot, None)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Refuses a projection that cannot be run.
    pub(crate) fn check(&self) -> Result<(), SinkError> {
        self.definition.check()
    }

    fn name(&self) -> &str {
        self.definition.name()
    }

    fn models(&self) -> Result<&Arc<dyn ProjectionSink>, SinkError> {
        models(&self.store, self.name())
    }
}
