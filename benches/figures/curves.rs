//! How figures change with callers, with what is stored, and with readers.

use es_benches::chart::Chart;
use es_benches::concurrently;
use es_benches::rounds::median;
use es_core::Store;
use es_core::backend::{Definition, Position};

use crate::models::PostingEvents;
use crate::postgres::{Opened, Postgres};
use crate::reads::{self, FILLED, SHORT, Way};
use crate::samples::{Figures, Sample, Value};
use crate::stored::{Call, PAGE, Stored, page};
use crate::{Failure, Plan, calls, follow, writes};

const CALLERS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];
/// More sessions than these make pgbench slower.
const CLIENTS: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
const STORED: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const READERS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// All curves, and what they are made of.
pub(crate) struct Curves {
    /// With the names of their files.
    pub(crate) charts: Vec<(&'static str, Chart)>,
    pub(crate) figures: Figures,
}

/// What one line is of: the figures of this name, each with its number.
type Line<'a> = (&'static str, &'a [u64]);

impl Curves {
    fn chart(
        &mut self,
        file: &'static str,
        title: &str,
        [across, up]: [&'static str; 2],
        value: Value,
        lines: &[Line<'_>],
    ) {
        let of = |(name, numbers): &Line<'_>| {
            let middle = |number: &u64| median(&self.figures.values(&at(name, *number), value));
            let points = numbers.iter().map(|number| (*number as f64, middle(number))).collect();
            ((*name).to_owned(), points)
        };
        let lines = lines.iter().map(of).collect();
        self.charts.push((file, Chart { title: title.to_owned(), across, up, lines }));
    }
}

/// The name of a figure on a line.
fn at(name: &str, number: u64) -> String {
    format!("{name}, {number}")
}

pub(crate) async fn all(postgres: &Postgres, plan: &Plan) -> Result<Curves, Failure> {
    let mut curves = Curves { charts: Vec::new(), figures: Figures::new(plan) };
    Box::pin(by_callers(postgres, plan, &mut curves)).await?;
    Box::pin(by_readers(postgres, plan, &mut curves)).await?;
    Box::pin(by_stored(postgres, plan, &mut curves)).await?;
    Ok(curves)
}

async fn by_callers(postgres: &Postgres, plan: &Plan, curves: &mut Curves) -> Result<(), Failure> {
    let (callers, clients) = (plan.along(&CALLERS), plan.along(&CLIENTS));
    let figures = &mut curves.figures;
    for _ in 0..plan.rounds {
        for number in callers {
            let count = usize::try_from(*number)?;
            if clients.contains(number) {
                let measure = async || writes::pgbench(postgres, plan, count).await;
                figures.take(&at("pgbench", *number), measure).await?;
            }
            let measure = async || writes::append(postgres, plan, count).await;
            figures.take(&at("append", *number), measure).await?;
            for (name, from) in writes::COMMANDS {
                let measure = async || writes::command(postgres, plan, count, from).await;
                figures.take(&at(name, *number), measure).await?;
            }
        }
    }
    let lines: [Line<'_>; 5] = [
        ("append", callers),
        ("command", callers),
        ("command with cache", callers),
        ("command deciding from cache", callers),
        ("pgbench", clients),
    ];
    let title = "Events a second, by callers";
    curves.chart("callers-rate", title, ["callers", "events/s"], Value::Rate, &lines);
    let title = "Within which 99 of 100 calls were, by callers";
    curves.chart("callers-most", title, ["callers", "ms"], Value::Most, &lines);
    Ok(())
}

/// So many readers at once, each with calls of its own.
async fn read(
    postgres: &Postgres,
    plan: &Plan,
    readers: u64,
    is_log: bool,
) -> Result<Sample, Failure> {
    let opened = Opened::at(&postgres.fresh_like(FILLED).await?).await?;
    let sample = if is_log {
        pages(postgres, plan, &opened.store, readers).await?
    } else {
        loads(postgres, plan, &opened.store, readers).await?
    };
    opened.close().await;
    Ok(sample)
}

async fn loads(
    postgres: &Postgres,
    plan: &Plan,
    store: &Store,
    readers: u64,
) -> Result<Sample, Failure> {
    let (postings, each) = (calls::repository(store), plan.calls(20_000 / readers));
    let list = |reader: u64, each: u64| -> Vec<i64> {
        let numbers = reader * each..(reader + 1) * each;
        numbers.map(|number| (number % (plan.log / SHORT)).cast_signed()).collect()
    };
    let warm_up = (0..readers).map(|reader| list(reader, plan.warm_up(each))).collect();
    calls::load(&postings, warm_up, SHORT).await;
    let lists = (0..readers).map(|reader| list(reader, each)).collect();
    let meter = postgres.meter().await?;
    let calls = calls::load(&postings, lists, SHORT).await;
    Ok(meter.stop(readers * each, Some(calls.took))?.timed(calls.each))
}

async fn pages(
    postgres: &Postgres,
    plan: &Plan,
    store: &Store,
    readers: u64,
) -> Result<Sample, Failure> {
    let (store, each) = (store.clone(), plan.calls(1_000 / readers));
    let (most, size) = (plan.log.saturating_sub(PAGE as u64).max(1), PAGE as u64);
    let place = |number: u64| Position::from_sequence(number * size % most);
    let list = |reader: u64| (reader * each..(reader + 1) * each).map(place).collect();
    let lists: Vec<Vec<Position>> = (0..readers).map(list).collect();
    page(&store, Position::START).await;
    let meter = postgres.meter().await?;
    let calls = concurrently(lists, move |after| {
        let store = store.clone();
        async move { page(&store, after).await }
    });
    let calls = calls.await;
    Ok(meter.stop(readers * each * size, Some(calls.took))?.timed(calls.each))
}

async fn by_readers(postgres: &Postgres, plan: &Plan, curves: &mut Curves) -> Result<(), Failure> {
    reads::prepare(postgres, plan).await?;
    let readers = plan.along(&READERS);
    for _ in 0..plan.rounds {
        for number in readers {
            for (name, is_log) in [("load of 10", false), ("page of the log", true)] {
                let measure = async || read(postgres, plan, *number, is_log).await;
                curves.figures.take(&at(name, *number), measure).await?;
            }
        }
    }
    let loads: [Line<'_>; 1] = [("load of 10", readers)];
    let title = "Loads a second, by readers";
    curves.chart("readers-loads", title, ["readers", "loads/s"], Value::Rate, &loads);
    let log: [Line<'_>; 1] = [("page of the log", readers)];
    let title = "Events of the log a second, by readers";
    curves.chart("readers-log", title, ["readers", "events/s"], Value::Rate, &log);
    let title = "Within which 99 of 100 reads were, by readers";
    let both = [loads[0], log[0]];
    curves.chart("readers-most", title, ["readers", "ms"], Value::Most, &both);
    Ok(())
}

async fn by_stored(postgres: &Postgres, plan: &Plan, curves: &mut Curves) -> Result<(), Failure> {
    let sizes = &plan.stored(&STORED)[..];
    let figures = &mut curves.figures;
    for size in sizes {
        let stored = Stored::filled(postgres, "stored", *size).await?.plan_anew().await?;
        for _ in 0..plan.rounds {
            for call in Call::ALL {
                stored.take(postgres, plan, figures, call, &at("stored", *size)).await?;
            }
        }
        // each of them is of the whole log, so once tells enough
        let (store, all) = (&stored.opened.store, stored.events());
        for (name, way) in [("catch-up", Way::CatchUp), ("rebuild", Way::Rebuild(2))] {
            let definition = Definition::of::<PostingEvents>();
            let sample = reads::made(postgres, store, definition, way, all).await?;
            figures.keep(&at(name, *size), sample, 0);
        }
        let measure = async || follow::sample(&stored.url, all).await;
        figures.take(&at("follow", *size), measure).await?;
        stored.remove(postgres).await?;
    }
    let calls: [Line<'_>; 3] = [
        ("append, stored", sizes),
        ("load of 10, stored", sizes),
        ("page of the log, stored", sizes),
    ];
    let title = "The call in the middle, by what is stored";
    curves.chart("stored-calls", title, ["events stored", "ms"], Value::Middle, &calls);
    let models: [Line<'_>; 2] = [("catch-up", sizes), ("rebuild", sizes)];
    let title = "Events a second into a row a stream, by what is stored";
    curves.chart("stored-models", title, ["events stored", "events/s"], Value::Rate, &models);
    let title = "Memory of a process that follows, by what is stored";
    let memory: [Line<'_>; 1] = [("follow", sizes)];
    curves.chart("stored-memory", title, ["events stored", "MB"], Value::Peak, &memory);
    Ok(())
}
