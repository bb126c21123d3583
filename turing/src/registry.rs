//! The postings that are known, apart from what happened to them.
//!
//! A posting is registered before its first event. One that brings no id gets one, which is
//! remembered with a digest of its content, so that the same content gives the same id again.

mod memory;
mod postgres;
mod sqlite;

use async_trait::async_trait;
use es_core::{Payload, StoreError};
use serde_json::{Map, Value};
use turing_domain::PostingId;

use crate::postings::{PostingInput, RefusedPosting};

pub use memory::MemoryRegistry;
pub use postgres::PostgresRegistry;
pub use sqlite::SqliteRegistry;

/// Ids that are given to postings without one begin here, out of the way of ids that applications
/// use.
pub const FIRST_ASSIGNED: i32 = 1_000_000_001;

/// Where postings are registered.
#[async_trait]
pub trait PostingRegistry: Send + Sync {
    /// Registers postings, in order; those that are known with the same content stay as they are.
    ///
    /// A posting whose id is taken by another content is refused by name.
    ///
    /// # Errors
    ///
    /// When the store fails; then none of them is registered.
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError>;

    /// The data of a posting; `None` if it is not registered.
    ///
    /// # Errors
    ///
    /// When the store fails or the data is no JSON object.
    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError>;
}

/// What a registry must be able to look up and to write, within one transaction.
trait Tables {
    /// Why a look-up can fail.
    type Error;

    fn data(&mut self, posting: PostingId) -> Result<Option<Map<String, Value>>, Self::Error>;
    fn assigned(&mut self, digest: &str) -> Result<Option<PostingId>, Self::Error>;
    fn highest_assigned(&mut self) -> Result<Option<PostingId>, Self::Error>;
    fn insert(&mut self, posting: PostingId, data: Map<String, Value>) -> Result<(), Self::Error>;
    fn remember(&mut self, digest: &str, posting: PostingId) -> Result<(), Self::Error>;
}

/// Registers one posting: the rules, the same for every registry.
fn register<T: Tables>(
    tables: &mut T,
    posting: PostingInput,
) -> Result<Result<PostingId, RefusedPosting>, T::Error> {
    let PostingInput { source, posting_id, data } = &posting;
    if let Some(id) = *posting_id {
        return Ok(match tables.data(id)? {
            None => {
                tables.insert(id, posting.data)?;
                Ok(id)
            }
            Some(known) if same_data(&known, data) => Ok(id),
            Some(_) => Err(RefusedPosting {
                source_name: source.clone(),
                reason: format!(
                    "posting_id {id} is registered with other content; give it another id"
                ),
            }),
        });
    }
    let digest = posting.digest();
    if let Some(id) = tables.assigned(&digest)? {
        return Ok(Ok(id));
    }
    let highest = tables.highest_assigned()?.map_or(FIRST_ASSIGNED - 1, |id| id.0);
    let mut id = None;
    for next in highest..i32::MAX {
        // an application may use ids of its own in this range
        let next = PostingId(next + 1);
        if tables.data(next)?.is_none() {
            id = Some(next);
            break;
        }
    }
    let Some(id) = id else {
        let reason = "no posting id is left to assign; give it one".to_owned();
        return Ok(Err(RefusedPosting { source_name: source.clone(), reason }));
    };
    tables.insert(id, posting.data)?;
    tables.remember(&digest, id)?;
    Ok(Ok(id))
}

/// True if the data are the same as JSON: a database may write 100 for 1e2.
fn same_data(known: &Map<String, Value>, data: &Map<String, Value>) -> bool {
    let payload = |data| Payload::of(data).ok();
    known == data || payload(known).is_some_and(|known| payload(data) == Some(known))
}

#[cfg(test)]
mod tests;
