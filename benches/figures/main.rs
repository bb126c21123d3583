//! The figures of this repository, each beside what the database does by itself, in one run, in turn.
//!
//! `cargo bench -p es-benches --bench figures`, and `-- curves` for the curves; see the README. Run as
//! a test it does all of it with a few events.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it shows what it found")]

mod bare;
mod calls;
mod curves;
mod delay;
mod follow;
mod goals;
mod held;
mod memory;
mod models;
mod pgbench;
mod plan;
mod postgres;
mod reads;
mod report;
mod samples;
mod sqlite;
mod stored;
mod writes;

use es_benches::{is_measured, runtime};

pub(crate) use crate::plan::Plan;
use crate::postgres::Postgres;
use crate::samples::Figures;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the other processes are started with.
pub(crate) const FOLLOW: &str = "follow-and-tell";
pub(crate) const APPEND: &str = "append-and-tell";

/// All parts that are wanted, in rounds; what is long or does not vary comes once.
async fn figures(postgres: &Postgres, plan: &Plan) -> Result<Figures, Failure> {
    let mut figures = Figures::new(plan);
    if plan.has("loads") || plan.has("models") {
        reads::prepare(postgres, plan).await?;
    }
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}", plan.rounds);
        if plan.has("writes") {
            Box::pin(writes::round(postgres, plan, &mut figures)).await?;
        }
        if plan.has("loads") {
            Box::pin(reads::loads(postgres, plan, &mut figures)).await?;
        }
        if plan.has("models") {
            Box::pin(reads::models(postgres, plan, &mut figures)).await?;
        }
        if plan.has("sqlite") {
            Box::pin(sqlite::round(postgres, plan, &mut figures)).await?;
        }
        if plan.has("memory") {
            Box::pin(memory::round(postgres, plan, &mut figures)).await?;
        }
    }
    if plan.has("delay") {
        let measure = async || delay::across_processes(postgres, plan).await;
        Box::pin(figures.take("from an append to a follower elsewhere", measure)).await?;
    }
    if plan.has("follow") {
        Box::pin(follow::compare(postgres, plan, &mut figures)).await?;
    }
    if plan.has("stored") {
        Box::pin(stored::compare(postgres, plan, &mut figures)).await?;
    }
    Ok(figures)
}

async fn measure(plan: Plan) -> Result<(), Failure> {
    let postgres = Postgres::start().await?;
    if !plan.curves {
        let figures = Box::pin(figures(&postgres, &plan)).await?;
        report::figures(&postgres, &plan, &figures)?;
    }
    // a test does both
    if plan.curves || !is_measured() {
        let curves = Box::pin(curves::all(&postgres, &plan)).await?;
        report::curves(&postgres, &plan, &curves)?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [FOLLOW, url] => runtime().block_on(follow::follow(url)),
        [APPEND, url, events] => runtime().block_on(delay::append_and_tell(url, events.parse()?)),
        _ => {
            let plan = Plan::asked(words.iter().map(|word| (*word).to_owned()))?;
            runtime().block_on(measure(plan))
        }
    }
}
