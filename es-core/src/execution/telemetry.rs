//! What a decision tells of itself: a span, and counters.

use metrics::Label;
use tracing::Span;
use tracing::field::Empty;

use super::decided::Decided;
use super::error::CommandError;
use super::members::Members;

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
        let aggregate = self.aggregate.map(|it| Label::from_static_parts(AGGREGATE_TYPE, it));
        if retries > 0 {
            let labels: Vec<_> = aggregate.clone().into_iter().collect();
            metrics::counter!("es.decision.retries", labels).increment(retries.into());
        }
        let outcome = Label::from_static_parts(OUTCOME, outcome);
        let labels: Vec<_> = aggregate.into_iter().chain([outcome]).collect();
        metrics::counter!("es.decisions", labels).increment(1);
    }
}
