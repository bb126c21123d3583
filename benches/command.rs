//! Commands: load, decide, append one event. A posting gets ten, then comes the next one.

use criterion::Criterion;
use es_benches::{CALLERS, Posting, PostingEvent, Workload, concurrently, on_new_stores, timed};
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
    on_new_stores(criterion, "command", &[1], async |opened, _, count| {
        let mut workload = Workload::seeded(1);
        let repository = Repository::new(&opened.store).with_metadata(workload.cause());
        let input = |n| input(&mut workload, 0, n);
        timed(count, input, async |input| command(&repository, input).await).await
    });
}

/// One iteration is one command by each of the callers, on postings of their own.
fn many_callers(criterion: &mut Criterion) {
    on_new_stores(criterion, "command_concurrently", &[CALLERS], async |opened, callers, count| {
        let mut workload = Workload::seeded(1);
        let repository = Repository::new(&opened.store).with_metadata(workload.cause());
        let inputs = (0..callers)
            .map(|caller| (0..count).map(|n| input(&mut workload, caller, n)).collect())
            .collect();
        let calls = concurrently(inputs, move |input| {
            let repository = repository.clone();
            async move { command(&repository, input).await }
        });
        calls.await.took
    });
}

fn main() {
    let mut criterion = es_benches::criterion();
    one_caller(&mut criterion);
    many_callers(&mut criterion);
    criterion.final_summary();
}
