//! Several stores on one file, in one process and in two.

use std::io::{BufRead, BufReader, Write};
use std::panic::AssertUnwindSafe;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, Position, ReadLog, StoreError, StoreErrorKind,
};
use es_core::execution::StreamVersion;
use es_sqlite::rusqlite::Connection;
use es_sqlite::{SqliteConfig, SqliteStore};

use crate::support::{Folder, append_one, block_on, child, child_path, event};
use crate::support::{stream, succeeds, waits};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_append_through_another_store_wakes_who_waits() {
    let folder = Folder::new();
    let (one, other) = (folder.store().await, folder.store().await);
    let mut end = Position::START;
    for _ in 0..3 {
        let waiting = one.clone();
        let waiter = tokio::spawn(async move { waiting.wait_past(end).await });
        end = append_one(&other, "posting/1", event("x")).await.position();
        tokio::time::timeout(PATIENCE, waiter).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_append_of_another_program_wakes_who_waits() {
    let (folder, store) = Folder::with_store().await;
    let waiting = store.clone();
    let mut waiter = Box::pin(async move { waiting.wait_past(Position::START).await });
    let early = tokio::time::timeout(Duration::from_millis(60), &mut waiter).await;
    assert!(early.is_err(), "nothing was appended yet");
    folder
        .connection()
        .execute(
            "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
             VALUES ('posting', 1, 1, 'posting_terminal', '{}')",
            [],
        )
        .unwrap();
    tokio::time::timeout(PATIENCE, waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn closing_wakes_who_waits() {
    let (_folder, store) = Folder::with_store().await;
    let waiting = store.clone();
    let mut waiter = Box::pin(async move { waiting.wait_past(Position::START).await });
    assert!(waits(&mut waiter).await);
    store.close().await;
    let error = tokio::time::timeout(PATIENCE, waiter).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Closed);
}

#[tokio::test]
async fn a_file_that_another_program_holds_is_busy_and_nothing_is_written() {
    let folder = Folder::new();
    let config = folder.config().busy_timeout(Duration::from_millis(10));
    let store = SqliteStore::open(config).await.unwrap();
    let holder = folder.connection();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let request = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("x")]);
    let Err(AppendError::Store(error)) = store.append(request.clone()).await else {
        panic!("the append did not fail");
    };
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert!(error.is_transient());
    assert_eq!(store.end_of_log().await.unwrap(), Position::START);
    holder.execute_batch("ROLLBACK").unwrap();
    store.append(request).await.unwrap();
}

/// Each kind of work that has a transaction for itself waits with the others, not after them.
#[tokio::test]
async fn all_that_waits_for_another_program_waits_at_the_same_time() {
    const WAITS: Duration = Duration::from_secs(1);
    let folder = Folder::new();
    let store = SqliteStore::open(folder.config().busy_timeout(WAITS)).await.unwrap();
    let holder = folder.connection();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let write = |store: SqliteStore| async move { store.write(|_| Ok::<_, StoreError>(())).await };
    let began = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    (0..50).for_each(|_| drop(waiting.spawn(write(store.clone()))));
    while let Some(written) = waiting.join_next().await {
        assert_eq!(written.unwrap().unwrap_err().kind(), StoreErrorKind::Busy);
    }
    assert!(began.elapsed() < WAITS * 10, "{:?}", began.elapsed());
    holder.execute_batch("ROLLBACK").unwrap();
    write(store).await.unwrap();
}

/// Long transactions, one right after the other.
#[test]
fn a_store_that_always_has_something_to_write_lets_others_write() {
    const LASTS: Duration = Duration::from_millis(200);
    let folder = Folder::new();
    let busy = block_on(folder.store());
    let other = block_on(SqliteStore::open(folder.config().busy_timeout(10 * LASTS))).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // two, so that one waits whenever the other is done
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let write = busy.write(|_| {
                        let began = Instant::now();
                        while began.elapsed() < LASTS {
                            std::hint::spin_loop();
                        }
                        Ok::<_, StoreError>(())
                    });
                    block_on(write).unwrap();
                }
            });
        }
        let appended = std::panic::catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..6 {
                block_on(append_one(&other, "posting/1", event("x")));
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        appended.unwrap();
    });
}

/// Another program's transaction costs nobody who has not waited for too long.
#[tokio::test]
async fn a_call_is_refused_for_the_time_that_it_has_waited_itself() {
    const WAITS: Duration = Duration::from_secs(2);
    let folder = Folder::new();
    let store = SqliteStore::open(folder.config().busy_timeout(WAITS)).await.unwrap();
    let holder = folder.connection();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let append =
        |id| store.append(AppendRequest::to(stream(id), ExpectedVersion::Any, vec![event("x")]));
    let began = Instant::now();
    // this one has a transaction for itself; those that come meanwhile share one
    let alone = store.write(|_| Ok::<_, StoreError>(()));
    let refused = async {
        let refused = append("posting/1").await;
        holder.execute_batch("ROLLBACK").unwrap();
        refused
    };
    let later = async {
        while began.elapsed() < WAITS / 2 {
            tokio::task::yield_now().await;
        }
        tokio::join!(append("posting/2"), append("posting/3"))
    };
    let (alone, refused, (one, two)) = tokio::join!(alone, refused, later);
    assert_eq!(alone.unwrap_err().kind(), StoreErrorKind::Busy);
    assert!(
        matches!(refused, Err(AppendError::Store(error)) if error.kind() == StoreErrorKind::Busy)
    );
    one.unwrap();
    two.unwrap();
}

/// Appends `count` events to one stream, each expecting the version that it has seen.
async fn race(store: &SqliteStore, count: u64) {
    let mut done = 0;
    let mut seen = StreamVersion::EMPTY;
    while done < count {
        let request = AppendRequest::to(
            stream("posting/shared"),
            ExpectedVersion::Exact(seen),
            vec![event("x")],
        );
        match store.append(request).await {
            Ok(appended) => {
                seen = appended.streams[0].version();
                done += 1;
            }
            Err(AppendError::Conflict(conflict)) => {
                assert!(conflict.actual > seen, "a conflict shows progress of the other");
                seen = conflict.actual;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn two_processes_write_one_dense_history() {
    const EACH: u64 = 200;
    let name = "processes::two_processes_write_one_dense_history";
    if let Some(path) = child_path() {
        block_on(async {
            let store = SqliteStore::open(SqliteConfig::new(path)).await.unwrap();
            println!("ready");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            race(&store, EACH).await;
        });
        return;
    }
    let folder = Folder::new();
    let mut other =
        child(name, &folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("ready")));
    block_on(async {
        let store = folder.store().await;
        other.stdin.take().unwrap().write_all(b"go\n").unwrap();
        race(&store, EACH).await;
        // the other's last append wakes this process
        let all = Position::from_sequence(2 * EACH);
        let mut end = store.end_of_log().await.unwrap();
        while end != all {
            tokio::time::timeout(PATIENCE, store.wait_past(end)).await.unwrap().unwrap();
            end = store.end_of_log().await.unwrap();
        }
        let log = store.read_log(&ReadLog::from_start()).await.unwrap();
        let versions: Vec<_> = log.events.iter().map(|event| event.version.as_u64()).collect();
        assert_eq!(versions, (1..=2 * EACH).collect::<Vec<_>>());
    });
    lines.for_each(drop);
    assert!(other.wait().unwrap().success());
}

/// Without them another program would think itself alone and remove the write-ahead log. Newer
/// versions of SQLite look twice before they do, so the locks themselves are looked at.
#[test]
#[cfg(target_os = "linux")]
fn a_store_keeps_its_locks_while_others_are_opened_and_closed_in_its_process() {
    use std::os::unix::fs::MetadataExt;
    let name =
        "processes::a_store_keeps_its_locks_while_others_are_opened_and_closed_in_its_process";
    if let Some(path) = child_path() {
        let count = "SELECT count(*) FROM execution_events";
        let connection = Connection::open(path).unwrap();
        let events: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        println!("\nevents {events}");
        return;
    }
    let folder = Folder::new();
    let locks = || {
        let file = format!(":{} ", std::fs::metadata(folder.path()).unwrap().ino());
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        // the number before the colon differs from look to look
        all.lines()
            .filter(|line| line.contains(&file))
            .map(|line| line.split_once(':').unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    let seen = || {
        let printed = succeeds(child(name, &folder.path()));
        let events = printed.lines().find_map(|line| line.strip_prefix("events ")).unwrap();
        events.parse::<u64>().unwrap()
    };
    block_on(async {
        let store = folder.store().await;
        append_one(&store, "posting/1", event("one")).await;
        let held = locks();
        assert_eq!(held.len(), 1, "{held:?}");
        let second = folder.store().await;
        assert_eq!(locks(), held);
        SqliteStore::open(folder.config().read_only(true)).await.unwrap().close().await;
        assert_eq!(locks(), held);
        assert_eq!(seen(), 1);
        assert_eq!(folder.files(), ["store.db", "store.db-shm", "store.db-wal"]);
        append_one(&store, "posting/1", event("two")).await;
        append_one(&second, "posting/1", event("three")).await;
        assert_eq!(seen(), 3);
        second.close().await;
        assert_eq!(locks(), held);
        store.close().await;
    });
    assert_eq!(seen(), 3);
}
