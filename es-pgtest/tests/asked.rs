//! The servers are what the environment asks for; without variables they are the usual ones.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use es_pgtest::{Server, TransactionPooler};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Row, postgres::PgConnectOptions, raw_sql,
};

fn asked(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The first value of an answer, as text.
async fn text(options: &PgConnectOptions, query: &str) -> String {
    // a pooler refuses this parameter
    let options = options.clone().extra_float_digits(None);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let row = connection.fetch_one(raw_sql(AssertSqlSafe(query))).await.unwrap();
    row.get_unchecked(0)
}

#[tokio::test]
async fn the_version_is_that_of_the_programs() {
    let Some(folder) = asked("ES_PGTEST_BINDIR") else { return };
    let program = Path::new(&folder).join("postgres");
    let said = Command::new(program).arg("--version").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let options = Server::shared().connect_options("postgres");
    let version = text(&options, "SHOW server_version").await;
    assert!(said.contains(version.split(' ').next().unwrap()), "{said} is not {version}");
}

#[tokio::test]
async fn the_locale_of_databases_is_c_or_what_is_asked_for() {
    let database = Server::shared().database().await;
    // where two lists of names part: case and punctuation
    let sorted = "SELECT string_agg(x, ' ' ORDER BY x) FROM unnest('{a_c,B,ab}'::text[]) x";
    let natural = asked("ES_PGTEST_LOCALE").is_some();
    let expected = if natural { "ab a_c B" } else { "B a_c ab" };
    assert_eq!(text(&database.options(), sorted).await, expected);
}

#[tokio::test]
async fn commits_wait_for_the_standby_that_is_asked_for() {
    let options = Server::shared().connect_options("postgres");
    let sync = "SELECT count(*)::text FROM pg_stat_replication WHERE sync_state = 'sync'";
    if asked("ES_PGTEST_STANDBY").is_none() {
        return;
    }
    let database = Server::shared().database().await;
    text(&database.options(), "CREATE TABLE t (n INT); SELECT pg_current_xact_id()::text").await;
    assert_eq!(text(&options, sync).await, "1");
    let standby = options.port(5433);
    assert_eq!(text(&standby, "SELECT pg_is_in_recovery()::text").await, "true");
}

#[tokio::test]
async fn the_pooler_is_the_one_that_is_asked_for() {
    let pooler = TransactionPooler::start(Server::shared()).await;
    if asked("ES_PGTEST_POOLER").is_some() {
        let version = text(&pooler.options("pgbouncer"), "SHOW VERSION").await;
        assert!(version.starts_with("PgBouncer"), "{version}");
    }
    let database = Server::shared().database().await;
    let options = pooler.options(database.name());
    let work = "CREATE TABLE t AS SELECT 1 AS n; SELECT n::text FROM t";
    assert_eq!(text(&options, work).await, "1");
    let url: PgConnectOptions = pooler.url(database.name()).parse().unwrap();
    assert_eq!(text(&url, "SELECT n::text FROM t").await, "1");
    // a role that was made after the pooler had started
    let role = format!("role_of_{}", database.name());
    text(&options, &format!("CREATE ROLE {role} LOGIN; SELECT ''")).await;
    assert_eq!(text(&url.username(&role), "SELECT current_user::text").await, role);
    drop(database);
    let drop = format!("DROP ROLE {role}; SELECT ''");
    text(&Server::shared().connect_options("postgres"), &drop).await;
}

/// What [`a_pooler_ends_with_its_process`] runs in a process of its own.
#[tokio::test]
async fn user_of_a_pooler() {
    if env::var_os("ES_PGTEST_USER").is_some() {
        let pooler = TransactionPooler::start(Server::shared()).await;
        println!("folder={}", pooler.options("postgres").get_socket().unwrap().display());
        let _ = std::io::stdin().read(&mut [0]);
    }
}

#[test]
fn a_pooler_ends_with_its_process() {
    if asked("ES_PGTEST_POOLER").is_none() {
        return;
    }
    let mut user = Command::new(env::current_exe().unwrap())
        .args(["--exact", "user_of_a_pooler", "--nocapture"])
        .env("ES_PGTEST_USER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(user.stdout.take().unwrap()).lines();
    let sockets = said
        .find_map(|line| Some(line.unwrap().split_once("folder=")?.1.to_owned()))
        .expect("the process says where its pooler is");
    let folder = Path::new(&sockets).parent().unwrap();
    let pid = std::fs::read_to_string(folder.join("data/pgbouncer.pid")).unwrap();
    user.kill().unwrap();
    user.wait().unwrap();
    while folder.exists() || Path::new("/proc").join(pid.trim()).exists() {
        std::thread::yield_now();
    }
}
