//! The bundled demo: each actor by itself, and all postings through the whole workflow.

mod travelled;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use turing::script::{ScriptCall, ScriptLimits, ScriptOutcome, Supervisors};

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo")
}

/// What comes of a command below the demo's folder, such as `["actors/grade.sh", "both"]`.
async fn outcome(command: &[&str], call: &str) -> ScriptOutcome {
    Supervisors::new(env!("CARGO_BIN_EXE_turing"))
        .run(&ScriptCall {
            program: demo().join(command[0]),
            arguments: command[1..].iter().map(|argument| (*argument).into()).collect(),
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

async fn output(command: &[&str], call: &str) -> String {
    match outcome(command, call).await {
        ScriptOutcome::Completed { output, .. } => output,
        failed => panic!("{command:?}: {failed:?}"),
    }
}

/// What an actor, such as `grade both`, answers to an input, for a posting with this data.
async fn answer(actor: &str, input: &str, data: Value) -> String {
    let outputs = json!({"9100": "an \"earlier\" output, {\"input\": \"of another\"}\n"});
    answer_to(actor, input, data, outputs).await
}

/// What an actor answers to earlier outputs alone.
async fn answer_to_outputs(actor: &str, outputs: Value) -> String {
    answer_to(actor, "", json!({}), outputs).await
}

async fn answer_to(actor: &str, input: &str, data: Value, outputs: Value) -> String {
    let call = json!({
        "posting_id": 12345,
        "workflow_id": 3001,
        "conversation_id": 9101,
        "run_id": "0198f2c4-0000-7000-8000-000000000000",
        "attempt": 1,
        "input": input,
        "posting": data,
        "outputs": outputs,
    });
    let mut words = actor.split(' ');
    let script = format!("actors/{}.sh", words.next().unwrap());
    let command: Vec<_> = std::iter::once(script.as_str()).chain(words).collect();
    output(&command, &call.to_string()).await
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
async fn exists_skips_what_is_summarised_or_closed() {
    for (text, data, expected) in [
        ("Wir suchen Sie.", json!({}), "[RUN]"),
        ("Wir suchen Sie.", json!({"status": "open"}), "[RUN]"),
        ("Wir suchen Sie.", json!({"status": "Closed"}), "[SKIP] the status is closed"),
        ("Die Stelle ist\n  bereits besetzt.", json!({}), "[SKIP] the text says"),
        ("This position\nhas been <b>filled</b>!", json!({}), "[SKIP] the text says"),
        ("status: closed", json!({"notes": {"status": "closed"}}), "[RUN]"),
        ("Wir suchen Sie.", json!({"summary": "Koch, Ulm"}), "[SKIP] a summary exists"),
        ("Wir suchen Sie.", json!({"summary": " \n"}), "[RUN]"),
        ("Wir suchen Sie.", json!({"summary": null}), "[RUN]"),
    ] {
        assert_begins(&answer("exists", text, data).await, expected);
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
    let summary = output(&["actors/summarise.sh"], call).await;
    assert_eq!(
        serde_json::from_str::<Value>(&summary).unwrap()["role"],
        "Bäcker€ 🥐 / a\\nb \"q\"\\"
    );
}

#[tokio::test]
async fn the_actors_read_texts_that_begin_or_end_with_quotes_and_backslashes() {
    for title in ["\"Koch\"", "\\", "\\\\", "\\\"", "\"\\", "\"", "a\\\"b\\"] {
        let summary = json_answer("summarise", "", json!({"title": title})).await;
        assert_eq!(summary["role"], title);
    }
}

#[tokio::test]
async fn the_actors_refuse_what_is_not_json() {
    let ScriptOutcome::Failed { error, stderr, .. } =
        outcome(&["actors/validate.sh"], "\"a text alone\"").await
    else {
        panic!("a text was taken for a call");
    };
    assert!(error.contains("exited with code 1"), "{error}");
    assert!(stderr.contains("not a JSON object"), "{stderr}");
}

#[tokio::test]
async fn the_content_grade_adds_up_points_and_names_what_is_missing() {
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
        assert_eq!(answer("grade content", input, json!({})).await, expected);
    }
}

#[tokio::test]
async fn the_language_grade_names_what_reads_badly() {
    let long = "Köchin ".repeat(12);
    let just_short_enough = "ö".repeat(80);
    for (role, language, expected) in [
        ("Koch / Köchin (m/w/d)", "de", "[PASS] German, reads well"),
        ("CNC Operator", "en", "[PASS] English, reads well"),
        ("", "de", "[PASS] German, reads well"),
        (&just_short_enough, "de", "[PASS] German, reads well"),
        ("Koch", "", "[FAIL] neither German nor English"),
        ("Koch gesucht!", "de", "[FAIL] the role shouts"),
        ("KÖCHIN GESUCHT", "de", "[FAIL] the role shouts"),
        (&long, "de", "[FAIL] the role is longer than 80 characters"),
        ("<b>Koch", "fr", "[FAIL] neither German nor English, markup is left"),
        ("Koch &amp; Kellner", "de", "[FAIL] markup is left"),
    ] {
        let input = format!("role: {role}\nlocation: \nlanguage: {language}\nsalary: \n");
        assert_eq!(answer("grade language", &input, json!({})).await, expected, "{role}");
    }
}

#[tokio::test]
async fn both_grades_pass_only_together() {
    for (role, expected) in [
        ("Koch", "[PASS] 80 of 100 points, missing: salary; German, reads well"),
        ("Koch!", "[FAIL] 80 of 100 points, missing: salary; the role shouts"),
        ("", "[FAIL] 40 of 100 points, missing: role, salary; German, reads well"),
    ] {
        let input = format!("role: {role}\nlocation: Ulm\nlanguage: de\nsalary: \n");
        assert_eq!(answer("grade both", &input, json!({})).await, expected);
    }
    let ScriptOutcome::Failed { stderr, .. } =
        outcome(&["actors/grade.sh", "contents"], "{\"input\": \"\"}").await
    else {
        panic!("an unknown grade was given");
    };
    assert!(stderr.contains("not contents"), "{stderr}");
}

#[tokio::test]
async fn the_verdict_is_made_of_both_grades() {
    let verdict = async |content: Value, language: Value| {
        let outputs = json!({"9104": content, "9105": language});
        let outputs: Map<_, _> = outputs.as_object().unwrap().clone();
        let outputs = outputs.into_iter().filter(|(_, output)| !output.is_null()).collect();
        answer_to_outputs("verdict content=9104 language=9105", Value::Object(outputs)).await
    };
    let (good, bad) = (json!("[PASS] fine"), json!("[FAIL] poor"));
    for (content, language, expected) in [
        (&good, &good, "[PASS] content: fine; language: fine"),
        (&good, &bad, "[FAIL] content: fine; language: poor"),
        (&bad, &good, "[FAIL] content: poor; language: fine"),
        (&bad, &bad, "[FAIL] content: poor; language: poor"),
        (&good, &Value::Null, "[FAIL] content: fine; language: not graded"),
        (&Value::Null, &Value::Null, "[FAIL] content: not graded; language: not graded"),
    ] {
        assert_eq!(verdict(content.clone(), language.clone()).await, expected);
    }
}

#[tokio::test]
async fn the_ticket_names_what_was_found_by_search() {
    let summary = |role: &str, location: &str| {
        json!({"role": role, "location": location, "language": "de", "salary": ""}).to_string()
    };
    let first = summary("Koch", "");
    for (outputs, expected) in [
        (
            json!({"3": first, "7": summary("Koch", "\"Ulm\""), "8": "[PASS] fine"}),
            "[TICKET] 12345: please check; found by search: location",
        ),
        (
            json!({"3": first, "7": summary("Köchin", "Ulm")}),
            "[TICKET] 12345: please check; found by search: role, location; the improvement was \
             not graded",
        ),
        (json!({"3": first}), "[TICKET] 12345: please check; the summary was not improved"),
    ] {
        assert_eq!(
            answer_to_outputs("ticket summary=3 improvement=7 regrade=8", outputs).await,
            expected
        );
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
async fn improve_puts_roles_in_quiet_words() {
    for (role, quiet) in [
        ("DRINGEND!!! SERVICEKRAFT (M/W/D) GESUCHT!!!", "Servicekraft (m/w/d)"),
        ("ÄRZTIN FÜR INNERE MEDIZIN!", "Ärztin für Innere Medizin"),
        ("URGENTLY NEEDED: CNC WELDER", "CNC Welder"),
        ("CNC Operator", "CNC Operator"),
    ] {
        let input = format!("role: {role}\nlocation: Ulm\nlanguage: de\nsalary: 1 €\n\nText.");
        assert_eq!(json_answer("improve", &input, json!({})).await["role"], quiet);
    }
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
async fn format_writes_in_the_language_of_the_advert() {
    let fields =
        |language: &str| format!("role: Koch\nlocation: Ulm\nlanguage: {language}\nsalary: \n");
    assert_eq!(
        answer("format", &fields("de"), json!({})).await,
        "Stelle: Koch\nOrt: Ulm\nGehalt: keine Angabe"
    );
    assert_eq!(
        answer("format", &fields("en"), json!({})).await,
        "Role: Koch\nLocation: Ulm\nSalary: not stated"
    );
}

#[tokio::test]
async fn save_prints_the_whole_record() {
    let input =
        "role: Koch \"früh\"\nlocation: Ulm\nlanguage: de\nsalary: \n\nStelle: Koch\nOrt: Ulm\n";
    assert_eq!(
        json_answer("save", input, json!({})).await,
        json!({
            "posting_id": 12345,
            "role": "Koch \"früh\"",
            "location": "Ulm",
            "language": "de",
            "salary": "",
            "card": "Stelle: Koch\nOrt: Ulm",
        })
    );
}

#[tokio::test]
async fn done_says_what_came_of_a_posting() {
    let record = json!({"role": "Koch", "location": "Ulm"}).to_string();
    for (outputs, expected) in [
        (
            json!({"1": record, "2": "{\"skills\":\"SAP, SQL\"}", "3": "[TICKET] look"}),
            "[DONE] Koch, Ulm; skills: SAP, SQL; ticket: yes",
        ),
        (
            json!({"1": record, "2": "{\"skills\":\"\"}"}),
            "[DONE] Koch, Ulm; skills: none named; ticket: no",
        ),
        (json!({"1": record}), "[DONE] Koch, Ulm; skills: not looked for; ticket: no"),
    ] {
        assert_eq!(answer_to_outputs("done record=1 skills=2 ticket=3", outputs).await, expected);
    }
}
