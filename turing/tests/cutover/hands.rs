//! Who writes, and how: the old table by SQL, events through the store, or both, in Rust and Python.

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, NewEvent};
use es_core::event::{EventId, Metadata, Payload, StreamId};
use es_postgres::sqlx::types::Uuid;
use es_postgres::sqlx::{self, PgPool};
use es_postgres::{PostgresStore, sql_state};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use turing_domain::ConversationId;
use turing_domain::fields::CONVERSATION_ID;

use crate::scene::Scene;
use crate::support::python::Python;

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is committed, and must be there from now on.
    Certainly,
    /// It is committed, but while a phase changed in one of which it does not count.
    Perhaps,
    /// Others were in the way; nothing was written.
    Not,
    /// It was refused.
    Refused(String),
}

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) posting: i32,
    pub(crate) conversation: i32,
}

/// One that writes.
pub(crate) trait Hand: Send {
    /// Writes an output; the hand may choose another posting.
    fn write(&mut self, target: &mut Target, value: &Value) -> Written;
}

/// How far the cutover is, and since when.
#[derive(Debug, PartialEq)]
struct Phase {
    number: i32,
    since: Option<String>,
}

/// Whoever has to know the phase looks, before and after.
#[derive(Debug, Clone)]
struct Looks {
    handle: Handle,
    pool: PgPool,
}

impl Looks {
    fn new(scene: &Scene) -> Self {
        Self { handle: scene.handle(), pool: scene.pool.clone() }
    }

    fn phase(&self) -> Phase {
        let look = sqlx::query_as::<_, (i32, Option<String>)>(
            "SELECT phase, changed_at::text FROM cutovers",
        );
        let found = self.handle.block_on(look.fetch_optional(&self.pool)).unwrap();
        let (number, since) = found.unwrap_or_default();
        Phase { number, since }
    }

    /// An event that was written in this phase counts for good if the phase is still the same.
    fn certainly_if_still(&self, phase: &Phase) -> Written {
        match self.phase() == *phase {
            true => Written::Certainly,
            false => Written::Perhaps,
        }
    }
}

/// A program of the past in Rust, which writes the old table by SQL.
pub(crate) struct OldTable {
    looks: Looks,
    chance: Rng,
}

impl OldTable {
    pub(crate) fn new(scene: &Scene, seed: u64) -> Self {
        Self { looks: Looks::new(scene), chance: Rng::with_seed(seed) }
    }

    async fn write_row(pool: &PgPool, target: Target, value: &Value) -> Result<(), sqlx::Error> {
        for statement in [include_str!("change.sql"), include_str!("make.sql")] {
            let write = sqlx::query(statement).bind(target.posting).bind(target.conversation);
            let done = write.bind(value.to_string()).execute(pool).await?;
            if done.rows_affected() > 0 {
                break;
            }
        }
        Ok(())
    }

    /// What is rare: a posting begins anew, or its row goes.
    async fn write_oddly(pool: &PgPool, posting: i32, odd: u8) -> Result<(), sqlx::Error> {
        const DELETE: &str = "DELETE FROM posting_state_checkpoints WHERE posting_id = $1::int";
        // those of which nobody keeps an account
        let (statement, posting) = match odd {
            0 => (include_str!("restart.sql"), posting - posting % 20),
            1 => (DELETE, posting - posting % 20 + 1),
            _ => return Ok(()),
        };
        sqlx::query(statement).bind(posting).execute(pool).await.map(drop)
    }
}

impl Hand for OldTable {
    fn write(&mut self, target: &mut Target, value: &Value) -> Written {
        let odd = self.chance.u8(..24);
        let done = self.looks.handle.block_on(async {
            Self::write_oddly(&self.looks.pool, target.posting, odd).await?;
            Self::write_row(&self.looks.pool, *target, value).await
        });
        let Err(error) = done else { return Written::Certainly };
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            Some("40001" | "40P01" | "55P03") => Written::Not,
            _ => Written::Refused(error.to_string()),
        }
    }
}

/// A program that knows events alone, in Rust.
pub(crate) struct Events {
    looks: Looks,
    store: PostgresStore,
}

impl Events {
    pub(crate) fn new(scene: &Scene) -> Self {
        Self { looks: Looks::new(scene), store: scene.store.clone() }
    }

    /// A posting that the old system has never seen.
    fn register(&self) -> i32 {
        let register = sqlx::query_scalar(
            "INSERT INTO postings (posting_id)
             SELECT greatest(max(posting_id), 1000000) + 1 FROM postings
             RETURNING posting_id",
        );
        self.looks.handle.block_on(register.fetch_one(&self.looks.pool)).unwrap()
    }
}

impl Hand for Events {
    fn write(&mut self, target: &mut Target, value: &Value) -> Written {
        let phase = self.looks.phase();
        // as long as the old table says what is true, events of its postings count for nothing
        if phase.number < 2 {
            target.posting = self.register();
        }
        let payload = Payload::of(&json!({"output": value})).unwrap();
        let id = EventId::from_uuid(Uuid::from_u64_pair(fastrand::u64(..), fastrand::u64(..)));
        let metadata = Metadata::new().with(CONVERSATION_ID, ConversationId(target.conversation));
        let event = NewEvent::new(id, "llm_call_completed", payload).with_metadata(metadata);
        let stream = StreamId::new("posting", &target.posting.to_string()).unwrap();
        let request = AppendRequest::to(stream, ExpectedVersion::Any, vec![event]);
        match self.looks.handle.block_on(self.store.append(request)) {
            Ok(_) if phase.number < 2 => Written::Certainly,
            Ok(_) => self.looks.certainly_if_still(&phase),
            Err(AppendError::Store(error)) if error.is_transient() => Written::Not,
            // the old row is not imported yet, and would be written over
            Err(AppendError::Store(error)) if sql_state(&error) == Some("ES011") => Written::Not,
            Err(error) => Written::Refused(format!("{error}: {error:?}")),
        }
    }
}

/// A program in Python: of the past, or one that writes both.
pub(crate) struct InPython {
    looks: Looks,
    python: Python,
    writes_both: bool,
}

impl InPython {
    pub(crate) fn old(scene: &Scene, python: &str) -> Self {
        let python = Python::start(python, "old-psycopg2", &scene.address());
        Self { looks: Looks::new(scene), python, writes_both: false }
    }

    pub(crate) fn both(scene: &Scene, python: &str) -> Self {
        let python = Python::start(python, "old-psycopg", &scene.address());
        Self { looks: Looks::new(scene), python, writes_both: true }
    }

    fn ask(&mut self, way: &str, target: Target, value: &Value) -> Option<Written> {
        let answer = self.python.ask(&json!({
            "way": way,
            "posting": target.posting,
            "conversation": target.conversation,
            "value": value,
        }));
        if answer["not_dual_writing"] == true {
            return None;
        }
        Some(match (&answer["written"], answer.get("busy")) {
            (Value::Bool(true), _) => Written::Certainly,
            (_, Some(_)) => Written::Not,
            _ => Written::Refused(answer.to_string()),
        })
    }
}

impl Hand for InPython {
    fn write(&mut self, target: &mut Target, value: &Value) -> Written {
        let way = if self.writes_both { "both" } else { "table" };
        if let Some(written) = self.ask(way, *target, value) {
            return written;
        }
        let phase = self.looks.phase();
        match phase.number {
            0 | 1 => self.ask("table", *target, value).unwrap(),
            5 => match self.ask("event", *target, value).unwrap() {
                Written::Certainly => self.looks.certainly_if_still(&phase),
                other => other,
            },
            // it has begun just now
            _ => Written::Not,
        }
    }
}
