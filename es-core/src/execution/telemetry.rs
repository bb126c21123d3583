//! What a decision tells of itself: a span, and counters.

use std::sync::{Arc, OnceLock};

use tracing::Span;
use tracing::field::Empty;

use super::decided::Decided;
use super::error::CommandError;
use super::members::Members;
use crate::measure::{Counter, Label};

const AGGREGATE_TYPE: &str = "es.aggregate.type";
const OUTCOME: &str = "es.decision.outcome";
const UNREAD_OUTCOME: &str = "es.decision.unread.outcome";

/// How a decision may end.
const OUTCOMES: [&str; 7] =
    ["written", "nothing", "repeat", "rejected", "precondition_failed", "conflict", "failed"];

/// The counters of decisions on aggregates of one type, or of several.
#[derive(Debug)]
pub(crate) struct Counters {
    aggregate: Option<&'static str>,
    /// Put together with the first decision: some make a repository for each call.
    kept: OnceLock<Kept>,
}

#[derive(Debug)]
struct Kept {
    by_outcome: [(&'static str, Counter); OUTCOMES.len()],
    retries: Counter,
    /// Of decisions that began at the cache: those that were answered so, and those that were read for.
    answered: Counter,
    read_for: Counter,
}

impl Counters {
    pub(crate) fn of(aggregate: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { aggregate, kept: OnceLock::new() })
    }

    fn kept(&self) -> &Kept {
        self.kept.get_or_init(|| {
            let labels = |more: Option<Label>| {
                let aggregate: Option<Label> = self.aggregate.map(|it| (AGGREGATE_TYPE, it.into()));
                aggregate.into_iter().chain(more)
            };
            let by_outcome = OUTCOMES.map(|outcome| {
                let labels = labels(Some((OUTCOME, outcome.into())));
                (outcome, Counter::new("es.decisions", labels))
            });
            let unread = |outcome: &'static str| {
                let labels = labels(Some((UNREAD_OUTCOME, outcome.into())));
                Counter::new("es.decisions.unread", labels)
            };
            let retries = Counter::new("es.decision.retries", labels(None));
            Kept { by_outcome, retries, answered: unread("answered"), read_for: unread("read_for") }
        })
    }

    fn count(&self, outcome: &str, retries: u32) {
        let kept = self.kept();
        if retries > 0 {
            kept.retries.add(retries.into());
        }
        let counter = kept.by_outcome.iter().find(|(it, _)| *it == outcome);
        if let Some((_, counter)) = counter {
            counter.add(1);
        }
    }
}

/// What is told of one decision; never an id, a key, or what was decided.
pub(super) struct Telemetry {
    counters: Arc<Counters>,
    span: Span,
}

impl Telemetry {
    /// Of members of this type, if they have one, with its counters.
    pub(super) fn new(aggregate: Option<(&'static str, &Arc<Counters>)>) -> Self {
        static OF_SEVERAL: OnceLock<Arc<Counters>> = OnceLock::new();
        let counters = match aggregate {
            Some((_, counters)) => counters,
            None => OF_SEVERAL.get_or_init(|| Counters::of(None)),
        };
        let counters = counters.clone();
        let aggregate = aggregate.map(|(aggregate, _)| aggregate);
        let span = tracing::debug_span!(
            "es.decision",
            es.aggregate.r#type = aggregate,
            es.decision.attempts = Empty,
            es.decision.outcome = Empty,
        );
        Self { counters, span }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Tells that it began at the cache, and whether that was enough.
    pub(super) fn unread(&self, is_answered: bool) {
        let kept = self.counters.kept();
        let counter = if is_answered { &kept.answered } else { &kept.read_for };
        counter.add(1);
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
        self.counters.count(outcome, retries);
    }
}
