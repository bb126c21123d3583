//! The application's rows and its events in one transaction.

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, ReadLog, StoreError, StoreErrorKind,
};
use es_sqlite::{SqliteStore, TransactionError};

use crate::support::{Folder, append_one, event, stream};

fn request(expected: ExpectedVersion) -> AppendRequest {
    AppendRequest::to(stream("posting/1"), expected, vec![event("one"), event("two")])
}

async fn mails(store: &SqliteStore) -> i64 {
    store
        .read(|connection| {
            let count = connection.query_row("SELECT count(*) FROM mail", [], |row| row.get(0));
            Ok::<_, TransactionError>(count?)
        })
        .await
        .unwrap()
}

async fn events(store: &SqliteStore) -> usize {
    store.read_log(&ReadLog::from_start()).await.unwrap().events.len()
}

/// A store with the application's table.
async fn with_table() -> (Folder, SqliteStore) {
    let (folder, store) = Folder::with_store().await;
    store
        .write(|tx| {
            tx.execute("CREATE TABLE mail (text TEXT NOT NULL CHECK (text <> ''))", [])?;
            Ok::<_, TransactionError>(())
        })
        .await
        .unwrap();
    (folder, store)
}

#[tokio::test]
async fn rows_and_events_are_written_together() {
    let (_folder, store) = with_table().await;
    let start = store.end_of_log().await.unwrap();
    let appended = store
        .write(|tx| {
            tx.execute("INSERT INTO mail VALUES (?1)", ["hello"])?;
            Ok::<_, TransactionError>(tx.append(request(ExpectedVersion::NoStream))?)
        })
        .await
        .unwrap();
    store.wait_past(start).await.unwrap();
    assert_eq!(store.end_of_log().await.unwrap(), appended.position());
    assert_eq!((mails(&store).await, events(&store).await), (1, 2));
}

#[tokio::test]
async fn of_a_table_that_is_not_there_is_told_who_makes_those_of_projections() {
    let (_folder, store) = with_table().await;
    for (statement, is_told) in
        [("SELECT count(*) FROM open_orders", true), ("SELECT count(*) FROM", false)]
    {
        let read = store.read(move |connection| {
            let count = connection.query_row(statement, [], |row| row.get::<_, i64>(0))?;
            Ok::<_, TransactionError>(count)
        });
        let text = read.await.unwrap_err().to_string();
        assert!(text.starts_with("a statement of the application failed"), "{text}");
        assert_eq!(text.contains("by the first runner that takes it"), is_told, "{text}");
    }
}

#[tokio::test]
async fn an_error_rolls_back_both() {
    let (_folder, store) = with_table().await;
    let error = store
        .write(|tx| {
            tx.append(request(ExpectedVersion::NoStream))?;
            tx.execute("INSERT INTO mail VALUES (?1)", ["hello"])?;
            tx.execute("INSERT INTO mail VALUES (?1)", [""])?;
            Ok::<_, TransactionError>(())
        })
        .await
        .unwrap_err();
    assert!(matches!(error, TransactionError::Sqlite(_)));
    assert_eq!((mails(&store).await, events(&store).await), (0, 0));
    append_one(&store, "posting/1", event("the store goes on")).await;
}

#[tokio::test]
async fn a_refused_append_leaves_nothing_and_the_closure_may_go_on() {
    let (_folder, store) = with_table().await;
    let used = event("used");
    append_one(&store, "posting/2", used.clone()).await;
    store
        .write(move |tx| {
            let refused = tx.append(request(ExpectedVersion::StreamExists));
            assert!(matches!(refused, Err(AppendError::Conflict(_))));
            let twice = AppendRequest::to(
                stream("posting/1"),
                ExpectedVersion::Any,
                vec![event("new"), used],
            );
            let refused = tx.append(twice);
            assert!(matches!(refused, Err(AppendError::DuplicateEvent { .. })));
            let empty = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![]);
            assert!(matches!(tx.append(empty), Err(AppendError::Invalid(_))));
            tx.execute("INSERT INTO mail VALUES (?1)", ["hello"])?;
            Ok::<_, TransactionError>(())
        })
        .await
        .unwrap();
    assert_eq!((mails(&store).await, events(&store).await), (1, 1));
}

#[tokio::test]
async fn a_panic_rolls_back_and_goes_on_in_the_caller_only() {
    let (_folder, store) = with_table().await;
    let other = store.clone();
    let panicked = tokio::spawn(async move {
        other
            .write(|tx| -> Result<(), AppendError> {
                tx.append(request(ExpectedVersion::NoStream))?;
                panic!("in the closure");
            })
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    let other = store.clone();
    let panicked = tokio::spawn(async move {
        other.read(|_| -> Result<(), StoreError> { panic!("in the closure") }).await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(events(&store).await, 0);
    append_one(&store, "posting/1", event("the store goes on")).await;
}

#[tokio::test]
async fn a_closure_that_ends_the_transaction_itself_writes_nothing() {
    for statements in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN IMMEDIATE"] {
        let (_folder, store) = with_table().await;
        let error = store
            .write(move |tx| {
                tx.execute("INSERT INTO mail VALUES (?1)", ["before"])?;
                for statement in statements.split(';') {
                    let _ = tx.connection().execute_batch(statement);
                }
                let _ = tx.connection().execute("INSERT INTO mail VALUES ('after')", []);
                let _ = tx.append(request(ExpectedVersion::NoStream));
                Ok::<_, TransactionError>(())
            })
            .await
            .unwrap_err();
        let TransactionError::Store(error) = error else {
            panic!("{error:?}");
        };
        assert_eq!(error.kind(), StoreErrorKind::Other);
        assert!(error.to_string().contains("nothing of it was written"), "{error}");
        assert_eq!((mails(&store).await, events(&store).await), (0, 0), "{statements}");
        append_one(&store, "posting/1", event("the store goes on")).await;
    }
}

#[tokio::test]
async fn nothing_is_written_after_a_statement_that_ended_the_transaction() {
    let (_folder, store) = with_table().await;
    let error = store
        .write(|tx| {
            tx.execute("INSERT INTO mail VALUES (?1)", ["first"])?;
            // SQLite's own bound, so that no disk must be filled
            tx.connection().pragma_update(None, "max_page_count", 64)?;
            let full = tx.execute("INSERT INTO mail VALUES (?1)", ["x".repeat(400_000)]);
            assert!(full.is_err() && tx.connection().is_autocommit());
            let ended = tx.execute("INSERT INTO mail VALUES (?1)", ["second"]).unwrap_err();
            assert!(ended.to_string().contains("ended the transaction"), "{ended}");
            assert!(tx.connection().execute("INSERT INTO mail VALUES ('third')", []).is_err());
            tx.append(request(ExpectedVersion::NoStream))?;
            Ok::<_, TransactionError>(())
        })
        .await
        .unwrap_err();
    let TransactionError::Append(AppendError::Store(error)) = error else {
        panic!("{error:?}");
    };
    assert!(error.to_string().contains("ended the transaction"), "{error}");
    assert_eq!((mails(&store).await, events(&store).await), (0, 0));
    append_one(&store, "posting/1", event("the store goes on")).await;
}

#[tokio::test]
async fn a_reading_closure_cannot_write() {
    let (_folder, store) = with_table().await;
    let error = store
        .read(|connection| {
            connection.execute("INSERT INTO mail VALUES ('x')", [])?;
            Ok::<_, TransactionError>(())
        })
        .await
        .unwrap_err();
    assert!(matches!(error, TransactionError::Sqlite(_)));
    assert_eq!(mails(&store).await, 0);
}

#[tokio::test]
async fn a_trigger_of_the_application_runs_with_every_append_from_its_making_on() {
    let (folder, store) = with_table().await;
    append_one(&store, "posting/1", event("before")).await;
    folder.run(
        "CREATE TRIGGER mail_each_event AFTER INSERT ON Execution_Events
         BEGIN INSERT INTO mail VALUES (NEW.event_data ->> 'output'); END",
    );
    append_one(&store, "posting/1", event("after")).await;
    assert_eq!(mails(&store).await, 1);

    // with the application's constraints: the refusal is one append's, not the batch's
    let refused = vec![event("fits"), event("")];
    let refused = AppendRequest::to(stream("posting/2"), ExpectedVersion::Any, refused);
    let fits = append_one(&store, "posting/1", event("more"));
    let (refused, _) = tokio::join!(store.append(refused), fits);
    assert!(matches!(refused, Err(AppendError::Store(_))));
    assert_eq!((mails(&store).await, events(&store).await), (2, 3));
}

#[tokio::test]
async fn a_constraint_that_refuses_the_commit_undoes_it_and_the_store_goes_on() {
    let (_folder, store) = with_table().await;
    let error = store
        .write(|tx| {
            tx.connection().execute_batch(
                "CREATE TABLE owner (id INTEGER PRIMARY KEY);
                 CREATE TABLE owned (owner REFERENCES owner (id) DEFERRABLE INITIALLY DEFERRED)",
            )?;
            tx.append(request(ExpectedVersion::NoStream))?;
            tx.execute("INSERT INTO owned VALUES (1)", [])?;
            Ok::<_, TransactionError>(())
        })
        .await
        .unwrap_err();
    let TransactionError::Store(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Other);
    assert!(error.to_string().contains("nothing was written"), "{error}");
    assert_eq!(events(&store).await, 0);
    append_one(&store, "posting/1", event("the store goes on")).await;
}

#[tokio::test]
async fn a_trigger_that_fails_without_undoing_leaves_nothing_of_a_refused_append() {
    let (folder, store) = with_table().await;
    folder.run(
        "CREATE TRIGGER refuse_empty AFTER INSERT ON execution_events
         WHEN NEW.event_data ->> 'output' = ''
         BEGIN SELECT RAISE(FAIL, 'output is empty'); END",
    );
    let empty = || AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("")]);
    let refused = store.append(empty()).await;
    assert!(matches!(refused, Err(AppendError::Store(_))), "{refused:?}");
    store
        .write(move |tx| {
            let refused = tx.append(empty());
            assert!(matches!(refused, Err(AppendError::Store(_))), "{refused:?}");
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(events(&store).await, 0);
    append_one(&store, "posting/1", event("the store goes on")).await;
}

#[tokio::test]
async fn a_trigger_that_appends_between_the_events_of_a_keyed_request_is_refused() {
    let (folder, store) = with_table().await;
    folder.run(
        "CREATE TRIGGER audit_each AFTER INSERT ON execution_events
         WHEN NEW.aggregate_type = 'posting'
         BEGIN
             INSERT INTO execution_events
                 (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
             VALUES ('audit', NEW.event_id, 1, 'audited', '{}');
         END",
    );
    let key = es_core::execution::IdempotencyKey::new("k").unwrap();
    let two = request(ExpectedVersion::Any).with_key(key.clone());
    let Err(AppendError::Store(error)) = store.append(two).await else {
        panic!("the key would not find its events");
    };
    assert!(error.to_string().contains("a trigger of the application"), "{error}");
    assert_eq!(events(&store).await, 0);
    let one = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("one")])
        .with_key(key);
    let first = store.append(one.clone()).await.unwrap();
    let repeat = store.append(one).await.unwrap();
    assert!(repeat.repeated && repeat.streams == first.streams);
}
