//! Reading the log from its start: in pages of several sizes, and as a stream of events.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use es_benches::{Backend, filled, is_measured, runtime, sizes};
use es_core::backend::{EventStore, EventStoreExt, PageLimit, ReadLog};
use futures_util::TryStreamExt;

const POSTINGS: i64 = 100;

async fn pages(store: &dyn EventStore, page: usize) -> usize {
    let mut read = ReadLog::from_start().limit(PageLimit::events(page));
    let mut count = 0;
    loop {
        let page = store.read_log(&read).await.expect("the store can be read");
        count += black_box(&page.events).len();
        if page.at_end {
            return count;
        }
        read.after = page.next;
    }
}

async fn stream(store: &dyn EventStore) -> usize {
    let events = store.log(ReadLog::from_start());
    let counted = events.try_fold(0, async |count, event| {
        black_box(event);
        Ok(count + 1)
    });
    counted.await.expect("the store can be read")
}

fn log(criterion: &mut Criterion) {
    let runtime = runtime();
    let events = if is_measured() { 100 } else { 2 };
    let all = events * usize::try_from(POSTINGS).expect("it is small");
    for backend in Backend::EMBEDDED {
        let opened = runtime.block_on(filled(backend, POSTINGS, events));
        let mut group = criterion.benchmark_group("log_pages");
        group.throughput(Throughput::Elements(all as u64));
        for size in sizes(&[100, 500, 5_000]) {
            group.bench_function(BenchmarkId::new(backend.name(), size), |bencher| {
                bencher.to_async(&runtime).iter(async || {
                    assert_eq!(pages(&*opened.store, size).await, all);
                });
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("log_stream");
        group.throughput(Throughput::Elements(all as u64));
        group.bench_function(BenchmarkId::new(backend.name(), 500), |bencher| {
            bencher.to_async(&runtime).iter(async || {
                assert_eq!(stream(&*opened.store).await, all);
            });
        });
        group.finish();
        runtime.block_on(opened.close());
    }
}

fn main() {
    let mut criterion = es_benches::criterion();
    log(&mut criterion);
    criterion.final_summary();
}
