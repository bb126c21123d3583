//! The handle: opening, closing, running without a runtime.

use crate::support::{Folder, event, stream};
use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, PageBuilder, PageLimit, ReadLog, ReadStream,
    StoreErrorKind,
};
use es_core::event::MetadataField;
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_sqlite::SqliteStore;

#[tokio::test]
async fn what_was_appended_is_read_back_after_reopening() {
    let (folder, store) = Folder::with_store().await;
    let request = AppendRequest::to(
        stream("posting/1"),
        ExpectedVersion::NoStream,
        vec![event("one"), event("two")],
    )
    .and(stream("posting/2"), ExpectedVersion::Any, vec![event("three")])
    .with_key(IdempotencyKey::new("k").unwrap());
    let appended = store.append(request.clone()).await.unwrap();
    store.close().await;

    let store = folder.store().await;
    let repeat = store.append(request).await.unwrap();
    assert!(repeat.repeated);
    assert_eq!(repeat.streams, appended.streams);
    let page = store.read_stream(&ReadStream::new(stream("posting/1"))).await.unwrap();
    assert_eq!(page.stream_version, StreamVersion::new(2));
    let log = store.read_log(&ReadLog::from_start()).await.unwrap();
    assert_eq!((log.events.len(), log.at_end), (3, true));
    assert_eq!(log.next, appended.position());
}

#[tokio::test]
async fn a_page_of_a_stream_holds_what_fits_however_its_rows_were_handed_over() {
    let (_folder, store) = Folder::with_store().await;
    let of = stream("posting/1");
    let events = (0..300_usize).map(|number| {
        // some are read where their rows are, and only the domain's metadata count
        let mut event = event(&"x".repeat(if number % 70 == 69 { 70_000 } else { number % 7 }));
        event.metadata.correlation_id = Some("c".repeat(number + 1));
        if number % 3 == 0 {
            event.metadata.set(MetadataField::new("note"), "n".repeat(number));
        }
        event
    });
    let events = events.collect();
    let request = AppendRequest::to(of.clone(), ExpectedVersion::NoStream, events);
    store.append(request).await.unwrap();
    let all = ReadStream::new(of).limit(PageLimit::events(usize::MAX).bytes(usize::MAX));
    let whole = store.read_stream(&all).await.unwrap().events;
    assert_eq!(whole.len(), 300);
    for limit in [
        PageLimit::default(),
        PageLimit::events(128),
        PageLimit::events(129),
        PageLimit::events(200).bytes(1_000),
        PageLimit::events(usize::MAX).bytes(20_000),
    ] {
        let (mut next, mut rest) = (Some(all.clone().limit(limit)), &whole[..]);
        while let Some(read) = next {
            let page = store.read_stream(&read).await.unwrap();
            let mut expected = PageBuilder::new(limit);
            for event in rest {
                if !expected.admits(event.payload.as_str().len()) {
                    break;
                }
                expected.push(event.clone());
            }
            let expected = expected.into_events();
            rest = &rest[expected.len()..];
            assert_eq!(page.events, expected, "{limit:?}");
            assert_eq!(page.has_more, !rest.is_empty(), "{limit:?}");
            assert_eq!(page.stream_version, StreamVersion::new(300));
            next = read.after(&page);
        }
        assert!(rest.is_empty(), "{limit:?}");
    }
}

#[tokio::test]
async fn a_closed_store_refuses_everything_on_every_handle() {
    let (folder, store) = Folder::with_store().await;
    let other = store.clone();
    tokio::join!(store.close(), other.close());
    assert_eq!(folder.files(), ["store.db"]);
    let request = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("one")]);
    let AppendError::Store(error) = other.append(request).await.unwrap_err() else {
        panic!("not the store's error")
    };
    assert_eq!(error.kind(), StoreErrorKind::Closed);
    let read = other.end_of_log().await.unwrap_err();
    assert_eq!(read.kind(), StoreErrorKind::Closed);
    let wait = other.wait_past(es_core::backend::Position::START).await.unwrap_err();
    assert_eq!(wait.kind(), StoreErrorKind::Closed);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_threads() {
    let (folder, store) = Folder::with_store().await;
    let other = store.clone();
    drop(store);
    assert_eq!(other.end_of_log().await.unwrap(), es_core::backend::Position::START);
    drop(other);
    // the last connection takes the write-ahead log with it
    let is_alone = async {
        while folder.files() != ["store.db"] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), is_alone).await.unwrap();
}

#[test]
fn no_async_runtime_is_needed() {
    let folder = Folder::new();
    let path = folder.path();
    let version = block_on(async move {
        let store = SqliteStore::open(path).await.unwrap();
        let request =
            AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("one")]);
        store.append(request).await.unwrap().streams[0].version()
    });
    assert_eq!(version, StreamVersion::FIRST);
}

/// Runs a future on this thread, with nothing but the standard library.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
