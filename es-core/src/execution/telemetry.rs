//! What a decision tells of itself: a span, and counters.

use tracing::Span;
use tracing::field::Empty;

use super::decided::Decided;
use super::error::CommandError;
use super::members::Members;
use crate::measure::{self, Label};

const AGGREGATE_TYPE: &str = "es.aggregate.type";
const OUTCOME: &str = "es.decision.outcome";

/// What is told of one decision; never an id, a key, or what was decided.
pub(super) struct Telemetry {
    /// The type of all members, if they have one.
    aggregate: Option<&'static str>,
    span: Span,
}

impl Telemetry {
    pub(super) fn new(aggregate: Option<&'static str>) -> Self {
        let span = tracing::debug_span!(
            "es.decision",
            es.aggregate.r#type = aggregate,
            es.decision.attempts = Empty,
            es.decision.outcome = Empty,
        );
        Self { aggregate, span }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Tells how it ended, after so many retries.
    pub(super) fn end<M: Members, T, R>(
        self,
        retries: u32,
        done: &Result<Decided<M, T>, CommandError<R>>,
    ) {
        let outcome = match done {
            Ok(decided) if decided.is_repeat() => "repeat",
            Ok(decided) if decided.appended.is_none() => "nothing",
            Ok(_) => "written",
            Err(CommandError::Rejected(_)) => "rejected",
            Err(CommandError::PreconditionFailed(_)) => "precondition_failed",
            Err(CommandError::Conflict(_)) => "conflict",
            Err(_) => "failed",
        };
        self.span.record("es.decision.attempts", u64::from(retries) + 1);
        self.span.record(OUTCOME, outcome);
        let aggregate: Option<Label> = self.aggregate.map(|it| (AGGREGATE_TYPE, it.into()));
        if retries > 0 {
            measure::count("es.decision.retries", aggregate.clone(), retries.into());
        }
        let labels = aggregate.into_iter().chain([(OUTCOME, outcome.into())]);
        measure::count("es.decisions", labels, 1);
    }
}
