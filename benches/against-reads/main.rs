//! Turing's read models beside a plain reading of the same rows, in one run, in alternating rounds.
//!
//! `cargo bench -p es-benches --bench against-reads -- [EVENTS [ROUNDS [PART]]]`, where the parts are
//! `log`, `calls` and `single`; run as a test it does all of them with a few events.
#![allow(clippy::print_stdout, reason = "it shows what it found")]

mod figures;
mod log;
mod models;
mod postgres;
mod single;
mod sqlite;

use std::fs;

use es_benches::{is_measured, runtime, server};

use crate::postgres::Postgres;
use crate::sqlite::Template;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// Rounds that count; one more comes first and does not.
    pub(crate) rounds: usize,
    /// Postings of ten events each, which make up the log.
    pub(crate) postings: i64,
    /// Events of a posting that is alone in its store, each four times the one before.
    pub(crate) single: [usize; 4],
    /// Events of a posting among others.
    pub(crate) among: [usize; 4],
    /// Calls of which the middle one is told, of those that take about a millisecond.
    pub(crate) calls: usize,
    /// The same of those that read a whole posting.
    pub(crate) loads: usize,
    /// What is measured.
    parts: &'static [Part],
}

/// A part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Models of the whole log.
    Log,
    /// Single calls, by the length of a posting.
    Calls,
    /// One posting alone.
    Single,
}

impl Part {
    const ALL: &[Self] = &[Self::Log, Self::Calls, Self::Single];

    fn asked(name: Option<&str>) -> Result<&'static [Self], Failure> {
        match name {
            None => Ok(Self::ALL),
            Some("log") => Ok(&[Self::Log]),
            Some("calls") => Ok(&[Self::Calls]),
            Some("single") => Ok(&[Self::Single]),
            Some(other) => Err(format!("`{other}` is no part; use log, calls or single").into()),
        }
    }
}

impl Sizes {
    /// Events of each posting of the log.
    pub(crate) const EACH: usize = 10;

    /// Sizes that tell something, with so many events in the log.
    fn measured(events: u64, rounds: usize, parts: &'static [Part]) -> Result<Self, Failure> {
        Ok(Self {
            rounds,
            postings: i64::try_from(events / Self::EACH as u64)?.max(1),
            single: [1_000, 4_000, 16_000, 64_000],
            among: [10, 100, 1_000, 10_000],
            calls: 200,
            loads: 21,
            parts,
        })
    }

    /// Sizes that only show that everything still works.
    fn tiny() -> Self {
        let (single, among) = ([10, 40, 160, 640], [10, 20, 30, 40]);
        let parts = Part::ALL;
        Self { rounds: 1, postings: 20, single, among, calls: 4, loads: 2, parts }
    }

    /// Those that the command line asks for.
    fn asked() -> Result<Self, Failure> {
        if !is_measured() {
            return Ok(Self::tiny());
        }
        let mut words = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
        let usage = |word: String| format!("`{word}` is no number; use [EVENTS [ROUNDS [PART]]]");
        let mut next = |otherwise: u64| match words.next() {
            Some(text) => text.parse().map_err(|_| usage(text)),
            None => Ok(otherwise),
        };
        let (events, rounds) = (next(20_000)?, next(5)?);
        let parts = Part::asked(words.next().as_deref())?;
        Self::measured(events, usize::try_from(rounds)?.max(1), parts)
    }

    /// Events of the log.
    pub(crate) fn events(&self) -> u64 {
        self.postings.unsigned_abs() * Self::EACH as u64
    }
}

/// How busy the machine is, as far as it says.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

async fn measure(sizes: Sizes) -> Result<(), Failure> {
    let server = server();
    println!(
        "{} events of {} postings, {} rounds, medians; load average {}",
        sizes.events(),
        sizes.postings,
        sizes.rounds,
        load_average()
    );

    let is_wanted = |part| sizes.parts.contains(&part);
    if is_wanted(Part::Log) || is_wanted(Part::Calls) {
        let mut postgres = Postgres::new(&server).await?;
        postgres.fill(1..=sizes.postings, Sizes::EACH).await?;
        let template = Template::filled(1..=sizes.postings, Sizes::EACH).await?;
        if is_wanted(Part::Log) {
            log::on_postgres(&mut postgres, &sizes).await?;
            log::on_sqlite(&template, &sizes).await?;
        }
        if is_wanted(Part::Calls) {
            figures::on_postgres(&mut postgres, &sizes).await?;
            figures::on_sqlite(&template, &sizes).await?;
        }
        postgres.close().await;
    }
    if is_wanted(Part::Single) {
        single::on_postgres(&server, &sizes).await?;
        single::on_sqlite(&sizes).await?;
    }
    println!("\nload average at the end: {}", load_average());
    Ok(())
}

fn main() -> Result<(), Failure> {
    let sizes = Sizes::asked()?;
    // in a task, as the work of an application is
    runtime().block_on(async { tokio::spawn(measure(sizes)).await? })
}
