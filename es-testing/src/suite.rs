//! The machinery of both suites: scenarios, how they are run, what a backend may lack, and with which
//! version of a suite a promise came.
//!
//! A backend names the version that it passes, as in `contract_suite!(v1, …)`. A promise that came
//! later is tried as well, and is provisional: if it is broken, that is said in the output of its test
//! and fails nothing, until the backend names the later version.
//!
//! `ES_CAMPAIGN=full` makes storms, races and laws many times longer.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// A suite, by the fixtures that its scenarios run over.
#[async_trait]
pub trait Suite: Send + Sync + 'static {
    /// Every scenario, in the order of the list.
    fn scenarios() -> &'static [Scenario<Self>];

    /// Whether a fixture has what scenarios need under this name; it serves for no scenario any more.
    async fn has(&self, capability: &str) -> bool;
}

/// One promise and the check of it.
pub struct Scenario<F: ?Sized + 'static> {
    /// The part of the contract, such as `append`.
    pub concern: &'static str,
    /// The promise as a sentence, such as `first_event_gets_version_one`.
    pub name: &'static str,
    /// The version of the suite with which it came.
    pub since: u32,
    /// What a backend must have so that the promise concerns it, by name.
    pub needs: &'static [&'static str],
    pub(crate) run: for<'a> fn(&'a F) -> BoxFuture<'a, ()>,
}

impl<F: ?Sized + 'static> Scenario<F> {
    /// The name as it stands in the contract: `concern::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.concern, self.name)
    }
}

impl<F: ?Sized + 'static> fmt::Debug for Scenario<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scenario").field(&self.full_name()).finish()
    }
}

/// Makes of the list of a suite its scenarios, or a test of each of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __suite {
    ({ scenarios $visibility:vis $fixture:ty } {
        $($concern:ident {
            $($name:ident $(since $since:literal)? $(needs [$($need:tt),+])?,)+
        })+
    }) => {
        /// Every scenario, in the order of the list.
        $visibility static SCENARIOS: &[$crate::suite::Scenario<$fixture>] = &[$($(
            $crate::suite::Scenario {
                concern: stringify!($concern),
                name: stringify!($name),
                since: $crate::__suite!(@since $($since)?),
                needs: &[$($($need),+)?],
                run: |fixture| Box::pin($concern::$name(fixture)),
            },
        )+)+];
    };
    ({ tests $version:ident $fixture:ty, $factory:path, $lacks:tt } {
        $($concern:ident {
            $($name:ident $(since $since:literal)? $(needs [$($need:tt),+])?,)+
        })+
    }) => {
        async fn suite_fixture() -> ::std::boxed::Box<$fixture> {
            ::std::convert::Into::into($factory().await)
        }

        mod abilities {
            #[test]
            fn the_fixture_lacks_what_the_suite_says() {
                $crate::suite::check_capabilities(
                    super::suite_fixture,
                    &$lacks,
                    $crate::__suite!(@version $version),
                );
            }
        }

        $(mod $concern {
            $crate::__suite!(@test ($) $lacks);

            $(suite_test! {
                [$($($need)+)?]
                #[test]
                fn $name() {
                    $crate::suite::check(
                        super::suite_fixture(),
                        concat!(stringify!($concern), "::", stringify!($name)),
                        $crate::__suite!(@version $version),
                    );
                }
            })+
        })+
    };
    // in each module anew: a macro that a macro makes must not be seen in a module within
    (@test ($d:tt) [$($lacking:tt),*]) => {
        macro_rules! suite_test {
            ([] $d($d test:tt)*) => { $d($d test)* };
            $(([$lacking $d($d rest:tt)*] $d($d test:tt)*) => {
                #[ignore = $lacking]
                $d($d test)*
            };)*
            ([$d need:tt $d($d rest:tt)*] $d($d test:tt)*) => {
                suite_test! { [$d($d rest)*] $d($d test)* }
            };
        }
    };
    (@since) => { 1 };
    (@since $since:literal) => { $since };
    (@version v1) => { 1 };
}

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
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Broken(how) => write!(f, "broken: {how}"),
            Self::Overdue(what) => write!(f, "overdue: {what}"),
        }
    }
}

/// Runs one scenario over a fixture that is made for it.
pub fn run_one<F: Suite + ?Sized>(
    made: impl Future<Output: Into<Box<F>>>,
    scenario: &'static Scenario<F>,
    limits: TimeLimits,
) -> impl Future<Output = Outcome> {
    // the opening of a store may be large
    let made = Box::pin(made);
    async move {
        let fixture: Box<F> = made.await.into();
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
}

/// Runs the wanted scenarios, one after the other, each over a fixture of its own, and answers which
/// promises are not kept, and how.
///
/// The macros [`contract_suite!`](crate::contract_suite) and
/// [`projection_suite!`](crate::projection_suite) make one test of each scenario instead.
pub async fn failures<F: Suite + ?Sized, Made: Future<Output: Into<Box<F>>>>(
    make: impl Fn(&'static Scenario<F>) -> Made,
    is_wanted: impl Fn(&Scenario<F>) -> bool,
) -> Vec<String> {
    let mut failures = Vec::new();
    for scenario in F::scenarios().iter().filter(|scenario| is_wanted(scenario)) {
        let outcome = run_one(make(scenario), scenario, TimeLimits::default()).await;
        if outcome != Outcome::Kept {
            failures.push(format!("{} is {outcome}", scenario.full_name()));
        }
    }
    failures
}

/// Runs one scenario in a runtime of its own; panics if the promise is not kept, unless it came later
/// than this version of the suite.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::print_stderr, reason = "what is provisional fails nothing, and is told")]
pub fn check<F: Suite + ?Sized>(made: impl Future<Output = Box<F>>, name: &str, version: u32) {
    let scenario = F::scenarios()
        .iter()
        .find(|scenario| scenario.full_name() == name)
        .expect("the macro takes its names from the same list");
    match block_on(run_one(made, scenario, TimeLimits::default())) {
        Outcome::Kept => {}
        failure if scenario.since > version => {
            eprintln!("provisional: the suite asks for {name} from v{}; {failure}", scenario.since);
        }
        failure => panic!("{name} is {failure}"),
    }
}

/// Checks that fixtures lack exactly what their suite was declared without, of all that this version
/// of it needs.
#[doc(hidden)]
#[track_caller]
pub fn check_capabilities<F: Suite + ?Sized, Made: Future<Output = Box<F>>>(
    make: impl Fn() -> Made,
    lacks: &[&str],
    version: u32,
) {
    let needed = |is_asked: &dyn Fn(&Scenario<F>) -> bool| -> BTreeSet<&'static str> {
        let asked = F::scenarios().iter().filter(|scenario| is_asked(scenario));
        asked.flat_map(|scenario| scenario.needs).copied().collect()
    };
    let all = needed(&|_| true);
    for name in lacks {
        assert!(all.contains(name), "nothing needs `{name}`; what may lack is {all:?}");
    }
    for name in needed(&|scenario| scenario.since <= version) {
        let has_it = block_on(async { make().await.has(name).await });
        match (has_it, lacks.contains(&name)) {
            (true, true) => panic!("the fixture has `{name}` after all: take it out of `lacks`"),
            (false, false) => panic!("the fixture lacks `{name}`: say so, `lacks: [\"{name}\"]`"),
            _ => {}
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime with two threads can be made");
    let answer = runtime.block_on(future);
    runtime.shutdown_background();
    answer
}

/// A number of repetitions, by whether this is a full campaign; see `ES_CAMPAIGN`.
///
/// # Panics
///
/// When `ES_CAMPAIGN` is set to something else than `full`.
pub fn rounds(quick: u64, full: u64) -> u64 {
    match std::env::var("ES_CAMPAIGN").as_deref() {
        Err(_) | Ok("") => quick,
        Ok("full") => full,
        Ok(other) => panic!("ES_CAMPAIGN is `{other}`; leave it unset or set it to `full`"),
    }
}

/// What a random test begins with: chosen by chance, or by `ES_SEED` to repeat it.
///
/// # Panics
///
/// When `ES_SEED` is set to something that is no number.
pub fn seed() -> u64 {
    match std::env::var("ES_SEED") {
        Ok(seed) => seed.parse().expect("ES_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

tokio::task_local! {
    static STEP: Duration;
}

/// What a panic carries when [`soon`] gave up.
struct Overdue(String);

fn outcome_of(panic: &(dyn Any + Send)) -> Outcome {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixture that has no wings.
    struct Made;

    async fn made() -> Made {
        Made
    }

    #[async_trait]
    impl Suite for Made {
        fn scenarios() -> &'static [Scenario<Self>] {
            SCENARIOS
        }

        async fn has(&self, capability: &str) -> bool {
            capability != "wings"
        }
    }

    macro_rules! promises {
        ($arguments:tt) => {
            crate::__suite! {
                $arguments {
                    promises {
                        is_kept,
                        is_kept_by_who_walks needs ["legs"],
                        is_kept_by_who_flies needs ["legs", "wings"],
                        is_broken since 2,
                        is_broken_by_who_swims since 2 needs ["wings"],
                    }
                }
            }
        };
    }

    mod promises {
        use super::Made;

        pub(super) async fn is_kept(_: &Made) {}

        pub(super) async fn is_kept_by_who_walks(_: &Made) {}

        pub(super) async fn is_kept_by_who_flies(_: &Made) {
            panic!("it has no wings");
        }

        pub(super) async fn is_broken(_: &Made) {
            panic!("as ever");
        }

        pub(super) async fn is_broken_by_who_swims(_: &Made) {
            panic!("as ever");
        }
    }

    promises!({ scenarios Made });

    /// Of five tests two pass because the promise is kept, two are ignored, and one is provisional.
    mod enrolled {
        use super::{Made, made};

        promises!({ tests v1 Made, made, ["wings"] });
    }

    /// What a check says when it fails.
    fn told(check: impl FnOnce()) -> String {
        let panic = std::panic::catch_unwind(AssertUnwindSafe(check)).expect_err("it fails");
        outcome_of(&*panic).to_string()
    }

    async fn boxed() -> Box<Made> {
        Box::new(Made)
    }

    #[test]
    fn a_later_promise_fails_nothing_until_its_version_is_named() {
        check(boxed(), "promises::is_broken", 1);
        let told = told(|| check(boxed(), "promises::is_broken", 2));
        assert_eq!(told, "broken: promises::is_broken is broken: as ever");
    }

    #[test]
    fn what_a_suite_lacks_is_what_its_fixture_lacks() {
        check_capabilities(boxed, &["wings"], 1);
        let silent = told(|| check_capabilities(boxed, &[], 1));
        assert!(silent.contains("say so, `lacks: [\"wings\"]`"), "{silent}");
        let modest = told(|| check_capabilities(boxed, &["legs", "wings"], 1));
        assert!(modest.contains("has `legs` after all"), "{modest}");
        let unknown = told(|| check_capabilities(boxed, &["beak", "wings"], 1));
        assert!(unknown.contains("nothing needs `beak`"), "{unknown}");
    }

    #[test]
    fn failures_are_told_of_what_is_wanted() {
        let failures =
            block_on(failures::<Made, _>(|_| made(), |it| it.name != "is_kept_by_who_flies"));
        let broken = ["is_broken", "is_broken_by_who_swims"];
        assert_eq!(failures, broken.map(|name| format!("promises::{name} is broken: as ever")));
        assert!(SCENARIOS.iter().all(|it| it.since == 1 + u32::from(it.name.contains("broken"))));
    }
}
