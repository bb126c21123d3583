//! Runs every peer in turn, with the server's own limit before and after each, and prints the table.
//!
//! The script `run` builds the programs, starts the server and tells where they are.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it shows what it found")]

mod cpu;
mod figures;
mod peers;
mod pgbench;
mod samples;
mod server;
mod table;
mod umadb;

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use crate::figures::{Figure, Kind, Limit};
use crate::peers::{Peer, Place};
use crate::samples::{Sample, Samples};
use crate::server::Server;
use crate::umadb::UmaDb;

pub(crate) type Failure = Box<dyn Error>;

/// How long and how often is measured.
struct Plan {
    rounds: usize,
    seconds: f64,
    is_quick: bool,
    /// The peers to be measured; all if there is none.
    only: Vec<String>,
    /// Parts of the figures' names; all if there is none.
    named: Vec<String>,
}

impl Plan {
    fn from_arguments(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let (only, named) = (Vec::new(), Vec::new());
        let mut plan = Self { rounds: 3, seconds: 2.0, is_quick: false, only, named };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--quick" => plan = Self { rounds: 1, seconds: 0.5, is_quick: true, ..plan },
                "--rounds" => plan.rounds = value()?.parse()?,
                "--seconds" => plan.seconds = value()?.parse()?,
                "--named" => plan.named.push(value()?),
                "--only" => plan.only.extend(value()?.split(',').map(str::to_owned)),
                _ => return Err(format!("unknown argument `{word}`").into()),
            }
        }
        for name in &plan.only {
            if !peers::ALL.iter().any(|peer| peer.name == name) {
                return Err(format!("there is no peer `{name}`").into());
            }
        }
        Ok(plan)
    }

    fn has(&self, figure: &Figure) -> bool {
        self.named.is_empty() || self.named.iter().any(|part| figure.name.contains(part.as_str()))
    }

    fn peers(&self) -> impl Iterator<Item = &'static Peer> {
        let wanted = |name: &str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        peers::ALL.iter().filter(move |peer| wanted(peer.name))
    }
}

/// The last line of a program's standard error: its answer, or what it complained about. A store that
/// prints to the standard output prints to nobody.
fn answer(command: &mut Command) -> Result<serde_json::Value, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.unwrap_or("it ended without a word");
    if output.status.success() {
        return serde_json::from_str(last).map_err(|error| format!("{error}: {last}"));
    }
    Err(last.to_owned())
}

/// One figure of one peer, in a database, server or process of its own.
fn measure(server: &Server, peer: &Peer, figure: &Figure, seconds: f64) -> Result<Sample, Failure> {
    let mut command = match peer.command() {
        Ok(command) => command,
        Err(reason) => return Ok(Sample::failed(reason)),
    };
    command.args(figure.arguments(seconds));
    let before;
    let answered = match peer.place {
        _ if figure.kind == Kind::Memory => {
            before = cpu::Busy::now(server.postmaster)?;
            answer(&mut command)
        }
        Place::Postgres => {
            let url = server.fresh("peer")?;
            before = cpu::Busy::now(server.postmaster)?;
            answer(command.env("DATABASE_URL", url))
        }
        Place::UmaDb => {
            before = cpu::Busy::now(server.postmaster)?;
            match UmaDb::start() {
                Ok(uma) => {
                    let answered = answer(command.env("DATABASE_URL", uma.url()));
                    uma.stop()?;
                    answered
                }
                Err(error) => Err(error.to_string()),
            }
        }
    };
    let foreign = cpu::Busy::now(server.postmaster)?.foreign_since(&before);
    Ok(match answered {
        Ok(value) => Sample { value: Some(value), error: None, foreign },
        Err(error) => Sample { value: None, error: Some(error), foreign },
    })
}

/// The limit of a figure, with which the peers beside it are compared.
fn limit(server: &Server, figure: &Figure, seconds: f64) -> Result<Option<Sample>, Failure> {
    Ok(match figure.limit {
        Limit::Nothing => None,
        Limit::Pgbench(clients) => Some(pgbench::run(server, clients, seconds)?),
        Limit::Rows => Some(measure(server, &peers::LIMITS, &figures::rows("1000", "1"), seconds)?),
        Limit::Sqlx => Some(measure(server, &peers::LIMITS, figure, seconds)?),
    })
}

fn all(plan: &Plan, server: &Server) -> Result<Samples, Failure> {
    let mut samples = Samples::default();
    let mut raw = File::create(server.folder.join("samples.jsonl"))?;
    let mut figures = figures::all(plan.is_quick);
    figures.retain(|figure| plan.has(figure));
    for round in 0..plan.rounds {
        for figure in &figures {
            let mut before = limit(server, figure, plan.seconds)?;
            for peer in plan.peers().filter(|peer| figure.is_for(peer)) {
                eprintln!("round {} of {}: {}, {}", round + 1, plan.rounds, figure.name, peer.name);
                let sample = measure(server, peer, figure, plan.seconds)?;
                let after = limit(server, figure, plan.seconds)?;
                let limits = [before.take(), after.clone()];
                let line = samples.add(round, figure, peer, sample, limits);
                writeln!(raw, "{}", serde_json::to_string(&line)?)?;
                before = after;
            }
        }
        for figure in figures::limits().into_iter().filter(|figure| plan.has(figure)) {
            let sample = measure(server, &peers::LIMITS, &figure, plan.seconds)?;
            let line = samples.add(round, &figure, &peers::LIMITS, sample, [None, None]);
            writeln!(raw, "{}", serde_json::to_string(&line)?)?;
        }
    }
    Ok(samples)
}

fn run() -> Result<(), Failure> {
    let plan = Plan::from_arguments(std::env::args().skip(1))?;
    let server = Server::from_environment()?;
    let samples = all(&plan, &server)?;
    println!("{}", table::heading(&server, plan.rounds, plan.seconds)?);
    for figure in figures::all(plan.is_quick).iter().chain(&figures::limits()) {
        let shown = table::of(figure, &samples);
        if !shown.is_empty() {
            println!("\n{shown}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}
