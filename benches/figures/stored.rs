//! The same calls on stores that hold few and many events, by plans that were made while they were
//! empty and by plans that were made when they were full.

use std::cell::Cell;
use std::time::Instant;

use es_benches::concurrently;
use es_core::Store;
use es_core::backend::{AppendRequest, PageLimit, Position, ReadLog};

use crate::calls::{self, Shape, WARM_UP, requests};
use crate::held::Held;
use crate::postgres::{Opened, Postgres};
use crate::reads::{SHORT, fill};
use crate::samples::{Figures, Sample};
use crate::{Failure, Plan};

/// A store in a database of its own, which keeps what it holds from round to round.
pub(crate) struct Stored {
    name: String,
    pub(crate) url: String,
    pub(crate) opened: Opened,
    /// How many events were there before anything was appended.
    filled: u64,
    appended: Cell<u64>,
    /// The first posting that nothing was appended to.
    next: Cell<i64>,
}

/// The calls.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Append,
    Load,
    Page,
}

impl Call {
    pub(crate) const ALL: [(&str, Self); 3] =
        [("append", Self::Append), ("load of 10", Self::Load), ("page of the log", Self::Page)];
}

/// Events of a page of the log.
pub(crate) const PAGE: usize = 500;

impl Stored {
    /// A store that is used while it is empty, and then filled.
    pub(crate) async fn filled(
        postgres: &Postgres,
        name: &str,
        events: u64,
    ) -> Result<Self, Failure> {
        let url = postgres.with_store(name).await?;
        let mut held = Held::connect(&url).await?;
        held.run(include_str!("sql/keep_plans.sql")).await?;
        let opened = Opened::at(&url).await?;
        let (appended, next) = (Cell::new(0), Cell::new(WARM_UP));
        let stored = Self { name: name.to_owned(), url, opened, filled: events, appended, next };
        stored.warm_up().await?;
        fill(&mut held, events).await?;
        held.close().await?;
        Ok(stored)
    }

    /// How many events there are now.
    pub(crate) fn events(&self) -> u64 {
        self.filled + self.appended.get()
    }

    /// Appends of one event to postings that had none.
    fn appends(&self, count: u64) -> Vec<Vec<AppendRequest>> {
        let first = self.next.replace(self.next.get() + count.cast_signed());
        self.appended.set(self.appended.get() + count);
        requests(first, 1, count, Shape::SINGLE)
    }

    /// Statements are planned by what they are first used for.
    async fn warm_up(&self) -> Result<(), Failure> {
        let first = self.next.get();
        calls::append(&self.opened.store, self.appends(20)).await;
        let postings = calls::repository(&self.opened.store);
        calls::load(&postings, vec![[first, first + 1].repeat(10)], SHORT).await;
        for _ in 0..10 {
            page(&self.opened.store, Position::START).await;
        }
        Ok(())
    }

    /// Has the table's statistics made, and opens the store anew.
    pub(crate) async fn plan_anew(self) -> Result<Self, Failure> {
        self.opened.close().await;
        let mut held = Held::connect(&self.url).await?;
        held.run(include_str!("sql/vacuum.sql")).await?;
        held.close().await?;
        let opened = Opened::at(&self.url).await?;
        let stored = Self { opened, ..self };
        stored.warm_up().await?;
        Ok(stored)
    }

    /// Calls of one caller, one after the other; those that read do so all over what is stored.
    async fn sample(
        &self,
        postgres: &Postgres,
        plan: &Plan,
        call: Call,
    ) -> Result<Sample, Failure> {
        let store = &self.opened.store;
        let count = plan.calls(2_000);
        // a prime stride, so that neighbours are not read one after the other
        let somewhere = |n: u64, among: u64| n * 7_919 % among.max(1);
        match call {
            Call::Append => {
                let lists = self.appends(count);
                let meter = postgres.meter().await?;
                let calls = calls::append(store, lists).await;
                Ok(meter.stop(count, Some(calls.took))?.timed(calls.each))
            }
            Call::Load => {
                let postings = calls::repository(store);
                let among = self.filled / SHORT;
                let list = (0..count).map(|n| somewhere(n, among).cast_signed()).collect();
                let meter = postgres.meter().await?;
                let calls = calls::load(&postings, vec![list], SHORT).await;
                Ok(meter.stop(count, Some(calls.took))?.timed(calls.each))
            }
            Call::Page => {
                let count = count.div_ceil(10);
                let among = self.filled.saturating_sub(PAGE as u64);
                let places = (0..count).map(|n| Position::from_sequence(somewhere(n, among)));
                let (list, reader) = (places.collect::<Vec<_>>(), store.clone());
                let meter = postgres.meter().await?;
                let calls = concurrently(vec![list], move |after| {
                    let store = reader.clone();
                    async move { page(&store, after).await }
                });
                let calls = calls.await;
                Ok(meter.stop(count * PAGE as u64, Some(calls.took))?.timed(calls.each))
            }
        }
    }

    /// Takes a sample of a call, under its name and this one.
    pub(crate) async fn take(
        &self,
        postgres: &Postgres,
        plan: &Plan,
        figures: &mut Figures,
        (what, call): (&str, Call),
        of: &str,
    ) -> Result<(), Failure> {
        let sample = async || self.sample(postgres, plan, call).await;
        figures.take(&format!("{what}, {of}"), sample).await
    }

    /// Closes the store and removes its database.
    pub(crate) async fn remove(self, postgres: &Postgres) -> Result<(), Failure> {
        self.opened.close().await;
        postgres.forget(&self.name).await
    }
}

pub(crate) async fn page(store: &Store, after: Position) {
    let read = ReadLog::after(after).limit(PageLimit::events(PAGE));
    store.read_log(&read).await.expect("the log can be read");
}

/// Few and many in turn, first by early plans and then by late ones.
pub(crate) async fn compare(
    postgres: &Postgres,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut both = Vec::new();
    for (name, events) in [("few", plan.few), ("many", plan.many)] {
        both.push(Stored::filled(postgres, &format!("stored_{name}"), events).await?);
    }
    eprintln!("{} and {} events stored in {:.0?}", plan.few, plan.many, begun.elapsed());
    for plans in ["early", "late"] {
        if plans == "late" {
            let mut anew = Vec::new();
            for stored in both {
                anew.push(stored.plan_anew().await?);
            }
            both = anew;
        }
        for _ in 0..plan.rounds {
            for call in Call::ALL {
                for (stored, name) in both.iter().zip(["few", "many"]) {
                    let of = format!("{name} stored, {plans} plans");
                    stored.take(postgres, plan, figures, call, &of).await?;
                }
            }
        }
    }
    for stored in both {
        stored.remove(postgres).await?;
    }
    Ok(())
}
