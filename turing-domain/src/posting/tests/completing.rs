use es_testing::spec::given;

use super::*;

#[test]
fn an_answer_is_recorded_with_the_branch_that_it_takes() {
    let workflow = workflow(&[
        conversation(1, "", &["priority = 10, when = \"[PASS]\", to = 2", "to = 3"]),
        conversation(2, "", &[""]),
        conversation(3, "", &[""]),
    ]);
    let decided = given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "well [PASS]")))
        .then([completed(1, "well [PASS]"), taken_when(1, 1, 10, "contains:[PASS]", Some(2))])
        .then_again_rejected(PostingRejection::NotOpen { conversation_id: FIRST });
    assert_eq!(ready(&decided.state(), &workflow), [2]);
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "[FAILED]")))
        .then([completed(1, "[FAILED]"), taken(1, 2, Some(3))]);
}

#[test]
fn rules_of_equal_priority_are_a_fan_out_and_equal_targets_count_once() {
    let rules = ["to = 2", "when = \"a\", to = 3", "when = \"b\", to = 3", "when = \"z\", to = 1"];
    let workflow = workflow(&[
        conversation(1, "", &rules),
        conversation(2, "", &[""]),
        conversation(3, "", &[""]),
    ]);
    let decided =
        given::<Posting>([entered()]).when(|posting| posting.complete(&workflow, &answer(1, "ab")));
    let decided = decided.then([
        completed(1, "ab"),
        taken(1, 1, Some(2)),
        taken_when(1, 2, 0, "contains:a", Some(3)),
    ]);
    assert_eq!(ready(&decided.state(), &workflow), [2, 3]);
}

#[test]
fn a_posting_is_terminal_when_its_last_path_ends() {
    let workflow = fan_out();
    let after_two =
        [entered(), completed(1, "a"), taken(1, 1, Some(2)), taken(1, 2, Some(3))].into_iter();
    given::<Posting>(after_two.clone())
        .when(|posting| posting.complete(&workflow, &answer(3, "c")))
        .then([completed(3, "c"), taken(3, 1, None)]);
    given::<Posting>(after_two.chain([completed(3, "c"), taken(3, 1, None)]))
        .when(|posting| posting.complete(&workflow, &answer(2, "b")))
        .then([completed(2, "b"), taken(2, 1, None), terminal(EndReason::Completed, 2)])
        .then_again_rejected(PostingRejection::AlreadyTerminal);
}

#[test]
fn a_terminal_rule_beside_another_ends_only_its_path() {
    let workflow = workflow(&[conversation(1, "", &["", "to = 2"]), conversation(2, "", &[""])]);
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "a")))
        .then([completed(1, "a"), taken(1, 1, None), taken(1, 2, Some(2))]);
}

#[test]
fn an_output_that_no_rule_matches_ends_the_posting_by_name() {
    let workflow = workflow(&[conversation(1, "", &["when = \"[PASS]\"", "on = \"failure\""])]);
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "?")))
        .then([
            completed(1, "?"),
            path_ended(1, EndReason::NoMatchingBranch, None),
            terminal(EndReason::NoMatchingBranch, 1),
        ]);
}

#[test]
fn a_rule_is_taken_as_often_as_its_limit_says() {
    let rules = ["priority = 1, to = 1, max_iterations = 1", ""];
    let workflow = workflow(&[conversation(1, "", &rules)]);
    let round = [completed(1, "a"), taken_when(1, 1, 1, "*", Some(1))];
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "a")))
        .then(round.clone())
        .then_again_rejected(PostingRejection::OtherAttempt {
            current: attempt(1, 2, 0),
            given: attempt(1, 1, 0),
        });
    given::<Posting>([entered()].into_iter().chain(round))
        .when(|posting| posting.complete(&workflow, &answer_to(attempt(1, 2, 0), "a")))
        .then([
            completed(1, "a"),
            path_ended(1, EndReason::IterationLimit, Some((1, 1))),
            terminal(EndReason::IterationLimit, 1),
        ]);
}

#[test]
fn an_equal_target_is_reached_by_the_rule_that_its_limit_allows() {
    let rules = ["to = 1, max_iterations = 1", "to = 1, max_iterations = 2"];
    let workflow = workflow(&[conversation(1, "", &rules)]);
    given::<Posting>([entered(), completed(1, "a"), taken(1, 1, Some(1))])
        .when(|posting| posting.complete(&workflow, &answer_to(attempt(1, 2, 0), "a")))
        .then([completed(1, "a"), taken(1, 2, Some(1))]);
}

#[test]
fn the_loop_guard_ends_a_path_to_a_conversation_that_ran_too_often() {
    let workflow = workflow(&[conversation(1, "max_instruction_runs = 2", &["to = 1"])]);
    given::<Posting>([entered(), completed(1, "a"), taken(1, 1, Some(1))])
        .when(|posting| posting.complete(&workflow, &answer_to(attempt(1, 2, 0), "a")))
        .then([
            completed(1, "a"),
            path_ended(1, EndReason::LoopGuard, Some((1, 1))),
            terminal(EndReason::LoopGuard, 1),
        ]);
}

#[test]
fn the_run_budget_ends_a_path_and_counts_what_a_fan_out_just_opened() {
    let mut workflow = fan_out();
    workflow.max_total_session_runs = 2;
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "a")))
        .then([
            completed(1, "a"),
            taken(1, 1, Some(2)),
            path_ended(1, EndReason::RunBudget, Some((2, 3))),
        ]);
}

#[test]
fn a_posting_ends_with_the_worst_reason_of_its_paths() {
    let workflow = workflow(&[
        conversation(1, "", &["to = 2", "to = 3"]),
        conversation(2, "", &["when = \"no\""]),
        conversation(3, "", &[""]),
    ]);
    let no_match = path_ended(2, EndReason::NoMatchingBranch, None);
    given::<Posting>([
        entered(),
        completed(1, "a"),
        taken(1, 1, Some(2)),
        taken(1, 2, Some(3)),
        completed(2, "b"),
        no_match,
    ])
    .when(|posting| posting.complete(&workflow, &answer(3, "c")))
    .then([completed(3, "c"), taken(3, 1, None), terminal(EndReason::NoMatchingBranch, 3)]);
}

#[test]
fn a_conversation_waits_until_every_started_member_of_its_group_has_finished() {
    let workflow = workflow(&[
        conversation(1, "", &["to = 2", "to = 3"]),
        conversation(2, "parallel_group = \"g\"", &["to = 5"]),
        conversation(3, "parallel_group = \"g\"", &["to = 5"]),
        conversation(4, "parallel_group = \"g\"", &["to = 5"]),
        conversation(5, "wait_for_group = \"g\"", &[""]),
    ]);
    let started = [entered(), completed(1, "a"), taken(1, 1, Some(2)), taken(1, 2, Some(3))];
    let first_done = given::<Posting>(started.clone())
        .when(|posting| posting.complete(&workflow, &answer(2, "b")))
        .then([completed(2, "b"), taken(2, 1, Some(5))]);
    assert_eq!(ready(&first_done.state(), &workflow), [3]);
    let waiting: Vec<_> =
        started.into_iter().chain([completed(2, "b"), taken(2, 1, Some(5))]).collect();
    given::<Posting>(waiting.clone())
        .when(|posting| posting.complete(&workflow, &answer(5, "early")))
        .then_rejected(PostingRejection::Waiting {
            conversation_id: ConversationId(5),
            group: "g".to_owned(),
        });
    let both_done = given::<Posting>(waiting)
        .when(|posting| posting.complete(&workflow, &answer(3, "c")))
        .then([completed(3, "c"), taken(3, 1, Some(5))])
        .state();
    assert_eq!(ready(&both_done, &workflow), [5]);
    assert_eq!(both_done.run().unwrap().runs_of(ConversationId(5)), 1);
    let outputs: Vec<_> = both_done.usable_outputs().map(|(id, _)| id.0).collect();
    assert_eq!(outputs, [1, 2, 3]);
}

#[test]
fn a_language_models_answer_keeps_model_and_tokens() {
    let workflow = with_actor(LLM, &[conversation(1, "", &[""])]);
    let mut answer = answer(1, "Berlin");
    answer.duration = Some(Duration::from_micros(245_900));
    answer.llm = LlmUsage {
        model: Some("llama3:8b".to_owned()),
        prompt_tokens: Some(20),
        completion_tokens: Some(3),
        finish_reason: Some("stop\0".to_owned()),
        cached_tokens: Some(16),
        reasoning_tokens: Some(2),
        first_token_ms: Some(31),
        request_id: Some("req-7".to_owned()),
    };
    given::<Posting>([entered()]).when(|posting| posting.complete(&workflow, &answer)).then([
        PostingEvent::LlmCallCompleted {
            output: Some(Value::from("Berlin").into()),
            status: SUCCESS.to_owned().into(),
            model: "llama3:8b".to_owned().into(),
            tokens: 23.into(),
            prompt_tokens: 20.into(),
            completion_tokens: 3.into(),
            finish_reason: "stop\u{fffd}".to_owned().into(),
            cached_tokens: 16.into(),
            reasoning_tokens: 2.into(),
            first_token_ms: 31.into(),
            request_id: "req-7".to_owned().into(),
            conversation_id: FIRST.into(),
            actor_id: ActorId(74).into(),
            execution_order: 1.into(),
            duration_ms: 245.into(),
            retry_count: 0.into(),
            run_id: run(1).into(),
        },
        taken(1, 1, None),
        terminal(EndReason::Completed, 1),
    ]);
}

#[test]
fn a_persons_answer_is_recorded_as_such() {
    let workflow = with_actor("type = \"human\"", &[conversation(1, "", &[""])]);
    let human = PostingEvent::HumanTaskCompleted {
        output: Some(Value::from("ok").into()),
        status: SUCCESS.to_owned().into(),
        by: Noted::ABSENT,
        conversation_id: FIRST.into(),
        actor_id: ActorId(74).into(),
        execution_order: 1.into(),
        duration_ms: Noted::ABSENT,
        retry_count: 0.into(),
        run_id: run(1).into(),
    };
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "ok")))
        .then([human, taken(1, 1, None), terminal(EndReason::Completed, 1)]);
}

#[test]
fn an_output_that_no_store_keeps_is_refused() {
    let workflow = workflow(&[conversation(1, "", &[""])]);
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "a\0b")))
        .then_rejected(PostingRejection::UnstorableOutput);
}

#[test]
fn an_answer_for_another_run_is_refused() {
    let workflow = workflow(&[conversation(1, "", &[""])]);
    let stray = Attempt { run_id: run(2), ..attempt(1, 1, 0) };
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer_to(stray, "a")))
        .then_rejected(PostingRejection::OtherRun { current: run(1), given: run(2) });
    given::<Posting>([])
        .when(|posting| posting.complete(&workflow, &answer(1, "a")))
        .then_rejected(PostingRejection::NotInRun);
}

#[test]
fn a_definition_that_is_not_the_runs_is_refused() {
    let right = workflow(&[conversation(1, "", &["to = 2"])]);
    let mut other = right.clone();
    other.id = WorkflowId(3002);
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&other, &answer(1, "a")))
        .then_rejected(PostingRejection::OtherWorkflow {
            current: WorkflowId(3001),
            given: WorkflowId(3002),
        });
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&right, &answer(1, "a")))
        .then_rejected(PostingRejection::UnknownConversation {
            conversation_id: ConversationId(2),
            workflow_id: WorkflowId(3001),
        });
    let mut lost_actor = workflow(&[conversation(1, "", &[""])]);
    lost_actor.actors.clear();
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&lost_actor, &answer(1, "a")))
        .then_rejected(PostingRejection::UnknownActor {
            conversation_id: FIRST,
            workflow_id: WorkflowId(3001),
        });
}

#[test]
fn a_faster_writer_makes_a_second_answer_late() {
    let workflow = workflow(&[conversation(1, "", &[""])]);
    given::<Posting>([entered()])
        .when(|posting| posting.complete(&workflow, &answer(1, "slow")))
        .another_writer_appends([
            completed(1, "fast"),
            taken(1, 1, None),
            terminal(EndReason::Completed, 1),
        ])
        .then_rejected(PostingRejection::AlreadyTerminal);
}
