//! One test of each scenario of the projections, made by a macro.

/// Makes one test of each scenario of the projections, over the fixtures that a function makes.
///
/// The argument is an `async fn() -> impl ProjectionFixture`. An ability that the backend does not have
/// is named; its scenarios then show up as ignored:
/// `projection_suite!(memory, lacks: [durability, sql])`. A test of its own checks that the fixture
/// says the same.
#[macro_export]
macro_rules! projection_suite {
    ($factory:path) => {
        $crate::__projection_suite!($factory, [] [] []);
    };
    ($factory:path, lacks: [durability]) => {
        $crate::__projection_suite!($factory, [Durability]
            [#[ignore = "this backend is not durable"]] []);
    };
    ($factory:path, lacks: [sql]) => {
        $crate::__projection_suite!($factory, [Sql]
            [] [#[ignore = "this backend takes no SQL in changes of tables"]]);
    };
    ($factory:path, lacks: [durability, sql]) => {
        $crate::__projection_suite!($factory, [Durability, Sql]
            [#[ignore = "this backend is not durable"]]
            [#[ignore = "this backend takes no SQL in changes of tables"]]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __projection_suite {
    ($factory:path, [$($lacking:ident),*] $durability:tt $sql:tt) => {
        fn projection_fixture() -> ::std::pin::Pin<
            ::std::boxed::Box<
                dyn ::std::future::Future<
                        Output = ::std::boxed::Box<dyn $crate::projections::ProjectionFixture>,
                    > + Send,
            >,
        > {
            ::std::boxed::Box::pin(async {
                ::std::boxed::Box::new($factory().await)
                    as ::std::boxed::Box<dyn $crate::projections::ProjectionFixture>
            })
        }

        #[test]
        fn the_fixture_lacks_what_the_suite_says() {
            $crate::projections::check_abilities(
                &projection_fixture,
                &[$($crate::contract::Ability::$lacking),*],
            );
        }

        $crate::for_each_projection_scenario!($crate::__projection_tests { $durability $sql });
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __projection_tests {
    ({ $durability:tt $sql:tt }
        always { $($always:tt)* }
        durability { $($durable:tt)* }
        sql { $($of_sql:tt)* }
    ) => {
        $crate::__projection_tests!(@concerns [] $($always)*);
        $crate::__projection_tests!(@concerns $durability $($durable)*);
        $crate::__projection_tests!(@concerns $sql $($of_sql)*);
    };
    (@concerns $attribute:tt $($concern:ident $names:tt)*) => {
        $($crate::__projection_tests!(@concern $attribute $concern $names);)*
    };
    (@concern $attribute:tt $concern:ident { $($name:ident,)+ }) => {
        mod $concern {
            $($crate::__projection_tests!(@test $attribute $concern $name);)+
        }
    };
    (@test [$($attribute:tt)*] $concern:ident $name:ident) => {
        #[test]
        $($attribute)*
        fn $name() {
            $crate::projections::check(
                &super::projection_fixture,
                concat!(stringify!($concern), "::", stringify!($name)),
            );
        }
    };
}
