//! Runs scenarios: each in a task of its own, under a time limit, with its panics caught.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::parts::rounds;
use super::{Ability, SCENARIOS, Scenario};
use crate::fixture::Fixture;

/// Makes a fixture for one scenario.
pub type Factory<'a> = &'a (dyn Fn() -> BoxFuture<'static, Box<dyn Fixture>> + Sync);

/// How long scenarios may take.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// For one thing that a scenario waits for, such as a wake-up.
    pub step: Duration,
    /// For a whole scenario.
    pub scenario: Duration,
}

impl Default for TimeLimits {
    /// Generous: only a store that hangs ever reaches them. Ten times as long in a full campaign.
    fn default() -> Self {
        Self {
            step: Duration::from_secs(rounds(30, 300)),
            scenario: Duration::from_secs(rounds(600, 6_000)),
        }
    }
}

/// What a scenario found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The promise was kept.
    Kept,
    /// The promise was broken; the text says how.
    Broken(String),
    /// Something that must happen did not happen in time.
    Overdue(String),
    /// The fixture does not have this ability, so that nothing was tried.
    Lacking(Ability),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Broken(how) => write!(f, "broken: {how}"),
            Self::Overdue(what) => write!(f, "overdue: {what}"),
            Self::Lacking(ability) => write!(f, "not tried: the fixture lacks {ability:?}"),
        }
    }
}

/// A scenario and what it found.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// What it found.
    pub outcome: Outcome,
}

impl Verdict {
    /// True if the store broke the promise or kept the scenario waiting.
    pub fn is_failure(&self) -> bool {
        matches!(self.outcome, Outcome::Broken(_) | Outcome::Overdue(_))
    }
}

/// Runs every scenario, one after the other, each over a fixture of its own.
///
/// Use the macro [`contract_suite!`](crate::contract_suite) to get one test per scenario instead.
pub async fn run_all(factory: Factory<'_>, limits: TimeLimits) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(SCENARIOS.len());
    for scenario in SCENARIOS {
        verdicts.push(Verdict { scenario, outcome: run_one(factory, scenario, limits).await });
    }
    verdicts
}

/// Runs one scenario over a new fixture.
pub async fn run_one(
    factory: Factory<'_>,
    scenario: &'static Scenario,
    limits: TimeLimits,
) -> Outcome {
    let fixture = factory().await;
    if scenario.ability == Some(Ability::Snapshots) && fixture.snapshots().is_none() {
        return Outcome::Lacking(Ability::Snapshots);
    }
    if scenario.ability == Some(Ability::Durability) && !fixture.reopen().await {
        return Outcome::Lacking(Ability::Durability);
    }
    // a task of its own, so that a store that blocks its thread does not stop the time limit
    let mut task = tokio::spawn(STEP.scope(limits.step, async move {
        AssertUnwindSafe((scenario.run)(&*fixture)).catch_unwind().await
    }));
    match tokio::time::timeout(limits.scenario, &mut task).await {
        Ok(Ok(Ok(()))) => Outcome::Kept,
        Ok(Ok(Err(panic))) => outcome_of(&*panic),
        Ok(Err(error)) => Outcome::Broken(error.to_string()),
        Err(_) => {
            task.abort();
            Outcome::Overdue(format!("the scenario ended within {:?}", limits.scenario))
        }
    }
}

/// Runs one scenario in a runtime of its own and panics if the promise is not kept; for
/// [`contract_suite!`](crate::contract_suite).
#[doc(hidden)]
#[track_caller]
pub fn check(factory: Factory<'_>, name: &str) {
    let scenario = SCENARIOS
        .iter()
        .find(|scenario| scenario.full_name() == name)
        .expect("the macro takes its names from the same list");
    match block_on(run_one(factory, scenario, TimeLimits::default())) {
        Outcome::Kept => {}
        Outcome::Lacking(ability) => panic!(
            "{name}: the fixture lacks {ability:?}; say so: \
             contract_suite!(…, lacks: [{}])",
            format!("{ability:?}").to_lowercase()
        ),
        failure => panic!("{name} is {failure}"),
    }
}

/// Checks that a fixture lacks exactly the abilities that its suite was declared without.
#[doc(hidden)]
pub fn check_abilities(factory: Factory<'_>, lacking: &[Ability]) {
    block_on(async {
        let fixture = factory().await;
        assert_eq!(
            fixture.snapshots().is_none(),
            lacking.contains(&Ability::Snapshots),
            "the suite and the fixture disagree on whether the backend has snapshots"
        );
        assert_eq!(
            !fixture.reopen().await,
            lacking.contains(&Ability::Durability),
            "the suite and the fixture disagree on whether the backend is durable"
        );
    });
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime with two threads can be made");
    let answer = runtime.block_on(future);
    runtime.shutdown_background();
    answer
}

tokio::task_local! {
    pub(crate) static STEP: Duration;
}

/// What a panic carries when [`soon`] gave up.
struct Overdue(String);

pub(crate) fn outcome_of(panic: &(dyn Any + Send)) -> Outcome {
    if let Some(Overdue(what)) = panic.downcast_ref() {
        Outcome::Overdue(what.clone())
    } else if let Some(text) = panic.downcast_ref::<String>() {
        Outcome::Broken(text.clone())
    } else if let Some(text) = panic.downcast_ref::<&str>() {
        Outcome::Broken((*text).to_owned())
    } else {
        Outcome::Broken("a panic without text".to_owned())
    }
}

/// Waits for something that must happen; `what` completes the sentence "it must be that …".
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = STEP.try_with(|step| *step).unwrap_or_else(|_| TimeLimits::default().step);
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => std::panic::panic_any(Overdue(format!("{what} within {limit:?}"))),
    }
}
