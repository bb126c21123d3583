//! Each kind of problem by example, and a definition that has none.

mod models;
mod people;

use super::*;

const HEADER: &str = "[workflow]\nid = 3001\nname = \"w\"\nentry = 1\n";
const ACTOR: &str = "[[actors]]\nid = 74\nname = \"a\"\ntype = \"script\"\ncommand = [\"work\"]\n";

fn conversation(id: i32, settings: &str, rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("{{ {rule} }},")).collect();
    format!(
        "[[conversations]]\nid = {id}\nname = \"c{id}\"\nactor = 74\n{settings}\n\
         branches = [{rules}]\n"
    )
}

fn definition(conversations: &[String]) -> Workflow {
    parsed(HEADER, ACTOR, conversations)
}

fn parsed(header: &str, actors: &str, conversations: &[String]) -> Workflow {
    toml::from_str(&[header, actors, &conversations.concat()].concat()).unwrap()
}

/// The kinds and places of what is found, without the missing failure branches that most examples
/// have.
fn found(workflow: &Workflow) -> Vec<(ProblemKind, Place)> {
    listed(check(workflow))
}

fn listed(problems: Vec<Problem>) -> Vec<(ProblemKind, Place)> {
    let problems = problems.into_iter().map(|problem| (problem.kind, problem.place));
    problems.filter(|(kind, _)| *kind != ProblemKind::MissingFailureBranch).collect()
}

fn at(id: i32) -> Place {
    Place::Conversation(ConversationId(id))
}

fn branch(id: i32, number: u32) -> Place {
    Place::Branch(ConversationId(id), number)
}

#[test]
fn a_sound_definition_has_no_problems() {
    let workflow = definition(&[
        conversation(
            1,
            "input = \"{job_description} {posting_id} {workflow_id}\"",
            &["priority = 1, when = \"[PASS]\", to = 2", "to = 3", "on = \"failure\""],
        ),
        conversation(
            2,
            "input = \"{conversation_1_output}\"",
            &["to = 2, max_iterations = 2, priority = 1, when = \"more\"", "", "on = \"failure\""],
        ),
        conversation(3, "", &["", "on = \"failure\", to = 2"]),
    ]);
    let problems = check(&workflow);
    let doubtful: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(doubtful, [], "{problems:?}");
}

#[test]
fn ids_are_positive_and_used_once() {
    let header = HEADER.replace("3001", "0");
    let actors = format!("{ACTOR}{ACTOR}");
    let same = conversation(1, "", &[""]);
    let workflow = parsed(&header, &actors, &[same.clone(), same]);
    assert_eq!(
        found(&workflow),
        [
            (ProblemKind::IdOutOfRange, Place::Workflow),
            (ProblemKind::DuplicateId, Place::Actor(ActorId(74))),
            (ProblemKind::DuplicateId, at(1)),
        ]
    );
}

#[test]
fn names_of_nothing_are_errors() {
    let workflow = parsed(
        &HEADER.replace("entry = 1", "entry = 9"),
        "",
        &[conversation(1, "wait_for_group = \"g\"", &["to = 8"])],
    );
    let errors: Vec<_> = check(&workflow)
        .into_iter()
        .filter(|problem| problem.severity() == Severity::Error)
        .map(|problem| (problem.kind, problem.place))
        .collect();
    assert_eq!(
        errors,
        [
            (ProblemKind::MissingEntry, Place::Workflow),
            (ProblemKind::UnknownActor, at(1)),
            (ProblemKind::UnknownGroup, at(1)),
            (ProblemKind::MissingTarget, branch(1, 1)),
        ]
    );
}

#[test]
fn an_actor_that_cannot_be_started_is_an_error() {
    let fault = |actor: &str| {
        let actors = format!("[[actors]]\nid = 74\nname = \"a\"\n{actor}\n");
        found(&parsed(HEADER, &actors, &[conversation(1, "", &[""])]))
    };
    let llm = |settings: &str| {
        format!("type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://localhost\"\n{settings}")
    };
    for actor in [
        "type = \"script\"\ncommand = []",
        "type = \"script\"\ncommand = [\"\"]",
        "type = \"script\"\ncommand = [\"a\\u0000\"]",
        "type = \"script\"\ncommand = [\"a\"]\nenv = { \"A=B\" = \"1\" }",
        "type = \"llm\"\nmodel = \"\"\nendpoint = \"http://localhost\"",
        "type = \"llm\"\nmodel = \"m\\u0000\"\nendpoint = \"http://localhost\"",
        "type = \"llm\"\nmodel = \"m\"\nendpoint = \"localhost:11434\"",
        "type = \"llm\"\nmodel = \"m\"\nendpoint = \"http://\"",
        &llm("max_completion_tokens = 9"),
        &llm("protocol = \"ollama_chat\"\nmax_completion_tokens = 9"),
        &llm("protocol = \"openai_chat\"\nmax_completion_tokens = 9\nmax_tokens = 9"),
        &llm("stream = false\nfirst_token_seconds = 9"),
        &llm("stream = false\nbetween_tokens_seconds = 9"),
    ] {
        let expected = [(ProblemKind::UnusableActor, Place::Actor(ActorId(74)))];
        assert_eq!(fault(actor), expected, "{actor}");
    }
    for settings in [
        "",
        "max_tokens = 9",
        "stream = false\nconnect_seconds = 9",
        "first_token_seconds = 9\nbetween_tokens_seconds = 9",
        "protocol = \"openai_chat\"\nmax_tokens = 9",
        "protocol = \"openai_chat\"\nmax_completion_tokens = 9",
    ] {
        assert_eq!(fault(&llm(settings)), [], "{settings}");
    }
    assert_eq!(fault("type = \"script\"\ncommand = [\"a\"]\nenv = { A = \"B=C\" }"), []);
}

#[test]
fn an_endpoint_is_told_without_the_credentials_in_it() {
    for (endpoint, shown) in [
        ("localhost:11434", "localhost:11434"),
        ("ftp://localhost/a", "ftp://localhost/a"),
        ("ftp://me:secret@localhost/a", "ftp://***@localhost/a"),
        ("//secret@localhost", "//***@localhost"),
        ("me:secret@localhost", "***@localhost"),
        ("ftp://me:secret@secret/?#secret@localhost", "ftp://***@localhost"),
        ("me:secret//secret@localhost", "***@localhost"),
        ("ftp://localhost?key=secret", "ftp://localhost"),
        ("ftp://me@localhost#secret", "ftp://***@localhost"),
        ("HTTP://@", "HTTP://***@"),
    ] {
        let actor = "[[actors]]\nid = 74\nname = \"a\"\ntype = \"llm\"\nmodel = \"m\"\n";
        let actor = format!("{actor}endpoint = \"{endpoint}\"\n");
        let problems = check(&parsed(HEADER, &actor, &[conversation(1, "", &[""])]));
        let expected = format!("`endpoint` is {shown:?}, which is no address");
        assert_eq!(problems[0].message, expected, "{endpoint}");
    }
}

#[test]
fn limits_of_zero_are_errors() {
    let settings = "max_instruction_runs = 0\ntimeout_seconds = 1e-320";
    let workflow = parsed(
        &format!("{HEADER}max_total_session_runs = 0\ncircuit_breaker = {{ failures = 0 }}\n"),
        ACTOR,
        &[conversation(1, settings, &["max_iterations = 0"])],
    );
    assert_eq!(
        found(&workflow),
        [
            (ProblemKind::ZeroLimit, Place::Workflow),
            (ProblemKind::ZeroLimit, Place::Workflow),
            (ProblemKind::ZeroLimit, at(1)),
            (ProblemKind::ZeroLimit, at(1)),
            (ProblemKind::ZeroLimit, branch(1, 1)),
        ]
    );
}

#[test]
fn a_cycle_without_a_limit_is_an_error_and_is_named_once() {
    let cycle = |limit: &str| {
        definition(&[
            conversation(1, "", &["to = 2"]),
            conversation(2, "", &["priority = 1, when = \"more\", to = 3", ""]),
            conversation(3, "", &[&format!("to = 2{limit}")]),
        ])
    };
    let problems = check(&cycle(""));
    assert_eq!(listed(problems.clone()), [(ProblemKind::UnlimitedCycle, at(2))]);
    assert!(problems[0].message.ends_with("2, 3"), "{}", problems[0].message);
    assert_eq!(found(&cycle(", max_iterations = 3")), []);
}

#[test]
fn a_cycle_over_a_failure_needs_a_limit_too() {
    let workflow = definition(&[conversation(1, "", &["", "on = \"failure\", to = 1"])]);
    assert_eq!(found(&workflow), [(ProblemKind::UnlimitedCycle, at(1))]);
}

#[test]
fn groups_that_wait_for_each_other_are_an_error() {
    let fork = conversation(1, "", &["to = 2", "to = 3"]);
    let member = |id, own: &str, awaited: &str| {
        let settings = format!("parallel_group = \"{own}\"\nwait_for_group = \"{awaited}\"");
        conversation(id, &settings, &[""])
    };
    let each_other = [fork.clone(), member(2, "a", "b"), member(3, "b", "a")];
    assert_eq!(found(&definition(&each_other)), [(ProblemKind::WaitCycle, at(2))]);
    let itself = [fork.clone(), member(2, "a", "a"), conversation(3, "", &[""])];
    assert_eq!(found(&definition(&itself)), [(ProblemKind::WaitCycle, at(2))]);
    let in_turn = [fork, conversation(2, "parallel_group = \"a\"", &[""]), member(3, "b", "a")];
    assert_eq!(found(&definition(&in_turn)), []);
}

#[test]
fn a_conversation_off_every_way_is_a_warning() {
    let workflow = definition(&[
        conversation(1, "", &["priority = 1", "to = 2"]),
        conversation(2, "", &[""]),
        conversation(3, "", &[""]),
    ]);
    assert_eq!(
        found(&workflow),
        [
            (ProblemKind::ShadowedRule, branch(1, 2)),
            (ProblemKind::UnreachableConversation, at(2)),
            (ProblemKind::UnreachableConversation, at(3)),
        ]
    );
}

#[test]
fn a_conversation_that_nothing_follows_is_a_dead_end() {
    let workflow =
        definition(&[conversation(1, "", &["to = 2"]), conversation(2, "", &["on = \"failure\""])]);
    assert_eq!(found(&workflow), [(ProblemKind::DeadEnd, at(2))]);
}

#[test]
fn conversations_that_only_lead_to_each_other_are_dead_ends() {
    let workflow = definition(&[
        conversation(1, "", &["to = 2, max_iterations = 1"]),
        conversation(2, "", &["to = 1"]),
    ]);
    assert_eq!(found(&workflow), [(ProblemKind::DeadEnd, at(1)), (ProblemKind::DeadEnd, at(2))]);
}

#[test]
fn outputs_that_no_rule_matches_are_a_warning() {
    let workflow = definition(&[conversation(1, "", &["when = \"[PASS]\""])]);
    assert_eq!(found(&workflow), [(ProblemKind::UncoveredOutput, at(1))]);
}

#[test]
fn a_missing_failure_branch_is_a_warning_but_not_for_a_person() {
    let conversations = [conversation(1, "", &[""])];
    let kinds = |actors: &str| {
        let problems = check(&parsed(HEADER, actors, &conversations));
        problems.into_iter().map(|problem| (problem.kind, problem.place)).collect::<Vec<_>>()
    };
    assert_eq!(kinds(ACTOR), [(ProblemKind::MissingFailureBranch, at(1))]);
    assert_eq!(kinds("[[actors]]\nid = 74\nname = \"a\"\ntype = \"human\"\n"), []);
}

#[test]
fn a_catch_all_at_the_priority_of_specific_rules_is_a_warning() {
    let workflow = definition(&[conversation(1, "", &["when = \"[PASS]\"", "when = \"default\""])]);
    assert_eq!(found(&workflow), [(ProblemKind::CatchAllAmongSpecific, branch(1, 2))]);
    let apart = definition(&[conversation(
        1,
        "",
        &["when = \"[PASS]\", priority = 1", "", "on = \"failure\", when = \"timeout\""],
    )]);
    assert_eq!(found(&apart), []);
}

#[test]
fn an_output_that_cannot_be_there_is_an_error() {
    let unfillable = |id| vec![(ProblemKind::UnfillablePlaceholder, at(id))];
    let asks_for = |source: i32| format!("input = \"{{conversation_{source}_output}}\"");
    let unknown = definition(&[conversation(1, &asks_for(9), &[""])]);
    assert_eq!(found(&unknown), unfillable(1));
    let later =
        definition(&[conversation(1, &asks_for(2), &["to = 2"]), conversation(2, "", &[""])]);
    assert_eq!(found(&later), unfillable(1));
    let own = definition(&[conversation(1, &asks_for(1), &[""])]);
    assert_eq!(found(&own), unfillable(1));
    let other_way = definition(&[
        conversation(1, "", &["when = \"a\", priority = 1, to = 2", "to = 3"]),
        conversation(2, "", &[""]),
        conversation(3, &asks_for(2), &[""]),
    ]);
    assert_eq!(found(&other_way), unfillable(3));
    let of_the_failed = definition(&[
        conversation(1, "", &["", "on = \"failure\", to = 2"]),
        conversation(2, &asks_for(1), &[""]),
    ]);
    assert_eq!(found(&of_the_failed), unfillable(2));
    let off_the_way =
        definition(&[conversation(1, &asks_for(2), &[""]), conversation(2, "", &["to = 1"])]);
    assert_eq!(
        found(&off_the_way),
        [
            (ProblemKind::UnfillablePlaceholder, at(1)),
            (ProblemKind::UnreachableConversation, at(2))
        ]
    );
}

#[test]
fn an_output_that_some_way_lacks_is_a_warning() {
    let asks = "input = \"{conversation_2_output}\"";
    let around = definition(&[
        conversation(1, "", &["when = \"a\", priority = 1, to = 2", "to = 3"]),
        conversation(2, "", &["to = 3"]),
        conversation(3, asks, &[""]),
    ]);
    assert_eq!(found(&around), [(ProblemKind::DoubtfulPlaceholder, at(3))]);
    let beside = |settings: &str| {
        definition(&[
            conversation(1, "", &["to = 2", "to = 3"]),
            conversation(2, "parallel_group = \"g\"", &[""]),
            conversation(3, &format!("{asks}\n{settings}"), &[""]),
        ])
    };
    assert_eq!(found(&beside("")), [(ProblemKind::DoubtfulPlaceholder, at(3))]);
    assert_eq!(found(&beside("wait_for_group = \"g\"")), []);
}

#[test]
fn a_name_that_no_data_has_is_an_error_where_nothing_came_before() {
    let asks = "input = \"{summary}\"";
    let workflow = definition(&[conversation(1, asks, &["to = 2"]), conversation(2, asks, &[""])]);
    let with = |keys: &[&str]| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        listed(check_with_data(&workflow, &keys))
    };
    assert_eq!(found(&workflow), []);
    assert_eq!(with(&["summary"]), []);
    let expected =
        [(ProblemKind::UnfillablePlaceholder, at(1)), (ProblemKind::DoubtfulPlaceholder, at(2))];
    assert_eq!(with(&["title"]), expected);
    assert_eq!(with(&[]), expected);
}

#[test]
fn a_problem_says_where_it_is_and_what_to_do() {
    let workflow = definition(&[conversation(1, "", &["to = 8", "on = \"failure\""])]);
    let problems: Vec<_> = check(&workflow).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["error: conversation 1, branch 1: it leads to 8, which is no conversation; \
             correct `to`, or leave it out to end the path here"]
    );
}

#[test]
fn a_problem_tells_conversations_of_one_id_apart_and_names_the_key() {
    let workflow = definition(&[
        conversation(1, "", &["", "on = \"failure\""]),
        conversation(1, "", &["to = 8"]),
    ]);
    let exactly: Vec<_> =
        check(&workflow).into_iter().map(|one| (one.kind, one.index, one.setting)).collect();
    assert_eq!(
        exactly,
        [
            (ProblemKind::DuplicateId, 1, Some("id")),
            (ProblemKind::MissingTarget, 1, Some("to")),
            (ProblemKind::MissingFailureBranch, 1, None),
        ]
    );
}

#[test]
fn lists_for_people_are_short() {
    assert_eq!(list(1..=3), "1, 2, 3");
    assert!(list(1..=500).ends_with("19, 20 and 480 more"), "{}", list(1..=500));
}
