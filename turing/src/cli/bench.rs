//! `turing bench`: what steps cost on this machine, in stores of their own.

use std::num::NonZeroUsize;

use clap::{Args, value_parser};

use super::arguments::{Common, at_least_one};
use super::interrupts::Interrupts;
use super::output::{Output, counted, rows, table};
use super::telling::{tell, tell_times};
use super::{Failure, Verdict};
use crate::bench::{Ground, Measured, Plan, measure};
use crate::descriptors;

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// How many postings make four steps each, once for each kind of actor.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2_000,
        value_parser = value_parser!(u32).range(1..=1_000_000)
    )]
    postings: u32,
    /// How many steps one posting makes alone, one after the other.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 400,
        value_parser = value_parser!(u32).range(1..=2_000)
    )]
    sequence: u32,
    /// How many postings are attempted side by side [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    parallel: Option<NonZeroUsize>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn execute(
    args: BenchArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    tell_times();
    interrupts.before()?;
    let BenchArgs { postings, sequence, parallel, common } = args;
    let url = common.store()?;
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let parallelism = parallel.unwrap_or_else(processors).min(descriptors::enough_for(0));
    let plan = Plan { postings, sequence, parallelism };
    let mut heard = interrupts.going()?;
    let mut ground = Ground::beside(&url)?;
    let next = |what: &str| tell(format_args!("measuring {what}"));
    let measured = Box::pin(measure(&mut ground, &plan, &mut heard, &next)).await;
    // however it ended
    let removed = ground.remove().await;
    // what is left is told first: all other failures say that nothing is
    removed?;
    let measured = measured?;
    match common.json {
        true => output.json(&measured),
        false => print(&measured, output),
    }
    Ok(Verdict::Well)
}

fn print(measured: &Measured, output: &mut Output) {
    let Measured { store, parallel, actors, sequence, peak_memory_bytes } = measured;
    output.line(format_args!("{store}; {} side by side\n", counted(*parallel, "posting")));
    let header = ["actor", "postings", "steps", "steps/s", "median", "99 of 100"];
    let mut listed = table(&header, &[1, 2, 3, 4, 5]);
    for steps in actors {
        listed.add_row([
            steps.actor.to_owned(),
            steps.postings.to_string(),
            steps.steps.to_string(),
            format!("{:.0}", steps.steps_per_second),
            format!("{:.1} ms", steps.median_ms),
            format!("{:.1} ms", steps.p99_ms),
        ]);
    }
    output.line(rows(&listed));
    output.line(format_args!(
        "\none posting, {} one after the other, actor true: {:.2} s\n\
         by hand, start the same program and write one row durably each time: {:.2} s\n\
         ratio: {:.2}",
        counted(sequence.steps, "step"),
        sequence.seconds,
        sequence.by_hand_seconds,
        sequence.ratio
    ));
    if let Some(bytes) = peak_memory_bytes {
        output.line(format_args!("peak memory: {} MiB", bytes / (1024 * 1024)));
    }
}
