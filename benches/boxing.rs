//! What an object-safe store costs: one boxed future and one indirect call.
//!
//! The memory store is where it can be seen, because nothing else costs anything there.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;

use criterion::Criterion;
use es_benches::{Workload, runtime, timed};
use es_core::backend::{AppendError, AppendRequest, Appended, EventStore};
use es_memory::MemoryStore;

/// An append, as far as the store is concerned.
async fn answer(request: AppendRequest) -> Result<Appended, AppendError> {
    black_box(&request);
    Ok(Appended { streams: Vec::new(), repeated: false })
}

/// The future of an append, in a box.
fn boxed(
    request: AppendRequest,
) -> Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send>> {
    Box::pin(answer(request))
}

fn append(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("boxing/append");
    group.bench_function("concrete", |bencher| {
        bencher.to_async(&runtime).iter_custom(async |count| {
            let store = MemoryStore::new();
            let mut workload = Workload::seeded(1);
            let input = |_| workload.anywhere(1);
            timed(count, input, async |request| {
                store.append(request).await.expect("nothing conflicts with Any");
            })
            .await
        });
    });
    group.bench_function("dyn", |bencher| {
        bencher.to_async(&runtime).iter_custom(async |count| {
            let store: Arc<dyn EventStore> = black_box(Arc::new(MemoryStore::new()));
            let mut workload = Workload::seeded(1);
            let input = |_| workload.anywhere(1);
            timed(count, input, async |request| {
                store.append(request).await.expect("nothing conflicts with Any");
            })
            .await
        });
    });
    group.finish();
}

fn future(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("boxing/future");
    group.bench_function("plain", |bencher| {
        bencher.to_async(&runtime).iter_custom(async |count| {
            let mut workload = Workload::seeded(1);
            let input = |_| workload.anywhere(1);
            timed(count, input, async |request| {
                black_box(answer(request).await).expect("it is always answered");
            })
            .await
        });
    });
    group.bench_function("boxed", |bencher| {
        bencher.to_async(&runtime).iter_custom(async |count| {
            let mut workload = Workload::seeded(1);
            let input = |_| workload.anywhere(1);
            timed(count, input, async |request| {
                black_box(black_box(boxed(request)).await).expect("it is always answered");
            })
            .await
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = es_benches::criterion();
    append(&mut criterion);
    future(&mut criterion);
    criterion.final_summary();
}
