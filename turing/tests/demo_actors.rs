//! The bundled demo: each actor by itself, and all postings through the whole workflow.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use es_core::Aggregate;
use serde_json::{Map, Value, json};
use turing::definition::Definition;
use turing::postings::PostingReader;
use turing::script::{ScriptCall, ScriptLimits, ScriptOutcome, run_script};
use turing_domain::{
    Completion, ConversationId, EndReason, InputValues, LlmUsage, Posting, PostingId, RunId,
};

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

async fn outcome(script: &str, call: &str) -> ScriptOutcome {
    run_script(&ScriptCall {
        program: demo().join(script),
        arguments: Vec::new(),
        folder: demo(),
        environment: BTreeMap::from([
            ("LC_ALL".to_owned(), "C".to_owned()),
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ]),
        input: call.as_bytes().to_vec(),
        limits: ScriptLimits::default(),
    })
    .await
}

async fn output(script: &str, call: &str) -> String {
    match outcome(script, call).await {
        ScriptOutcome::Completed { output, .. } => output,
        failed => panic!("{script}: {failed:?}"),
    }
}

/// What an actor answers to an input, for a posting with this data.
async fn answer(actor: &str, input: &str, data: Value) -> String {
    let call = json!({
        "posting_id": 12345,
        "workflow_id": 3001,
        "conversation_id": 9101,
        "run_id": "0198f2c4-0000-7000-8000-000000000000",
        "attempt": 1,
        "input": input,
        "posting": data,
        "outputs": {"9100": "an \"earlier\" output, {\"input\": \"of another\"}\n"},
    });
    output(&format!("actors/{actor}.sh"), &call.to_string()).await
}

async fn json_answer(actor: &str, input: &str, data: Value) -> Value {
    let answer = answer(actor, input, data).await;
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{actor}: {error}: {answer}"))
}

#[track_caller]
fn assert_begins(text: &str, beginning: &str) {
    assert!(text.starts_with(beginning), "{text:?} does not begin with {beginning:?}");
}

#[tokio::test]
async fn validate_passes_texts_of_sixty_words() {
    let text = "Wir suchen Verstärkung. ".repeat(20);
    assert_eq!(answer("validate", &text, json!({})).await, "[PASS] 60 words");
    for (text, reason) in [
        ("", "[FAIL] the job description is empty"),
        (" \n\t ", "[FAIL] the job description is empty"),
        ("<p><br/></p>", "[FAIL] the job description is empty"),
        ("Aushilfe gesucht!", "[FAIL] the job description has 2 words"),
    ] {
        assert_begins(&answer("validate", text, json!({})).await, reason);
    }
}

#[tokio::test]
async fn check_open_skips_what_is_closed_by_data_or_text() {
    for (text, data, expected) in [
        ("Wir suchen Sie.", json!({}), "[RUN]"),
        ("Wir suchen Sie.", json!({"status": "open"}), "[RUN]"),
        ("Wir suchen Sie.", json!({"status": "Closed"}), "[SKIP] the status is closed"),
        ("Die Stelle ist\n  bereits besetzt.", json!({}), "[SKIP] the text says"),
        ("This position\nhas been <b>filled</b>!", json!({}), "[SKIP] the text says"),
        ("status: closed", json!({"notes": {"status": "closed"}}), "[RUN]"),
    ] {
        assert_begins(&answer("check_open", text, data).await, expected);
    }
}

#[tokio::test]
async fn summarise_reads_labelled_lines() {
    let german = "Stelle: Bäcker:in \"früh\"\n• **Standort:** Görlitz\n\
                  Gehalt: 2.900 € \\ Monat\nWir sind die Bäckerei und freuen uns auf Sie.";
    assert_eq!(
        json_answer("summarise", german, json!({})).await,
        json!({
            "role": "Bäcker:in \"früh\"",
            "location": "Görlitz",
            "language": "de",
            "salary": "2.900 € \\ Monat",
        })
    );
    let english = "<h1>Welder</h1><p><strong>Location:</strong> K&ouml;ln &amp; Leeds</p>\
                   <p>Pay: £18 🔥</p><p>We make gates and you weld the hinges for the doors.</p>";
    assert_eq!(
        json_answer("summarise", english, json!({"title": "Welder / Fabricator"})).await,
        json!({
            "role": "Welder / Fabricator",
            "location": "Köln & Leeds",
            "language": "en",
            "salary": "£18 🔥",
        })
    );
    assert_eq!(
        json_answer("summarise", "# Analyst\nNo labels: \nAn allocation: none", json!({})).await,
        json!({"role": "Analyst", "location": "", "language": "", "salary": ""})
    );
}

#[tokio::test]
async fn the_actors_read_every_way_to_write_a_text_in_json() {
    // The escapes of JSON as a serialiser that stays within ASCII writes them.
    let call = r#"{ "posting" : {"title":"B\u00e4cker\u20ac \ud83e\udd50 \/ a\\nb \"q\"\\",
        "n": [1, -2.5e3, [], {}, true, null]}, "input" : "", "posting_id":1 }"#;
    let summary = output("actors/summarise.sh", call).await;
    assert_eq!(
        serde_json::from_str::<Value>(&summary).unwrap()["role"],
        "Bäcker€ 🥐 / a\\nb \"q\"\\"
    );
}

#[tokio::test]
async fn the_actors_refuse_what_is_not_json() {
    let ScriptOutcome::Failed { error, stderr, .. } =
        outcome("actors/validate.sh", "\"a text alone\"").await
    else {
        panic!("a text was taken for a call");
    };
    assert!(error.contains("exited with code 1"), "{error}");
    assert!(stderr.contains("not a JSON object"), "{stderr}");
}

#[tokio::test]
async fn grade_adds_up_points_and_names_what_is_missing() {
    for (input, expected) in [
        ("role: Koch\nlocation: Ulm\nlanguage: de\nsalary: 1 €\n", "[PASS] 100 of 100 points"),
        (
            "role: Koch\nlocation: Ulm\nlanguage: de\nsalary: \n",
            "[PASS] 80 of 100 points, missing: salary",
        ),
        (
            "role: Koch: à la carte\nlocation: \nlanguage: de\nsalary: 1 €\n",
            "[FAIL] 70 of 100 points, missing: location",
        ),
        (
            "role: \nlocation: \nlanguage: \nsalary: \n",
            "[FAIL] 0 of 100 points, missing: role, location, language, salary",
        ),
    ] {
        assert_eq!(answer("grade", input, json!({})).await, expected);
    }
}

#[tokio::test]
async fn improve_fills_the_role_first_and_then_place_and_pay() {
    let advert = "Wir sind eine Kita.\nWir suchen ab sofort eine pädagogische Fachkraft (m/w/d).\n\
                  Am Anger 7, 99084 Erfurt, 45000 Euro für Möbel.\nEs gilt der TVöD SuE 8a, sofort.";
    let fields =
        |role: &str| format!("role: {role}\nlocation: \nlanguage: de\nsalary: \n\n{advert}");
    let first = json_answer("improve", &fields(""), json!({})).await;
    assert_eq!(
        first,
        json!({"role": "pädagogische Fachkraft", "location": "", "language": "de", "salary": ""})
    );
    let second = json_answer("improve", &fields("Fachkraft"), json!({})).await;
    assert_eq!(second["location"], "Erfurt");
    assert_eq!(second["salary"], "45000 Euro");
}

#[tokio::test]
async fn improve_finds_amounts_of_many_forms() {
    for (advert, salary) in [
        ("You earn £36,500 to £41,200 per annum, plus tips.", "£36,500 to £41,200 per annum"),
        ("Wir zahlen 16,40 Euro pro Stunde.", "16,40 Euro pro Stunde"),
        ("Es gibt 2.900 – 3.400 € im Monat, immer.", "2.900 – 3.400 € im Monat"),
        ("Bezahlung nach TVöD SuE 8a, mit Zulagen", "TVöD SuE 8a"),
        ("Fair pay, 30 days of holiday.", ""),
    ] {
        let input = format!("role: Koch\nlocation: Ulm\nlanguage: de\nsalary: \n\n{advert}");
        let improved = json_answer("improve", &input, json!({})).await;
        assert_eq!(improved["salary"], salary, "{advert}");
        assert_eq!(improved["location"], "Ulm");
    }
}

#[tokio::test]
async fn skills_are_found_in_both_languages_as_whole_words() {
    for (text, skills, count) in [
        ("Teamfähigkeit, Englisch und SQL.", "English, SQL, Teamwork", 3),
        ("Team player with English & <b>SQL</b>", "English, SQL, Teamwork", 3),
        ("ERSTE\nHILFE; Buchhaltung/SAP", "Accounting, First aid, SAP", 3),
        ("Rusty robust mysqld pflegeleicht", "", 0),
    ] {
        assert_eq!(
            json_answer("skills", text, json!({})).await,
            json!({"skills": skills, "skill_count": count})
        );
    }
}

#[tokio::test]
async fn save_writes_in_the_language_of_the_advert() {
    let fields = |language: &str| {
        format!("role: Koch\nlocation: Ulm\nlanguage: {language}\nsalary: \nskills: HACCP\n")
    };
    assert_eq!(
        answer("save", &fields("de"), json!({})).await,
        "[12345] Stelle: Koch\nOrt: Ulm\nGehalt: keine Angabe\nKenntnisse: HACCP"
    );
    assert_eq!(
        answer("save", &fields("en"), json!({})).await,
        "[12345] Role: Koch\nLocation: Ulm\nSalary: not stated\nSkills: HACCP"
    );
}

#[test]
fn the_definition_has_neither_errors_nor_warnings() {
    let definition = Definition::load(&demo().join("workflow.toml")).unwrap();
    assert_eq!(definition.warnings, []);
    assert_eq!(definition.workflow.conversations.len(), 7);
}

/// One posting through the whole workflow, with the decisions of the domain and real scripts.
async fn travel(definition: &Definition, id: PostingId, data: &Map<String, Value>) -> Posting {
    let workflow = &definition.workflow;
    let run_id: RunId = "0198f2c4-0000-7000-8000-000000000000".parse().unwrap();
    let mut posting = Posting::default();
    let mut events = posting.enter_run(workflow, run_id).unwrap();
    loop {
        events.iter().for_each(|event| posting.evolve(event));
        let Some(step) = posting.ready(workflow).into_iter().next() else {
            return posting;
        };
        let values =
            InputValues { posting_id: id, workflow_id: workflow.id, data, posting: &posting };
        let outputs: Map<_, _> = values
            .outputs()
            .map(|(conversation, output)| (conversation.to_string(), output.clone()))
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
        let completion = Completion {
            attempt: step.attempt,
            output: output(&script.command[0], &call.to_string()).await,
            duration: None,
            llm: LlmUsage::default(),
        };
        events = posting.complete(workflow, &completion).unwrap();
    }
}

const STRAIGHT: &[i32] = &[9101, 9102, 9103, 9104, 9106, 9107];
const IMPROVED: &[i32] = &[9101, 9102, 9103, 9104, 9105, 9104, 9106, 9107];
const IMPROVED_TWICE: &[i32] = &[9101, 9102, 9103, 9104, 9105, 9104, 9105, 9104, 9106, 9107];
const GIVEN_UP: &[i32] = &[9101, 9102, 9103, 9104, 9105, 9104, 9105, 9104];
const SKIPPED: &[i32] = &[9101, 9102];
const INVALID: &[i32] = &[9101];

#[tokio::test]
async fn every_posting_takes_the_path_that_the_readme_tells() {
    let expected: [(&str, &[i32], EndReason); 17] = [
        ("01-pflegefachkraft.json", STRAIGHT, EndReason::Completed),
        ("02-rust-engineer.json", STRAIGHT, EndReason::Completed),
        ("03-elektroniker.txt", STRAIGHT, EndReason::Completed),
        ("04-data-analyst.md", STRAIGHT, EndReason::Completed),
        ("05-koch.json", STRAIGHT, EndReason::Completed),
        ("06-lagerlogistik.txt", IMPROVED, EndReason::Completed),
        ("07-nurse-london.json", IMPROVED, EndReason::Completed),
        ("08-buchhalterin.json", SKIPPED, EndReason::Completed),
        ("09-marketing-manager.md", SKIPPED, EndReason::Completed),
        ("10-erzieherin.md", IMPROVED_TWICE, EndReason::Completed),
        ("12-leer.json", INVALID, EndReason::Completed),
        ("13-zu-kurz.txt", INVALID, EndReason::Completed),
        ("14-initiativbewerbung.txt", GIVEN_UP, EndReason::IterationLimit),
        ("15-maths-teacher.json", STRAIGHT, EndReason::Completed),
        ("16-verkaeuferin.txt", STRAIGHT, EndReason::Completed),
        ("17-welder.json", STRAIGHT, EndReason::Completed),
        ("18-projektleiter.md", STRAIGHT, EndReason::Completed),
    ];
    let definition = Definition::load(&demo().join("workflow.toml")).unwrap();
    let mut travelled = Vec::new();
    let mut refused = Vec::new();
    for item in PostingReader::open(&demo().join("postings")).unwrap() {
        match item {
            Ok(item) => {
                let id = item.posting_id.unwrap_or(PostingId(1));
                let posting = travel(&definition, id, &item.data).await;
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
        expected.into_iter().map(|(name, path, reason)| (name, path.to_vec(), reason)).collect();
    assert_eq!(paths, expected);

    let saved = |name: &str| {
        let (_, posting) = travelled.iter().find(|(one, _)| one == name).unwrap();
        posting.usable_output(ConversationId(9107)).unwrap().into_owned()
    };
    assert_eq!(
        saved("05-koch.json"),
        "[1] Stelle: Koch / Köchin (m/w/d)\nOrt: Überlingen am Bodensee\n\
         Gehalt: 2.900 € bis 3.400 € brutto, 13 Gehälter, Trinkgeld wird geteilt\n\
         Kenntnisse: German, HACCP, Teamwork"
    );
    assert_eq!(
        saved("07-nurse-london.json"),
        "[20001] Role: Registered Nurse, Outpatient Clinic\nLocation: London\n\
         Salary: £36,500 to £41,200 per annum\n\
         Skills: Communication, First aid, Medication, Nursing, Teaching"
    );
}
