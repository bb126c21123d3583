//! Laws of the posting, over generated definitions and whatever actors answer.

pub(crate) mod generate;
pub(crate) mod play;
pub(crate) mod reference;

use std::collections::BTreeMap;

use self::generate::{Act, act, any_event, any_json, result, workflow};
use self::play::{Game, answer, failure};
use self::reference::Reference;
use es_core::event::{Decoded, Metadata, Payload, StoredEvent};
use es_core::execution::fold;
use es_core::{Aggregate, Event};
use proptest::prelude::*;
use turing_domain::{FailureType, Posting, PostingEvent, Workflow};

proptest! {
    #[test]
    fn a_posting_is_terminal_or_something_can_be_done(
        workflow in workflow(),
        acts in prop::collection::vec(act(), 0..40),
    ) {
        let mut game = Game::new(&workflow);
        for act in &acts {
            game.play(act);
            let posting = game.posting();
            let Some(run) = posting.run() else { continue };
            prop_assert!(
                posting.is_terminal()
                    || !posting.ready(&workflow).is_empty()
                    || !run.finished().is_empty(),
                "stuck: {posting:?}"
            );
            prop_assert!(!posting.is_terminal() || run.open().is_empty());
        }
        game.play(&Act::Settle);
        let posting = game.posting();
        let is_moving = !posting.ready(&workflow).is_empty();
        prop_assert!(posting.run().is_none() || posting.is_terminal() || is_moving, "{posting:?}");
    }

    #[test]
    fn no_counter_passes_its_limit(
        workflow in workflow(),
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let mut game = Game::new(&workflow);
        for act in &acts {
            game.play(act);
            let posting = game.posting();
            let Some(run) = posting.run() else { continue };
            prop_assert!(run.conversation_runs() <= workflow.max_total_session_runs);
            for conversation in &workflow.conversations {
                let runs = run.runs_of(conversation.id);
                prop_assert!(runs <= conversation.max_instruction_runs);
                for (number, rule) in (1..).zip(&conversation.branches) {
                    let taken = run.iterations_of(conversation.id, number);
                    prop_assert!(rule.max_iterations.is_none_or(|limit| taken <= limit));
                }
            }
            for position in run.open().values() {
                prop_assert!(position.retries <= workflow.retry.retries);
            }
        }
    }

    #[test]
    fn every_posting_ends_in_a_bounded_number_of_steps(
        workflow in workflow(),
        results in prop::collection::vec((any::<prop::sample::Index>(), result()), 1..8),
    ) {
        let bound = workflow.max_total_session_runs * (workflow.retry.retries + 1);
        let mut game = Game::new(&workflow);
        game.play(&Act::EnterRun);
        let mut results = results.iter().cycle();
        for _ in 0..bound {
            let (pick, result) = results.next().expect("a cycle of at least one");
            game.play(&Act::Report(*pick, result.clone()));
        }
        prop_assert!(game.posting().is_terminal(), "{:?}", game.posting());
        let reason = game.posting().terminal().and_then(|terminal| terminal.reason.clone());
        prop_assert!(reason.is_some());
    }

    #[test]
    fn routing_is_what_a_naive_reading_of_the_rules_says(
        workflow in workflow(),
        results in prop::collection::vec((any::<prop::sample::Index>(), result()), 0..40),
    ) {
        let mut game = Game::new(&workflow);
        game.play(&Act::EnterRun);
        let mut reference = Reference::new(&workflow);
        for (pick, result) in &results {
            let posting = game.posting();
            let ready: Vec<_> =
                posting.ready(&workflow).iter().map(|step| step.conversation.id.0).collect();
            prop_assert_eq!(&ready, &reference.ready());
            if ready.is_empty() {
                break;
            }
            reference.report(ready[pick.index(ready.len())], result);
            game.play(&Act::Report(*pick, result.clone()));
        }
        let posting = game.posting();
        let run = posting.run().expect("the run was entered");
        let open: Vec<_> = run.open().keys().map(|id| id.0).collect();
        prop_assert_eq!(open, reference.open());
        prop_assert_eq!(posting.is_terminal(), reference.is_terminal());
        let reason = posting.terminal().and_then(|terminal| terminal.reason.clone());
        let reason = reason.map(|reason| reason.to_string());
        prop_assert_eq!(reason.as_deref(), reference.reason());
        let runs = (run.conversation_runs(), run.ended_paths().values().sum::<u32>());
        prop_assert_eq!(runs, reference.counts());
    }

    #[test]
    fn a_batch_gives_each_posting_the_history_that_it_has_alone(
        workflow in workflow(),
        acts in prop::collection::vec((0..3_i32, act()), 0..60),
    ) {
        let mut batch: BTreeMap<i32, Game<'_>> = BTreeMap::new();
        for (posting, act) in &acts {
            let mark = format!(" of {posting}");
            let game = batch.entry(*posting).or_insert_with(|| Game::marked(&workflow, &mark));
            game.play(act);
        }
        for (posting, game) in &batch {
            let mut alone = Game::marked(&workflow, &format!(" of {posting}"));
            for (_, act) in acts.iter().filter(|(other, _)| other == posting) {
                alone.play(act);
            }
            prop_assert_eq!(game.history(), alone.history());
            prop_assert_eq!(game.inputs(), alone.inputs());
            for other in batch.keys().filter(|other| *other != posting) {
                let strange = format!(" of {other}");
                prop_assert!(!game.inputs().iter().any(|input| input.contains(&strange)));
            }
        }
    }

    #[test]
    fn a_snapshot_and_the_tail_make_the_whole_state(
        workflow in workflow(),
        acts in prop::collection::vec(act(), 0..40),
    ) {
        let mut game = Game::new(&workflow);
        acts.iter().for_each(|act| game.play(act));
        let whole: Posting = fold(game.history());
        prop_assert_eq!(&whole, &game.posting());
        for cut in 0..=game.history().len() {
            let (head, tail) = game.history().split_at(cut);
            let json = serde_json::to_string(&fold::<Posting>(head)).unwrap();
            let mut posting: Posting = serde_json::from_str(&json).unwrap();
            tail.iter().for_each(|event| posting.evolve(event));
            prop_assert_eq!(&posting, &whole);
        }
    }

    #[test]
    fn events_read_back_as_they_were_written(
        workflow in workflow(),
        acts in prop::collection::vec(act(), 0..40),
    ) {
        let mut game = Game::new(&workflow);
        acts.iter().for_each(|act| game.play(act));
        for event in game.history() {
            let mut metadata = Metadata::new();
            let payload = event.encode(&mut metadata).unwrap();
            let kind = event.event_type();
            let payload = payload.as_raw();
            let stored = StoredEvent::new(kind.name, kind.schema_version, payload, &metadata);
            let decoded = PostingEvent::decode(stored).unwrap();
            prop_assert_eq!(decoded, Decoded::One(event.clone()));
        }
    }

    #[test]
    fn any_history_can_be_folded_and_nothing_panics_on_it(
        workflow in workflow(),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut posting = Posting::default();
        let mut completed = 0;
        for event in &events {
            posting.evolve(event);
            completed += usize::from(has_completed_somewhere(event));
            if let PostingEvent::PostingStateImported { replaces, execution_sequence, .. } = event {
                if *replaces {
                    completed = 0;
                }
                completed += execution_sequence.len();
                prop_assert!(posting.run().is_none());
            }
            if matches!(event, PostingEvent::PostingTerminal { .. }) {
                prop_assert!(posting.is_terminal());
            }
            let json = serde_json::to_string(&posting).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Posting>(&json).unwrap(), &posting);
        }
        prop_assert_eq!(posting.execution_sequence().len(), completed);
        let settled = posting.settle(&workflow, es_core::event::Timestamp::EPOCH, 0.5);
        for event in settled.into_iter().flatten() {
            posting.evolve(&event);
        }
        for step in posting.ready(&workflow) {
            let completion = answer(step.attempt, "a");
            prop_assert!(posting.complete(&workflow, &completion).is_ok());
            let failure = failure(step.attempt, FailureType::Timeout);
            prop_assert!(posting.fail(&workflow, &failure).is_ok());
        }
    }

    #[test]
    fn whatever_json_others_wrote_under_the_specifications_names_can_be_read(
        kind in prop::sample::select(vec![
            "script_execution_completed", "llm_call_completed", "script_execution_failed",
            "llm_call_failed", "posting_terminal", "circuit_breaker_open",
        ]),
        payload in prop::collection::btree_map(
            prop::sample::select(vec![
                "output", "status", "model", "tokens", "error", "failure_type", "stderr", "reason",
                "final_conversation_id", "actor_id", "failure_count", "else",
            ]),
            any_json(),
            0..6,
        ),
        metadata in prop::collection::btree_map(
            prop::sample::select(vec![
                "conversation_id", "actor_id", "run_id", "retry_count", "duration_ms",
                "execution_order",
            ]),
            any_json(),
            0..6,
        ),
    ) {
        let metadata: Metadata =
            serde_json::from_value(serde_json::to_value(&metadata).unwrap()).unwrap();
        let payload = Payload::of(&payload).unwrap();
        let event =
            PostingEvent::decode(StoredEvent::new(kind, 1, payload.as_raw(), &metadata));
        prop_assert!(event.is_ok(), "{event:?}");
    }

    #[test]
    fn a_definition_reads_back_as_it_was_written(workflow in workflow()) {
        let json = serde_json::to_string(&workflow).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Workflow>(&json).unwrap(), &workflow);
    }
}

fn has_completed_somewhere(event: &PostingEvent) -> bool {
    match event {
        PostingEvent::ScriptExecutionCompleted { conversation_id, .. }
        | PostingEvent::LlmCallCompleted { conversation_id, .. }
        | PostingEvent::HumanTaskCompleted { conversation_id, .. } => conversation_id.is_some(),
        _ => false,
    }
}

#[test]
fn generated_games_reach_every_end() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut seen = std::collections::BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..400 {
        let workflow = workflow().new_tree(&mut runner).unwrap().current();
        let acts = prop::collection::vec(act(), 40).new_tree(&mut runner).unwrap().current();
        let mut game = Game::new(&workflow);
        acts.iter().for_each(|act| game.play(act));
        for event in game.history() {
            seen.insert(event.event_type().name.to_owned());
            if let PostingEvent::PathEnded { reason, .. } = event {
                seen.insert(reason.to_string());
            }
        }
    }
    for name in PostingEvent::TYPES.iter().map(|kind| kind.name).chain([
        "no_matching_branch",
        "iteration_limit",
        "loop_guard",
        "run_budget",
        "actor_failed",
    ]) {
        assert!(seen.contains(name), "no game has {name}, so its laws prove nothing about it");
    }
}
