//! What definitions say of people.

use super::*;

#[test]
fn a_task_that_can_be_overdue_needs_a_rule_for_that() {
    let found = |actor: &str, settings: &str, rules: &[&str]| {
        let actors = format!("[[actors]]\nid = 74\nname = \"a\"\ntype = \"human\"\n{actor}\n");
        let problems = check(&parsed(HEADER, &actors, &[conversation(1, settings, rules)]));
        problems.into_iter().map(|problem| (problem.kind, problem.place)).collect::<Vec<_>>()
    };
    let missing = [(ProblemKind::MissingFailureBranch, at(1))];
    assert_eq!(found("due_seconds = 9", "", &[""]), missing);
    assert_eq!(found("", "timeout_seconds = 9", &["", "on = \"failure\", when = \"x\""]), missing);
    for when in ["when = \"overdue\"", "when = \"*\""] {
        assert_eq!(found("due_seconds = 9", "", &["", &format!("on = \"failure\", {when}")]), []);
    }
    let zero = (ProblemKind::ZeroLimit, Place::Actor(ActorId(74)));
    assert_eq!(found("due_seconds = 0", "", &["", "on = \"failure\""]), [zero]);
}
