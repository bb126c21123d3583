//! Proves that a suite catches what it should: every saboteur is caught by a scenario that its clause
//! names, and every scenario catches a saboteur.
#![allow(clippy::print_stdout, reason = "the matrix is what a reader of the test wants")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use es_testing::suite::{Outcome, Scenario};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Saboteurs, and the scenarios that are to catch them.
pub(crate) struct Matrix<S, F: ?Sized + 'static> {
    /// Each with the scenarios that its clause names.
    pub(crate) saboteurs: Vec<(S, Vec<&'static Scenario<F>>)>,
    pub(crate) describe: fn(&S) -> String,
    pub(crate) scenarios: Vec<&'static Scenario<F>>,
    /// The scenarios that catch no saboteur, and why none can be made.
    pub(crate) harmless: &'static [(&'static str, &'static str)],
}

/// The names of the scenarios that have caught somebody.
#[derive(Clone, Default)]
struct Catching(Arc<Mutex<BTreeSet<String>>>);

impl Catching {
    fn has(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn add(&self, name: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }
}

impl<S, F> Matrix<S, F>
where
    S: Clone + Send + Sync + 'static,
    F: ?Sized + 'static,
{
    /// Runs the scenarios that the clause of a saboteur names over it, but for those from which nothing
    /// is to be learned: one that has caught somebody, where the saboteur is caught. Each that has
    /// caught nobody then is run over all saboteurs until it does. `caught_by` tells what a scenario
    /// found, if it caught.
    pub(crate) async fn check<Caught>(self, caught_by: fn(S, &'static Scenario<F>) -> Caught)
    where
        Caught: Future<Output = Option<Outcome>> + Send + 'static,
    {
        do_not_report_scenarios();
        let Self { saboteurs, describe, scenarios, harmless } = self;
        let catching = Catching::default();
        let caught = side_by_side(saboteurs.iter().cloned().map(|(saboteur, named)| {
            let catching = catching.clone();
            async move {
                let mut caught = Vec::new();
                for scenario in named {
                    let name = scenario.full_name();
                    if !caught.is_empty() && catching.has(&name) {
                        continue;
                    }
                    if let Some(outcome) = caught_by(saboteur.clone(), scenario).await {
                        catching.add(name.clone());
                        caught.push((name, outcome));
                    }
                }
                (saboteur, caught)
            }
        }));
        let mut escaped = Vec::new();
        println!("saboteur: caught by");
        for (saboteur, caught) in caught.await {
            println!("\n{}", describe(&saboteur));
            for (name, outcome) in &caught {
                let text: String = outcome.to_string().lines().take(1).collect();
                println!("  {name}: {}", text.chars().take(140).collect::<String>());
            }
            if caught.is_empty() {
                escaped.push(describe(&saboteur));
            }
        }
        assert!(
            escaped.is_empty(),
            "these saboteurs are caught by no scenario that their clause names: {escaped:#?}"
        );

        let others = scenarios.into_iter().filter(|scenario| !catching.has(&scenario.full_name()));
        let idle = side_by_side(others.map(|scenario| {
            let saboteurs: Vec<_> =
                saboteurs.iter().map(|(saboteur, _)| saboteur.clone()).collect();
            async move {
                for saboteur in saboteurs {
                    if caught_by(saboteur, scenario).await.is_some() {
                        return None;
                    }
                }
                Some(scenario.full_name())
            }
        }));
        let idle: BTreeSet<String> = idle.await.into_iter().flatten().collect();
        let explained = harmless.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(
            idle, explained,
            "the scenarios that catch no saboteur (left) are those with a reason (right)"
        );
    }
}

/// Scenarios, which run in the runtime's threads, are meant to fail hundreds of times.
fn do_not_report_scenarios() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        if !thread.name().is_some_and(|name| name.starts_with("tokio-")) {
            report(panic);
        }
    }));
}

/// A few of them at once, for they wait; answers in their order.
pub(crate) async fn side_by_side<F>(all: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(8));
    let mut running = JoinSet::new();
    for (index, one) in all.enumerate() {
        let places = places.clone();
        running.spawn(async move {
            let _place = places.acquire().await.expect("the semaphore stays open");
            (index, one.await)
        });
    }
    let mut done = running.join_all().await;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, output)| output).collect()
}
