//! Databases for tests.

use std::{process, thread, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{server::Server, wanted::Wanted};

/// The key of the advisory lock that whoever makes a template holds.
const TEMPLATE_LOCK: i64 = 0x6573_7067_7465_7374;

/// How long dropping a database may hold up a test.
const PATIENCE: Duration = Duration::from_secs(10);

/// A database that only its test uses; dropped with everything in it when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    server: Server,
    name: String,
}

impl TestDatabase {
    /// Its name, which no other has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        self.server.connect_options(&self.name)
    }

    /// Its URL, for sqlx and for PostgreSQL's own programs.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// The server that it is on.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Drop for TestDatabase {
    /// As far as possible: what is left goes with the server.
    fn drop(&mut self) {
        if self.server.is_private() {
            return;
        }
        let options = self.server.administrators_options();
        let statement = drop_statement(&self.name);
        // a runtime of its own: this may be dropped within one, or without any
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                let _ = runtime.block_on(async {
                    tokio::time::timeout(PATIENCE, execute_once(&options, statement)).await
                });
            }
        });
        let _ = dropping.join();
    }
}

impl TestDatabase {
    /// Makes functions beside those of a schema that take other types, as somebody may who can create
    /// there, and that fail with the code `XXPWN`: whatever calls a function with an argument of no
    /// type means one of them.
    ///
    /// # Panics
    ///
    /// If the server refuses it.
    pub async fn plant_overloads(&self, schema: &str) {
        let statement =
            include_str!("sql/plant_overloads.sql").replace("{schema}", &quoted(schema));
        if let Err(error) = execute_once(&self.options(), statement).await {
            panic!("functions cannot be planted: {error}");
        }
    }
}

async fn execute_once(options: &PgConnectOptions, statement: String) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

impl Server {
    /// A new, empty database: UTF-8, locale C unless `ES_PGTEST_LOCALE` names another.
    ///
    /// # Panics
    ///
    /// If the server does not answer or does not let its user create databases.
    pub async fn database(&self) -> TestDatabase {
        let mut connection = self.administrator().await;
        let name = create(&mut connection, "template0").await;
        let _ = connection.close().await;
        TestDatabase { server: self.clone(), name }
    }

    /// A new database that equals the template of this name. If the server has no template of
    /// this name yet, `prepare` gets an empty database to make it of; so the name must say what
    /// it contains, by a digest for instance. Of many processes one prepares and the others
    /// wait. A template that was not finished is made anew.
    ///
    /// # Panics
    ///
    /// If the server does not answer or does not let its user create databases, or the name has
    /// more than 50 bytes.
    pub async fn database_from(
        &self,
        template: &str,
        prepare: impl AsyncFnOnce(PgConnectOptions),
    ) -> TestDatabase {
        assert!(template.len() <= 50, "the name of a template has at most 50 bytes: {template}");
        let template = format!("es_tpl_{template}");
        let mut connection = self.administrator().await;
        if !exists(&mut connection, &template).await {
            sqlx::query(include_str!("sql/lock.sql"))
                .bind(TEMPLATE_LOCK)
                .execute(&mut connection)
                .await
                .expect("the server locks");
            if !exists(&mut connection, &template).await {
                let unfinished = format!("{template}_new");
                run(&mut connection, drop_statement(&unfinished)).await;
                let empty = create_statement(&connection, &unfinished, "template0");
                run(&mut connection, empty).await;
                prepare(self.connect_options(&unfinished)).await;
                finish(&mut connection, &unfinished, &template).await;
            }
            sqlx::query(include_str!("sql/unlock.sql"))
                .bind(TEMPLATE_LOCK)
                .execute(&mut connection)
                .await
                .expect("the server unlocks");
        }
        let name = create(&mut connection, &template).await;
        let _ = connection.close().await;
        TestDatabase { server: self.clone(), name }
    }
}

/// Gives a prepared database its final name, by which it becomes a template.
async fn finish(connection: &mut PgConnection, unfinished: &str, template: &str) {
    // nobody connects to a template, and who is still connected is sent away: a database that
    // is in use is neither renamed nor copied
    run(connection, named(include_str!("sql/close_database.sql"), unfinished)).await;
    sqlx::query(include_str!("sql/end_sessions.sql"))
        .bind(unfinished)
        .execute(&mut *connection)
        .await
        .expect("the server ends sessions");
    let rename = named(include_str!("sql/rename_database.sql"), unfinished);
    run(connection, rename.replace("{new_name}", &quoted(template))).await;
}

async fn exists(connection: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar(include_str!("sql/has_database.sql"))
        .bind(name)
        .fetch_one(connection)
        .await
        .expect("the server lists its databases")
}

/// Creates a database with a name that no other has.
async fn create(connection: &mut PgConnection, template: &str) -> String {
    let name = format!("es_test_{}_{:016x}", process::id(), fastrand::u64(..));
    let statement = create_statement(connection, &name, template);
    run(connection, statement).await;
    name
}

fn create_statement(connection: &PgConnection, name: &str, template: &str) -> String {
    let statement = if Wanted::from_environment().is_natural() {
        include_str!("sql/create_database_like_cluster.sql")
    } else {
        include_str!("sql/create_database.sql")
    };
    // through the log, as it is by default from 15 on, it takes four times as long
    let can_choose = connection.server_version_num().is_some_and(|version| version >= 150_000);
    let strategy = if can_choose { "STRATEGY file_copy" } else { "" };
    named(statement, name).replace("{template}", &quoted(template)).replace("{strategy}", strategy)
}

fn drop_statement(name: &str) -> String {
    named(include_str!("sql/drop_database.sql"), name)
}

/// A statement with the name of a database in it.
fn named(statement: &str, name: &str) -> String {
    statement.replace("{name}", &quoted(name))
}

async fn run(connection: &mut PgConnection, statement: String) {
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(connection).await {
        panic!("{statement}: {error}");
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
