//! The contract of a store as scenarios: one list, run over every backend.
//!
//! A backend enrols with [`contract_suite!`](crate::contract_suite). Each scenario is a function
//! over a [`Fixture`] whose name is the promise that it checks, and stands in the
//! `# Contract` section of [`EventStore`](es_core::EventStore) or
//! [`SnapshotStore`](es_core::SnapshotStore).
//!
//! `ES_CAMPAIGN=full` makes the storms and races many times longer.

use futures_util::future::BoxFuture;

use crate::fixture::Fixture;

mod parts;
mod run;

mod append;
mod versions;

pub use run::{Factory, Outcome, TimeLimits, Verdict, run_all, run_one};
#[doc(hidden)]
pub use run::{check, check_abilities};

/// Something that a backend may visibly lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// What was acknowledged is there after the store was closed and opened again.
    Durability,
    /// The backend keeps snapshots.
    Snapshots,
}

/// One promise of the contract and the check of it.
#[derive(Debug)]
pub struct Scenario {
    /// The part of the contract, such as `append`.
    pub concern: &'static str,
    /// The promise as a sentence, such as `first_event_gets_version_one`.
    pub name: &'static str,
    /// What a backend must have so that the promise concerns it.
    pub ability: Option<Ability>,
    run: for<'a> fn(&'a dyn Fixture) -> BoxFuture<'a, ()>,
}

impl Scenario {
    /// The name as it stands in the contract: `concern::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.concern, self.name)
    }
}

/// The single list of the scenarios; hands it to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_scenario {
    ($($callback:ident)::+ { $($arguments:tt)* }) => {
        $($callback)::+! {
            { $($arguments)* }
            always {
                append {
                    first_event_gets_version_one,
                    versions_are_dense,
                }
                versions {
                    each_expectation_is_judged,
                }
            }
            durability {
            }
            snapshots {
            }
        }
    };
}

macro_rules! scenario_list {
    ({}
        always { $($concern:ident { $($name:ident,)+ })* }
        durability { $($d_concern:ident { $($d_name:ident,)+ })* }
        snapshots { $($s_concern:ident { $($s_name:ident,)+ })* }
    ) => {
        /// Every scenario, in the order of the list.
        pub static SCENARIOS: &[Scenario] = &[
            $($(scenario_list!(@one $concern $name None),)+)*
            $($(scenario_list!(@one $d_concern $d_name Some(Ability::Durability)),)+)*
            $($(scenario_list!(@one $s_concern $s_name Some(Ability::Snapshots)),)+)*
        ];
    };
    (@one $concern:ident $name:ident $ability:expr) => {
        Scenario {
            concern: stringify!($concern),
            name: stringify!($name),
            ability: $ability,
            run: |fixture| Box::pin($concern::$name(fixture)),
        }
    };
}

for_each_scenario!(scenario_list {});

/// Makes one test of each scenario of the contract, over the fixtures that a function makes.
///
/// The argument is an `async fn() -> impl Fixture`. An ability that the backend does not have is
/// named; its scenarios then show up as ignored:
/// `contract_suite!(memory, lacks: [durability])`. A test of its own checks that the fixture says
/// the same.
#[macro_export]
macro_rules! contract_suite {
    ($factory:path) => {
        $crate::__contract_suite!($factory, [] [] []);
    };
    ($factory:path, lacks: [durability]) => {
        $crate::__contract_suite!($factory, [Durability]
            [#[ignore = "this backend is not durable"]] []);
    };
    ($factory:path, lacks: [snapshots]) => {
        $crate::__contract_suite!($factory, [Snapshots]
            [] [#[ignore = "this backend has no snapshots"]]);
    };
    ($factory:path, lacks: [durability, snapshots]) => {
        $crate::__contract_suite!($factory, [Durability, Snapshots]
            [#[ignore = "this backend is not durable"]]
            [#[ignore = "this backend has no snapshots"]]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __contract_suite {
    ($factory:path, [$($lacking:ident),*] [$($durability:tt)*] [$($snapshots:tt)*]) => {
        fn contract_fixture() -> ::std::pin::Pin<::std::boxed::Box<
            dyn ::std::future::Future<Output = ::std::boxed::Box<dyn $crate::Fixture>> + Send,
        >> {
            ::std::boxed::Box::pin(async {
                ::std::boxed::Box::new($factory().await) as ::std::boxed::Box<dyn $crate::Fixture>
            })
        }

        mod abilities {
            #[test]
            fn the_fixture_lacks_what_the_suite_says() {
                $crate::contract::check_abilities(
                    &super::contract_fixture,
                    &[$($crate::contract::Ability::$lacking),*],
                );
            }
        }

        $crate::for_each_scenario!($crate::__contract_tests {
            [$($durability)*] [$($snapshots)*]
        });
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __contract_tests {
    ({ $durability:tt $snapshots:tt }
        always { $($always:tt)* }
        durability { $($durable:tt)* }
        snapshots { $($snapshot:tt)* }
    ) => {
        $crate::__contract_tests!(@concerns [] $($always)*);
        $crate::__contract_tests!(@concerns $durability $($durable)*);
        $crate::__contract_tests!(@concerns $snapshots $($snapshot)*);
    };
    (@concerns $attribute:tt $($concern:ident $names:tt)*) => {
        $($crate::__contract_tests!(@concern $attribute $concern $names);)*
    };
    (@concern $attribute:tt $concern:ident { $($name:ident,)+ }) => {
        mod $concern {
            $($crate::__contract_tests!(@test $attribute $concern $name);)+
        }
    };
    (@test [$($attribute:tt)*] $concern:ident $name:ident) => {
        #[test]
        $($attribute)*
        fn $name() {
            $crate::contract::check(
                &super::contract_fixture,
                concat!(stringify!($concern), "::", stringify!($name)),
            );
        }
    };
}
