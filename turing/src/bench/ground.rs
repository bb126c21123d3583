//! Where stores are made for measuring, of which nothing is left.

use std::path::Path;

use es_core::environment::Environment;
use es_core::execution::StoreError;
use es_postgres::sqlx::{self, AssertSqlSafe};
use es_postgres::{Identifier, store_error};
use tempfile::TempDir;

use super::BenchError;
use crate::store::StoreUrl;
use crate::store::postgres::{PostgresUrl, migrate};

/// Beside a store that is there or not, and that stays as it is: the folder of its file, or its
/// database.
#[derive(Debug)]
pub(crate) struct Ground {
    beside: StoreUrl,
    /// What is written for the runs, and stores in files.
    folder: TempDir,
    /// How many stores there were.
    count: usize,
    /// The schemas that may be there.
    schemas: Vec<(PostgresUrl, Identifier)>,
}

impl Ground {
    /// Makes a folder, beside the store if that is a file.
    pub(crate) fn beside(url: &StoreUrl) -> Result<Self, BenchError> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("turing-bench-");
        let folder = match url {
            StoreUrl::Sqlite(path) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                builder.tempdir_in(parent.unwrap_or(Path::new(".")))
            }
            StoreUrl::Memory | StoreUrl::Postgres(_) => builder.tempdir(),
        };
        let failed = BenchError::system(format!("no folder can be made for stores beside {url}"));
        let folder = folder.map_err(failed)?;
        Ok(Self { beside: url.clone(), folder, count: 0, schemas: Vec::new() })
    }

    /// Where the definition and the postings of a run are.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// In words.
    pub(super) fn place(&self) -> String {
        match &self.beside {
            StoreUrl::Memory => "memory".to_owned(),
            StoreUrl::Sqlite(path) => format!("SQLite files beside {}", path.display()),
            StoreUrl::Postgres(url) => format!("schemas in {}", url.config().place()),
        }
    }

    /// A store of its own, which is empty.
    pub(super) async fn fresh(&mut self) -> Result<StoreUrl, BenchError> {
        self.count += 1;
        let url = match &self.beside {
            StoreUrl::Memory => return Ok(StoreUrl::Memory),
            StoreUrl::Sqlite(_) => {
                return Ok(StoreUrl::Sqlite(self.folder.path().join(format!("{}.db", self.count))));
            }
            StoreUrl::Postgres(url) => url,
        };
        // also beside another one that measures in the same database
        let id = Environment::default().event_ids.next_id().as_uuid();
        let schema = Identifier::new(&format!("bench_{}", id.simple()))
            .expect("letters, digits and underscores are an identifier");
        let url = url.in_schema(&schema);
        self.schemas.push((url.clone(), schema));
        migrate(&url.config()).await?;
        Ok(StoreUrl::Postgres(url))
    }

    /// Removes a store that is closed.
    pub(super) async fn clear(&mut self, url: &StoreUrl) -> Result<(), BenchError> {
        match url {
            StoreUrl::Memory => {}
            StoreUrl::Sqlite(path) => {
                for end in ["", "-wal", "-shm"] {
                    let mut file = path.clone().into_os_string();
                    file.push(end);
                    // whatever is left goes with the folder
                    let _ = std::fs::remove_file(file);
                }
            }
            StoreUrl::Postgres(_) => self.drop_schemas().await?,
        }
        Ok(())
    }

    /// Removes all that was made.
    pub(crate) async fn remove(mut self) -> Result<(), BenchError> {
        let dropped = self.drop_schemas().await;
        let path = self.folder.path().display().to_string();
        let removed = self.folder.close();
        dropped?;
        removed.map_err(BenchError::system(format!("the folder {path} cannot be removed")))
    }

    async fn drop_schemas(&mut self) -> Result<(), BenchError> {
        while let Some((url, schema)) = self.schemas.last() {
            dropped(url, schema).await.map_err(|source| BenchError::LeftBehind {
                left: format!("the schema {} of {}", schema.as_str(), url.config().place()),
                source,
            })?;
            self.schemas.pop();
        }
        Ok(())
    }
}

async fn dropped(url: &PostgresUrl, schema: &Identifier) -> Result<(), StoreError> {
    let config = url.config();
    let statement = include_str!("sql/drop_schema.sql").replace("{schema}", schema.as_str());
    let mut connection = config.connect().await?;
    let dropping = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
    dropping.map_err(|error| store_error("removing a schema", &config.place(), error))?;
    Ok(())
}
