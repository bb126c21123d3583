//! Postings registered in two tables beside the events, in the same PostgreSQL database.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::execution::StoreError;
use es_postgres::sqlx::pool::PoolConnection;
use es_postgres::sqlx::postgres::{PgPool, PgPoolOptions};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, PgConnection, Postgres, Row, SqlStr};
use es_postgres::{Layout, PostgresConfig, store_error};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use turing_domain::PostingId;

use super::{FIRST_ASSIGNED, Known, PostingRegistry, Tables, register, stored};
use crate::postings::{PostingInput, RefusedPosting};

/// Connections, made when they are needed.
const CONNECTIONS: u32 = 2;

/// How long the server has to answer, which ends a statement itself after half of that.
const ANSWERING: Duration = Duration::from_secs(60);

/// How long a connection is asked for before it is told why there is none.
const CONNECTING: Duration = Duration::from_secs(10);

/// For how long all are told the same reason: each look for it takes one more connection.
const REFUSED: Duration = Duration::from_secs(5);

/// How long it has to hear that a connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);

/// A registry in the database of a [`PostgresStore`](es_postgres::PostgresStore).
#[derive(Debug, Clone)]
pub struct PostgresRegistry {
    pool: PgPool,
    statements: Arc<Statements>,
    /// Why there was no connection, and when that was asked last.
    refused: Arc<Mutex<Option<(Instant, StoreError)>>>,
    /// How its transactions begin: whatever the server is set to, a race is waited for, and not for ever.
    begin: SqlStr,
    place: String,
}

/// Declares the statements by the names of their files.
macro_rules! statements {
    ($($name:ident)*) => {
        #[derive(Debug)]
        struct Statements {
            $($name: String,)*
        }

        impl Statements {
            /// The names of a layout are identifiers, which cannot change a statement.
            fn new(layout: &Layout) -> Self {
                let fill = |text: &str| text.replace("{schema}", layout.schema.as_str());
                Self {
                    $($name: fill(include_str!(concat!(
                        "sql/postgres/",
                        stringify!($name),
                        ".sql"
                    ))),)*
                }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, &String)> {
                vec![$((stringify!($name), &self.$name),)*]
            }
        }
    };
}

statements! {
    assigned
    highest_assigned
    insert_assigned
    insert_postings
    known_data
    lock
    posting_data
    taken
}

/// A connection of the pool, which gets it back if the transaction on it has ended.
struct Lent {
    connection: PoolConnection<Postgres>,
    has_ended: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.has_ended {
            self.connection.close_on_drop();
        }
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// A statement that is prepared for one use, so that a pooling proxy may stand in between.
fn query(statement: &str) -> Query<'static> {
    sqlx::query(AssertSqlSafe(statement.to_owned())).persistent(false)
}

impl PostgresRegistry {
    /// The registry in the database that `config` leads to.
    pub fn new(config: &PostgresConfig) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECTING)
            .connect_lazy_with(config.connect_options());
        let statements = Statements::new(config.names()).into();
        let (begin, place) = (config.begin_pinned(), config.place());
        Self { pool, statements, refused: Arc::default(), begin, place }
    }

    /// Closes its connections; a server that does not answer is left alone soon.
    pub async fn close(&self) {
        // the server notices in any case
        let _ = timeout(FAREWELL, self.pool.close()).await;
    }

    /// Does something with the server, which may have stopped answering.
    async fn in_time<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let done = timeout(ANSWERING, work).await;
        let done = done.unwrap_or_else(|_| Err(sqlx::Error::Io(ErrorKind::TimedOut.into())));
        match done {
            Ok(answer) => Ok(answer),
            Err(sqlx::Error::PoolTimedOut) => Err(self.refusal().await),
            Err(error) => Err(store_error(what, &self.place, error)),
        }
    }

    /// Why there was no connection: a pool asks for one until its time is up, and does not say what it
    /// was told. One asks for all who wait.
    async fn refusal(&self) -> StoreError {
        let mut refused = self.refused.lock().await;
        if let Some((asked, error)) = &*refused
            && asked.elapsed() < REFUSED
        {
            return error.clone();
        }
        let options = self.pool.connect_options();
        let error = match timeout(CONNECTING, options.connect()).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
        };
        let error = store_error("asking for a connection", &self.place, error);
        *refused = Some((Instant::now(), error.clone()));
        error
    }

    /// What the row of a posting holds, if there is one. One message is the whole transaction: its
    /// settings, the question and its end.
    async fn text_of(&self, posting: PostingId) -> Result<Option<String>, sqlx::Error> {
        let question = self.statements.posting_data.replace("$1", &posting.0.to_string());
        let text = format!("{}; {question}; COMMIT", self.begin.as_str());
        let mut lent = Lent { connection: self.pool.acquire().await?, has_ended: false };
        let asked = sqlx::raw_sql(AssertSqlSafe(text));
        let rows = asked.fetch_all(&mut *lent.connection).await?;
        lent.has_ended = true;
        // a setting may have answered before it
        rows.last().ok_or(sqlx::Error::RowNotFound)?.try_get(0)
    }

    async fn register_within(
        &self,
        connection: &mut PgConnection,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, sqlx::Error> {
        query(&self.statements.lock).execute(&mut *connection).await?;
        let mut view = self.view(connection, &postings).await?;
        let registered = postings.into_iter().map(|posting| match register(&mut view, posting) {
            Ok(registered) => registered,
        });
        let registered = registered.collect();
        let (ids, data): (Vec<i32>, Vec<String>) =
            view.inserted.iter().map(|(id, data)| (id.0, data.clone())).unzip();
        if !ids.is_empty() {
            let insert = query(&self.statements.insert_postings).bind(ids).bind(data);
            insert.execute(&mut *connection).await?;
        }
        let (digests, ids): (Vec<String>, Vec<i32>) =
            view.remembered.iter().map(|(digest, id)| (digest.clone(), id.0)).unzip();
        if !ids.is_empty() {
            let insert = query(&self.statements.insert_assigned).bind(digests).bind(ids);
            insert.execute(connection).await?;
        }
        Ok(registered)
    }

    /// Everything that the rules may ask for these postings.
    async fn view(
        &self,
        connection: &mut PgConnection,
        postings: &[PostingInput],
    ) -> Result<View, sqlx::Error> {
        let statements = &self.statements;
        let mut view = View::default();
        let row = query(&statements.highest_assigned).fetch_one(&mut *connection).await?;
        view.highest = row.try_get::<Option<i32>, _>(0)?.map(PostingId);
        let digests: Vec<String> = postings
            .iter()
            .filter(|posting| posting.posting_id.is_none())
            .flat_map(|posting| [posting.digest(), posting.former_digest()])
            .collect();
        // one for each posting: one that brings its id may bring the next free one
        let wanted = i64::try_from(postings.len()).unwrap_or(i64::MAX);
        let rows = query(&statements.assigned).bind(digests).fetch_all(&mut *connection).await?;
        for row in rows {
            view.assigned.insert(row.try_get(0)?, PostingId(row.try_get(1)?));
        }
        let after = view.highest.map_or(FIRST_ASSIGNED - 1, |id| id.0);
        let taken = query(&statements.taken).bind(after).bind(wanted);
        for row in taken.fetch_all(&mut *connection).await? {
            // only that they are taken is asked of them
            view.data.insert(PostingId(row.try_get(0)?), Known::Unreadable);
        }
        let ids: Vec<i32> =
            postings.iter().filter_map(|posting| posting.posting_id.map(|id| id.0)).collect();
        for row in query(&statements.known_data).bind(ids).fetch_all(connection).await? {
            let id = PostingId(row.try_get(0)?);
            view.data.insert(id, Known::of(Some(row.try_get(1)?)));
        }
        Ok(view)
    }
}

/// What the tables hold, as far as it concerns the postings that are registered, and what is to be
/// written to them.
#[derive(Default)]
struct View {
    data: HashMap<PostingId, Known>,
    assigned: HashMap<String, PostingId>,
    highest: Option<PostingId>,
    inserted: Vec<(PostingId, String)>,
    remembered: Vec<(String, PostingId)>,
}

impl Tables for View {
    type Error = Infallible;

    fn data(&mut self, posting: PostingId) -> Result<Known, Infallible> {
        Ok(self.data.get(&posting).cloned().unwrap_or(Known::Nothing))
    }

    fn assigned(&mut self, digest: &str) -> Result<Option<PostingId>, Infallible> {
        Ok(self.assigned.get(digest).copied())
    }

    fn highest_assigned(&mut self) -> Result<Option<PostingId>, Infallible> {
        Ok(self.highest)
    }

    fn insert(&mut self, posting: PostingId, data: Map<String, Value>) -> Result<(), Infallible> {
        self.inserted.push((posting, stored(&data)));
        self.data.insert(posting, Known::Data(data));
        Ok(())
    }

    fn remember(&mut self, digest: &str, posting: PostingId) -> Result<(), Infallible> {
        self.assigned.insert(digest.to_owned(), posting);
        self.remembered.push((digest.to_owned(), posting));
        self.highest = self.highest.max(Some(posting));
        Ok(())
    }
}

#[async_trait]
impl PostingRegistry for PostgresRegistry {
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
        if postings.is_empty() {
            return Ok(Vec::new());
        }
        let registering = async {
            let mut transaction = self.pool.begin_with(self.begin.clone()).await?;
            let registered = self.register_within(&mut transaction, postings).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(registered)
        };
        self.in_time("registering postings", registering).await
    }

    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
        let row = self.in_time("reading a posting", self.text_of(posting)).await?;
        Known::of(row).into_data(posting, &self.place)
    }
}

#[cfg(test)]
mod tests {
    use es_pgtest::Server;
    use es_postgres::sqlx::{Executor, SqlSafeStr};

    use super::*;
    use crate::store::postgres;

    #[tokio::test]
    async fn every_statement_prepares_on_a_migrated_database() {
        let database = Server::shared().database().await;
        let config: PostgresConfig = database.url().parse().unwrap();
        postgres::migrate(&config).await.unwrap();
        let mut connection = database.options().connect().await.unwrap();
        let statements = Statements::new(postgres::configured(config).names());
        for (name, statement) in statements.all() {
            if name == "lock" {
                continue;
            }
            let prepared =
                (&mut connection).prepare(AssertSqlSafe(statement.clone()).into_sql_str()).await;
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
    }

    #[tokio::test]
    async fn who_gets_no_connection_is_told_why() {
        let database = Server::shared().database().await;
        let config: PostgresConfig = database.url().parse().unwrap();
        postgres::migrate(&config).await.unwrap();
        // roles are of the whole server
        let role = format!("few_{}", database.name());
        let make = format!("CREATE ROLE \"{role}\" LOGIN CONNECTION LIMIT 0");
        let mut owner = database.options().connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut owner).await.unwrap();
        let config = PostgresConfig::new(database.options().username(&role));
        let registry = PostgresRegistry::new(&postgres::configured(config));
        let error = registry.data(PostingId(1)).await.unwrap_err();
        assert_eq!(error.kind(), es_core::execution::StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("raise the role's CONNECTION LIMIT"), "{error}");
        // whoever else waited is told the same, without one more connection for each
        let raise = format!("ALTER ROLE \"{role}\" CONNECTION LIMIT 5");
        sqlx::raw_sql(AssertSqlSafe(raise)).execute(&mut owner).await.unwrap();
        assert_eq!(registry.refusal().await.to_string(), error.to_string());
        registry.close().await;
        let drop = format!("DROP ROLE \"{role}\"");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut owner).await.unwrap();
    }

    #[tokio::test]
    async fn who_registers_does_not_wait_for_ever() {
        let database = Server::shared().database().await;
        let config: PostgresConfig = database.url().parse().unwrap();
        postgres::migrate(&config).await.unwrap();
        let config = postgres::configured(config).lock_timeout(Duration::from_millis(50));
        let registry = PostgresRegistry::new(&config);
        let mut held = database.options().connect().await.unwrap();
        let hold = "BEGIN; LOCK TABLE assigned_postings, postings";
        sqlx::raw_sql(hold).execute(&mut held).await.unwrap();
        let posting: PostingInput =
            PostingInput { posting_id: None, data: Map::new(), source: "postings".to_owned() };
        for failed in
            [registry.register(vec![posting]).await.err(), registry.data(PostingId(1)).await.err()]
        {
            assert_eq!(failed.unwrap().kind(), es_core::execution::StoreErrorKind::Busy);
        }
        registry.close().await;
    }
}
