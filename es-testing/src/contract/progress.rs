//! What callers that are not polled do to others.

use es_core::backend::{AppendRequest, ReadLog, ReadStream};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::parts::{
    ANY, NONE, Store, accepted, append, end_of_log, event, events, holds, key, page, polled, read,
    read_log, snapshot_after, soon, stream as named,
};
use crate::fixture::Fixture;

/// More than any store has connections, threads or turns by default.
const KEPT: u64 = 24;

fn to(id: &str, number: u64) -> AppendRequest {
    AppendRequest::to(named(id), ANY, vec![event(number)])
}

/// Every call of others ends.
async fn goes_on(store: &Store, number: u64) {
    soon("an append ends beside calls that are not polled", async {
        accepted(store, to("others", number)).await;
    })
    .await;
    soon("reads end beside calls that are not polled", async {
        read_log(store).await;
        end_of_log(store).await;
        page(store, &ReadStream::new(named("others"))).await;
        store.find_append(&named("others"), &key("none")).await.expect("a key can be looked up");
    })
    .await;
}

pub(super) async fn a_call_that_is_not_polled_holds_up_nobody(fixture: &dyn Fixture) {
    let (store, snapshots) = (fixture.store(), fixture.snapshots());
    append(&store, &named("read"), NONE, events(1..=3)).await;
    let (of_stream, of_log) = (ReadStream::new(named("read")), ReadLog::from_start());
    let (read_of, none) = (named("read"), key("none"));
    let newest = read(&store, &read_of).await.pop().expect("three were appended");
    let mut kept: Vec<BoxFuture<'_, ()>> = Vec::new();
    for number in 0..KEPT {
        let request = to(&format!("kept{number}"), 1);
        let store_of = &store;
        let append = async move {
            accepted(store_of, request).await;
        };
        let mut calls: Vec<BoxFuture<'_, ()>> = vec![
            Box::pin(append),
            Box::pin(async {
                assert_eq!(page(&store, &of_stream).await.events.len(), 3);
            }),
            Box::pin(async {
                store.read_log(&of_log).await.expect("the log can be read");
            }),
            Box::pin(async {
                end_of_log(&store).await;
            }),
            Box::pin(async {
                store.find_append(&read_of, &none).await.expect("a key can be looked up");
            }),
        ];
        if let Some(snapshots) = &snapshots {
            calls.push(Box::pin(async {
                let saved = snapshots.save_snapshot(snapshot_after(&newest)).await;
                saved.expect("a snapshot can be kept");
            }));
            calls.push(Box::pin(async {
                let latest = snapshots.latest_snapshot(&read_of, newest.version).await;
                latest.expect("a snapshot can be looked up");
            }));
        }
        // each is left at another place
        for mut call in calls {
            if polled(&mut call, 1 + number as usize % 4).await.is_none() {
                kept.push(call);
            }
        }
    }
    for number in 1..=8 {
        goes_on(&store, number).await;
    }
    for call in kept {
        soon("a call that is polled again ends", call).await;
    }
    for number in 0..KEPT {
        holds(&store, &named(&format!("kept{number}")), &[1], "it was appended once").await;
    }
    // who works on each answer while those that follow are under way polls none of them meanwhile
    let appends = (1..=20).map(|number| store.append(to(&format!("buffered{number}"), 1)));
    let mut answers = stream::iter(appends).buffer_unordered(4);
    let mut number = 8;
    while let Some(answer) = soon("a buffered append ends", answers.next()).await {
        answer.expect("a permitted append is accepted");
        number += 1;
        goes_on(&store, number).await;
    }
    let others: Vec<_> = (1..=number).collect();
    holds(&store, &named("others"), &others, "each was appended once").await;
}
