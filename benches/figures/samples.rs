//! What was measured, round by round.

use std::fmt::Write;
use std::time::Duration;

use es_benches::cpu::Spent;
use es_benches::rounds::median;

use crate::{Failure, Plan};

/// With more cores than this for others, a sample is taken again.
const QUIET: f64 = 0.35;
/// How often it is taken at most.
const TRIES: usize = 3;

/// What one measurement found.
#[derive(Debug)]
pub(crate) struct Sample {
    values: Vec<(Value, f64)>,
    /// How many cores others had meanwhile.
    foreign: f64,
}

/// What a figure tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// Operations in a second: events, commands or loads of a short stream.
    Rate,
    /// Milliseconds of the call in the middle.
    Middle,
    /// Milliseconds within which 99 of 100 calls were.
    Most,
    /// Microseconds of processor time that an operation costs this process.
    Client,
    /// The same of the server.
    Server,
    /// Megabytes of memory that a process had at most.
    Peak,
}

impl Sample {
    pub(crate) fn of(operations: u64, took: Duration, spent: Spent) -> Self {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / operations as f64;
        let values = vec![
            (Value::Rate, operations as f64 / took.as_secs_f64()),
            (Value::Client, each(spent.client)),
            (Value::Server, each(spent.server)),
        ];
        Self { values, foreign: spent.foreign }
    }

    /// The memory of a process that has ended.
    pub(crate) fn of_peak(megabytes: f64) -> Self {
        Self { values: vec![(Value::Peak, megabytes)], foreign: 0.0 }
    }

    /// Calls of which only their times are told.
    pub(crate) fn of_calls(each: Vec<Duration>) -> Self {
        Self { values: Vec::new(), foreign: 0.0 }.timed(each)
    }

    /// With what the calls took.
    pub(crate) fn timed(mut self, mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        for (value, hundredths) in [(Value::Middle, 50), (Value::Most, 99)] {
            if let Some(took) = each.get(each.len() * hundredths / 100) {
                self.values.push((value, took.as_secs_f64() * 1_000.0));
            }
        }
        self
    }

    pub(crate) fn get(&self, value: Value) -> Option<f64> {
        self.values.iter().find(|(of, _)| *of == value).map(|(_, found)| *found)
    }
}

/// One figure, with a sample for each round.
struct Figure {
    name: String,
    samples: Vec<Sample>,
    /// Samples that were disturbed and taken again.
    repeated: usize,
}

/// All of a run, in the order in which they were first measured.
pub(crate) struct Figures {
    figures: Vec<Figure>,
    plan: Plan,
}

impl Figures {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { figures: Vec::new(), plan: plan.clone() }
    }

    /// Takes a sample of a figure that is wanted, and again if others disturbed it.
    pub(crate) async fn take(
        &mut self,
        name: &str,
        measure: impl AsyncFn() -> Result<Sample, Failure>,
    ) -> Result<(), Failure> {
        if !self.plan.takes(name) {
            return Ok(());
        }
        let mut repeated = 0;
        let sample = loop {
            let sample = Box::pin(measure()).await.map_err(|error| format!("{name}: {error}"))?;
            if !self.plan.insists() || sample.foreign <= QUIET || repeated + 1 == TRIES {
                break sample;
            }
            repeated += 1;
            eprintln!("{name}: others had {:.2} cores; once more", sample.foreign);
        };
        self.keep(name, sample, repeated);
        Ok(())
    }

    /// Keeps a sample, before which others were disturbed.
    pub(crate) fn keep(&mut self, name: &str, sample: Sample, repeated: usize) {
        eprintln!("{name}: {}", told(&sample));
        let number = self.figures.iter().position(|figure| figure.name == name);
        let number = number.unwrap_or_else(|| {
            let (name, samples) = (name.to_owned(), Vec::new());
            self.figures.push(Figure { name, samples, repeated: 0 });
            self.figures.len() - 1
        });
        let figure = &mut self.figures[number];
        figure.samples.push(sample);
        figure.repeated += repeated;
    }

    /// What was found of a figure, in the order of the rounds.
    pub(crate) fn values(&self, name: &str, value: Value) -> Vec<f64> {
        let figure = self.figures.iter().find(|figure| figure.name == name);
        let samples = figure.into_iter().flat_map(|figure| &figure.samples);
        samples.filter_map(|sample| sample.get(value)).collect()
    }

    /// All figures, as a table.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| | /s | middle, ms | 99 of 100 within, ms | client, µs | server, µs | peak, MB |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for figure in &self.figures {
            let shown = |value, digits| spread(&self.values(&figure.name, value), digits);
            let _ = writeln!(
                table,
                "| {}{} | {} | {} | {} | {} | {} | {} |",
                figure.name,
                figure.mark(),
                shown(Value::Rate, 0),
                shown(Value::Middle, 3),
                shown(Value::Most, 3),
                shown(Value::Client, 1),
                shown(Value::Server, 1),
                shown(Value::Peak, 1),
            );
        }
        table
    }
}

impl Figure {
    /// Whether others disturbed what counts, and how often something was taken again.
    fn mark(&self) -> String {
        let disturbed = self.samples.iter().any(|sample| sample.foreign > QUIET);
        let star = if disturbed { " \\*" } else { "" };
        let repeated = match self.repeated {
            0 => String::new(),
            times => format!(" (+{times})"),
        };
        format!("{star}{repeated}")
    }
}

/// One sample for who watches.
fn told(sample: &Sample) -> String {
    let mut text = String::new();
    for (value, found) in &sample.values {
        let _ = match value {
            Value::Rate => write!(text, "{found:.0}/s "),
            Value::Middle => write!(text, "p50 {found:.3} ms "),
            Value::Most => write!(text, "p99 {found:.3} ms "),
            Value::Client => write!(text, "client {found:.1} µs "),
            Value::Server => write!(text, "server {found:.1} µs "),
            Value::Peak => write!(text, "{found:.1} MB "),
        };
    }
    format!("{text}foreign {:.2}", sample.foreign)
}

/// The median, and the least and largest where there are several.
pub(crate) fn spread(values: &[f64], digits: usize) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match values.len() {
        0 => String::new(),
        1 => format!("{least:.digits$}"),
        _ => format!("{:.digits$} ({least:.digits$} - {most:.digits$})", median(values)),
    }
}
