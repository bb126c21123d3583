//! A database of its own for each test, and SQL in it.

use std::hash::{DefaultHasher, Hash, Hasher};

use es_pgtest::{Server, TestDatabase};
use es_postgres::PostgresConfig;
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::runtime::Runtime;
use turing::store::postgres::{configured, script};

use crate::support::{Answer, Workspace};

/// A database, and the runtime on which it is spoken to.
pub(crate) struct Database {
    pub(crate) test: TestDatabase,
    pub(crate) runtime: Runtime,
}

impl Database {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::on(Server::shared())
    }

    /// An empty one on this server.
    pub(crate) fn on(server: &Server) -> Self {
        let runtime = Runtime::new().unwrap();
        let test = runtime.block_on(server.database());
        Self { test, runtime }
    }

    /// One that is up to date, as `turing migrate` makes it: it equals a template, for which a run of
    /// tests calls that once.
    pub(crate) fn migrated() -> Self {
        let (runtime, server) = (Runtime::new().unwrap(), Server::shared());
        let made = async |empty: PgConnectOptions| {
            let url = server.url(empty.get_database().unwrap());
            directly(&Workspace::new(), &url, &["migrate"]).expect_code(0);
        };
        let test = runtime.block_on(server.database_from(&template(), made));
        Self { test, runtime }
    }

    /// One that is up to date, on a server of its own.
    pub(crate) fn migrated_on(server: &Server) -> Self {
        let database = Self::on(server);
        directly(&Workspace::new(), &database.url(), &["migrate"]).expect_code(0);
        database
    }

    /// One that a program made which knew no step of Turing's own from the one of this name on.
    pub(crate) fn before(step: &str) -> Self {
        let database = Self::new();
        let printed =
            directly(&Workspace::new(), &database.url(), &["migrate", "--print"]).expect_code(0);
        // each step begins with its number and its name
        let at = printed.stdout.find(&format!(" {step} (from ")).expect(step);
        let begin = printed.stdout[..at].rfind("\n-- ").expect(step);
        database.run(&printed.stdout[..begin]);
        database
    }

    pub(crate) fn url(&self) -> String {
        self.test.url()
    }

    /// The same for another role.
    pub(crate) fn url_as(&self, role: &str) -> String {
        let url = self.test.url();
        assert!(url.contains("user="), "{url}");
        let (before, after) = url.split_once("user=").unwrap();
        let rest = after.split_once('&').map_or(String::new(), |(_, rest)| format!("&{rest}"));
        format!("{before}user={role}{rest}")
    }

    pub(crate) fn run(&self, statements: &str) {
        self.try_run(None, statements).unwrap();
    }

    /// Runs statements as a role.
    pub(crate) fn try_run(&self, role: Option<&str>, statements: &str) -> Result<(), sqlx::Error> {
        self.runtime.block_on(async {
            let mut options = self.test.options();
            if let Some(role) = role {
                options = options.username(role);
            }
            let mut connection = options.connect().await.unwrap();
            let statements = sqlx::raw_sql(AssertSqlSafe(statements));
            let done = statements.execute(&mut connection).await;
            connection.close().await.unwrap();
            done.map(drop)
        })
    }

    /// The first column of all rows, as text.
    pub(crate) fn texts(&self, statement: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let mut connection = self.test.options().connect().await.unwrap();
            let rows =
                sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| row.get_unchecked(0)).collect()
        })
    }

    pub(crate) fn number(&self, statement: &str) -> i64 {
        self.texts(statement)[0].parse().unwrap()
    }
}

/// The name of the template: it says what this program's migrations make.
fn template() -> String {
    let config = configured(PostgresConfig::new(PgConnectOptions::new_without_pgpass()));
    let mut digest = DefaultHasher::new();
    script(config.names()).hash(&mut digest);
    format!("turing_{:016x}", digest.finish())
}

/// The program on this store; through pgbouncer where one is asked for, except for what may
/// migrate, which no pooler lets through.
pub(crate) fn turing(workspace: &Workspace, url: &str, arguments: &[&str]) -> Answer {
    let may_migrate = matches!(arguments.first(), Some(&("migrate" | "demo")));
    match es_pgtest::pooled_url(url) {
        Some(url) if !may_migrate => directly(workspace, &format!("{url}&pooled=true"), arguments),
        _ => directly(workspace, url, arguments),
    }
}

/// The program on this store, whatever is asked for.
pub(crate) fn directly(workspace: &Workspace, url: &str, arguments: &[&str]) -> Answer {
    workspace.command(arguments).env("TURING_STORE", url).output().unwrap().into()
}
