//! Appends: one event and batches, one caller and many, with and without conditions.

use criterion::{BenchmarkId, Criterion, Throughput};
use es_benches::{Backend, CALLERS, Workload, concurrently, runtime, sizes, timed};
use es_core::backend::AppendRequest;

/// Makes the nth append of a number of events.
type Input = fn(&mut Workload, u64, usize) -> AppendRequest;

fn one_caller(criterion: &mut Criterion, operation: &str, all: &[usize], input: Input) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group(operation);
    for backend in Backend::EMBEDDED {
        for size in sizes(all) {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(backend.name(), size), |bencher| {
                bencher.to_async(&runtime).iter_custom(async |count| {
                    let opened = backend.open().await;
                    let mut workload = Workload::seeded(1);
                    let took = timed(
                        count,
                        |n| input(&mut workload, n, size),
                        async |request| {
                            opened.store.append(request).await.expect("no append conflicts");
                        },
                    );
                    let took = took.await;
                    opened.close().await;
                    took
                });
            });
        }
    }
    group.finish();
}

/// One iteration is one append by each of the callers.
fn many_callers(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("append_concurrently");
    group.throughput(Throughput::Elements(CALLERS as u64));
    for backend in Backend::EMBEDDED {
        group.bench_function(BenchmarkId::new(backend.name(), CALLERS), |bencher| {
            bencher.to_async(&runtime).iter_custom(async |count| {
                let opened = backend.open().await;
                let mut workload = Workload::seeded(1);
                let inputs = (0..CALLERS)
                    .map(|_| (0..count).map(|_| workload.anywhere(1)).collect())
                    .collect();
                let store = opened.store.clone();
                let took = concurrently(inputs, move |request| {
                    let store = store.clone();
                    async move {
                        store.append(request).await.expect("nothing conflicts with Any");
                    }
                });
                let took = took.await;
                opened.close().await;
                took
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = es_benches::criterion();
    one_caller(&mut criterion, "append", &[1, 10, 100, 1_000], |workload, _, size| {
        workload.anywhere(size)
    });
    one_caller(&mut criterion, "append_exact", &[1], |workload, n, size| workload.in_turn(n, size));
    one_caller(&mut criterion, "append_keyed", &[1], |workload, _, size| {
        workload.anywhere_once(size)
    });
    many_callers(&mut criterion);
    criterion.final_summary();
}
