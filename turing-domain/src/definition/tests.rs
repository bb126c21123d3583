use super::*;
use crate::names::FailureType;

const FULL: &str = r#"
    [workflow]
    id = 3001
    name = "postings"
    entry = 9101
    max_total_session_runs = 20
    [workflow.retry]
    retries = 1
    base_seconds = 0.5
    [workflow.circuit_breaker]
    failures = 2

    [[actors]]
    id = 74
    name = "validate"
    type = "script"
    command = ["actors/validate.sh", "-v"]
    env = { LC_ALL = "C.UTF-8" }

    [[actors]]
    id = 75
    name = "summarise"
    type = "llm"
    model = "llama3"
    endpoint = "http://localhost:11434"
    protocol = "openai_chat"
    temperature = 0
    seed = 7
    max_completion_tokens = 200

    [[actors]]
    id = 76
    name = "review"
    type = "human"

    [[conversations]]
    id = 9101
    name = "validate"
    actor = 74
    execution_order = 1
    input = "{job_description}"
    timeout_seconds = 30
    parallel_group = "first"
    [[conversations.branches]]
    priority = 10
    when = "contains:[PASS]"
    to = 9102
    max_iterations = 3
    [[conversations.branches]]
    on = "failure"

    [[conversations]]
    id = 9102
    name = "summarise"
    actor = 75
    wait_for_group = "first"
    max_instruction_runs = 5

    [[conversations]]
    id = 9103
    name = "review"
    actor = 76
"#;

fn full() -> Workflow {
    toml::from_str(FULL).unwrap()
}

fn refusal(change: impl Fn(&str) -> String) -> String {
    toml::from_str::<Workflow>(&change(FULL)).unwrap_err().to_string()
}

#[test]
fn a_definition_is_read_with_its_defaults() {
    let workflow = full();
    assert_eq!(workflow.max_total_session_runs, 20);
    assert_eq!(workflow.retry.retries, 1);
    assert_eq!(workflow.retry.max_seconds, Seconds::from_whole(300));
    assert_eq!(workflow.circuit_breaker.failures, 2);
    assert_eq!(workflow.circuit_breaker.cooldown_seconds, Seconds::from_whole(300));
    let first = workflow.conversation(ConversationId(9101)).unwrap();
    assert_eq!(first.max_instruction_runs, 50);
    assert_eq!(first.branches[0].on, On::Success);
    assert_eq!(first.branches[0].condition, Condition::Contains("[PASS]".into()));
    assert_eq!(
        first.branches[1],
        Branch {
            priority: 0,
            on: On::Failure,
            condition: Condition::Any,
            target: None,
            max_iterations: None,
        }
    );
}

#[test]
fn time_limits_default_by_the_kind_of_actor() {
    let workflow = full();
    let limit = |id| workflow.time_limit(workflow.conversation(ConversationId(id)).unwrap());
    assert_eq!(limit(9101), Some(Duration::from_secs(30)));
    assert_eq!(limit(9102), Some(Duration::from_secs(600)));
    assert_eq!(limit(9103), None);
}

#[test]
fn what_is_written_reads_back_the_same() {
    let json = serde_json::to_string(&full()).unwrap();
    assert_eq!(serde_json::from_str::<Workflow>(&json).unwrap(), full());
}

#[test]
fn unknown_keys_are_named() {
    for (key, within) in
        [("max_iteration", "to = 9102"), ("comand", "env ="), ("idd", "[workflow]\n")]
    {
        let line = match within.ends_with('\n') {
            true => format!("{within}{key} = 1\n"),
            false => format!("{key} = 1\n{within}"),
        };
        let error = refusal(|text| text.replacen(within, &line, 1));
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn a_setting_of_another_kind_of_actor_is_refused() {
    let error = refusal(|text| text.replace("type = \"human\"", "type = \"human\"\nseed = 1"));
    assert!(error.contains("seed"), "{error}");
    let error = refusal(|text| text.replace("type = \"human\"", "type = \"robot\""));
    assert!(error.contains("robot"), "{error}");
}

#[test]
fn a_time_that_is_none_is_refused() {
    for seconds in ["-1", "nan", "inf", "1e300"] {
        let error = refusal(|text| {
            text.replace("timeout_seconds = 30", &format!("timeout_seconds = {seconds}"))
        });
        assert!(error.contains("no length of time"), "{error}");
    }
}

#[test]
fn delays_double_up_to_the_longest_and_are_spread_by_jitter() {
    let retry = RetryPolicy::default();
    let longest: Vec<_> = (0..4).map(|retries| retry.delay(retries, 1.0).as_secs()).collect();
    assert_eq!(longest, [2, 4, 8, 16]);
    assert_eq!(retry.delay(u32::MAX, 1.0), Duration::from_secs(300));
    assert_eq!(retry.delay(1, 0.25), Duration::from_secs(1));
    assert_eq!(retry.delay(1, f64::NAN), Duration::ZERO);
}

#[test]
fn a_pause_lasts_as_long_as_asked_and_no_longer_than_any_delay() {
    let retry = RetryPolicy::default();
    let pause = |retries, asked: Option<f64>| {
        let asked = asked.map(Duration::from_secs_f64);
        retry.pause(&FailureType::RateLimited, retries, asked).as_secs_f64()
    };
    assert_eq!(pause(3, Some(20.5)), 20.5);
    assert_eq!(pause(3, Some(0.0)), 0.0);
    assert_eq!(pause(3, Some(1e9)), 300.0);
}

#[test]
fn a_pause_without_a_time_lasts_as_long_as_the_longest_delay() {
    let retry = RetryPolicy::default();
    for retries in [0, 1, 3, u32::MAX] {
        let pause = retry.pause(&FailureType::RateLimited, retries, None);
        assert_eq!(pause, retry.delay(retries, 1.0), "{retries}");
        assert!(!pause.is_zero(), "{retries}");
    }
    for other in [FailureType::CutOff, FailureType::Connection, FailureType::from("cosmic_ray")] {
        assert_eq!(retry.pause(&other, 3, None), Duration::ZERO, "{other:?}");
    }
}

#[test]
fn a_person_may_have_a_form_and_a_time_and_a_conversation_its_own() {
    let form = "type = \"human\"\ndue_seconds = 60\nform = { type = \"object\" }";
    let text = FULL.replace("type = \"human\"", form);
    let workflow: Workflow = toml::from_str(&text).unwrap();
    let review = workflow.conversation(ConversationId(9103)).unwrap();
    let person = workflow.person_at(review).unwrap();
    assert_eq!(person.form.as_ref().unwrap().document()["type"], "object");
    assert_eq!(workflow.time_limit(review), Some(Duration::from_secs(60)));
    let own = Conversation { time_limit: Some(Seconds::from_whole(5)), ..review.clone() };
    assert_eq!(workflow.time_limit(&own), Some(Duration::from_secs(5)));
    assert_eq!(workflow.person_at(workflow.conversation(ConversationId(9101)).unwrap()), None);
    let json = serde_json::to_string(&workflow).unwrap();
    assert_eq!(serde_json::from_str::<Workflow>(&json).unwrap(), workflow);
}

#[test]
fn how_a_model_is_asked_has_defaults_and_can_be_said() {
    let llm = |settings: &str| {
        let text = FULL.replace("seed = 7", &format!("seed = 7\n{settings}"));
        let workflow: Workflow = toml::from_str(&text).unwrap();
        let json = serde_json::to_string(&workflow).unwrap();
        assert_eq!(serde_json::from_str::<Workflow>(&json).unwrap(), workflow);
        match workflow.actors[1].kind.clone() {
            ActorKind::Llm(llm) => llm,
            other => panic!("{other:?}"),
        }
    };
    let plain = llm("");
    assert!(plain.stream && !plain.structured);
    assert_eq!(plain.reasoning, Reasoning::Drop);
    let limits = [plain.connect_limit, plain.first_token_limit, plain.between_tokens_limit];
    assert_eq!(limits, [None; 3]);
    let told = llm("stream = false\nstructured = true\nreasoning = \"keep\"\n\
                    connect_seconds = 0.5\nfirst_token_seconds = 30\nbetween_tokens_seconds = 9");
    assert!(!told.stream && told.structured);
    assert_eq!(told.reasoning, Reasoning::Keep);
    assert_eq!(told.connect_limit.map(Seconds::get), Some(0.5));
    assert_eq!(told.first_token_limit, Some(Seconds::from_whole(30)));
    assert_eq!(told.between_tokens_limit, Some(Seconds::from_whole(9)));
}

#[test]
fn a_conversation_says_what_its_answer_must_look_like() {
    let text = FULL.replace(
        "max_instruction_runs = 5",
        "schema = { type = \"object\", required = [\"grade\"] }\nrepair = 1",
    );
    let workflow: Workflow = toml::from_str(&text).unwrap();
    let json = serde_json::to_string(&workflow).unwrap();
    assert_eq!(serde_json::from_str::<Workflow>(&json).unwrap(), workflow);
    let conversation = workflow.conversation(ConversationId(9102)).unwrap();
    let schema = conversation.schema.as_ref().unwrap().document();
    assert_eq!(schema["required"][0], "grade");
    assert_eq!(conversation.repair, 1);
    let plain = workflow.conversation(ConversationId(9101)).unwrap();
    assert_eq!((&plain.schema, plain.repair), (&None, 0));
    let error = refusal(|text| text.replace("max_instruction_runs = 5", "schema = 3"));
    assert!(error.contains("a schema is a table"), "{error}");
}
