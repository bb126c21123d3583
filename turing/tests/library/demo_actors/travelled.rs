//! The definition and the postings of the demo, all of which go through the whole workflow.

use es_core::Aggregate;
use serde_json::{Map, Value, json};
use turing::definition::Definition;
use turing::postings::PostingReader;
use turing_domain::{
    Completion, ConversationId, EndReason, InputValues, LlmUsage, Posting, PostingId, RunId, Step,
};

use super::{demo, output};

#[test]
fn the_definition_has_neither_errors_nor_warnings() {
    let definition = Definition::load(&demo().join("workflow.toml")).unwrap();
    assert_eq!(definition.warnings, []);
    assert_eq!(definition.workflow.conversations.len(), 13);
}

#[test]
fn most_adverts_have_the_length_of_real_ones() {
    let lengths: Vec<_> = PostingReader::open(&demo().join("postings"))
        .unwrap()
        .filter_map(Result::ok)
        .map(|item| item.data["job_description"].as_str().unwrap().len())
        .collect();
    let of = |range: std::ops::Range<usize>| lengths.iter().filter(|l| range.contains(l)).count();
    assert!(of(1024..8192) >= 14, "{lengths:?}");
    assert!(of(3072..8192) >= 4, "{lengths:?}");
    assert_eq!(of(0..1), 1, "{lengths:?}");
}

/// A posting's way through the workflow.
struct Travel {
    posting: Posting,
    /// Before each step, where the posting stood, and at which of that it could go on.
    stood: Vec<(Vec<i32>, Vec<i32>)>,
}

/// One posting through the whole workflow, with the decisions of the domain and real scripts; of
/// several steps that are ready, `pick` says which comes next.
async fn travel(
    definition: &Definition,
    id: PostingId,
    data: &Map<String, Value>,
    pick: fn(&[Step<'_>]) -> usize,
) -> Travel {
    let workflow = &definition.workflow;
    let run_id: RunId = "0198f2c4-0000-7000-8000-000000000000".parse().unwrap();
    let mut posting = Posting::default();
    let mut events = posting.enter_run(workflow, run_id).unwrap();
    let mut stood = Vec::new();
    loop {
        events.iter().for_each(|event| posting.evolve(event));
        let ready = posting.ready(workflow);
        if ready.is_empty() {
            return Travel { posting, stood };
        }
        stood.push((
            posting.run().unwrap().open().keys().map(|id| id.0).collect(),
            ready.iter().map(|step| step.conversation.id.0).collect(),
        ));
        let step = &ready[pick(&ready)];
        let values =
            InputValues { posting_id: id, workflow_id: workflow.id, data, posting: &posting };
        let outputs: Map<String, Value> = values
            .outputs()
            .map(|(conversation, output)| (conversation.to_string(), output.decode().unwrap()))
            .collect();
        let call = json!({
            "posting_id": id,
            "workflow_id": workflow.id,
            "conversation_id": step.conversation.id,
            "run_id": run_id,
            "attempt": 1,
            "input": values.render(step.conversation).unwrap(),
            "posting": data,
            "outputs": outputs,
        });
        let actor = &workflow.actor(step.conversation.actor).unwrap().kind;
        let turing_domain::ActorKind::Script(script) = actor else {
            panic!("the demo has scripts only");
        };
        let command: Vec<_> = script.command.iter().map(String::as_str).collect();
        let completion = Completion {
            attempt: step.attempt,
            output: output(&command, &call.to_string()).await,
            duration: None,
            llm: LlmUsage::default(),
        };
        events = posting.complete(workflow, &completion).unwrap();
    }
}

const INVALID: &[i32] = &[9101];
const SKIPPED: &[i32] = &[9101, 9102];
const GRADED: &[i32] = &[9101, 9102, 9103, 9104, 9105, 9106];
const IMPROVED: &[i32] = &[9107, 9108];
const TICKET: &[i32] = &[9109];
const FINISHED: &[i32] = &[9110, 9111, 9112, 9113];

#[tokio::test]
async fn every_posting_takes_the_path_that_the_readme_tells() {
    use EndReason::{Completed, IterationLimit};
    let (invalid, skipped) = (INVALID.to_vec(), SKIPPED.to_vec());
    let straight = [GRADED, FINISHED].concat();
    let improved = [GRADED, IMPROVED, TICKET, FINISHED].concat();
    let improved_twice = [GRADED, IMPROVED, IMPROVED, TICKET, FINISHED].concat();
    let given_up = [GRADED, IMPROVED, IMPROVED, IMPROVED].concat();
    let expected = [
        ("01-pflegefachkraft.json", &straight, Completed),
        ("02-rust-engineer.json", &straight, Completed),
        ("03-elektroniker.txt", &straight, Completed),
        ("04-data-analyst.md", &straight, Completed),
        ("05-koch.json", &straight, Completed),
        ("06-lagerlogistik.txt", &improved, Completed),
        ("07-nurse-london.json", &improved, Completed),
        ("08-buchhalterin.json", &skipped, Completed),
        ("09-marketing-manager.md", &skipped, Completed),
        ("10-erzieherin.md", &improved_twice, Completed),
        ("12-leer.json", &invalid, Completed),
        ("13-zu-kurz.txt", &invalid, Completed),
        ("14-initiativbewerbung.txt", &given_up, IterationLimit),
        ("15-maths-teacher.json", &straight, Completed),
        ("16-verkaeuferin.txt", &straight, Completed),
        ("17-welder.json", &straight, Completed),
        ("18-projektleiter.md", &straight, Completed),
        ("19-hausmeister.json", &skipped, Completed),
        ("20-servicekraft.txt", &improved, Completed),
    ];
    let definition = Definition::load(&demo().join("workflow.toml")).unwrap();
    let mut travelled = Vec::new();
    let mut refused = Vec::new();
    for item in PostingReader::open(&demo().join("postings")).unwrap() {
        match item {
            Ok(item) => {
                let id = item.posting_id.unwrap_or(PostingId(1));
                let Travel { posting, .. } = travel(&definition, id, &item.data, |_| 0).await;
                let name = item.source.rsplit('/').next().unwrap().to_owned();
                travelled.push((name, posting));
            }
            Err(item) => refused.push(item.source_name),
        }
    }
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].ends_with("/11-abgeschnitten.json"), "{refused:?}");

    let paths: Vec<_> = travelled
        .iter()
        .map(|(name, posting)| {
            let path: Vec<_> = posting.execution_sequence().iter().map(|id| id.0).collect();
            (name.as_str(), path, posting.terminal().unwrap().reason.clone().unwrap())
        })
        .collect();
    let expected: Vec<_> =
        expected.into_iter().map(|(name, path, reason)| (name, path.clone(), reason)).collect();
    assert_eq!(paths, expected);

    let output = |name: &str, conversation| {
        let (_, posting) = travelled.iter().find(|(one, _)| one == name).unwrap();
        posting.usable_output(ConversationId(conversation)).unwrap()
    };
    assert_eq!(
        serde_json::from_str::<Value>(&output("05-koch.json", 9111)).unwrap(),
        json!({
            "posting_id": 1,
            "role": "Koch / Köchin (m/w/d)",
            "location": "Überlingen am Bodensee",
            "language": "de",
            "salary": "2.900 € bis 3.400 € brutto, 13 Gehälter, Trinkgeld wird geteilt",
            "card": "Stelle: Koch / Köchin (m/w/d)\nOrt: Überlingen am Bodensee\n\
                     Gehalt: 2.900 € bis 3.400 € brutto, 13 Gehälter, Trinkgeld wird geteilt",
        })
    );
    assert_eq!(
        output("07-nurse-london.json", 9106),
        "[FAIL] content: 50 of 100 points, missing: location, salary; language: English, reads well"
    );
    assert_eq!(
        output("07-nurse-london.json", 9109),
        "[TICKET] 20001: please check; found by search: location, salary"
    );
    assert_eq!(
        output("07-nurse-london.json", 9113),
        "[DONE] Registered Nurse, Outpatient Clinic, London; skills: Communication, First aid, \
         Medication, Nursing, Teaching; ticket: yes"
    );
    assert_eq!(
        output("20-servicekraft.txt", 9106),
        "[FAIL] content: 100 of 100 points; language: the role shouts"
    );
}

#[tokio::test]
async fn the_graders_stand_side_by_side_and_the_verdict_starts_once_after_both() {
    let definition = Definition::load(&demo().join("workflow.toml")).unwrap();
    let advert = demo().join("postings/20-servicekraft.txt");
    let item = PostingReader::open(&advert).unwrap().next().unwrap().unwrap();
    let picks: [fn(&[Step<'_>]) -> usize; 2] = [|_| 0, |ready| ready.len() - 1];
    let mut verdicts = Vec::new();
    for (pick, other) in picks.into_iter().zip([9105, 9104]) {
        let Travel { posting, stood } = travel(&definition, PostingId(1), &item.data, pick).await;
        let graded = stood.iter().position(|(open, _)| open.contains(&9104)).unwrap();
        assert_eq!(
            stood[graded..graded + 3],
            [
                (vec![9104, 9105], vec![9104, 9105]),
                (vec![other, 9106], vec![other]),
                (vec![9106], vec![9106]),
            ]
        );
        assert_eq!(posting.run().unwrap().runs_of(ConversationId(9106)), 1);
        verdicts.push(posting.usable_output(ConversationId(9106)).unwrap());
    }
    assert_eq!(verdicts[0], verdicts[1]);
}
