//! A write of both sides at once, for programs that can be changed.

use es_core::Aggregate;
use es_core::event::EventId;
use es_core::execution::StoreError;
use es_postgres::sqlx::postgres::{PgDatabaseError, PgRow};
use es_postgres::sqlx::types::Uuid;
use es_postgres::sqlx::{self, PgConnection, Row};
use es_postgres::{Identifier, Layout, store_error};
use serde_json::Value;
use turing_domain::{Posting, PostingId};

use super::statements::{DUAL_WRITE, fill, query};

/// An event that is appended together with a write to the old table.
#[derive(Debug, Clone, Copy)]
pub struct DualEvent<'a> {
    /// The stored name, such as `llm_call_completed`.
    pub event_type: &'a str,
    /// The type of its stream; `posting` by default.
    pub aggregate_type: &'a str,
    /// The id of its stream, such as that of the posting.
    pub aggregate_id: i32,
    /// Its payload, an object.
    pub data: &'a Value,
    /// What stands beside it, such as the conversation.
    pub metadata: Option<&'a Value>,
    /// Names what is done, so that a repeat does nothing.
    pub idempotency_key: Option<&'a str>,
    /// The version that it is to have in its stream; without, the next one.
    pub version: Option<i32>,
}

impl<'a> DualEvent<'a> {
    /// An event of a posting, without what may be left out.
    pub fn new(event_type: &'a str, posting: PostingId, data: &'a Value) -> Self {
        Self {
            event_type,
            aggregate_type: Posting::TYPE,
            aggregate_id: posting.0,
            data,
            metadata: None,
            idempotency_key: None,
            version: None,
        }
    }

    /// With what stands beside it.
    #[must_use]
    pub fn metadata(self, metadata: &'a Value) -> Self {
        Self { metadata: Some(metadata), ..self }
    }

    /// With a name for what is done.
    #[must_use]
    pub fn idempotency_key(self, key: &'a str) -> Self {
        Self { idempotency_key: Some(key), ..self }
    }

    /// With the version that it is to have in its stream.
    #[must_use]
    pub fn version(self, version: i32) -> Self {
        Self { version: Some(version), ..self }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DualWritten {
    /// The event's id.
    pub event_id: EventId,
    /// Its version in its stream.
    pub version: i32,
    /// Its place in the log.
    pub position: i64,
}

/// Why nothing was written; the transaction has failed, and is to be rolled back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DualWriteError {
    /// No dual writing is on: the cutover has not come so far, or is beyond it.
    #[error("{0}")]
    NotDualWriting(String),
    /// Another event has the version.
    #[error("{0}; load the state again, and decide again")]
    VersionConflict(String),
    /// The idempotency key was used for something else.
    #[error("{0}")]
    KeyReused(String),
    /// The old row cannot be written.
    #[error("{0}")]
    OldRowRefused(String),
    /// The old row says something that no event does yet: it is imported first.
    #[error("{0}")]
    NotImported(String),
    /// The database refused it, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DualWriteError {
    /// True if the whole may succeed in another transaction: somebody was faster, or held a row.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::VersionConflict(_) => true,
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }

    fn of(error: sqlx::Error) -> Self {
        let told = error.as_database_error().and_then(|told| {
            let told: &PgDatabaseError = told.try_downcast_ref()?;
            let hint = told.hint().map_or_else(String::new, |hint| format!("; {hint}"));
            let text = format!("{}{hint}", told.message());
            Some(match (told.code(), told.constraint()) {
                ("ES009", _) => Self::NotDualWriting(text),
                ("ES004", _) => Self::KeyReused(text),
                ("ES010", _) => Self::OldRowRefused(text),
                ("ES011", _) => Self::NotImported(text),
                ("23505", Some("unique_aggregate_version")) => {
                    Self::VersionConflict(told.message().to_owned())
                }
                _ => return None,
            })
        });
        let place = "the application's transaction";
        told.unwrap_or_else(|| store_error("writing both sides", place, error).into())
    }
}

/// Appends an event and writes the old row of its posting, in the application's transaction: both are there
/// on its commit, or neither.
///
/// What the events say then is written to the mapped columns of the old row. `old_row` has other columns by
/// their names, or other values for these; what differs from the events is imported, as it is when a program
/// writes the old table alone. It works from the phase `dual-write` on, until the old table is out of use.
///
/// `schema` is that of the store ([`Layout::schema`]).
///
/// ```no_run
/// use es_postgres::sqlx::{Connection, PgConnection};
/// use serde_json::json;
/// use turing::cutover::{DualEvent, dual_write};
/// use turing_domain::PostingId;
///
/// # async fn example(mut connection: PgConnection) -> Result<(), Box<dyn std::error::Error>> {
/// let (data, metadata) = (json!({"output": "Berlin"}), json!({"conversation_id": 9184}));
/// let event = DualEvent::new("llm_call_completed", PostingId(12345), &data).metadata(&metadata);
/// let mut transaction = connection.begin().await?;
/// // `note` is a column of the old table that no event knows
/// let old_row = json!({"note": "by the new program"});
/// dual_write(&mut transaction, &"public".parse()?, &event, Some(&old_row)).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`DualWriteError`]; the transaction has failed then.
pub async fn dual_write(
    connection: &mut PgConnection,
    schema: &Identifier,
    event: &DualEvent<'_>,
    old_row: Option<&Value>,
) -> Result<DualWritten, DualWriteError> {
    let layout = Layout { schema: schema.clone(), ..Layout::default() };
    // as texts, in which every digit is kept
    let text = |value: Option<&Value>| value.map(Value::to_string);
    let statement = query(&fill(DUAL_WRITE, &layout))
        .bind(event.event_type.to_owned())
        .bind(event.aggregate_id)
        .bind(event.data.to_string())
        .bind(text(event.metadata))
        .bind(event.aggregate_type.to_owned())
        .bind(event.idempotency_key.map(str::to_owned))
        .bind(event.version)
        .bind(text(old_row));
    let row = statement.fetch_one(connection).await.map_err(DualWriteError::of)?;
    written(&row).map_err(DualWriteError::of)
}

fn written(row: &PgRow) -> Result<DualWritten, sqlx::Error> {
    let event_id: Uuid = row.try_get(0)?;
    Ok(DualWritten {
        event_id: EventId::from_uuid(event_id),
        version: row.try_get(1)?,
        position: row.try_get(2)?,
    })
}
