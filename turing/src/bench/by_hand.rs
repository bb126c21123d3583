//! The least that a step could cost: its program is started and waited for, and one row is written
//! durably.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use es_core::execution::StoreError;
use es_postgres::PostgresConfig;
use es_postgres::sqlx::{self, AssertSqlSafe, PgConnection};
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use super::BenchError;
use crate::run::RunError;
use crate::script::run_plainly;
use crate::store::StoreUrl;

/// About what an event of a step has.
const ROW: &str = r#"{"output":"","status":"SUCCESS","conversation_id":1,"run_id":"0193a1d4-0000-7000-8000-000000000001","correlation_id":"workflow_1_posting_1","duration_ms":1}"#;

/// How long so many steps take.
pub(super) async fn seconds(url: &StoreUrl, steps: u32) -> Result<f64, BenchError> {
    let mut table = Table::in_store(url).await?;
    let began = Instant::now();
    for _ in 0..steps {
        spawn_blocking(start).await.map_err(RunError::Broken)??;
        table = table.written().await?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Starts a program that does nothing, and waits for it.
fn start() -> Result<(), BenchError> {
    let mut command = Command::new("true");
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    run_plainly(&mut command).map_err(BenchError::system("`true` cannot be started"))?;
    Ok(())
}

/// A table in an empty store.
enum Table {
    Nowhere,
    Sqlite(PathBuf, Connection),
    Postgres { connection: PgConnection, config: Box<PostgresConfig>, insert: String },
}

impl Table {
    async fn in_store(url: &StoreUrl) -> Result<Self, BenchError> {
        Ok(match url {
            StoreUrl::Memory => Self::Nowhere,
            StoreUrl::Sqlite(path) => {
                let connection = file(path).map_err(|error| in_file(path, error))?;
                Self::Sqlite(path.clone(), connection)
            }
            StoreUrl::Postgres(url) => {
                let config = Box::new(url.config());
                let fill = |text: &str| text.replace("{schema}", config.names().schema.as_str());
                let insert = fill(include_str!("sql/by_hand_insert.sql"));
                let mut connection = config.connect().await?;
                for text in
                    [include_str!("sql/by_hand_durable.sql"), include_str!("sql/by_hand_table.sql")]
                {
                    let made = sqlx::raw_sql(AssertSqlSafe(fill(text)));
                    let made = made.execute(&mut connection).await;
                    made.map_err(|error| in_database(&config, error))?;
                }
                Self::Postgres { connection, config, insert }
            }
        })
    }

    /// The same with one row more.
    async fn written(self) -> Result<Self, BenchError> {
        match self {
            Self::Nowhere => Ok(Self::Nowhere),
            Self::Sqlite(path, connection) => {
                let writing = spawn_blocking(move || {
                    let insert = include_str!("sql/by_hand_insert_sqlite.sql");
                    let written = connection
                        .prepare_cached(insert)
                        .and_then(|mut insert| insert.execute([ROW]));
                    match written {
                        Ok(_) => Ok(Self::Sqlite(path, connection)),
                        Err(error) => Err(in_file(&path, error)),
                    }
                });
                Ok(writing.await.map_err(RunError::Broken)??)
            }
            Self::Postgres { mut connection, config, insert } => {
                let writing = sqlx::query(AssertSqlSafe(insert.clone())).bind(ROW);
                let written = writing.execute(&mut connection).await;
                written.map_err(|error| in_database(&config, error))?;
                Ok(Self::Postgres { connection, config, insert })
            }
        }
    }
}

/// A file as a store has it: with a log, and flushed by each transaction.
fn file(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute(include_str!("sql/by_hand_table_sqlite.sql"), [])?;
    Ok(connection)
}

const WHAT: &str = "writing rows by hand";

fn in_file(path: &Path, error: rusqlite::Error) -> StoreError {
    es_sqlite::store_error(WHAT, path, error)
}

fn in_database(config: &PostgresConfig, error: sqlx::Error) -> StoreError {
    es_postgres::store_error(WHAT, &config.place(), error)
}
