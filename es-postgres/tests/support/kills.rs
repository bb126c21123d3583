//! Processes that are killed, in each mode of the store.

use std::process::Command;

use es_postgres::sqlx::ConnectOptions;
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::{PostgresConfig, PostgresStore};

#[path = "../../../es-testing/tests/support/crash.rs"]
mod crash;

/// Names the server to this program, when it runs as a child that is killed.
const CHILD: &str = "ES_POSTGRES_CHILD";

/// The store of a child; `None` unless this program was started by a campaign.
pub(crate) async fn store_of_child(
    mode: impl FnOnce(PostgresConfig) -> PostgresConfig,
) -> Option<PostgresStore> {
    let url = std::env::var(CHILD).ok()?;
    let options: PgConnectOptions = url.parse().expect("the campaign gave an address");
    Some(PostgresStore::open(mode(PostgresConfig::new(options))).await.unwrap())
}

/// Starts a test of this program as a child that connects with `options`.
pub(crate) fn child(
    options: &PgConnectOptions,
    test: &'static str,
) -> impl Fn() -> Command + use<> {
    let url = options.to_url_lossy().to_string();
    move || {
        let program = std::env::current_exe().expect("this program has a place");
        let mut command = Command::new(program);
        command.args(["--exact", test, "--nocapture"]).env(CHILD, &url);
        command
    }
}

/// What a child does; nothing unless it was started by a campaign.
pub(crate) async fn project_as_child(mode: impl FnOnce(PostgresConfig) -> PostgresConfig) {
    if let Some(store) = store_of_child(mode).await {
        crash::project_until_killed(store).await;
    }
}

/// Kills children that connect with `options`, each of which is the test of this name.
pub(crate) async fn campaign(
    test: &'static str,
    options: PgConnectOptions,
    mode: impl FnOnce(PostgresConfig) -> PostgresConfig,
) {
    let child = child(&options, test);
    let store = PostgresStore::open(mode(PostgresConfig::new(options))).await.unwrap();
    crash::campaign(store, child).await;
}
