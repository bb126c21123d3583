//! Commands: load, decide, append one event. A posting gets ten, then comes the next one.

use criterion::{BenchmarkId, Criterion, Throughput};
use es_benches::{Backend, CALLERS, Posting, PostingEvent, Workload, concurrently, runtime, timed};
use es_core::Repository;

/// Which posting, and what is to be recorded.
type Input = (i64, PostingEvent);

/// The nth command of a caller.
fn input(workload: &mut Workload, caller: usize, n: u64) -> Input {
    let number = CALLERS as u64 * (n / 10) + caller as u64;
    (number.cast_signed(), workload.execution())
}

async fn command(repository: &Repository<Posting>, (posting, execution): Input) {
    let command = repository.by_id(&posting).decide(|posting| posting.record(&execution));
    command.await.expect("no other writer, and no posting is terminal");
}

fn one_caller(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("command");
    group.throughput(Throughput::Elements(1));
    for backend in Backend::EMBEDDED {
        group.bench_function(BenchmarkId::new(backend.name(), 1), |bencher| {
            bencher.to_async(&runtime).iter_custom(async |count| {
                let opened = backend.open().await;
                let mut workload = Workload::seeded(1);
                let repository = Repository::new(&opened.store).with_metadata(workload.cause());
                let input = |n| input(&mut workload, 0, n);
                let took = timed(count, input, async |input| command(&repository, input).await);
                let took = took.await;
                opened.close().await;
                took
            });
        });
    }
    group.finish();
}

/// One iteration is one command by each of the callers, on postings of their own.
fn many_callers(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("command_concurrently");
    group.throughput(Throughput::Elements(CALLERS as u64));
    for backend in Backend::EMBEDDED {
        group.bench_function(BenchmarkId::new(backend.name(), CALLERS), |bencher| {
            bencher.to_async(&runtime).iter_custom(async |count| {
                let opened = backend.open().await;
                let mut workload = Workload::seeded(1);
                let repository = Repository::new(&opened.store).with_metadata(workload.cause());
                let inputs = (0..CALLERS)
                    .map(|caller| (0..count).map(|n| input(&mut workload, caller, n)).collect())
                    .collect();
                let took = concurrently(inputs, move |input| {
                    let repository = repository.clone();
                    async move { command(&repository, input).await }
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
    one_caller(&mut criterion);
    many_callers(&mut criterion);
    criterion.final_summary();
}
