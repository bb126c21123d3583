//! The rules, and what breaks them.

use std::fmt;

use super::history::{AppendOutcome, Follower, History};
use super::order::Order;
use super::writes::Writes;

/// One of the things that a store promises about its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// What was acknowledged is in the log exactly once.
    AcknowledgedOnce,
    /// What was refused is not in the log.
    RefusedNever,
    /// What has an unknown outcome is in the log whole or not at all.
    UnknownWhole,
    /// The log holds only what somebody appended, unchanged.
    NothingElse,
    /// An answer tells what was recorded.
    TrueAnswers,
    /// The events of an append stand together in their stream, in the order of the request.
    BatchesTogether,
    /// Versions are 1, 2, 3 and so on.
    DenseVersions,
    /// Positions grow, and within a stream they follow the versions.
    LogOrder,
    /// What was written met its expectation.
    Expectations,
    /// Under one key and stream is written once, and only what differs is refused.
    KeysOnce,
    /// A page is exactly a part of the final log or stream.
    TruePages,
    /// No reader sees a part of an append.
    NoParts,
    /// One order of all calls, consistent with when they began and ended, explains every answer.
    OneOrder,
    /// Where writers overlap, the log shows what was acknowledged once nothing holds it back.
    FreshLog,
    /// A refusal is true at some moment of the call.
    TrueRefusals,
    /// A follower sees every event once, in order.
    Followers,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// What happened.
    pub what: String,
}

/// Everything that is wrong with a history; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    /// The first ten, one per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        write!(f, "the history breaks its rules {} times", self.0.len())?;
        for violation in self.0.iter().take(SHOWN) {
            write!(f, "\n  {:?}: {}", violation.rule, violation.what)?;
        }
        if self.0.len() > SHOWN {
            write!(f, "\n  …")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// How much a history contains, so that a test can see that it tried something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Appends that were written and acknowledged.
    pub acknowledged: usize,
    /// Appends that were answered as repeats.
    pub repeated: usize,
    /// Appends that were refused.
    pub refused: usize,
    /// Appends with unknown outcome.
    pub unknown: usize,
    /// Reads.
    pub reads: usize,
    /// Events in the log.
    pub events: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} appends acknowledged, {} repeated, {} refused, {} unknown; {} reads; {} events",
            self.acknowledged, self.repeated, self.refused, self.unknown, self.reads, self.events
        )
    }
}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Violation>);

impl Faults {
    pub(super) fn add(&mut self, rule: Rule, what: impl Into<String>) {
        self.0.push(Violation { rule, what: what.into() });
    }
}

impl History {
    /// Checks every rule.
    ///
    /// # Errors
    ///
    /// All [`Violations`], the most telling first.
    pub fn check(&self) -> Result<Summary, Violations> {
        let mut faults = Faults::default();
        let writes = Writes::find(self, &mut faults);
        for follower in &self.followers {
            check_follower(follower, self, &mut faults);
        }
        Order::of(self, &writes).check(&mut faults);
        if faults.0.is_empty() { Ok(self.summary()) } else { Err(Violations(faults.0)) }
    }

    fn summary(&self) -> Summary {
        let mut summary =
            Summary { reads: self.reads.len(), events: self.log.len(), ..Summary::default() };
        for call in &self.appends {
            match &call.outcome {
                AppendOutcome::Acknowledged(appended) if appended.repeated => summary.repeated += 1,
                AppendOutcome::Acknowledged(_) => summary.acknowledged += 1,
                AppendOutcome::Refused(_) => summary.refused += 1,
                AppendOutcome::Unknown => summary.unknown += 1,
            }
        }
        summary
    }
}

fn check_follower(follower: &Follower, history: &History, faults: &mut Faults) {
    let wanted: Vec<_> = history
        .log
        .iter()
        .filter(|event| event.position > follower.after && follower.filter.accepts(event))
        .collect();
    let same =
        follower.seen.iter().zip(&wanted).take_while(|(seen, wanted)| seen == *wanted).count();
    let name = &follower.name;
    match (follower.seen.get(same), wanted.get(same)) {
        (Some(seen), Some(wanted)) => faults.add(
            Rule::Followers,
            format!(
                "follower {name} saw {} at {} where the log has {} at {}",
                seen.event_id, seen.position, wanted.event_id, wanted.position
            ),
        ),
        (Some(seen), None) => faults.add(
            Rule::Followers,
            format!(
                "follower {name} saw {} at {} after the last event of the log",
                seen.event_id, seen.position
            ),
        ),
        (None, Some(wanted)) if follower.to_the_end => faults.add(
            Rule::Followers,
            format!("follower {name} never saw {} at {}", wanted.event_id, wanted.position),
        ),
        _ => {}
    }
}
