//! Several events in one append to one stream.

use std::sync::atomic::{AtomicBool, Ordering};

use es_core::backend::{AppendError, AppendRequest, ReadStream};
use futures_util::future::BoxFuture;
use std::sync::Arc;

use super::parts::*;
use crate::fixture::Fixture;

pub(super) async fn a_refused_batch_leaves_nothing(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let first = event(1);
    append(&store, &account, NONE, vec![first.clone()]).await;
    let mut batch = events(2..=4);
    batch.push(event(5).with_id(first.event_id));
    let answer = store.append(AppendRequest::to(account.clone(), exactly(1), batch)).await;
    assert!(
        matches!(answer, Err(AppendError::DuplicateEvent { .. })),
        "the last event of the batch has a used id, but the answer is {answer:?}"
    );
    holds(&store, &account, &[1], "a batch refused for its last event leaves none of it").await;
    append(&store, &account, exactly(1), vec![event(6)]).await;
    holds(&store, &account, &[1, 6], "after a refused batch the versions go on").await;
    assert_eq!(numbers(&read_log(&store).await), [1, 6], "the log has none of the batch");
}

pub(super) async fn readers_never_see_half_a_batch(fixture: &dyn Fixture) {
    const SIZE: u64 = 5;
    let (store, account) = (fixture.store(), stream("1"));
    let batches = rounds(60, 2_000);
    let done = Arc::new(AtomicBool::new(false));
    let writer: BoxFuture<'static, ()> = {
        let (store, account, done) = (store.clone(), account.clone(), done.clone());
        Box::pin(async move {
            for batch in 0..batches {
                let numbers = batch * SIZE + 1..=(batch + 1) * SIZE;
                append(&store, &account, exactly(batch * SIZE), events(numbers)).await;
                tokio::task::yield_now().await;
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let reader = |face: u64| -> BoxFuture<'static, ()> {
        let (store, account, done) = (store.clone(), account.clone(), done.clone());
        Box::pin(async move {
            while !done.load(Ordering::SeqCst) {
                let seen = match face {
                    0 => {
                        let any = ReadStream::new(account.clone());
                        let counted = page(&store, &any).await.stream_version.as_u64();
                        assert_eq!(
                            counted % SIZE,
                            0,
                            "a reader saw version {counted}, inside a batch"
                        );
                        read(&store, &account).await.len() as u64
                    }
                    1 => read_log(&store).await.len() as u64,
                    _ => {
                        let newest = ReadStream::new(account.clone()).backwards();
                        let newest =
                            page(&store, &newest.limit(es_core::backend::PageLimit::events(1)))
                                .await;
                        newest.events.first().map_or(0, |event| event.version.as_u64())
                    }
                };
                assert_eq!(seen % SIZE, 0, "a reader saw {seen} events of batches of {SIZE}");
                tokio::task::yield_now().await;
            }
        })
    };
    let tasks = [writer, reader(0), reader(1), reader(2)];
    together("a writer of batches and its readers come to an end", tasks).await;
}
