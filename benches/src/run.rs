//! How calls are timed.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;

use crate::stores::{Backend, Opened};

/// How many callers the benches with several of them have.
pub const CALLERS: usize = 32;

/// Inputs that are made at once, before they are used.
const AHEAD: u64 = 64;

/// Criterion with fewer and shorter samples than by default, so that all benches take minutes.
///
/// Arguments of the command line still come first.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// The runtime of all benches: that of an application, with two workers.
pub fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started")
}

/// True if times are measured, false if the benches run as tests.
pub fn is_measured() -> bool {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    has("--bench") && !has("--test")
}

/// The sizes to be measured; as a test, only those up to 100.
pub fn sizes(all: &[usize]) -> impl Iterator<Item = usize> {
    let is_measured = is_measured();
    all.iter().copied().filter(move |size| is_measured || *size <= 100)
}

/// Benches an operation at all sizes on a new store of each embedded backend; `measure` tells how long
/// so many iterations of a size took.
pub fn on_new_stores(
    criterion: &mut Criterion,
    operation: &str,
    all: &[usize],
    measure: impl AsyncFn(&Opened, usize, u64) -> Duration,
) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group(operation);
    for backend in Backend::EMBEDDED {
        for size in sizes(all) {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::new(backend.name(), size), |bencher| {
                bencher.to_async(&runtime).iter_custom(async |count| {
                    let opened = backend.open().await;
                    let took = measure(&opened, size, count).await;
                    opened.close().await;
                    took
                });
            });
        }
    }
    group.finish();
}

/// How long `count` calls take one after another; making their inputs is not counted.
pub async fn timed<I>(
    count: u64,
    mut input: impl FnMut(u64) -> I,
    call: impl AsyncFn(I),
) -> Duration {
    let mut took = Duration::ZERO;
    let mut done = 0;
    while done < count {
        let upto = count.min(done + AHEAD);
        let inputs: Vec<I> = (done..upto).map(&mut input).collect();
        let start = Instant::now();
        for input in inputs {
            call(input).await;
        }
        took += start.elapsed();
        done = upto;
    }
    took
}

/// What calls took.
#[derive(Debug)]
pub struct Calls {
    /// All together.
    pub took: Duration,
    /// Each of them, in no order.
    pub each: Vec<Duration>,
}

/// How long it takes until tasks have made their calls: one task for each list of inputs, each
/// making its calls one after another.
pub async fn concurrently<I, C, F>(inputs: Vec<Vec<I>>, call: C) -> Calls
where
    I: Send + 'static,
    C: Fn(I) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let start = Arc::new(Barrier::new(inputs.len() + 1));
    let tasks: Vec<_> = inputs
        .into_iter()
        .map(|inputs| {
            let (start, call) = (start.clone(), call.clone());
            tokio::spawn(async move {
                let mut each = Vec::with_capacity(inputs.len());
                start.wait().await;
                for input in inputs {
                    let begun = Instant::now();
                    call(input).await;
                    each.push(begun.elapsed());
                }
                each
            })
        })
        .collect();
    start.wait().await;
    let begun = Instant::now();
    let mut lists = Vec::with_capacity(tasks.len());
    for task in tasks {
        lists.push(task.await.expect("no call panics"));
    }
    Calls { took: begun.elapsed(), each: lists.concat() }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn every_input_is_used_once_in_order() {
        let used = Mutex::new(Vec::new());
        timed(2 * AHEAD + 1, |n| n, async |n| used.lock().unwrap().push(n)).await;
        assert_eq!(used.into_inner().unwrap(), (0..2 * AHEAD + 1).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn every_task_makes_all_its_calls() {
        let used = Arc::new(Mutex::new(Vec::new()));
        let seen = used.clone();
        let call = move |n: u32| {
            let seen = seen.clone();
            async move { seen.lock().unwrap().push(n) }
        };
        let calls = concurrently(vec![vec![1, 2], vec![3], vec![]], call).await;
        assert_eq!(calls.each.len(), 3);
        let mut used = used.lock().unwrap().clone();
        used.sort_unstable();
        assert_eq!(used, [1, 2, 3]);
    }
}
