//! Decisions by example: given these events, when a definition is told, then this is recorded.

use es_core::Aggregate;
use es_testing::spec::given;

use super::*;
use crate::ids::{DefinitionId, WorkflowId};

fn recording(text: &str) -> DefinitionRecording {
    DefinitionRecording {
        workflow_id: WorkflowId(3001),
        digest: definition_digest(text),
        file_name: "workflow.toml".to_owned(),
        folder: Some("/srv/adverts".to_owned()),
        text: text.to_owned(),
    }
}

fn recorded(text: &str) -> DefinitionEvent {
    let DefinitionRecording { workflow_id, digest, file_name, folder, text } = recording(text);
    DefinitionEvent::WorkflowDefinitionRecorded { workflow_id, digest, file_name, folder, text }
}

#[test]
fn a_definition_is_recorded_once() {
    let decided = given::<RecordedDefinitions>([])
        .when(|definitions| definitions.record_once(&recording("a")))
        .then([recorded("a")])
        .then_again_nothing();
    let digest = definition_digest("a");
    assert_eq!(digest, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    assert_eq!(decided.state().get(&digest).map(|known| &*known.text), Some("a"));
}

#[test]
fn another_definition_of_the_same_stream_is_another_one() {
    let decided = given::<RecordedDefinitions>([recorded("a")])
        .when(|definitions| definitions.record_once(&recording("b")))
        .then([recorded("b")]);
    assert_eq!(decided.state().all().len(), 2);
}

#[test]
fn where_the_file_lies_makes_it_no_other_definition() {
    let moved =
        DefinitionRecording { file_name: "other.toml".to_owned(), folder: None, ..recording("a") };
    given::<RecordedDefinitions>([recorded("a")])
        .when(|definitions| definitions.record_once(&moved))
        .then([]);
}

#[test]
fn a_text_with_another_digest_is_refused() {
    let (digest, found) = (definition_digest("a"), definition_digest("b"));
    let other = DefinitionRecording { digest: digest.clone(), ..recording("b") };
    // whether it is recorded or not
    for history in [vec![], vec![recorded("a")]] {
        let (digest, found) = (digest.clone(), found.clone());
        given::<RecordedDefinitions>(history)
            .when(|definitions| definitions.record_once(&other))
            .then_rejected(DefinitionRejection::OtherText { digest, found });
    }
}

#[test]
fn a_text_that_no_store_keeps_is_refused() {
    given::<RecordedDefinitions>([])
        .when(|definitions| definitions.record_once(&recording("a\0")))
        .then_rejected(DefinitionRejection::Unstorable);
}

#[test]
fn what_was_recorded_first_stays() {
    let mut definitions = RecordedDefinitions::default();
    definitions.evolve(&recorded("a"));
    let digest = definition_digest("a");
    definitions.evolve(&DefinitionEvent::WorkflowDefinitionRecorded {
        workflow_id: WorkflowId(1),
        digest: digest.clone(),
        file_name: String::new(),
        folder: None,
        text: "forged".to_owned(),
    });
    assert_eq!(definitions.get(&digest).map(|known| &*known.text), Some("a"));
}

#[test]
fn a_stream_is_named_by_the_beginning_of_a_digest() {
    let digest = definition_digest("a");
    assert_eq!(DefinitionId::of_digest(&digest), Some(DefinitionId(0x0ca9_7811)));
    assert_eq!(DefinitionId::of_digest(&"f".repeat(64)), Some(DefinitionId(0x0fff_ffff)));
    let upper = digest.to_uppercase();
    for text in ["", "d", "sha256:77aa", &digest[1..], &upper, &"+".repeat(64), &"ä".repeat(32)] {
        assert_eq!(DefinitionId::of_digest(text), None, "{text}");
    }
}
