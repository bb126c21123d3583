//! Appends: one event and batches, one caller and many, with and without conditions.

use criterion::Criterion;
use es_benches::{CALLERS, Workload, concurrently, on_new_stores, timed};
use es_core::backend::AppendRequest;

/// Makes the nth append of a number of events.
type Input = fn(&mut Workload, u64, usize) -> AppendRequest;

fn one_caller(criterion: &mut Criterion, operation: &str, all: &[usize], input: Input) {
    on_new_stores(criterion, operation, all, async |opened, size, count| {
        let mut workload = Workload::seeded(1);
        let input = |n| input(&mut workload, n, size);
        let append = async |request| {
            opened.store.append(request).await.expect("no append conflicts");
        };
        timed(count, input, append).await
    });
}

/// One iteration is one append by each of the callers.
fn many_callers(criterion: &mut Criterion) {
    on_new_stores(criterion, "append_concurrently", &[CALLERS], async |opened, callers, count| {
        let mut workload = Workload::seeded(1);
        let inputs =
            (0..callers).map(|_| (0..count).map(|_| workload.anywhere(1)).collect()).collect();
        let store = opened.store.clone();
        let calls = concurrently(inputs, move |request| {
            let store = store.clone();
            async move {
                store.append(request).await.expect("nothing conflicts with Any");
            }
        });
        calls.await.took
    });
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
