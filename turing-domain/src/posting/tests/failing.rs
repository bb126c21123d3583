use es_testing::spec::given;

use super::*;

fn one() -> Workflow {
    workflow(&[conversation(1, "", &[""])])
}

#[test]
fn a_failure_that_may_pass_is_repeated_three_times_ever_later() {
    let workflow = one();
    let mut history = vec![entered()];
    for (retries, seconds) in [(0, 2), (1, 4), (2, 8)] {
        let report = failure(attempt(1, 1, retries), FailureType::Timeout);
        let events = [
            failed(1, FailureType::Timeout, retries),
            retry(1, retries + 1, FailureType::Timeout, seconds),
        ];
        let decided = given::<Posting>(history.clone())
            .when(|posting| posting.fail(&workflow, &report))
            .then(events.clone())
            .then_again_rejected(PostingRejection::OtherAttempt {
                current: attempt(1, 1, retries + 1),
                given: attempt(1, 1, retries),
            });
        let step = decided.state().ready(&workflow)[0];
        assert_eq!(step.attempt, attempt(1, 1, retries + 1));
        assert_eq!(step.due_at, Some(NOW.plus(Duration::from_secs(seconds))));
        history.extend(events);
    }
    let report = failure(attempt(1, 1, 3), FailureType::Timeout);
    given::<Posting>(history).when(|posting| posting.fail(&workflow, &report)).then([
        failed(1, FailureType::Timeout, 3),
        path_ended(1, EndReason::ActorFailed, None),
        terminal(EndReason::ActorFailed, 1),
    ]);
}

#[test]
fn each_failure_type_is_repeated_or_not() {
    let workflow = one();
    let repeated = |name: &str| {
        let report = failure(attempt(1, 1, 0), FailureType::from(name));
        let posting: Posting = es_core::execution::fold(&[entered()]);
        let events = posting.fail(&workflow, &report).unwrap();
        events.iter().any(|event| matches!(event, PostingEvent::RetryScheduled { .. }))
    };
    for name in
        ["timeout", "interrupted", "rate_limited", "connection", "invalid_output", "broken_off"]
    {
        assert!(repeated(name), "{name}");
    }
    for name in [
        "cut_off",
        "filtered",
        "refused",
        "invalid_input",
        "script_error",
        "not_found",
        "out_of_memory",
        "disk_full",
        "unknown",
        "cosmic_ray",
    ] {
        assert!(!repeated(name), "{name}");
    }
}

#[test]
fn a_repeat_that_succeeds_goes_on_as_if_nothing_had_been() {
    let workflow = one();
    given::<Posting>([
        entered(),
        failed(1, FailureType::Connection, 0),
        retry(1, 1, FailureType::Connection, 2),
    ])
    .when(|posting| posting.complete(&workflow, &answer_to(attempt(1, 1, 1), "a")))
    .then([completed_after(1, "a", 1), taken(1, 1, None), terminal(EndReason::Completed, 1)]);
}

#[test]
fn a_failure_for_good_takes_the_rule_for_its_type() {
    let rules = [
        "",
        "on = \"failure\", priority = 5, when = \"script_error\", to = 2",
        "on = \"failure\", when = \"*\"",
    ];
    let workflow = workflow(&[conversation(1, "", &rules), conversation(2, "", &[""])]);
    let report = |name| failure(attempt(1, 1, 0), name);
    given::<Posting>([entered()])
        .when(|posting| posting.fail(&workflow, &report(FailureType::ScriptError)))
        .then([
            failed(1, FailureType::ScriptError, 0),
            taken_when(1, 2, 5, "contains:script_error", Some(2)),
        ]);
    given::<Posting>([entered()])
        .when(|posting| posting.fail(&workflow, &report(FailureType::DiskFull)))
        .then([
            failed(1, FailureType::DiskFull, 0),
            taken(1, 3, None),
            terminal(EndReason::Completed, 1),
        ]);
}

#[test]
fn a_failure_that_opens_the_breaker_says_so() {
    let workflow = one();
    let mut report = failure(attempt(1, 1, 0), FailureType::Connection);
    report.breaker_opened = Some(5);
    given::<Posting>([entered()]).when(|posting| posting.fail(&workflow, &report)).then([
        failed(1, FailureType::Connection, 0),
        PostingEvent::CircuitBreakerOpen {
            actor_id: ActorId(74).into(),
            failure_count: 5.into(),
            conversation_id: FIRST.into(),
            run_id: run(1).into(),
        },
        retry(1, 1, FailureType::Connection, 2),
    ]);
}

#[test]
fn jitter_shortens_the_delay() {
    let workflow = one();
    let mut report = failure(attempt(1, 1, 0), FailureType::Timeout);
    report.jitter = 0.0;
    given::<Posting>([entered()])
        .when(|posting| posting.fail(&workflow, &report))
        .then([failed(1, FailureType::Timeout, 0), retry(1, 1, FailureType::Timeout, 0)]);
}

#[test]
fn a_pause_that_the_actor_asks_for_is_the_least_delay() {
    let workflow = one();
    // of 8 s at most, after two repeats
    for (asked, jitter, seconds) in [
        (None, 1.0, 8),
        (Some(20), 0.0, 20),
        (Some(20), 1.0, 20),
        (Some(3), 0.5, 4),
        (Some(900), 0.0, 300),
    ] {
        let mut report = failure(attempt(1, 1, 2), FailureType::RateLimited);
        report.jitter = jitter;
        report.retry_after = asked.map(Duration::from_secs);
        given::<Posting>([
            entered(),
            failed(1, FailureType::Timeout, 0),
            retry(1, 1, FailureType::Timeout, 0),
            failed(1, FailureType::Timeout, 1),
            retry(1, 2, FailureType::Timeout, 0),
        ])
        .when(|posting| posting.fail(&workflow, &report))
        .then([
            failed(1, FailureType::RateLimited, 2),
            retry(1, 3, FailureType::RateLimited, seconds),
        ]);
    }
}

#[test]
fn what_a_script_said_is_kept_as_far_as_a_store_can() {
    let workflow = one();
    let mut report = failure(attempt(1, 1, 0), FailureType::ScriptError);
    report.error = "status \0x".to_owned();
    report.stderr = Some("bad\0".to_owned());
    let posting: Posting = es_core::execution::fold(&[entered()]);
    let events = posting.fail(&workflow, &report).unwrap();
    let PostingEvent::ScriptExecutionFailed { error, stderr, .. } = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(error.as_deref(), Some("status \u{fffd}x"));
    assert_eq!(stderr.as_deref(), Some("bad\u{fffd}"));
}

#[test]
fn a_language_models_failure_names_the_model() {
    let workflow = with_actor(LLM, &[conversation(1, "", &[""])]);
    let posting: Posting = es_core::execution::fold(&[entered()]);
    let report = failure(attempt(1, 1, 0), FailureType::NotFound);
    let events = posting.fail(&workflow, &report).unwrap();
    let PostingEvent::LlmCallFailed { model, failure_type, .. } = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(model.as_deref(), Some("llama3"));
    assert_eq!(failure_type.0, Some(FailureType::NotFound));
}

#[test]
fn a_language_models_failure_keeps_what_was_reported() {
    let workflow = with_actor(LLM, &[conversation(1, "", &[""])]);
    let posting: Posting = es_core::execution::fold(&[entered()]);
    let mut report = failure(attempt(1, 1, 0), FailureType::CutOff);
    report.llm = LlmUsage {
        model: Some("llama3:8b".to_owned()),
        finish_reason: Some("length".to_owned()),
        reasoning_tokens: Some(200),
        ..LlmUsage::default()
    };
    let events = posting.fail(&workflow, &report).unwrap();
    let PostingEvent::LlmCallFailed {
        model,
        finish_reason,
        cached_tokens,
        reasoning_tokens,
        first_token_ms,
        request_id,
        ..
    } = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!(model.as_deref(), Some("llama3:8b"));
    assert_eq!(finish_reason.as_deref(), Some("length"));
    assert_eq!((cached_tokens.0, reasoning_tokens.0), (None, Some(200)));
    assert!(first_token_ms.is_absent() && request_id.is_absent());
}

#[test]
fn what_would_come_to_the_same_is_not_repeated_and_can_be_routed() {
    let rule = |name: &str| format!("on = \"failure\", when = \"{name}\"");
    let rules = [rule("cut_off"), rule("invalid_output")];
    let rules = [rules[0].as_str(), rules[1].as_str()];
    let workflow = with_actor(LLM, &[conversation(1, "", &rules)]);
    let posting: Posting = es_core::execution::fold(&[entered()]);
    let cut_off = failure(attempt(1, 1, 0), FailureType::CutOff);
    let misfit =
        Failure { is_final: true, ..failure(attempt(1, 1, 0), FailureType::InvalidOutput) };
    let cases = [(&cut_off, 1, "contains:cut_off"), (&misfit, 2, "contains:invalid_output")];
    for (report, number, condition) in cases {
        let events = posting.fail(&workflow, report).unwrap();
        let taken = taken_when(1, number, 0, condition, None);
        assert_eq!(events[1..], [taken, terminal(EndReason::Completed, 1)]);
    }
    let passing = Failure { is_final: false, ..misfit };
    let events = posting.fail(&workflow, &passing).unwrap();
    assert!(matches!(events[1], PostingEvent::RetryScheduled { .. }), "{events:?}");
}

#[test]
fn a_persons_task_can_fail() {
    let workflow = with_actor("type = \"human\"", &[conversation(1, "", &[""])]);
    let posting: Posting = es_core::execution::fold(&[entered()]);
    let report = failure(attempt(1, 1, 0), FailureType::InvalidInput);
    let events = posting.fail(&workflow, &report).unwrap();
    assert!(matches!(events[0], PostingEvent::HumanTaskFailed { .. }), "{events:?}");
}

#[test]
fn a_late_failure_is_refused() {
    let workflow = one();
    given::<Posting>([
        entered(),
        completed(1, "a"),
        taken(1, 1, None),
        terminal(EndReason::Completed, 1),
    ])
    .when(|posting| posting.fail(&workflow, &failure(attempt(1, 1, 0), FailureType::Timeout)))
    .then_rejected(PostingRejection::AlreadyTerminal);
}

#[test]
fn a_member_that_will_be_repeated_keeps_its_group_waiting() {
    let workflow = workflow(&[
        conversation(1, "", &["to = 2", "to = 3"]),
        conversation(2, "parallel_group = \"g\"", &["to = 3"]),
        conversation(3, "wait_for_group = \"g\"", &[""]),
    ]);
    let report = failure(attempt(2, 1, 0), FailureType::Timeout);
    let decided = given::<Posting>([
        entered(),
        completed(1, "a"),
        taken(1, 1, Some(2)),
        taken(1, 2, Some(3)),
    ])
    .when(|posting| posting.fail(&workflow, &report));
    assert_eq!(ready(&decided.state(), &workflow), [2]);
}
