//! What a switch would change.

use std::cmp::Ordering;
use std::future::ready;
use std::pin::Pin;

use futures_core::stream::BoxStream;
use futures_util::stream::{Peekable, StreamExt, once, try_unfold};

use crate::payload::Payload;

use super::super::{ModelRow, SinkError, Slot, rows_after};
use super::Rebuild;

/// A row that the active model and the shadow do not have alike.
#[derive(Debug, Clone, PartialEq)]
pub struct RowDifference {
    /// The key of the row.
    pub key: String,
    /// The value that is served; `None` if there is no such row.
    pub old: Option<Payload>,
    /// The value in the shadow; `None` if there is no such row.
    pub new: Option<Payload>,
}

type Rows<'a> = Pin<Box<Peekable<BoxStream<'a, Result<ModelRow, SinkError>>>>>;

impl Rebuild {
    /// The rows in which the shadow differs from the active model, in the order of keys, byte by byte,
    /// with the memory of two pages.
    ///
    /// While writers go on, a difference may be that the two have not come equally far. Of tables it is
    /// [`SinkError::Unusable`].
    pub fn differences(&self) -> BoxStream<'_, Result<RowDifference, SinkError>> {
        if self.definition.has_tables() {
            let projection = self.definition.name().to_owned();
            let reason = "tables are not compared; ask the database".to_owned();
            return once(ready(Err(SinkError::Unusable { projection, reason }))).boxed();
        }
        differing(self.rows(Slot::Active), self.rows(Slot::Shadow))
    }

    fn rows(&self, slot: Slot) -> Rows<'_> {
        Box::pin(rows_after(&self.store, self.definition.name(), slot, None).peekable())
    }
}

fn differing<'a>(old: Rows<'a>, new: Rows<'a>) -> BoxStream<'a, Result<RowDifference, SinkError>> {
    Box::pin(try_unfold((old, new), |(mut old, mut new)| async move {
        loop {
            let order = match (old.as_mut().peek().await, new.as_mut().peek().await) {
                (None, None) => return Ok(None),
                (Some(Ok(old)), Some(Ok(new))) => old.key.cmp(&new.key),
                // an error comes out with its own side
                (Some(_), None) | (Some(Err(_)), _) => Ordering::Less,
                (None, Some(_)) | (_, Some(Err(_))) => Ordering::Greater,
            };
            let old_row = if order.is_le() { old.next().await.transpose()? } else { None };
            let new_row = if order.is_ge() { new.next().await.transpose()? } else { None };
            let key = old_row.as_ref().or(new_row.as_ref()).map(|row| row.key.clone());
            let Some(key) = key else { return Ok(None) };
            let (before, after) = (old_row.map(|row| row.value), new_row.map(|row| row.value));
            if before != after {
                return Ok(Some((RowDifference { key, old: before, new: after }, (old, new))));
            }
        }
    }))
}
