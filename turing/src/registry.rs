//! The postings that are known, apart from what happened to them.
//!
//! A posting is registered before its first event. One that brings no id gets one, which is
//! remembered with a digest of its content, so that the same content gives the same id again.

mod memory;
mod postgres;
mod sqlite;

use std::collections::BTreeSet;

use async_trait::async_trait;
use es_core::event::Payload;
use es_core::execution::{StoreError, StoreErrorKind};
use serde_json::{Map, Value};
use turing_domain::PostingId;

use crate::postings::{PostingInput, RefusedPosting};
use crate::proposal::command;

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

/// What is known of a posting.
#[derive(Debug, Clone)]
enum Known {
    Nothing,
    Data(Map<String, Value>),
    /// Its row holds what Turing does not write.
    Unreadable,
}

impl Known {
    /// What a row holds, if there is one.
    fn of(row: Option<String>) -> Self {
        row.map_or(Self::Nothing, |text| read_stored(text).map_or(Self::Unreadable, Self::Data))
    }

    /// The data, for those who need it.
    fn into_data(
        self,
        posting: PostingId,
        place: &str,
    ) -> Result<Option<Map<String, Value>>, StoreError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Data(data) => Ok(Some(data)),
            Self::Unreadable => Err(unreadable(posting, place)),
        }
    }
}

/// What a registry must be able to look up and to write, within one transaction.
trait Tables {
    /// Why a look-up can fail.
    type Error;

    fn data(&mut self, posting: PostingId) -> Result<Known, Self::Error>;
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
            Known::Nothing => {
                tables.insert(id, posting.data)?;
                Ok(id)
            }
            Known::Data(known) if same_data(&known, data) => Ok(id),
            Known::Unreadable => Err(RefusedPosting {
                source_name: source.clone(),
                reason: format!(
                    "posting_id {id} is in the table postings already, with data that is no JSON \
                     object that programs can read; correct that row, or give this one another id"
                ),
            }),
            Known::Data(known) => Err(RefusedPosting {
                source_name: source.clone(),
                reason: format!(
                    "posting_id {id} is registered with other content: {}; give it another id \
                     (`{}` prints what is registered)",
                    difference(&known, data),
                    command(format_args!("state posting {id} --data"))
                ),
            }),
        });
    }
    let digest = posting.digest();
    for digest in [&digest, &posting.former_digest()] {
        if let Some(id) = tables.assigned(digest)? {
            return Ok(Ok(id));
        }
    }
    let highest = tables.highest_assigned()?.map_or(FIRST_ASSIGNED - 1, |id| id.0);
    let mut id = None;
    for next in highest..i32::MAX {
        // an application may use ids of its own in this range
        let next = PostingId(next + 1);
        if matches!(tables.data(next)?, Known::Nothing) {
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

/// The data as they are stored: in the form that every store gives back as it is.
fn stored(data: &Map<String, Value>) -> String {
    let canonical = Payload::of(data).ok().and_then(|data| data.canonical().ok());
    canonical.map_or_else(|| Value::Object(data.clone()).to_string(), |data| data.to_string())
}

/// Reads what is stored; `None` if it is no JSON object, or one that no program reads.
fn read_stored(text: String) -> Option<Map<String, Value>> {
    Payload::parse(text).ok()?.canonical().ok()?.decode().ok()
}

/// The data of a posting that is stored, but cannot be read.
fn unreadable(posting: PostingId, place: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Corrupt,
        format!(
            "the data of posting {posting} in {place} is no JSON object that programs can read; \
             correct its row in the table postings"
        ),
    )
}

/// True if the data are the same as JSON: a database may write 100 for 1e2.
fn same_data(known: &Map<String, Value>, data: &Map<String, Value>) -> bool {
    let payload = |data| Payload::of(data).ok();
    known == data || payload(known).is_some_and(|known| payload(data) == Some(known))
}

/// Which keys make two data differ, in words.
fn difference(known: &Map<String, Value>, data: &Map<String, Value>) -> String {
    const NAMED: usize = 5;
    let keys: BTreeSet<_> = known.keys().chain(data.keys()).collect();
    let differences = keys.into_iter().filter_map(|key| {
        let how = match (known.get(key), data.get(key)) {
            (Some(known), Some(data)) if same_value(known, data) => return None,
            (Some(_), Some(_)) => "differs",
            (Some(_), None) => "is missing",
            (None, _) => "is new",
        };
        let key: String = key.chars().take(40).collect();
        Some(format!("`{key}` {how}"))
    });
    let mut told: Vec<_> = differences.collect();
    let more = told.len().saturating_sub(NAMED);
    told.truncate(NAMED);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join(", ")
}

pub(crate) fn same_value(known: &Value, data: &Value) -> bool {
    let payload = |value| Payload::of(value).ok();
    known == data || payload(known).is_some_and(|known| payload(data) == Some(known))
}

#[cfg(test)]
mod tests;
