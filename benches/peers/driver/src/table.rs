//! The table: a part for each figure.

use std::fmt::Write;
use std::process::Command;

use crate::Failure;
use crate::figures::{Figure, Kind};
use crate::samples::{Line, Samples, median};
use crate::server::Server;

/// More cores than this for others, and a sample is marked.
const QUIET: f64 = 0.35;

/// What was measured with.
pub(crate) fn heading(server: &Server, rounds: usize, seconds: f64) -> Result<String, Failure> {
    let version = server.sql("postgres", "SHOW server_version")?;
    let commit = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"])
        .output()?;
    let commit = String::from_utf8_lossy(&commit.stdout).trim().to_owned();
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "Commit {commit}, PostgreSQL {version}, {cores} cores, {rounds} rounds of {seconds} s: medians, \
         and the least and largest. `*`: in a sample others had more than {QUIET} cores. \
         `client` is what one event costs the client's processor, `others` the cores of all but \
         client and server."
    ))
}

/// The part of one figure; empty if nobody was asked for it.
pub(crate) fn of(figure: &Figure, samples: &Samples) -> String {
    let lines = samples.of(figure);
    if lines.is_empty() {
        return String::new();
    }
    let rows = match figure.kind {
        Kind::Conflicts => conflicts(&lines),
        Kind::Loss => loss(&lines),
        _ => speeds(figure.kind, &lines),
    };
    format!("**{}**\n\n{}", figure.name, rows.trim_end())
}

/// The names, each once, in their order.
fn names(lines: &[&Line]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for line in lines {
        if !names.contains(&line.peer) {
            names.push(line.peer);
        }
    }
    names
}

/// `*` if one of the samples was disturbed.
fn mark(lines: &[&Line]) -> &'static str {
    if foreign(lines).iter().any(|cores| *cores > QUIET) { " \\*" } else { "" }
}

/// How many cores others had.
fn foreign(lines: &[&Line]) -> Vec<f64> {
    lines.iter().map(|line| line.sample.foreign).collect()
}

/// What a peer said in the rounds in which it failed.
fn failures(lines: &[&Line]) -> String {
    let errors: Vec<&str> = lines.iter().filter_map(|line| line.sample.error.as_deref()).collect();
    errors.first().map_or_else(String::new, |first| {
        format!(", failed in {} of {}: {first}", errors.len(), lines.len())
    })
}

/// Medians of numbers; `-` of none.
fn shown(values: &[f64], format: impl Fn(f64) -> String) -> String {
    median(values).map_or_else(|| "-".to_owned(), format)
}

fn with_spread(values: &[f64], format: impl Fn(f64) -> String) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    shown(values, |middle| match values {
        [_] => format(middle),
        _ => format!("{} ({} - {})", format(middle), format(least), format(most)),
    })
}

/// What is compared: events in a second, and of a load its time.
fn field(kind: Kind) -> &'static str {
    if kind == Kind::Load { "p50" } else { "rate" }
}

/// The best of the peers that are like this line's, in its round. An append alone is like none.
fn best(kind: Kind, line: &Line, lines: &[&Line]) -> Option<f64> {
    if line.peer == "ours-append" {
        return None;
    }
    let peers = lines
        .iter()
        .filter(|other| other.is_measure && other.keeps == line.keeps && other.round == line.round);
    let values = peers.filter_map(|other| other.sample.number(field(kind)));
    if kind == Kind::Load { values.reduce(f64::min) } else { values.reduce(f64::max) }
}

fn milliseconds(micros: f64) -> String {
    format!("{:.2}", micros / 1_000.0)
}

fn micros(micros: f64) -> String {
    format!("{micros:.1}")
}

fn rate(value: f64) -> String {
    format!("{value:.0}")
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn speeds(kind: Kind, lines: &[&Line]) -> String {
    let value = if kind == Kind::Load { "ms" } else { "/s" };
    // a command in memory takes microseconds
    let (unit, time): (&str, fn(f64) -> String) =
        if kind == Kind::Memory { ("µs", micros) } else { ("ms", milliseconds) };
    let mut rows = format!(
        "| | {value} | p50 / p99, {unit} | client, µs | to the limit | to the best peer | others |\n\
         |---|---|---|---|---|---|---|\n"
    );
    let format = if kind == Kind::Load { milliseconds } else { rate };
    let limits: Vec<f64> = lines.iter().filter_map(|line| line.limit(field(kind))).collect();
    if !limits.is_empty() {
        let middle = |field| {
            let found: Vec<f64> = lines.iter().filter_map(|line| line.limit(field)).collect();
            // a statement of a thousand rows takes no time that one of their callers waits
            let found = if kind == Kind::Crowd { Vec::new() } else { found };
            shown(&found, milliseconds)
        };
        let (p50, p99) = (middle("p50"), middle("p99"));
        let _ = writeln!(
            rows,
            "| the limit | {} | {p50} / {p99} | | | | |",
            with_spread(&limits, format)
        );
    }
    for name in names(lines) {
        let own: Vec<&Line> = lines.iter().copied().filter(|line| line.peer == name).collect();
        let numbers = |field: &str| -> Vec<f64> {
            own.iter().filter_map(|line| line.sample.number(field)).collect()
        };
        let compared = |with: &dyn Fn(&Line) -> Option<f64>| -> Vec<f64> {
            let pairs =
                own.iter().filter_map(|line| Some((line.sample.number(field(kind))?, with(line)?)));
            pairs.map(|(own, other)| own / other).collect()
        };
        if numbers(field(kind)).is_empty() {
            let error = own.iter().find_map(|line| line.sample.error.as_deref());
            let _ = writeln!(rows, "| {name} | {} | | | | | |", error.unwrap_or("no answer"));
            continue;
        }
        let _ = writeln!(
            rows,
            "| {name}{}{} | {} | {} / {} | {} | {} | {} | {} |",
            mark(&own),
            failures(&own),
            with_spread(&numbers(field(kind)), format),
            shown(&numbers("p50"), time),
            shown(&numbers("p99"), time),
            shown(&numbers("cpu"), micros),
            with_spread(&compared(&|line| line.limit(field(kind))), ratio),
            with_spread(&compared(&|line| best(kind, line, lines)), ratio),
            shown(&foreign(&own), ratio),
        );
    }
    rows
}

/// The sum over all rounds of a field of the answers.
fn sum(lines: &[&Line], field: &str) -> f64 {
    lines.iter().filter_map(|line| line.sample.number(field)).sum()
}

fn conflicts(lines: &[&Line]) -> String {
    let mut rows = String::from(
        "| | stored | told as conflicts | other errors | stored and lost | one of the errors |\n\
         |---|---|---|---|---|---|\n",
    );
    for name in names(lines) {
        let own: Vec<&Line> = lines.iter().copied().filter(|line| line.peer == name).collect();
        let error = own.iter().find_map(|line| {
            let told = line.sample.value.as_ref().and_then(|value| value.get("error")?.as_str());
            line.sample.error.as_deref().or(told)
        });
        let (stored, found) = (sum(&own, "stored"), sum(&own, "found"));
        let _ = writeln!(
            rows,
            "| {name} | {stored} | {} | {} | {} | {} |",
            sum(&own, "conflicts"),
            sum(&own, "errors"),
            stored - found,
            error.unwrap_or_default(),
        );
    }
    rows
}

fn loss(lines: &[&Line]) -> String {
    let mut rows = String::from(
        "| | written | missed | out of order | seen twice | how it follows |\n\
         |---|---|---|---|---|---|\n",
    );
    for name in names(lines) {
        let own: Vec<&Line> = lines.iter().copied().filter(|line| line.peer == name).collect();
        if let Some(error) = own.iter().find_map(|line| line.sample.error.as_deref()) {
            let _ = writeln!(rows, "| {name} | {error} | | | | |");
            continue;
        }
        let is_handler = own.iter().any(|line| {
            let value = line.sample.value.as_ref();
            value.and_then(|value| value.get("handler")?.as_bool()) == Some(true)
        });
        let how = if is_handler { "a handler in the writer, after its commit" } else { "the log" };
        let _ = writeln!(
            rows,
            "| {name} | {} | {} | {} | {} | {how} |",
            sum(&own, "written"),
            sum(&own, "missed"),
            sum(&own, "disordered"),
            sum(&own, "again"),
        );
    }
    rows
}
