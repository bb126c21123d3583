//! Running scenarios over fixtures.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::{Factory, SCENARIOS, Scenario};
use crate::contract::run::{STEP, block_on, outcome_of};
use crate::contract::{Ability, Outcome, TimeLimits};

/// Runs one scenario over a new fixture.
pub async fn run_one(
    factory: Factory<'_>,
    scenario: &'static Scenario,
    limits: TimeLimits,
) -> Outcome {
    let fixture = factory().await;
    if scenario.ability == Some(Ability::Sql) && !fixture.takes_sql() {
        return Outcome::Lacking(Ability::Sql);
    }
    if scenario.ability == Some(Ability::Durability) && !fixture.reopen().await {
        return Outcome::Lacking(Ability::Durability);
    }
    // a task of its own, so that a sink that blocks its thread does not stop the time limit
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
/// [`projection_suite!`](crate::projection_suite).
#[doc(hidden)]
#[track_caller]
pub fn check(factory: Factory<'_>, name: &str) {
    let scenario = SCENARIOS
        .iter()
        .find(|scenario| scenario.full_name() == name)
        .expect("the macro takes its names from the same list");
    match block_on(run_one(factory, scenario, TimeLimits::default())) {
        Outcome::Kept => {}
        failure => panic!("{name} is {failure}"),
    }
}

/// Checks that a fixture lacks exactly the abilities that its suite was declared without.
#[doc(hidden)]
pub fn check_abilities(factory: Factory<'_>, lacking: &[Ability]) {
    block_on(async {
        let fixture = factory().await;
        assert_eq!(
            !fixture.takes_sql(),
            lacking.contains(&Ability::Sql),
            "the suite and the fixture disagree on whether changes of tables may be SQL"
        );
        assert_eq!(
            !fixture.reopen().await,
            lacking.contains(&Ability::Durability),
            "the suite and the fixture disagree on whether the backend is durable"
        );
    });
}

/// Runs every scenario, one after the other, each over a fixture of its own.
pub async fn run_all(
    factory: Factory<'_>,
    limits: TimeLimits,
) -> Vec<(&'static Scenario, Outcome)> {
    let mut verdicts = Vec::with_capacity(SCENARIOS.len());
    for scenario in SCENARIOS {
        verdicts.push((scenario, run_one(factory, scenario, limits).await));
    }
    verdicts
}
