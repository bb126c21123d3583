//! The servers and their databases.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    str::FromStr,
    time::{Duration, Instant},
};

use es_pgtest::{Server, TestDatabase};
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

async fn number(options: PgConnectOptions, query: &'static str) -> i64 {
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

/// Polls a condition; the caller's harness ends a test that waits for ever.
fn wait_until(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "waited for too long");
        std::thread::yield_now();
    }
}

/// The folder of a temporary server.
fn folder(options: &PgConnectOptions) -> &Path {
    options.get_socket().unwrap().parent().unwrap()
}

#[tokio::test]
async fn the_shared_server_answers() {
    let options = Server::shared().connect_options("postgres");
    assert_eq!(number(options, "SELECT 1::bigint").await, 1);
}

#[tokio::test]
async fn a_url_connects_like_the_options() {
    let database = Server::shared().database().await;
    let options = PgConnectOptions::from_str(&database.url()).unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(name, database.name());
}

#[tokio::test]
async fn databases_of_one_template_are_equal_and_independent() {
    let prepare = async |options| {
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        connection.execute("CREATE TABLE t AS SELECT 7::bigint AS n").await.unwrap();
        // left open: a template is finished all the same
        std::mem::forget(connection);
    };
    let key = format!("{:016x}", fastrand::u64(..));
    let (one, two) = tokio::join!(
        Server::shared().database_from(&key, prepare),
        Server::shared().database_from(&key, prepare),
    );
    let three = Server::shared().database_from(&key, async |_| panic!("made twice")).await;
    let mut connection = PgConnection::connect_with(&one.options()).await.unwrap();
    connection.execute("INSERT INTO t VALUES (8)").await.unwrap();
    assert_eq!(number(one.options(), "SELECT sum(n)::bigint FROM t").await, 15);
    assert_eq!(number(two.options(), "SELECT sum(n)::bigint FROM t").await, 7);
    assert_eq!(number(three.options(), "SELECT sum(n)::bigint FROM t").await, 7);
}

#[tokio::test]
async fn a_template_that_was_not_finished_is_made_anew() {
    let key = format!("{:016x}", fastrand::u64(..));
    let half = tokio::spawn({
        let key = key.clone();
        async move {
            let _ = Server::shared()
                .database_from(&key, async |options| {
                    let mut connection = PgConnection::connect_with(&options).await.unwrap();
                    connection.execute("CREATE TABLE t AS SELECT 1::bigint AS n").await.unwrap();
                    panic!("the process dies here");
                })
                .await;
        }
    });
    assert!(half.await.unwrap_err().is_panic());
    let database = Server::shared()
        .database_from(&key, async |options| {
            let mut connection = PgConnection::connect_with(&options).await.unwrap();
            connection.execute("CREATE TABLE t AS SELECT 2::bigint AS n").await.unwrap();
        })
        .await;
    assert_eq!(number(database.options(), "SELECT n FROM t").await, 2);
}

#[tokio::test]
async fn a_dropped_database_is_gone_although_it_is_in_use() {
    let database = Server::shared().database().await;
    let name = database.name().to_owned();
    let _connection = PgConnection::connect_with(&database.options()).await.unwrap();
    drop(database);
    let mut connection =
        PgConnection::connect_with(&Server::shared().connect_options("postgres")).await.unwrap();
    let there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert!(!there);
}

#[tokio::test]
async fn one_session_is_ended_by_chance() {
    let database = Server::shared().database().await;
    let mut chance = fastrand::Rng::with_seed(1);
    assert!(!database.server().terminate_one(database.name(), &mut chance).await);
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    assert!(database.server().terminate_one(database.name(), &mut chance).await);
    connection.execute("SELECT 1").await.unwrap_err();
}

#[tokio::test]
async fn a_killed_server_recovers_what_was_committed_and_a_dropped_one_leaves_nothing() {
    let server = Server::private(&[("max_connections", "17")]);
    let options = server.connect_options("postgres");
    assert_eq!(
        number(options.clone(), "SELECT current_setting('max_connections')::bigint").await,
        17
    );

    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    connection.execute("CREATE TABLE t AS SELECT 1::bigint AS n").await.unwrap();
    for end in [Server::kill, Server::stop_at_once] {
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        connection.execute("INSERT INTO t VALUES (1)").await.unwrap();
        connection.execute("BEGIN; INSERT INTO t VALUES (100)").await.unwrap();
        end(&server);
        connection.execute("SELECT 1").await.unwrap_err();
        PgConnection::connect_with(&options).await.unwrap_err();
        server.start();
    }
    server.stop();
    server.start();
    assert_eq!(number(options.clone(), "SELECT sum(n)::bigint FROM t").await, 3);

    server.kill();
    drop(server);
    assert!(!folder(&options).exists());
}

/// What [`a_killed_process_leaves_nothing`] runs in a process of its own.
#[tokio::test]
async fn user_of_a_private_server() {
    if std::env::var_os("ES_PGTEST_USER").is_some() {
        let server = Server::private(&[]);
        println!("folder={}", folder(&server.connect_options("postgres")).display());
        let _ = std::io::stdin().read(&mut [0]);
    }
}

#[test]
fn a_killed_process_leaves_nothing() {
    let mut user = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "server::user_of_a_private_server", "--nocapture"])
        .env("ES_PGTEST_USER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(user.stdout.take().unwrap()).lines();
    let folder = said
        .find_map(|line| Some(line.unwrap().split_once("folder=")?.1.to_owned()))
        .expect("the process says where its server is");
    assert!(Path::new(&folder).join("data/postmaster.pid").exists());
    user.kill().unwrap();
    user.wait().unwrap();
    wait_until(|| !Path::new(&folder).exists());
}

#[tokio::test]
#[should_panic(expected = "use Server::private")]
async fn the_shared_server_is_not_killed() {
    Server::shared().kill();
}

#[test]
fn making_a_database_may_move_between_threads() {
    fn is_send(_: impl Send) {}
    let server = Server::shared();
    is_send(server.database());
    is_send(server.database_from("never", async |_: PgConnectOptions| {}));
    is_send(async { drop::<TestDatabase>(server.database().await) });
}
