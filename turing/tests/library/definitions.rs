//! Definitions in the store: with which event they come there, and that a run is moved to another one.

use es_core::backend::{AppendRequest, NewEvent};
use es_core::event::{EventStoreExt, Payload, ReadLog};
use es_core::execution::stream_of;
use es_core::{ExpectedVersion, Repository};
use futures_util::TryStreamExt;
use serde_json::json;
use tokio::sync::watch;
use turing::definition::{Definition, DefinitionError, recorded};
use turing::postings::PostingSource;
use turing::run::{RunOptions, RunOutcome, move_run, take_in};
use turing::store::Store;
use turing::why::{Asker, Why};
use turing_domain::{
    ConversationId, ConversationWaves, DefinitionId, DefinitionRecording, Posting, PostingId,
    RecordedDefinitions, RunId, RunStart, WorkflowRuns,
};

use crate::support::Workspace;
use crate::support::within::{Quiet, options};

/// Runs, or goes on, to the end.
async fn finish(workspace: &Workspace, store: &Store, options: RunOptions) {
    let (_stop, stopped) = watch::channel(false);
    let outcome = workspace.run_within(store, options, stopped, &mut Quiet).await.unwrap();
    assert!(matches!(outcome, RunOutcome::Finished(_)), "{outcome:?}");
}

fn definition(workspace: &Workspace) -> Definition {
    Definition::load(&workspace.path().join("workflow.toml")).unwrap()
}

async fn names(store: &Store) -> Vec<String> {
    let log = store.events.log(ReadLog::from_start());
    log.map_ok(|event| event.event_type.to_string()).try_collect().await.unwrap()
}

#[tokio::test]
async fn a_definition_is_recorded_with_the_first_run_by_it_and_once() {
    let (workspace, store) = (Workspace::with_chain(1, 1), Store::in_memory());
    finish(&workspace, &store, options()).await;
    finish(&workspace, &store, RunOptions { again: true, ..options() }).await;
    let all = names(&store).await;
    assert_eq!(all[..2], ["workflow_started", "workflow_definition_recorded"]);
    let recordings = all.iter().filter(|name| *name == "workflow_definition_recorded");
    assert_eq!(recordings.count(), 1);
    workspace.redefine();
    finish(&workspace, &store, options()).await;
    let found = recorded(&store, &definition(&workspace).digest).await.unwrap().unwrap();
    assert_eq!(found.text, workspace.workflow());
    assert_eq!(found.folder.as_deref(), Some(workspace.path()));
}

/// A run as a program begins it that keeps no definition.
async fn begun_before(workspace: &Workspace, store: &Store) -> RunId {
    let definition = definition(workspace);
    let postings = PostingSource::Path(workspace.path().join("postings"));
    let intake = take_in(&*store.postings, &postings).await.unwrap();
    let run_id = "0193a1d4-0000-7000-8000-000000000001".parse().unwrap();
    let start = RunStart {
        workflow_id: definition.workflow.id,
        run_id,
        posting_count: u32::try_from(intake.postings.len()).unwrap(),
        input_digest: intake.digest(),
        definition_digest: definition.digest.clone(),
        again: false,
    };
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    runs.by_id(&start.workflow_id).decide(|runs| runs.start(&start)).await.unwrap();
    run_id
}

#[tokio::test]
async fn a_run_of_before_gets_its_definition_recorded_when_it_goes_on() {
    let (workspace, store) = (Workspace::with_chain(1, 1), Store::in_memory());
    begun_before(&workspace, &store).await;
    let digest = definition(&workspace).digest;
    assert!(recorded(&store, &digest).await.unwrap().is_none());
    finish(&workspace, &store, options()).await;
    let found = recorded(&store, &digest).await.unwrap().unwrap();
    assert_eq!(found.text, workspace.workflow());
}

#[tokio::test]
async fn a_run_goes_without_a_record_of_its_definition_if_what_stands_there_cannot_be_read() {
    let (workspace, store) = (Workspace::with_chain(1, 1), Store::in_memory());
    let id = DefinitionId::of_digest(&definition(&workspace).digest).unwrap();
    let stream = stream_of::<RecordedDefinitions>(&id).unwrap();
    let event_id = "0193a1d4-0000-7000-8000-000000000007".parse().unwrap();
    let event = NewEvent::new(event_id, "note_added", Payload::of(&json!({})).unwrap());
    let request = AppendRequest::to(stream, ExpectedVersion::Any, vec![event]);
    store.events.append(request).await.unwrap();
    begun_before(&workspace, &store).await;
    // one that goes on, and one that begins
    for options in [options(), RunOptions { again: true, ..options() }] {
        let (_stop, stopped) = watch::channel(false);
        let outcome = workspace.run_within(&store, options, stopped, &mut Quiet).await.unwrap();
        let report = match outcome {
            RunOutcome::Finished(report) => report,
            other => panic!("{other:?}"),
        };
        let without: Vec<_> = report.without.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(without, ["a record of its definition"]);
        assert!(report.without[0].reason.contains("note_added"), "{:?}", report.without);
    }
    let all = names(&store).await;
    assert_eq!(all.iter().filter(|name| *name == "workflow_completed").count(), 2);
}

#[tokio::test]
async fn a_posting_of_a_run_without_a_definition_says_where_it_stands() {
    let (workspace, store) = (Workspace::with_chain(2, 1), Store::in_memory());
    let run_id = begun_before(&workspace, &store).await;
    let workflow = definition(&workspace).workflow;
    let postings = Repository::<Posting>::new(store.events.clone());
    let enter = |state: &Posting| state.enter_run(&workflow, run_id);
    postings.by_id(&PostingId(1)).decide(enter).await.unwrap();
    let mut asker = Asker::new(&store);
    let told = asker.ask(PostingId(1), None).await.unwrap();
    assert!(matches!(told.why, Why::NoDefinition { .. }), "{told:?}");
    let open = "open at conversation 1, and whether it is ready there is not known, because the \
                definition of its run is not in this store, since the run began before";
    assert!(told.sentence.starts_with(open), "{}", told.sentence);
    // registered, and not entered
    let told = asker.ask(PostingId(2), None).await.unwrap();
    assert!(matches!(told.why, Why::NoRun { .. }), "{told:?}");
    assert!(matches!(asker.ask(PostingId(3), None).await.unwrap().why, Why::Unregistered));

    // a run that is given up holds no posting
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    let fail = |runs: &WorkflowRuns| runs.fail(workflow.id, run_id, "given up");
    runs.by_id(&workflow.id).decide(fail).await.unwrap();
    let told = Asker::new(&store).ask(PostingId(1), None).await.unwrap();
    assert!(told.sentence.contains(", which is over (failed: given up): "), "{}", told.sentence);
}

#[tokio::test]
async fn a_move_that_was_interrupted_goes_on_when_it_is_repeated() {
    let (workspace, store) = (Workspace::with_chain(3, 2), Store::in_memory());
    let run_id = begun_before(&workspace, &store).await;
    let before = definition(&workspace);
    let postings = Repository::<Posting>::new(store.events.clone());
    for posting in 1..=3 {
        let enter = |state: &Posting| state.enter_run(&before.workflow, run_id);
        postings.by_id(&PostingId(posting)).decide(enter).await.unwrap();
    }
    workspace.redefine();
    let after = definition(&workspace);
    // pinned, and no posting moved
    let workflow = after.workflow.id;
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    let pin = |runs: &WorkflowRuns| runs.move_to_definition(workflow, run_id, &after.digest);
    runs.by_id(&workflow).decide(pin).await.unwrap();
    // one ends meanwhile
    let abandon = |state: &Posting| state.abandon_run(run_id);
    postings.by_id(&PostingId(3)).decide(abandon).await.unwrap();

    let lock = store.lock_run(workflow).await.unwrap();
    for expected in [2, 0] {
        let moved = move_run(&store, &lock, run_id, &after, false).await.unwrap();
        assert_eq!((moved.postings, moved.moved, moved.is_done), (2, expected, true));
    }
    let all = names(&store).await;
    let moves = all.iter().filter(|name| *name == "posting_moved_to_definition");
    assert_eq!(moves.count(), 2);
    assert!(recorded(&store, &after.digest).await.unwrap().is_some());
    // and back: another move
    let moved = move_run(&store, &lock, run_id, &before, false).await.unwrap();
    assert_eq!((moved.moved, moved.from_digest), (2, Some(after.digest.clone())));
    let run = runs.load(&workflow).await.unwrap().state.run(run_id).cloned().unwrap();
    assert_eq!(run.definition_digest, Some(before.digest));
}

#[tokio::test]
async fn a_move_ends_the_waves_at_conversations_that_the_definition_lacks() {
    let (workspace, store) = (Workspace::with_chain(2, 2), Store::in_memory());
    let (before, text) = (definition(&workspace), workspace.workflow());
    let run_id = begun_before(&workspace, &store).await;
    let recording = DefinitionRecording {
        workflow_id: before.workflow.id,
        digest: before.digest.clone(),
        file_name: "workflow.toml".to_owned(),
        folder: None,
        text: text.clone(),
    };
    let definitions = Repository::<RecordedDefinitions>::new(store.events.clone());
    let id = DefinitionId::of_digest(&before.digest).unwrap();
    definitions.by_id(&id).decide(|known| known.record_once(&recording)).await.unwrap();
    // as if the run had been killed when the last attempt of the first wave was recorded
    let waves = Repository::<ConversationWaves>::new(store.events.clone());
    let first = ConversationId(1);
    let begin = |waves: &ConversationWaves| waves.start_wave(first, run_id, 2);
    waves.by_id(&first).decide(begin).await.unwrap();

    let (head, _) = text.split_once("[[conversations]]").unwrap();
    let (_, last) = text.rsplit_once("[[conversations]]").unwrap();
    let head = head.replace("entry = 1", "entry = 2");
    workspace.file("workflow.toml", format!("{head}[[conversations]]{last}"));
    let after = definition(&workspace);
    let lock = store.lock_run(after.workflow.id).await.unwrap();
    let recorded_before = names(&store).await;
    move_run(&store, &lock, run_id, &after, true).await.unwrap();
    assert_eq!(names(&store).await, recorded_before);
    assert!(move_run(&store, &lock, run_id, &after, false).await.unwrap().is_done);
    let state = waves.load(&first).await.unwrap().state;
    assert_eq!((state.open_wave(run_id), state.completed_last()), (None, Some(run_id)));
    let all = names(&store).await;
    let place = |name: &str| all.iter().position(|other| other == name).unwrap();
    assert!(place("conversation_completed") < place("workflow_moved_to_definition"));
}

#[test]
fn a_definition_that_takes_too_much_in_an_event_is_refused_before_anything_is_done() {
    let workspace = Workspace::with_chain(1, 1);
    let text = workspace.workflow();
    let room = 8 * 1024 * 1024 - text.len() - 3;
    let load = |filling: &str| {
        let text = format!("{text}# {}\n", filling.repeat(room));
        let path = workspace.file("workflow.toml", &text);
        (Definition::load(&path), text)
    };
    let (loaded, text) = load("x");
    assert_eq!(&*loaded.unwrap().text, text);
    let refused = load("\"").0.unwrap_err();
    assert!(matches!(refused, DefinitionError::TooLong { .. }), "{refused}");
    assert!(refused.to_string().ends_with("; shorten it"), "{refused}");
}
