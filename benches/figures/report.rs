//! What is printed, and what a whole run leaves in this folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::curves::Curves;
use crate::postgres::Postgres;
use crate::samples::Figures;
use crate::{Failure, Plan, goals};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// A line of what a program or a file says, or a question mark.
fn line_of(text: Option<String>, after: &str) -> String {
    let text = text.unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(after));
    line.map_or("?", |line| line.trim_start_matches([' ', '\t', ':']).trim()).to_owned()
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(FOLDER).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Machine, commit and versions.
fn circumstances(postgres: &Postgres, plan: &Plan) -> Result<String, Failure> {
    let file = |path: &str| fs::read_to_string(path).ok();
    let commit = line_of(said("git", &["rev-parse", "--short=12", "HEAD"]), "");
    let changes = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    let changed = if changes.is_some_and(|text| text.trim().is_empty()) { "" } else { ", changed" };
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "Commit {commit}{changed}, {}. {}, {cores} cores, {} of memory, Linux {}, {}, PostgreSQL {} over \
         TCP on loopback with `fsync`, `full_page_writes` and `synchronous_commit` on. Rounds: {}; load \
         average at the end: {}.",
        line_of(said("date", &["-u", "+%Y-%m-%d"]), ""),
        line_of(file("/proc/cpuinfo"), "model name"),
        line_of(file("/proc/meminfo"), "MemTotal"),
        line_of(file("/proc/sys/kernel/osrelease"), ""),
        line_of(said("rustc", &["--version"]), ""),
        postgres.version,
        plan.rounds,
        line_of(file("/proc/loadavg"), ""),
    ))
}

/// How to read the tables.
const LEGEND: &str = "Medians of the rounds, with the least and largest. A ratio is made in each round \
    and then has its own. `client` and `server` are microseconds of processor time that one operation \
    costs this process and PostgreSQL's server; `*`: others had more than 0.35 cores beside a sample; \
    `(+n)`: so many samples were disturbed so and taken again. An operation is an event, except for loads \
    of 10, where it is a load. An empty database and a `CHECKPOINT` come before each sample, except where \
    events are stored before.";

fn sizes(plan: &Plan) -> String {
    let Plan { log, long, followed, few, many, .. } = plan;
    format!(
        "The log that is read has {log} events, the posting that is loaded as `10,000` {long}; {followed} \
         events are followed, few stored are {few} and many {many}."
    )
}

/// Prints the figures; of a whole run they are kept.
pub(crate) fn figures(postgres: &Postgres, plan: &Plan, figures: &Figures) -> Result<(), Failure> {
    let text = format!(
        "# Results\n\nMade by `cargo bench -p es-benches --bench figures`, which writes this file; \
         nothing in it is written by hand.\n\n{}\n\n{}\n\n{LEGEND}\n\n## Ratios\n\n{}\n## Figures\n\n{}",
        circumstances(postgres, plan)?,
        sizes(plan),
        goals::table(figures, plan)?,
        figures.table(),
    );
    println!("{text}");
    if plan.is_whole() {
        fs::write(Path::new(FOLDER).join("RESULTS.md"), text)?;
    }
    Ok(())
}

/// Prints what the curves are made of; of a whole run they are drawn.
pub(crate) fn curves(postgres: &Postgres, plan: &Plan, curves: &Curves) -> Result<(), Failure> {
    let mut pictures = String::new();
    for (file, chart) in &curves.charts {
        pictures.push_str(&format!("![{}]({file}.svg)\n\n", chart.title));
    }
    let text = format!(
        "# Curves\n\nMade by `cargo bench -p es-benches --bench figures -- curves`, which writes this \
         folder; nothing in it is written by hand.\n\n{}\n\n{LEGEND}\n\n{pictures}{}",
        circumstances(postgres, plan)?,
        curves.figures.table(),
    );
    println!("{text}");
    let folder = Path::new(FOLDER).join("curves");
    if plan.is_whole() {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("README.md"), text)?;
    }
    for (file, chart) in &curves.charts {
        let svg = chart.svg();
        if plan.is_whole() {
            fs::write(folder.join(format!("{file}.svg")), svg)?;
        }
    }
    Ok(())
}
