use es_testing::spec::given;

use super::*;

fn one() -> Workflow {
    workflow(&[conversation(1, "", &["", "on = \"failure\""])])
}

fn finished() -> [PostingEvent; 4] {
    [entered(), completed(1, "a"), taken(1, 1, None), terminal(EndReason::Completed, 1)]
}

#[test]
fn a_posting_enters_a_run_once() {
    let workflow = one();
    let decided = given::<Posting>([])
        .when(|posting| posting.enter_run(&workflow, run(1)))
        .then([entered()])
        .then_again_nothing();
    assert_eq!(ready(&decided.state(), &workflow), [1]);
}

#[test]
fn a_posting_that_ended_in_a_run_does_not_enter_it_again() {
    let workflow = one();
    given::<Posting>(finished())
        .when(|posting| posting.enter_run(&workflow, run(1)))
        .then_nothing();
}

#[test]
fn a_new_run_reopens_a_terminal_posting_and_hides_old_outputs() {
    let workflow = one();
    let entered_again = PostingEvent::PostingEnteredRun {
        run_id: run(2),
        workflow_id: WorkflowId(3001),
        entry_conversation_id: FIRST,
    };
    let posting = given::<Posting>(finished())
        .when(|posting| posting.enter_run(&workflow, run(2)))
        .then([entered_again])
        .state();
    assert!(!posting.is_terminal() && posting.terminal().is_none());
    assert_eq!(posting.outputs().get(&FIRST), Some(&Value::from("a").into()));
    assert_eq!(posting.usable_output(FIRST), None);
    assert_eq!(posting.run().unwrap().conversation_runs(), 1);
}

#[test]
fn a_posting_whose_state_was_imported_enters_a_run_as_any_other() {
    let workflow = one();
    for is_terminal in [false, true] {
        // also the one in which it was open
        let theirs = imported(Some(7), is_terminal, &[(1, "theirs")]);
        let posting = given::<Posting>([entered(), theirs])
            .when(|posting| posting.enter_run(&workflow, run(1)))
            .then([entered()])
            .then_again_nothing()
            .state();
        assert!(!posting.is_terminal() && posting.terminal().is_none());
        assert_eq!(ready(&posting, &workflow), [1]);
        assert_eq!(posting.execution_sequence(), [FIRST]);
        assert_eq!(posting.usable_output(FIRST), None, "what completed elsewhere is of no run");
    }
    given::<Posting>(finished().into_iter().chain([imported(None, false, &[])]))
        .when(|posting| posting.enter_run(&workflow, run(1)))
        .then_nothing();
}

#[test]
fn an_import_takes_a_posting_out_of_its_run() {
    let workflow = one();
    let left = || given::<Posting>([entered(), imported(Some(1), false, &[])]);
    left()
        .when(|posting| posting.complete(&workflow, &answer(1, "a")))
        .then_rejected(PostingRejection::NotInRun);
    left().when(|posting| posting.abandon_run(run(1))).then_rejected(PostingRejection::NotInRun);
    left().when(|posting| posting.settle(&workflow, NOW, 1.0)).then_nothing();
    let left: PostingRun =
        es_core::execution::fold(&[entered(), completed(1, "a"), imported(Some(1), false, &[])]);
    assert_eq!(left, PostingRun::default());
}

#[test]
fn a_posting_leaves_a_run_before_it_enters_another() {
    let workflow = one();
    given::<Posting>([entered()])
        .when(|posting| posting.enter_run(&workflow, run(2)))
        .then_rejected(PostingRejection::InAnotherRun {
            run_id: run(1),
            workflow_id: WorkflowId(3001),
        });
}

#[test]
fn an_entry_that_the_workflow_lacks_is_refused() {
    let mut workflow = one();
    workflow.entry = ConversationId(7);
    given::<Posting>([]).when(|posting| posting.enter_run(&workflow, run(1))).then_rejected(
        PostingRejection::UnknownConversation {
            conversation_id: ConversationId(7),
            workflow_id: WorkflowId(3001),
        },
    );
}

#[test]
fn an_abandoned_run_ends_the_posting_where_it_stands() {
    given::<Posting>([entered()])
        .when(|posting| posting.abandon_run(run(1)))
        .then([terminal(EndReason::Abandoned, 1)])
        .then_again_nothing();
    given::<Posting>(finished()).when(|posting| posting.abandon_run(run(1))).then_nothing();
    given::<Posting>([entered()])
        .when(|posting| posting.abandon_run(run(2)))
        .then_rejected(PostingRejection::OtherRun { current: run(1), given: run(2) });
    given::<Posting>([])
        .when(|posting| posting.abandon_run(run(1)))
        .then_rejected(PostingRejection::NotInRun);
}

#[test]
fn a_result_that_another_program_recorded_is_gone_on_from() {
    let workflow = one();
    let foreign = PostingEvent::ScriptExecutionCompleted {
        output: Some(Value::from("b").into()),
        status: Noted::ABSENT,
        conversation_id: FIRST.into(),
        actor_id: Noted::ABSENT,
        execution_order: Noted::ABSENT,
        duration_ms: Noted::ABSENT,
        retry_count: Noted::ABSENT,
        run_id: Noted::ABSENT,
    };
    let decided = given::<Posting>([entered(), foreign])
        .when(|posting| posting.settle(&workflow, NOW, 1.0))
        .then([taken(1, 1, None), terminal(EndReason::Completed, 1)])
        .then_again_nothing();
    assert!(decided.state().is_terminal());
}

#[test]
fn a_failure_that_another_program_recorded_is_repeated_or_routed() {
    let workflow = one();
    given::<Posting>([entered(), failed(1, FailureType::Timeout, 0)])
        .when(|posting| posting.settle(&workflow, NOW, 1.0))
        .then([retry(1, 1, FailureType::Timeout, 2)])
        .then_again_nothing();
    given::<Posting>([entered(), failed(1, FailureType::ScriptError, 0)])
        .when(|posting| posting.settle(&workflow, NOW, 1.0))
        .then([taken(1, 2, None), terminal(EndReason::Completed, 1)]);
}

#[test]
fn settling_needs_the_definition_of_the_run() {
    let workflow = one();
    given::<Posting>([]).when(|posting| posting.settle(&workflow, NOW, 1.0)).then_nothing();
    let mut other = one();
    other.id = WorkflowId(3002);
    given::<Posting>([entered()]).when(|posting| posting.settle(&other, NOW, 1.0)).then_rejected(
        PostingRejection::OtherWorkflow { current: WorkflowId(3001), given: WorkflowId(3002) },
    );
    let mut shorter = one();
    shorter.conversations.clear();
    given::<Posting>([entered()]).when(|posting| posting.settle(&shorter, NOW, 1.0)).then_rejected(
        PostingRejection::UnknownConversation {
            conversation_id: FIRST,
            workflow_id: WorkflowId(3001),
        },
    );
}

#[test]
fn ready_steps_stand_in_the_order_of_the_waves() {
    let mut workflow = fan_out();
    let posting: Posting = es_core::execution::fold(&[
        entered(),
        completed(1, "a"),
        taken(1, 1, Some(2)),
        taken(1, 2, Some(3)),
    ]);
    assert_eq!(ready(&posting, &workflow), [2, 3]);
    workflow.conversations[2].execution_order = -1;
    assert_eq!(ready(&posting, &workflow), [3, 2]);
}

#[test]
fn keys_are_made_of_what_is_done() {
    let key = attempt(9101, 2, 1).idempotency_key(crate::PostingId(12345));
    assert_eq!(key, "00000000-0000-0000-0000-000000000001/12345/9101/2/1");
}

fn moved(digest: &str) -> PostingEvent {
    PostingEvent::PostingMovedToDefinition {
        definition_digest: digest.to_owned().into(),
        run_id: run(1).into(),
    }
}

#[test]
fn a_posting_that_is_moved_stands_where_it_stood() {
    let workflow = fan_out();
    let history = [entered(), completed(1, "a"), taken(1, 1, Some(2)), taken(1, 2, Some(3))];
    let before: Posting = es_core::execution::fold(&history);
    let after = given::<Posting>(history)
        .when(|posting| posting.move_to_definition(&workflow, run(1), "other"))
        .then([moved("other")])
        .state();
    assert_eq!(after, before);
}

#[test]
fn a_posting_is_not_moved_to_what_lacks_a_conversation_where_it_stands() {
    let history = [entered(), completed(1, "a"), taken(1, 1, Some(2)), taken(1, 2, Some(3))];
    let conversation_id = ConversationId(3);
    let lacking = workflow(&[conversation(1, "", &["to = 2"]), conversation(2, "", &[""])]);
    given::<Posting>(history)
        .when(|posting| posting.move_to_definition(&lacking, run(1), "other"))
        .then_rejected(PostingRejection::UnknownConversation {
            conversation_id,
            workflow_id: WorkflowId(3001),
        });
    // what is behind it may be gone
    let rest = workflow(&[conversation(1, "", &[""])]);
    given::<Posting>([entered()])
        .when(|posting| posting.move_to_definition(&rest, run(1), "other"))
        .then([moved("other")]);
}

#[test]
fn a_posting_is_moved_within_its_run_and_workflow_only() {
    let (workflow, mut other) = (one(), one());
    other.id = WorkflowId(4001);
    given::<Posting>([entered()])
        .when(|posting| posting.move_to_definition(&other, run(1), "other"))
        .then_rejected(PostingRejection::OtherWorkflow {
            current: WorkflowId(3001),
            given: WorkflowId(4001),
        });
    given::<Posting>([entered()])
        .when(|posting| posting.move_to_definition(&workflow, run(2), "other"))
        .then_rejected(PostingRejection::OtherRun { current: run(1), given: run(2) });
    given::<Posting>([])
        .when(|posting| posting.move_to_definition(&workflow, run(1), "other"))
        .then_rejected(PostingRejection::NotInRun);
    given::<Posting>(finished())
        .when(|posting| posting.move_to_definition(&workflow, run(1), "other"))
        .then_nothing();
}
