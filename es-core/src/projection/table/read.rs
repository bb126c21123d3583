//! Reading a table, by the type of its rows.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::stream::{StreamExt, try_unfold};

use crate::error::{StoreError, StoreErrorKind};
use crate::position::Position;
use crate::store::Store;
use crate::subscription::Subscription;

use super::super::{SinkError, Slot, WaitError, models};
use super::{KeyOf, SqlValue, SqlValues, TableProjection, TableRow};

/// The table of the rows `T`, in the model that is served; `P` is the projection that keeps it, which
/// is the row itself unless it says otherwise.
///
/// ```
/// # use std::time::Duration;
/// # use es_core::backend::Position;
/// # use es_core::projection::{Table, TableRow};
/// # use es_core::{BoxError, Store, TableProjection};
/// # async fn example<OpenOrder, LineRow, Orders>(
/// #     store: Store, written: Position,
/// # ) -> Result<(), BoxError>
/// # where
/// #     OpenOrder: TableRow<Key = String> + TableProjection,
/// #     LineRow: TableRow<Key = String>,
/// #     Orders: TableProjection,
/// # {
/// let open = Table::<OpenOrder>::new(&store);
/// open.wait_for(written, Duration::from_secs(2)).await?; // so that one's own write is in it
/// let order = open.get("o-1").await?;
/// // of a projection over several tables
/// let line = Table::<LineRow, Orders>::new(&store).get("o-1").await?;
/// # Ok(())
/// # }
/// ```
pub struct Table<T: TableRow, P: TableProjection = T> {
    store: Store,
    row: PhantomData<fn() -> (T, P)>,
}

impl<T: TableRow, P: TableProjection> fmt::Debug for Table<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&T::SCHEMA.name).field(&self.store).finish()
    }
}

/// Which rows of a table are asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum TableRead {
    /// The one under this key.
    Key(Vec<SqlValue>),
    /// Those behind a key, or the first, in the order of their keys, texts byte by byte.
    Rows {
        /// The key.
        after: Option<Vec<SqlValue>>,
        /// How many at most; at least one.
        limit: usize,
    },
}

impl<T: TableRow, P: TableProjection> Table<T, P> {
    /// The table in this store. Nothing is read.
    pub fn new(store: impl Into<Store>) -> Self {
        Self { store: store.into(), row: PhantomData }
    }

    /// The row under this key, if there is one.
    ///
    /// # Errors
    ///
    /// [`SinkError::NoModel`] if the projection never ran, [`SinkError::Unusable`] if it has no such
    /// table, or a failure of the store; a row that is not one of `T` is such a failure, of the kind
    /// [`Corrupt`](StoreErrorKind::Corrupt).
    pub async fn get(&self, key: impl KeyOf<T::Key>) -> Result<Option<T>, SinkError> {
        let read = TableRead::Key(key.into_key().into_values());
        let found = self.read(&read).await?;
        found.into_iter().next().map(Self::row).transpose()
    }

    /// All rows in the order of their keys, with the memory of one page.
    ///
    /// Rows that are committed meanwhile are included if the reader has not passed them; behind a switch
    /// they are those of the new model. One that is none of `T` is an error in its place, of the kind
    /// [`Corrupt`](StoreErrorKind::Corrupt), and the others follow.
    pub fn all(&self) -> BoxStream<'_, Result<T, SinkError>> {
        const PAGE: usize = 500;
        type Rest = (Option<Vec<SqlValue>>, std::vec::IntoIter<Vec<SqlValue>>);
        let start: Rest = (None, Vec::new().into_iter());
        let rows = try_unfold(start, move |(after, mut page): Rest| async move {
            if let Some(row) = page.next() {
                return Ok(Some((Self::row(row), (after, page))));
            }
            let read = TableRead::Rows { after, limit: PAGE };
            let mut page = self.read(&read).await?.into_iter();
            let after = page.as_slice().last().map(|row| T::SCHEMA.key_of(row));
            let first = page.next().map(Self::row);
            Ok::<_, SinkError>(first.map(|row| (row, (after, page))))
        });
        Box::pin(rows.map(Result::flatten))
    }

    /// Waits until what was appended up to `position` is in the table; see
    /// [`Subscription::wait_for`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn wait_for(&self, position: Position, limit: Duration) -> Result<(), WaitError> {
        Subscription::table::<P>(&self.store).wait_for(position, limit).await
    }

    async fn read(&self, read: &TableRead) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let models = models(&self.store, P::NAME)?;
        models.table_rows(P::NAME, Slot::Active, &T::SCHEMA, read).await
    }

    fn row(values: Vec<SqlValue>) -> Result<T, SinkError> {
        T::from_values(values).map_err(|error| {
            let text = format!("reading table `{}`", T::SCHEMA.name);
            StoreError::new(StoreErrorKind::Corrupt, text).caused_by(error).into()
        })
    }
}
