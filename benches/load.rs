//! Reading one stream: its events, the aggregate they fold to, and the same from a snapshot.

use std::cell::OnceCell;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use es_benches::{Backend, Opened, Posting, Workload, filled, runtime, sizes};
use es_core::Repository;
use es_core::backend::ReadStream;
use es_core::execution::StreamVersion;

/// Streams of the store, so that the one that is read does not lie in the log alone.
const POSTINGS: i64 = 4;

/// Events since the snapshot.
const TAIL: u64 = 5;

/// Benches `read` at all sizes; a store is filled when its first bench runs.
fn each_size(criterion: &mut Criterion, operation: &str, read: impl AsyncFn(&Opened, usize)) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group(operation);
    for backend in Backend::EMBEDDED {
        for size in sizes(&[10, 100, 1_000, 10_000]) {
            let opened = OnceCell::new();
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(backend.name(), size), |bencher| {
                let opened = opened.get_or_init(|| {
                    runtime.block_on(async {
                        let opened = filled(backend, POSTINGS, size).await;
                        let kept = StreamVersion::new(size as u64 - TAIL);
                        opened.keep_snapshot(1, kept).await;
                        opened
                    })
                });
                bencher.to_async(&runtime).iter(|| read(opened, size));
            });
            if let Some(opened) = opened.into_inner() {
                runtime.block_on(opened.close());
            }
        }
    }
    group.finish();
}

/// The pages of the stream, without decoding payloads.
async fn read_stream(opened: &Opened, size: usize) {
    let mut bytes = 0;
    let mut count = 0;
    let mut rest = Some(ReadStream::new(Workload::stream(1)));
    while let Some(read) = rest {
        let page = opened.store.read_stream(&read).await.expect("the store can be read");
        count += page.events.len();
        bytes += page.events.iter().map(|event| event.payload.as_str().len()).sum::<usize>();
        rest = read.after(&page);
    }
    assert_eq!(count, size);
    black_box(bytes);
}

async fn load(opened: &Opened, size: usize) {
    let repository = Repository::<Posting>::new(&opened.store);
    let loaded = repository.load(&1).await.expect("the posting can be read");
    assert_eq!(loaded.version, StreamVersion::new(size as u64));
}

async fn load_from_snapshot(opened: &Opened, size: usize) {
    let repository = Repository::<Posting>::new(&opened.store).snapshot_every(0);
    let loaded = repository.load(&1).await.expect("the posting can be read");
    assert_eq!(loaded.version, StreamVersion::new(size as u64));
}

fn main() {
    let mut criterion = es_benches::criterion();
    each_size(&mut criterion, "read_stream", read_stream);
    each_size(&mut criterion, "load", load);
    each_size(&mut criterion, "load_from_snapshot", load_from_snapshot);
    criterion.final_summary();
}
