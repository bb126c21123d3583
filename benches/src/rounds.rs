//! Alternating rounds of two ways of doing the same, and their summary.

use std::time::Duration;

/// What two ways of doing the same took, round by round.
#[derive(Debug)]
pub struct Rounds {
    /// What is compared.
    name: String,
    /// What the ratio should be.
    goal: &'static str,
    unit: Unit,
    ours: Vec<f64>,
    bare: Vec<f64>,
}

/// How a side is shown; the ratio is that of what is shown.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// Events in a second: more is better.
    EventsPerSecond,
    /// Milliseconds for all: less is better.
    Milliseconds,
}

/// The events of one round and the time that they took.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// How many.
    pub events: u64,
    /// For all of them, or for the middle one: as the comparison says.
    pub took: Duration,
}

impl Rounds {
    /// A comparison without rounds.
    pub fn new(name: impl Into<String>, goal: &'static str, unit: Unit) -> Self {
        Self { name: name.into(), goal, unit, ours: Vec::new(), bare: Vec::new() }
    }

    /// Adds what the two sides took in one round.
    pub fn add(&mut self, ours: &Round, bare: &Round) {
        self.ours.push(self.unit.of(ours));
        self.bare.push(self.unit.of(bare));
    }

    /// The headings of [`line`](Self::line).
    pub fn headings(ours: &str, bare: &str) -> String {
        format!("{:40} {ours:>12} {bare:>12} {:>6}  {:11}  {}", "", "ratio", "min - max", "goal")
    }

    /// One line of the table.
    pub fn line(&self) -> String {
        let mut ratios: Vec<f64> =
            self.ours.iter().zip(&self.bare).map(|(ours, bare)| ours / bare).collect();
        ratios.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (ratios.first(), ratios.last()) else {
            return format!("{}: no rounds", self.name);
        };
        format!(
            "{:40} {:>12} {:>12} {:>6.2}  {least:.2} - {most:.2}  {}",
            self.name,
            self.unit.shown(median(&self.ours)),
            self.unit.shown(median(&self.bare)),
            median(&ratios),
            self.goal
        )
    }
}

impl Unit {
    fn of(self, round: &Round) -> f64 {
        let seconds = round.took.as_secs_f64();
        match self {
            Self::EventsPerSecond => round.events as f64 / seconds,
            Self::Milliseconds => seconds * 1_000.0,
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            Self::EventsPerSecond => format!("{value:.0}/s"),
            Self::Milliseconds => format!("{value:.3} ms"),
        }
    }
}

/// The middle value; of two middle values, the mean.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_ratios() {
        let mut rounds = Rounds::new("x", ">= 1", Unit::EventsPerSecond);
        let round = |events| Round { events, took: Duration::from_secs(1) };
        for (ours, bare) in [(10, 10), (30, 20), (10, 40)] {
            rounds.add(&round(ours), &round(bare));
        }
        let line = rounds.line();
        assert!(line.contains("1.00  0.25 - 1.50"), "{line}");
    }
}
