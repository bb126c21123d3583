//! What does not compile, and what the author is told.

#[test]
fn the_derives_refuse_what_cannot_be_stored_and_say_what_to_do() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/event/*.rs");
    cases.compile_fail("tests/ui/metadata/*.rs");
    cases.compile_fail("tests/ui/aggregate_id/*.rs");
    cases.compile_fail("tests/ui/projection/*.rs");
    cases.compile_fail("tests/ui/table/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}

#[test]
fn mistakes_in_decisions_are_told_in_words() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/command/*.rs");
}
