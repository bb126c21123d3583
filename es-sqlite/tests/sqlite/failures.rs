//! What is answered, and what is left, when a commit fails.

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, ReadLog, StoreErrorKind};
use es_sqlite::{SqliteConfig, SqliteStore, TransactionError};

use crate::listener::{listened_to, warnings};
use crate::support::{Folder, append_one, block_on, child_path, event, stream, succeeds, waits};

#[tokio::test]
async fn a_full_store_says_so_and_keeps_what_it_has() {
    let (_folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("kept")).await;
    let fill = |text: String| {
        store.write(move |tx| {
            // SQLite's own bound, so that no disk must be filled
            tx.connection().pragma_update(None, "max_page_count", 64)?;
            let request = AppendRequest::to(
                stream("posting/1"),
                ExpectedVersion::Any,
                vec![event(&text), event(&text)],
            );
            Ok::<_, TransactionError>(tx.append(request)?)
        })
    };
    let error = fill("x".repeat(300_000)).await.unwrap_err();
    let TransactionError::Append(AppendError::Store(error)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Full);
    fill("small".to_owned()).await.unwrap();
    let log = store.read_log(&ReadLog::from_start()).await.unwrap();
    assert_eq!(log.events.len(), 3);
}

/// The system refuses to make the write-ahead log larger, in the middle of some commit.
#[test]
#[cfg(unix)]
fn a_commit_that_fails_is_unknown_and_stops_the_store() {
    let name = "failures::a_commit_that_fails_is_unknown_and_stops_the_store";
    if let Some(path) = child_path() {
        block_on(fail_to_commit(path));
        return;
    }
    let folder = Folder::new();
    block_on(folder.store());
    let exe = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new("sh");
    child
        // in blocks of 512 or 1024 bytes; without the trap the signal would end the process
        .args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\""])
        .arg(exe)
        .args([name, "--exact", "--nocapture"])
        .env(crate::support::CHILD, folder.path());
    let output = succeeds(child);
    let acknowledged = output
        .lines()
        .filter_map(|line| line.strip_prefix("acknowledged "))
        .next_back()
        .unwrap()
        .parse::<usize>()
        .unwrap();
    assert!(acknowledged > 0);
    block_on(async {
        let log = folder.store().await.read_log(&ReadLog::from_start()).await.unwrap();
        assert!((acknowledged..=acknowledged + 1).contains(&log.events.len()));
    });
}

async fn fail_to_commit(path: std::path::PathBuf) {
    let store = SqliteStore::open(SqliteConfig::new(path)).await.unwrap();
    let waiting = store.clone();
    let waiter = tokio::spawn(async move {
        let mut seen = es_core::backend::Position::START;
        loop {
            if let Err(error) = waiting.wait_past(seen).await {
                break error;
            }
            match waiting.end_of_log().await {
                Ok(end) => seen = end,
                Err(error) => break error,
            }
        }
    });
    for acknowledged in 1.. {
        let request = AppendRequest::to(
            stream("posting/1"),
            ExpectedVersion::Any,
            vec![event(&"x".repeat(20_000))],
        );
        match store.append(request).await {
            Ok(_) => println!("acknowledged {acknowledged}"),
            Err(AppendError::Store(error)) => {
                assert!(error.is_outcome_unknown(), "{error:?}");
                break;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(acknowledged < 1000, "the limit of the file's size is not there");
    }
    let refused = store.end_of_log().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Closed);
    assert!(refused.to_string().contains("open it again"), "{refused}");
    let request = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("x")]);
    let Err(AppendError::Store(refused)) = store.append(request).await else {
        panic!("a stopped store took an append");
    };
    assert_eq!(refused.kind(), StoreErrorKind::Closed);
    assert_eq!(waiter.await.unwrap().kind(), StoreErrorKind::Closed);
}

#[test]
fn that_new_events_cannot_be_looked_for_is_told_once_until_they_can() {
    let folder = Folder::new();
    let store = listened_to(&folder);
    let other = folder.connection();
    let rename = |from: &str, to: &str| {
        let rename = format!("ALTER TABLE execution_events RENAME COLUMN {from} TO {to}");
        other.execute_batch(&rename).unwrap();
    };
    block_on(async {
        let another = folder.store().await;
        let mut end = append_one(&another, "posting/1", event("x")).await.position();
        let mut waiting = Box::pin(store.wait_past(end));
        assert!(waits(&mut waiting).await);
        // the one thread that reads has seen for it that nothing is there yet
        store.end_of_log().await.unwrap();
        rename("event_id", "of_another_name");
        waiting.await.unwrap_err();
        // each of these makes it look again, unless its own look is faster
        for _ in 0..30 {
            store.wait_past(end).await.unwrap_err();
        }
        assert_eq!(warnings(&folder).len(), 1);
        rename("of_another_name", "event_id");
        loop {
            let mut waiting = Box::pin(store.wait_past(end));
            assert!(waits(&mut waiting).await);
            store.end_of_log().await.unwrap();
            end = append_one(&another, "posting/1", event("x")).await.position();
            // a look that began before may still fail
            if waiting.await.is_ok() {
                break;
            }
        }
        let mut waiting = Box::pin(store.wait_past(end));
        assert!(waits(&mut waiting).await);
        store.end_of_log().await.unwrap();
        rename("event_id", "of_another_name");
        waiting.await.unwrap_err();
        assert_eq!(warnings(&folder).len(), 2);
    });
}
