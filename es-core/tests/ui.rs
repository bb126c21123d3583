//! What does not compile, and what the author is told.

/// One set of cases without any that passes: only such a set is compiled by one call of cargo.
#[test]
fn mistakes_are_told_in_words_and_with_what_to_do() {
    let cases = trybuild::TestCases::new();
    for folder in ["aggregate_id", "command", "event", "metadata", "projection", "table"] {
        cases.compile_fail(format!("tests/ui/{folder}/*.rs"));
    }
}
