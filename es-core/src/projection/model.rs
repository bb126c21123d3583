//! Reading a model, by the type of its rows.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::stream::{StreamExt, TryStreamExt, once, try_unfold};

use crate::aggregate::IdOf;
use crate::envelope::RecordedEvent;
use crate::error::{BoxError, StoreError, StoreErrorKind};
use crate::position::Position;
use crate::read::ReadLog;
use crate::store::Store;
use crate::subscription::Subscription;

use super::error::OddRow;
use super::fold::{Fold, guarded, unkeyed};
use super::keying::KeyTexts;
use super::typed::Asked;
use super::worker::chain;
use super::{ModelRow, Projection, RowKey, SinkError, Slot, WaitError, models};

/// The model of the projection `P`, as whoever reads it has it.
///
/// ```
/// # use std::time::Duration;
/// # use es_core::backend::Position;
/// # use es_core::projection::ReadModel;
/// # use es_core::{Projection, Store};
/// # use futures_util::TryStreamExt;
/// # async fn example<CustomerTotals: Projection<Key = String>>(
/// #     store: Store, written: Position,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let totals = ReadModel::<CustomerTotals>::new(&store);
/// totals.wait_for(written, Duration::from_secs(2)).await?; // so that one's own write is in it
/// let anna = totals.get("anna").await?;
/// let mut all = totals.all();
/// while let Some((customer, totals)) = all.try_next().await? {
///     // in the order of the stored texts of the keys
/// }
/// # Ok(())
/// # }
/// ```
pub struct ReadModel<P: Projection> {
    subscription: Subscription,
    texts: KeyTexts,
    row: PhantomData<fn() -> P>,
}

impl<P: Projection> fmt::Debug for ReadModel<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadModel").field(&self.subscription).finish()
    }
}

impl<P: Projection> ReadModel<P> {
    /// The model in this store. Nothing is read.
    pub fn new(store: impl Into<Store>) -> Self {
        // one that panics is told by whatever is asked of it
        let texts = Asked::<P>::ask().map(|asked| asked.keying.texts()).unwrap_or_default();
        Self { subscription: Subscription::projection::<P>(store), texts, row: PhantomData }
    }

    /// The row under this key, if there is one.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`] if the projection never ran, or a failure of the store; a row that is
    /// not one of `P` is such a failure, of the kind [`Corrupt`](StoreErrorKind::Corrupt).
    pub async fn get(&self, key: &(impl IdOf<P::Key> + ?Sized)) -> Result<Option<P>, SinkError> {
        let key = self.texts.stored(&key.id_text());
        let found = self.find(key).await?;
        found.map(|row| decoded::<P>(&row)).transpose()
    }

    /// The row as it is stored.
    async fn find(&self, key: String) -> Result<Option<ModelRow>, SinkError> {
        self.subscription.check()?;
        let keys = [key];
        let models = models(self.subscription.store(), P::NAME)?;
        let rows = models.load(P::NAME, Slot::Active, &keys).await?;
        Ok(rows.into_iter().find(|row| row.key == keys[0]))
    }

    /// All rows in the order of the stored texts of their keys, byte by byte, with the memory of one
    /// page.
    ///
    /// Rows that are committed meanwhile are included if the reader has not passed them.
    pub fn all(&self) -> BoxStream<'_, Result<(P::Key, P), SinkError>> {
        let rows = once(async move {
            self.subscription.check()?;
            Ok::<_, SinkError>(self.subscription.rows(Slot::Active))
        });
        self.typed(rows.try_flatten().boxed())
    }

    /// The rows from this key on.
    pub fn all_from(&self, key: &P::Key) -> BoxStream<'_, Result<(P::Key, P), SinkError>> {
        let key = self.texts.stored(&key.to_key());
        let after = rows_after(self.subscription.store(), P::NAME, Slot::Active, Some(key.clone()));
        let first = once(async move { self.find(key).await.transpose() });
        let first = first.filter_map(std::future::ready);
        self.typed(first.chain(after).boxed())
    }

    fn typed<'a>(
        &'a self,
        rows: BoxStream<'a, Result<ModelRow, SinkError>>,
    ) -> BoxStream<'a, Result<(P::Key, P), SinkError>> {
        let texts = self.texts;
        let typed = move |row: ModelRow| {
            let key = texts.parse::<P::Key>(&row.key);
            let key = key.map_err(|error| odd::<P>(&row, &error.into()));
            std::future::ready(key.and_then(|key| Ok((key, decoded::<P>(&row)?))))
        };
        rows.and_then(typed).boxed()
    }

    /// Waits until what was appended up to `position` is in the model; see
    /// [`Subscription::wait_for`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn wait_for(&self, position: Position, limit: Duration) -> Result<(), WaitError> {
        self.subscription.wait_for(position, limit).await
    }

    /// Folds the log up to now, without a stored model: the rows in the order of the texts of their
    /// keys.
    ///
    /// The whole model is held in memory. Events that were discarded from a stored model are taken
    /// here.
    ///
    /// # Errors
    ///
    /// When reading fails, or, with [`LiveError::Apply`], at the first event that the projection
    /// cannot take.
    pub async fn live(&self) -> Result<Vec<(P::Key, P)>, LiveError> {
        let unusable =
            |error: &BoxError| LiveError::Unusable { projection: P::NAME, reason: chain(&**error) };
        let failed = |event: &RecordedEvent, key: &str, source| LiveError::Apply {
            projection: P::NAME,
            position: event.position,
            key: key.to_owned(),
            source,
        };
        let asked = Asked::<P>::ask().map_err(|error| unusable(&error))?;
        let mut read = ReadLog::from_start().filter(asked.selection.clone());
        let fold = asked.fold();
        let mut rows: BTreeMap<String, P> = BTreeMap::new();
        loop {
            let page = self.subscription.store().read_log(&read).await?;
            for event in &page.events {
                let keys = fold.keys(event);
                for key in keys.map_err(|error| failed(event, &unkeyed(event), error))? {
                    let after = fold.applied(&key, rows.remove(&key), event);
                    if let (_, Some(row)) = after.map_err(|error| failed(event, &key, error))? {
                        rows.insert(key, row);
                    }
                }
            }
            if page.at_end {
                break;
            }
            read.after = page.next;
        }
        let typed = rows.into_iter().map(|(text, row)| match self.texts.parse(&text) {
            Ok(key) => Ok((key, row)),
            Err(error) => Err(unusable(&error.into())),
        });
        typed.collect()
    }
}

fn decoded<P: Projection>(row: &ModelRow) -> Result<P, SinkError> {
    guarded(|| Ok(row.value.decode()?)).map_err(|error| odd::<P>(row, &error))
}

fn odd<P: Projection>(row: &ModelRow, error: &BoxError) -> SinkError {
    let odd = OddRow::new(&row.key, error);
    let message = format!("reading the model of projection `{}`", P::NAME);
    StoreError::new(StoreErrorKind::Corrupt, message).caused_by(odd).into()
}

/// The rows of a model as they are stored, behind this key, in the order of their keys, byte by byte,
/// with the memory of one page.
pub(crate) fn rows_after<'a>(
    store: &'a Store,
    projection: &'a str,
    slot: Slot,
    after: Option<String>,
) -> BoxStream<'a, Result<ModelRow, SinkError>> {
    const PAGE: usize = 500;
    type Rest = (Option<String>, std::vec::IntoIter<ModelRow>);
    let start: Rest = (after, Vec::new().into_iter());
    Box::pin(try_unfold(start, move |(after, mut page): Rest| async move {
        if let Some(row) = page.next() {
            return Ok(Some((row, (after, page))));
        }
        let sink = models(store, projection)?;
        let mut page = sink.rows(projection, slot, after.as_deref(), PAGE).await?.into_iter();
        let after = page.as_slice().last().map(|row| row.key.clone());
        Ok(page.next().map(|row| (row, (after, page))))
    }))
}

/// Why a live model could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The projection cannot take an event.
    #[error("projection `{projection}` cannot take the event at {position} under key `{key}`")]
    Apply {
        /// The projection.
        projection: &'static str,
        /// The place of the event.
        position: Position,
        /// The key.
        key: String,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The projection cannot be run as it is.
    #[error("projection `{projection}` cannot be run: {reason}")]
    Unusable {
        /// The projection.
        projection: &'static str,
        /// Why not.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
