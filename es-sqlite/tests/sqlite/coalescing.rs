//! Appends that wait share a transaction, each with its own answer.

use std::sync::mpsc;
use std::time::Duration;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, ReadLog, ReadStream, Snapshot, SnapshotStore,
    StoreError, StoreErrorKind, Timestamp,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_sqlite::{SqliteStore, TransactionError};
use tokio::task::JoinHandle;

use crate::support::{Folder, append_one, event, stream, waits};

/// Keeps the writing thread busy until told otherwise.
struct Blocked {
    release: mpsc::Sender<()>,
    done: JoinHandle<Result<(), StoreError>>,
}

impl Blocked {
    async fn new(store: &SqliteStore) -> Self {
        let (release, released) = mpsc::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let store = store.clone();
        let done = tokio::spawn(async move {
            store
                .write(move |_| {
                    begin.send(()).unwrap();
                    let _ = released.recv();
                    Ok(())
                })
                .await
        });
        begun.await.unwrap();
        Self { release, done }
    }

    async fn release(self) {
        self.release.send(()).unwrap();
        self.done.await.unwrap().unwrap();
    }
}

fn request(name: &str, expected: ExpectedVersion) -> AppendRequest {
    AppendRequest::to(stream(name), expected, vec![event("x")])
}

/// Starts an append and answers when it waits for the writer.
async fn queued(
    store: &SqliteStore,
    request: AppendRequest,
) -> JoinHandle<Result<es_core::backend::Appended, AppendError>> {
    let store = store.clone();
    let mut append = Box::pin(async move { store.append(request).await });
    // one poll takes it into the queue, if there is room
    assert!(waits(&mut append).await);
    tokio::spawn(append)
}

#[tokio::test]
async fn appends_that_wait_are_one_transaction_with_an_answer_for_each() {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/taken", event("first")).await;
    let used = event("used");
    append_one(&store, "posting/used", used.clone()).await;
    let blocked = Blocked::new(&store).await;
    let commits = folder.commits();

    let mut appends = Vec::new();
    for number in 0..20 {
        let name = format!("posting/{number}");
        appends.push(queued(&store, request(&name, ExpectedVersion::NoStream)).await);
    }
    let stale = queued(&store, request("posting/taken", ExpectedVersion::NoStream)).await;
    let same = request("posting/keyed", ExpectedVersion::NoStream)
        .with_key(IdempotencyKey::new("k").unwrap());
    let first = queued(&store, same.clone()).await;
    let repeat = queued(&store, same).await;
    let half = AppendRequest::to(
        stream("posting/half"),
        ExpectedVersion::Any,
        vec![event("new"), used.clone()],
    );
    let half = queued(&store, half).await;
    let loser = queued(&store, request("posting/0", ExpectedVersion::NoStream)).await;
    let behind = queued(&store, request("posting/0", ExpectedVersion::Exact(StreamVersion::FIRST)));
    let behind = behind.await;
    blocked.release().await;

    for append in appends {
        assert_eq!(append.await.unwrap().unwrap().streams[0].version(), StreamVersion::FIRST);
    }
    assert!(matches!(stale.await.unwrap(), Err(AppendError::Conflict(_))));
    let (first, repeat) = (first.await.unwrap().unwrap(), repeat.await.unwrap().unwrap());
    assert!(!first.repeated && repeat.repeated && first.streams == repeat.streams);
    assert!(matches!(
        half.await.unwrap(),
        Err(AppendError::DuplicateEvent { event_id }) if event_id == used.event_id
    ));
    assert!(matches!(loser.await.unwrap(), Err(AppendError::Conflict(_))));
    assert_eq!(behind.await.unwrap().unwrap().streams[0].version(), StreamVersion::new(2));
    let half = store.read_stream(&ReadStream::new(stream("posting/half"))).await.unwrap();
    assert!(half.events.is_empty());
    // the blocking closure wrote nothing, so all of these are in one
    assert_eq!(folder.commits() - commits, 1);
}

#[tokio::test]
async fn appends_share_a_transaction_across_one_that_is_alone() {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("first")).await;
    let blocked = Blocked::new(&store).await;
    let commits = folder.commits();
    let before = queued(&store, request("posting/2", ExpectedVersion::NoStream)).await;
    let mut alone = Box::pin(store.write(|tx| {
        tx.execute("CREATE TABLE mail (text TEXT)", [])?;
        let count = "SELECT count(*) FROM execution_events";
        Ok::<i64, TransactionError>(tx.connection().query_row(count, [], |row| row.get(0))?)
    }));
    assert!(waits(&mut alone).await);
    let after = queued(&store, request("posting/3", ExpectedVersion::NoStream)).await;
    blocked.release().await;
    before.await.unwrap().unwrap();
    after.await.unwrap().unwrap();
    assert_eq!(alone.await.unwrap(), 3, "it waited for one transaction");
    assert_eq!(folder.commits() - commits, 2);
}

#[tokio::test]
async fn an_append_whose_caller_has_gone_before_it_began_is_skipped() {
    let (_folder, store) = Folder::with_store().await;
    let blocked = Blocked::new(&store).await;
    let gone = queued(&store, request("posting/1", ExpectedVersion::NoStream)).await;
    let kept = queued(&store, request("posting/2", ExpectedVersion::NoStream)).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    blocked.release().await;
    kept.await.unwrap().unwrap();
    let log = store.read_log(&ReadLog::from_start()).await.unwrap();
    let streams: Vec<_> = log.events.iter().map(|event| event.stream.to_string()).collect();
    assert_eq!(streams, ["posting/2"]);
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_loses_none() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.config().queue(2)).await.unwrap();
    let blocked = Blocked::new(&store).await;
    let mut appends = Vec::new();
    for number in 0..10 {
        let name = format!("posting/{number}");
        appends.push(queued(&store, request(&name, ExpectedVersion::NoStream)).await);
    }
    blocked.release().await;
    for append in appends {
        append.await.unwrap().unwrap();
    }
    assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 10);
}

#[tokio::test]
async fn closing_finishes_what_waits() {
    let (folder, store) = Folder::with_store().await;
    let blocked = Blocked::new(&store).await;
    let append = queued(&store, request("posting/1", ExpectedVersion::NoStream)).await;
    let mut close = Box::pin(store.close());
    assert!(waits(&mut close).await);
    blocked.release().await;
    close.await;
    append.await.unwrap().unwrap();
    assert_eq!(folder.store().await.end_of_log().await.unwrap().to_sequence(), 1);
}

#[tokio::test]
async fn closing_waits_for_no_call_that_has_no_place_in_the_queue() {
    let folder = Folder::new();
    let store = SqliteStore::open(folder.config().queue(1)).await.unwrap();
    let blocked = Blocked::new(&store).await;
    let mut held = Vec::new();
    for number in 0..3 {
        let (store, name) = (store.clone(), format!("posting/{number}"));
        let append = async move { store.append(request(&name, ExpectedVersion::Any)).await };
        let mut append = Box::pin(append);
        assert!(waits(&mut append).await);
        held.push(append);
    }
    let mut close = Box::pin(store.close());
    assert!(waits(&mut close).await);
    blocked.release().await;
    tokio::time::timeout(Duration::from_secs(20), close).await.unwrap();
    // only the first had a place
    for (number, append) in held.into_iter().enumerate() {
        match append.await {
            Ok(_) => assert_eq!(number, 0),
            Err(AppendError::Store(error)) if number > 0 => {
                assert_eq!(error.kind(), StoreErrorKind::Closed);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(folder.store().await.end_of_log().await.unwrap().to_sequence(), 1);
}

#[tokio::test]
async fn an_open_read_does_not_hold_up_the_writer() {
    let (_folder, store) = Folder::with_store().await;
    let (release, released) = mpsc::channel::<()>();
    let reader = store.clone();
    let reading = tokio::spawn(async move {
        reader
            .read(move |connection| {
                let count = || {
                    connection
                        .query_row("SELECT count(*) FROM execution_events", [], |row| row.get(0))
                        .unwrap()
                };
                let before: i64 = count();
                let _ = released.recv();
                Ok::<_, StoreError>((before, count()))
            })
            .await
    });
    let append = append_one(&store, "posting/1", event("x"));
    tokio::time::timeout(Duration::from_secs(20), append).await.unwrap();
    drop(release);
    let (before, after) = reading.await.unwrap().unwrap();
    assert_eq!(before, after, "one read sees one state");
}

#[tokio::test]
async fn the_write_ahead_log_does_not_grow_while_the_log_is_read_page_by_page() {
    const MIB: u64 = 1024 * 1024;
    let (folder, store) = Folder::with_store().await;
    let mut read = ReadLog::from_start().limit(es_core::backend::PageLimit::events(1));
    let mut largest = 0;
    let mut written = 0;
    while written < 48 * MIB {
        let big = event(&"x".repeat(256 * 1024));
        written += 256 * 1024;
        append_one(&store, "posting/1", big).await;
        // a reader that is never done: it is always one page in
        read.after = store.read_log(&read).await.unwrap().next;
        largest = largest.max(folder.write_ahead_log().len() as u64);
    }
    assert!(largest < 16 * MIB, "{largest} bytes");
}

#[tokio::test]
async fn appends_beside_one_whose_trigger_rolls_back_are_refused_whole() {
    let (folder, store) = Folder::with_store().await;
    let used = event("used");
    append_one(&store, "posting/used", used.clone()).await;
    folder.run(
        "CREATE TRIGGER refuse_seen BEFORE INSERT ON execution_events
         WHEN EXISTS (SELECT 1 FROM execution_events WHERE event_id = NEW.event_id)
         BEGIN SELECT RAISE(ROLLBACK, 'seen'); END",
    );
    let blocked = Blocked::new(&store).await;
    let before = queued(&store, request("posting/1", ExpectedVersion::Any)).await;
    let seen = AppendRequest::to(stream("posting/2"), ExpectedVersion::Any, vec![used.clone()]);
    let seen = queued(&store, seen).await;
    let after = queued(&store, request("posting/3", ExpectedVersion::Any)).await;
    blocked.release().await;
    let seen = seen.await.unwrap();
    assert!(matches!(seen, Err(AppendError::DuplicateEvent { .. })), "{seen:?}");
    for other in [before, after] {
        let Err(AppendError::Store(error)) = other.await.unwrap() else {
            panic!("an append without its transaction was acknowledged");
        };
        assert!(!error.is_outcome_unknown(), "{error}");
        assert!(error.to_string().contains("another append"), "{error}");
    }
    assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 1);
    append_one(&store, "posting/1", event("the store goes on")).await;
}

#[tokio::test]
async fn a_snapshot_for_which_there_is_no_room_takes_no_append_with_it() {
    let (folder, store) = Folder::with_store().await;
    // with a trigger appends are written by the connection that has the bound
    let trigger = "CREATE TRIGGER t AFTER INSERT ON execution_events BEGIN SELECT 1; END";
    folder.run(trigger);
    store
        .write(|tx| {
            // SQLite's own bound, so that no disk must be filled
            tx.connection().pragma_update(None, "max_page_count", 64)?;
            Ok::<_, TransactionError>(())
        })
        .await
        .unwrap();
    let blocked = Blocked::new(&store).await;
    let before = queued(&store, request("posting/1", ExpectedVersion::Any)).await;
    let mut large = Box::pin(store.save_snapshot(Snapshot::new(
        stream("posting/1"),
        StreamVersion::FIRST,
        UuidV7Ids.next_id(),
        "s",
        Payload::of(&"x".repeat(400_000)).unwrap(),
        Timestamp::EPOCH,
    )));
    assert!(waits(&mut large).await);
    let after = queued(&store, request("posting/2", ExpectedVersion::Any)).await;
    blocked.release().await;
    assert_eq!(large.await.unwrap_err().kind(), StoreErrorKind::Full);
    before.await.unwrap().unwrap();
    after.await.unwrap().unwrap();
}
