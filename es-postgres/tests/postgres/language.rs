//! A server that speaks another language is understood as well.

use std::process::Command;

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, StoreErrorKind};
use es_pgtest::Server;
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::{database_on, event, events, exactly, key, run, to, told};

/// Set for the process that starts the server, which inherits it.
const LANGUAGE: &str = "LANGUAGE";

#[test]
fn what_is_refused_is_told_apart_in_german_too() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "language::speaks_german", "--include-ignored", "--nocapture"]);
    let output = again.env(LANGUAGE, "de").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

/// Does nothing unless it was started by the test above.
#[tokio::test]
async fn speaks_german() {
    if std::env::var(LANGUAGE).as_deref() != Ok("de")
        || std::env::var_os("TEST_DATABASE_URL").is_some()
    {
        return;
    }
    let server = Server::private(&[("lc_messages", "C.UTF-8")]);
    let database = database_on(&server, IdType::Text).await;
    let store = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap();
    let mut first = event();
    first.payload = es_core::event::Payload::parse("{\"output\":\"1\"}".to_owned()).unwrap();
    let id = first.event_id;
    let request = AppendRequest::to("account/a".parse().unwrap(), exactly(0), vec![first]);
    store.append(request.clone().with_key(key("k"))).await.unwrap();
    assert!(store.append(request.clone().with_key(key("k"))).await.unwrap().repeated);
    let stale = store.append(to_version(0)).await.unwrap_err();
    assert!(matches!(stale, AppendError::Conflict(_)), "{stale:?}");
    let mut used = event();
    used.event_id = id;
    let used = AppendRequest::to("account/b".parse().unwrap(), ExpectedVersion::Any, vec![used]);
    let duplicate = store.append(used).await.unwrap_err();
    assert!(matches!(duplicate, AppendError::DuplicateEvent { .. }), "{duplicate:?}");
    let other = to("account/a").with_key(key("k"));
    let reused = store.append(other).await.unwrap_err();
    assert!(matches!(reused, AppendError::KeyReused { .. }), "{reused:?}");
    run(
        &database,
        "ALTER TABLE execution_events ADD CONSTRAINT no_more CHECK (aggregate_id <> 'c')",
    )
    .await;
    let foreign = store.append(to("account/c")).await.unwrap_err();
    let AppendError::Store(foreign) = foreign else { panic!("{foreign:?}") };
    assert_eq!(foreign.kind(), StoreErrorKind::Other);
    let text = told(&foreign);
    assert!(text.contains("constraint") && text.contains("no_more"), "{text}");
    // the translations are a package of their own on some systems
    match text.contains("verletzt") {
        true => println!("the server speaks German: {text}"),
        false => println!("NOTICE: this server has no German messages; it answered: {text}"),
    }
}

fn to_version(version: u64) -> AppendRequest {
    AppendRequest::to("account/a".parse().unwrap(), exactly(version), events(2))
}
