//! One row of the states of postings, made anew in the model that is served.

use std::collections::BTreeSet;

use es_core::BoxError;
use es_core::backend::{
    Batch, Checkpoint, Content, Definition, Lease, ListParked, ModelRow, RowChange, Slot,
};
use es_core::event::{EventStoreExt, Payload, Position, ReadStream, StreamId};
use es_core::execution::StoreError;
use es_core::projection::SinkError;
use futures_util::TryStreamExt;
use turing_domain::{Posting, PostingId};

use super::{PostingRow, claim};
use crate::store::Store;

/// Why a row could not be made anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// An event of the posting cannot be taken.
    #[error("the row of {stream} cannot be made: its event at {position} cannot be taken")]
    Apply {
        /// The posting.
        stream: StreamId,
        /// The place of the event.
        position: Position,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The sink refused, or the store failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl From<StoreError> for RepairError {
    fn from(error: StoreError) -> Self {
        Self::Sink(error.into())
    }
}

/// Makes the row of one posting anew from its events, as far as the model has come, and answers
/// whether that changed it.
///
/// The model's lease is taken for that moment, so a runner must not be at work on it. Events that
/// were parked or discarded stay out of the row.
///
/// # Errors
///
/// [`SinkError::Held`] while a runner is at work, an event that cannot be taken, or a failure of the
/// store; nothing was changed then.
pub async fn repair_posting(store: &Store, posting: PostingId) -> Result<bool, RepairError> {
    let definition = Definition::of::<PostingRow>();
    let models = store.models()?;
    let lease = models.acquire(&claim(&definition)).await?;
    let repaired = repair(store, &lease, posting).await;
    // a lease that is not given back expires
    let _ = models.release(&lease).await;
    repaired
}

async fn repair(store: &Store, lease: &Lease, posting: PostingId) -> Result<bool, RepairError> {
    let (models, name) = (store.models()?, lease.projection.as_str());
    let stream = es_core::execution::stream_of::<Posting>(&posting)
        .expect("a number that is a posting's id names a stream");
    let key = stream.to_string();
    let checkpoint = lease.checkpoints.first().cloned().unwrap_or(Checkpoint::START);
    let mut out = BTreeSet::new();
    let mut list = ListParked { key: Some(key.clone()), ..ListParked::default() };
    loop {
        let page = models.parked(name, Slot::Active, &list).await?;
        let Some(last) = page.last() else { break };
        list.after = Some(last.id());
        out.extend(page.into_iter().map(|entry| entry.event.event_id));
    }
    let mut row = None;
    let mut events = store.events.events(ReadStream::new(stream.clone()));
    while let Some(event) = events.try_next().await? {
        if event.position > checkpoint.position {
            break;
        }
        if out.contains(&event.event_id) {
            continue;
        }
        PostingRow::take(&mut row, posting, &event).map_err(|source| RepairError::Apply {
            stream: stream.clone(),
            position: event.position,
            source,
        })?;
    }
    let value = row.map(|row| Payload::of(&row)).transpose().map_err(|error| {
        let text = format!("the row of {stream} cannot be written as JSON");
        StoreError::new(es_core::execution::StoreErrorKind::Other, text).caused_by(error)
    })?;
    let stored = models.load(name, Slot::Active, std::slice::from_ref(&key)).await?;
    let stored = stored.into_iter().next().map(|ModelRow { value, .. }| value);
    if stored == value {
        return Ok(false);
    }
    let change = Content::Rows(vec![RowChange { key, value }]);
    models.commit(lease, &Batch::moving(0, checkpoint.clone(), checkpoint).content(change)).await?;
    Ok(true)
}
