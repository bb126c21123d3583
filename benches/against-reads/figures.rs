//! The figures of the specification: single calls, on postings of several sizes, in a store that
//! also has the events of the log.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use es_benches::Workload;
use es_core::backend::{AppendRequest, NewEvent, ReadStream, Slot, Snapshot, Timestamp};
use es_core::event::Payload;
use es_core::execution::{Snapshotted, StreamVersion};
use es_core::{ExpectedVersion, Projection, Repository};
use turing::read_models::{PostingRow, runner};
use turing::store::Store;
use turing_domain::{Posting, PostingId};

use crate::postgres::Postgres;
use crate::sqlite::Template;
use crate::{Failure, Sizes, models};

/// Events since the state that was kept: half of the ten after which one is kept.
const TAIL: u64 = 5;

/// Lines of the table, in the order of their first figures.
#[derive(Default)]
struct Table(Vec<(&'static str, &'static str, Vec<String>)>);

impl Table {
    fn add(&mut self, name: &'static str, specified: &'static str, mut took: Vec<Duration>) {
        took.sort_unstable();
        let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1_000.0;
        let shown = format!("{:.2} ({:.2})", at(50), at(95));
        match self.0.iter_mut().find(|line| line.0 == name) {
            Some(line) => line.2.push(shown),
            None => self.0.push((name, specified, vec![shown])),
        }
    }

    fn print(&self, backend: &str, sizes: [usize; 4]) {
        println!(
            "\nCalls on {backend}: milliseconds, middle (95 of 100 within), by events of a posting"
        );
        let line = |name: &str, columns: &[String], specified: &str| {
            let columns: Vec<_> = columns.iter().map(|column| format!("{column:>17}")).collect();
            println!("{name:32}{}  {specified}", columns.concat());
        };
        line("", &sizes.map(|size| size.to_string()), "specified");
        for (name, specified, columns) in &self.0 {
            line(name, columns, specified);
        }
    }
}

/// The postings of one size: so many that the appends to each leave it about as long as it was.
fn postings(number: usize, size: usize) -> RangeInclusive<i64> {
    let first = 100_000_000 * (number as i64 + 1);
    first..=first + (200 / size as i64 - 1).max(0)
}

/// Appends one event after the other, each with the exact version.
async fn appends(
    store: &Store,
    postings: RangeInclusive<i64>,
    size: usize,
    calls: usize,
) -> Result<Vec<Duration>, Failure> {
    let mut workload = Workload::seeded(u64::MAX - postings.start().unsigned_abs());
    let count = postings.clone().count();
    let mut requests = Vec::new();
    for (number, posting) in postings.cycle().take(calls).enumerate() {
        let version = StreamVersion::new((size + number / count) as u64);
        let event = workload.events(1);
        let exact = ExpectedVersion::Exact(version);
        requests.push(AppendRequest::to(Workload::stream(posting), exact, event));
    }
    let mut took = Vec::new();
    for request in requests {
        let start = Instant::now();
        store.events.append(request).await?;
        took.push(start.elapsed());
    }
    Ok(took)
}

/// Loads a posting as often, with the state that was kept or from its first event.
async fn loads(
    store: &Store,
    posting: i64,
    size: usize,
    count: usize,
    with_snapshot: bool,
) -> Result<Vec<Duration>, Failure> {
    let mut repository = Repository::<Posting>::new(&store.events);
    if with_snapshot {
        repository = repository.snapshot_every(0);
    }
    let posting = PostingId(i32::try_from(posting)?);
    let mut took = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        let loaded = repository.load(&posting).await?;
        took.push(start.elapsed());
        if loaded.version != StreamVersion::new(size as u64) {
            return Err(format!("posting {posting} is at {}, not {size}", loaded.version).into());
        }
    }
    Ok(took)
}

/// Keeps the state of a posting as it was some events ago.
async fn keep(store: &Store, posting: i64, size: usize) -> Result<(), Failure> {
    let repository = Repository::<Posting>::new(&store.events);
    let version = StreamVersion::new(size as u64 - TAIL);
    let loaded = repository.load_at(&PostingId(i32::try_from(posting)?), version).await?;
    let read = ReadStream::new(loaded.stream.clone()).from_version(version).to_version(version);
    let page = store.events.read_stream(&read).await?;
    let snapshot = Snapshot::new(
        loaded.stream,
        loaded.version,
        page.events[0].event_id,
        Posting::fingerprint(),
        Payload::of(&loaded.state)?,
        Timestamp::EPOCH,
    );
    Ok(store.snapshots()?.save_snapshot(snapshot).await?)
}

pub(crate) async fn on_postgres(postgres: &mut Postgres, sizes: &Sizes) -> Result<(), Failure> {
    let mut table = Table::default();
    for (number, size) in sizes.among.into_iter().enumerate() {
        let postings = postings(number, size);
        let first = *postings.start();
        let id = i32::try_from(first)?;
        postgres.fill(postings.clone(), size).await?;

        let mut queries = Vec::new();
        for _ in 0..sizes.calls {
            queries.push(postgres.state(id, size).await?);
        }
        table.add("query of the projection", "< 1", queries);

        let store = &postgres.store;
        let took = loads(store, first, size, sizes.loads, false).await?;
        table.add("load from the first event", "5-100", took);
        keep(store, first, size).await?;
        let took = loads(store, first, size, sizes.loads, true).await?;
        table.add("load from a kept state", "5-100", took);

        let mut rebuilds = Vec::new();
        for _ in 0..sizes.loads {
            rebuilds.push(postgres.rebuild(id).await?);
        }
        table.add("rebuild_posting_state()", "5-100", rebuilds);

        let took = appends(&postgres.store, postings.clone(), size, sizes.calls).await?;
        table.add("append one event", "1-2", took);

        let mut workload = Workload::seeded(first.unsigned_abs() + 1);
        let events: Vec<NewEvent> = workload.events(sizes.calls);
        let mut took = Vec::new();
        for (posting, event) in postings.cycle().take(sizes.calls).zip(&events) {
            took.push(postgres.append(i32::try_from(posting)?, event).await?);
        }
        table.add("append_event()", "1-2", took);
    }
    table.print("PostgreSQL", sizes.among);
    Ok(())
}

/// Reads the row of a posting from the model, as often.
async fn queries(
    store: &Store,
    posting: i64,
    size: usize,
    count: usize,
) -> Result<Vec<Duration>, Failure> {
    let key = [Workload::stream(posting).to_string()];
    let mut took = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        let rows = store.models()?.load(PostingRow::NAME, Slot::Active, &key).await?;
        let row: PostingRow = rows.first().ok_or("the posting has a row")?.value.decode()?;
        took.push(start.elapsed());
        if row.version != StreamVersion::new(size as u64) {
            return Err(format!("posting {posting} stands at {}, not {size}", row.version).into());
        }
    }
    Ok(took)
}

pub(crate) async fn on_sqlite(template: &Template, sizes: &Sizes) -> Result<(), Failure> {
    let copied = template.copied().await?;
    let store = &copied.store;
    let mut table = Table::default();
    for (number, size) in sizes.among.into_iter().enumerate() {
        let postings = postings(number, size);
        let first = *postings.start();
        models::fill(store, postings.clone(), size).await?;
        let mut runner = runner(store, [es_core::backend::Definition::of::<PostingRow>()]);
        runner.catch_up().await?;
        runner.release().await;

        let took = queries(store, first, size, sizes.calls).await?;
        table.add("query of the model", "< 1", took);
        let took = loads(store, first, size, sizes.loads, false).await?;
        table.add("load from the first event", "5-100", took);
        keep(store, first, size).await?;
        let took = loads(store, first, size, sizes.loads, true).await?;
        table.add("load from a kept state", "5-100", took);
        let took = appends(store, postings, size, sizes.calls).await?;
        table.add("append one event", "1-2", took);
    }
    table.print("SQLite", sizes.among);
    copied.close().await
}
