//! The memory of a process that follows a log, in a process of its own.

use std::fs;
use std::process::Stdio;

use es_core::Runner;
use tokio::process::Command;

use crate::held::Held;
use crate::models::{NoRows, passed};
use crate::postgres::{Opened, Postgres};
use crate::reads::fill;
use crate::samples::{Figures, Sample};
use crate::{FOLLOW, Failure, Plan};

/// The process: catches up, and says how much memory it had at most.
pub(crate) async fn follow(url: &str) -> Result<(), Failure> {
    let opened = Opened::at(url).await?;
    let runner = Runner::new(&opened.store).projection::<NoRows>();
    tokio::spawn(async move { runner.once().await }).await??;
    println!("{} {}", passed(&opened.store, "no_rows").await?, peak()?);
    opened.close().await;
    Ok(())
}

/// Kilobytes that this process had at most.
fn peak() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|line| line.split_whitespace().next());
    Ok(size.ok_or("/proc tells no memory")?.parse()?)
}

/// What another process needs for so many events of a database.
pub(crate) async fn sample(url: &str, events: u64) -> Result<Sample, Failure> {
    let mut follower = Command::new(std::env::current_exe()?);
    follower.args([FOLLOW, url]).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = follower.output().await?;
    if !output.status.success() {
        return Err("the process that follows failed".into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (found, peak) = (numbers.next(), numbers.next());
    let (Some(found), Some(peak)) = (found.transpose()?, peak.transpose()?) else {
        return Err("the process that follows told nothing".into());
    };
    if found != events {
        return Err(format!("{found} events of {events} were followed").into());
    }
    Ok(Sample::of_peak(peak as f64 * 1_024.0 / 1e6))
}

/// A tenth of the events, and all of them.
pub(crate) async fn compare(
    postgres: &Postgres,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let of = [
        ("memory of following a tenth", plan.followed / 10),
        ("memory of following all", plan.followed),
    ];
    for (name, events) in of {
        let measure = async || {
            let url = postgres.with_store("bench").await?;
            let mut held = Held::connect(&url).await?;
            fill(&mut held, events).await?;
            held.run(include_str!("sql/vacuum.sql")).await?;
            held.close().await?;
            sample(&url, events).await
        };
        figures.take(name, measure).await?;
    }
    Ok(())
}
