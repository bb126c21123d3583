//! A migrated database whose rows are compared with the fold in Rust.

use std::sync::Mutex;

use es_core::Aggregate;
use es_core::backend::EventStore;
use es_core::event::{Payload, ReadStream, StreamId};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::error::DatabaseError;
use es_postgres::sqlx::{self, AssertSqlSafe, PgPool, Row};
use es_postgres::{PostgresConfig, PostgresStore};
use turing::store::postgres::configured;
use turing_domain::{Posting, PostingEvent};

use crate::database::Database;

/// The database, its store, and connections for SQL.
pub(crate) struct Projected {
    /// Opened again when everything is removed: a store notices that its log went back.
    store: Mutex<PostgresStore>,
    config: PostgresConfig,
    pub(crate) pool: PgPool,
}

/// How the database refuses something.
#[derive(Debug)]
pub(crate) struct PgError {
    pub(crate) code: String,
    pub(crate) constraint: Option<String>,
    pub(crate) text: String,
}

impl From<Box<dyn DatabaseError>> for PgError {
    fn from(error: Box<dyn DatabaseError>) -> Self {
        Self {
            code: error.code().unwrap().into_owned(),
            constraint: error.constraint().map(str::to_owned),
            text: format!("{error} {error:?}"),
        }
    }
}

/// A posting as its events say.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) version: i64,
    pub(crate) state: Posting,
}

impl Projected {
    /// Does something with one in a database of its own.
    pub(crate) fn in_a_database<T>(test: impl AsyncFnOnce(Self) -> T) -> T {
        let database = Database::migrated();
        database.runtime.block_on(async { test(Self::new(&database.test).await).await })
    }

    /// In a database that is migrated.
    pub(crate) async fn new(database: &TestDatabase) -> Self {
        let config: PostgresConfig = configured(PostgresConfig::new(database.options()));
        let pool = PgPool::connect_with(database.options()).await.unwrap();
        let append_any = sqlx::raw_sql(include_str!("append_any.sql"));
        append_any.execute(&pool).await.unwrap();
        let store = Mutex::new(PostgresStore::open(config.clone()).await.unwrap());
        Self { store, config, pool }
    }

    pub(crate) fn store(&self) -> PostgresStore {
        self.store.lock().unwrap().clone()
    }

    pub(crate) async fn run(&self, statements: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&self.pool).await;
        assert!(done.is_ok(), "{statements}: {done:?}");
    }

    /// The refusal of a statement.
    pub(crate) async fn refused(&self, statement: &str) -> PgError {
        let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&self.pool).await;
        PgError::from(done.expect_err(statement).into_database_error().expect(statement))
    }

    /// The first column of all rows, as text.
    pub(crate) async fn texts(&self, statement: &str) -> Vec<String> {
        let rows = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| row.get_unchecked(0)).collect()
    }

    /// Removes everything and registers postings with the ids from 1.
    pub(crate) async fn clear(&self, postings: i32) {
        self.run(&format!(
            "ALTER TABLE execution_events DISABLE TRIGGER execution_events_are_append_only;
             TRUNCATE execution_events, posting_state_rows, posting_state_completions, posting_state_values,
                 posting_state_snapshots, postings;
             ALTER TABLE execution_events ENABLE ALWAYS TRIGGER execution_events_are_append_only;
             INSERT INTO postings (posting_id) SELECT generate_series(1, {postings})"
        ))
        .await;
        let store = PostgresStore::open(self.config.clone()).await.unwrap();
        *self.store.lock().unwrap() = store;
    }

    /// The rows of the projection.
    pub(crate) async fn rows(&self) -> Vec<String> {
        self.texts("SELECT p::text FROM posting_state_projection p ORDER BY posting_id").await
    }

    /// Folds what is there without a gap from version 1, up to a version. An event that cannot be
    /// read changes nothing.
    pub(crate) async fn fold(&self, posting: i32, up_to: i64) -> Folded {
        let stream = StreamId::new("posting", &posting.to_string()).unwrap();
        let mut folded = Folded::default();
        let mut next = Some(ReadStream::new(stream));
        while let Some(read) = next {
            let page = self.store().read_stream(&read).await.unwrap();
            for event in &page.events {
                let version = i64::try_from(event.version.as_u64()).unwrap();
                if version != folded.version + 1 || version > up_to {
                    return folded;
                }
                folded.version = version;
                for event in event.decode::<PostingEvent>().into_iter().flatten() {
                    folded.state.evolve(&event);
                }
            }
            next = read.after(&page);
        }
        folded
    }

    /// The row of a posting is what its events make of it in Rust.
    #[track_caller]
    pub(crate) fn assert_equals_fold(&self, posting: i32, what: &str) -> impl Future<Output = ()> {
        let what = format!("posting {posting}, {what}");
        async move {
            let folded = self.fold(posting, i64::MAX).await;
            let statement = format!(
                "SELECT posting_state_json(p)::text, p.aggregate_version::bigint, p.current_conversation_id,
                     p.execution_sequence, p.outputs::text, p.is_terminal
                 FROM posting_state_projection p WHERE posting_id = {posting}"
            );
            let row =
                sqlx::query(AssertSqlSafe(statement)).fetch_optional(&self.pool).await.unwrap();
            let Some(row) = row else {
                let events = format!(
                    "SELECT 1::text FROM execution_events WHERE aggregate_type = 'posting' AND aggregate_id = {posting}"
                );
                assert!(self.texts(&events).await.is_empty(), "{what}: there is no row");
                return;
            };
            assert_eq!(row.get::<i64, _>(1), folded.version, "{what}");
            let parsed = |text: String| Payload::parse(text).unwrap();
            let state = &folded.state;
            assert_eq!(parsed(row.get(0)), Payload::of(state).unwrap(), "{what}");
            let current = state.current_conversation_id().map(|id| id.0);
            assert_eq!(row.get::<Option<i32>, _>(2), current, "{what}");
            let sequence: Vec<_> = state.execution_sequence().iter().map(|id| id.0).collect();
            assert_eq!(row.get::<Vec<i32>, _>(3), sequence, "{what}");
            assert_eq!(parsed(row.get(4)), Payload::of(state.outputs()).unwrap(), "{what}");
            assert_eq!(row.get::<bool, _>(5), state.is_terminal(), "{what}");
            // and Rust reads it
            let read: Posting = serde_json::from_str(&row.get::<String, _>(0)).unwrap();
            assert_eq!(Payload::of(&read).unwrap(), Payload::of(state).unwrap(), "{what}");
        }
    }
}
