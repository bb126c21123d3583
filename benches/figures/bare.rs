//! The same rows through rusqlite, as somebody would write them by hand for speed.

use es_benches::{Posting, PostingEvent};
use es_core::backend::{AppendRequest, StreamId};
use es_core::environment::{Clock, SystemClock};
use es_core::{Aggregate, ExpectedVersion};
use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use tempfile::TempDir;
use uuid::Uuid;

use crate::Failure;

const CREATE_EVENTS: &str = include_str!("sql/sqlite_create_events.sql");
const INSERT_EVENT: &str = include_str!("sql/sqlite_insert_event.sql");
const READ_STREAM: &str = include_str!("sql/sqlite_read_stream.sql");
const BEGIN: &str = include_str!("sql/sqlite_begin.sql");
const COMMIT: &str = include_str!("sql/sqlite_commit.sql");

/// One connection with the settings of es-sqlite's.
pub(crate) struct Bare {
    connection: Connection,
    _folder: TempDir,
}

/// The payload of the workload's events.
#[derive(Deserialize)]
struct Execution {
    output: String,
    status: String,
}

/// The metadata of the workload's events.
#[derive(Deserialize)]
#[expect(dead_code, reason = "reading it is what is measured")]
struct Beside<'a> {
    conversation_id: i64,
    actor_id: i64,
    duration_ms: u64,
    causation_id: Uuid,
    #[serde(borrow)]
    correlation_id: &'a str,
    #[serde(borrow)]
    event_version: &'a str,
}

impl Bare {
    pub(crate) fn open() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let connection = Connection::open(folder.path().join("bare.db"))?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.execute(CREATE_EVENTS, [])?;
        Ok(Self { connection, _folder: folder })
    }

    /// Writes the events of a request, and trusts its expected version.
    pub(crate) fn append(&self, request: &AppendRequest) -> Result<(), Failure> {
        // one statement is a transaction by itself
        if request.event_count() == 1 {
            return self.insert(request);
        }
        self.connection.prepare_cached(BEGIN)?.execute([])?;
        self.insert(request)?;
        self.connection.prepare_cached(COMMIT)?.execute([])?;
        Ok(())
    }

    fn insert(&self, request: &AppendRequest) -> Result<(), Failure> {
        let mut insert = self.connection.prepare_cached(INSERT_EVENT)?;
        let created_at = SystemClock.now().to_string();
        for part in request.streams() {
            let ExpectedVersion::Exact(mut version) = part.expected else {
                return Err("only exact versions are compared".into());
            };
            for event in &part.events {
                version = version.next();
                insert.execute(params![
                    event.event_id.to_string(),
                    part.stream.aggregate_type(),
                    part.stream.aggregate_id(),
                    version.as_i64(),
                    event.event_type.as_str(),
                    created_at,
                    serde_json::to_string(&event.metadata)?,
                    event.payload.as_str(),
                ])?;
            }
        }
        Ok(())
    }

    /// Folds a stream in one statement, with all columns read and both documents decoded; answers
    /// the state and the number of events.
    pub(crate) fn load(&self, stream: &StreamId) -> Result<(Posting, usize), Failure> {
        let mut select = self.connection.prepare_cached(READ_STREAM)?;
        let mut rows = select.query([stream.aggregate_type(), stream.aggregate_id()])?;
        let mut state = Posting::default();
        let mut count = 0;
        while let Some(row) = rows.next()? {
            state.evolve(&event(row)?);
            count += 1;
        }
        Ok((state, count))
    }
}

fn event(row: &Row<'_>) -> Result<PostingEvent, Failure> {
    let text = |index| -> Result<&str, Failure> { Ok(row.get_ref(index)?.as_str()?) };
    let recorded = (
        text(0)?.parse::<Uuid>()?,
        text(1)?,
        text(2)?,
        row.get::<_, i64>(3)?,
        row.get::<_, i64>(4)?,
        text(6)?,
    );
    std::hint::black_box(&recorded);
    let beside: Beside<'_> = serde_json::from_str(text(7)?)?;
    std::hint::black_box(&beside);
    match text(5)? {
        "script_execution_completed" => {
            let Execution { output, status } = serde_json::from_str(text(8)?)?;
            let Beside { conversation_id, actor_id, duration_ms, .. } = beside;
            Ok(PostingEvent::ScriptExecutionCompleted {
                output,
                status,
                conversation_id,
                actor_id,
                duration_ms,
            })
        }
        "posting_terminal" => Ok(PostingEvent::ReachedTerminal),
        other => Err(format!("unknown event type {other}").into()),
    }
}
