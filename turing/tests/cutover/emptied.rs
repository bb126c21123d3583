//! Old rows of whose postings the events say nothing: no resolution empties them, and each cure that is told
//! works.

use crate::planted::change_old;
use crate::scene::{OLD, Scene};

/// A row that cannot be read, and two that can, of postings without events; all are planted past the trigger.
fn planted() -> Scene {
    let scene = Scene::agreeing(20);
    scene.forward_to(2);
    scene.cutover(&["backfill"]).expect_code(0);
    change_old(
        &scene,
        "INSERT INTO postings (posting_id) VALUES (900), (901);
         INSERT INTO {old} (posting_id, outputs, note) VALUES (900, '[\"keep me\"]', 'mine');
         INSERT INTO {old} (posting_id, current_conversation_id, outputs)
         VALUES (901, 1, '{\"1\": \"keep me\"}'), (902, 1, '{\"1\": \"keep me\"}')",
    );
    scene.cutover(&["validate"]).expect_code(1);
    scene
}

fn rows(scene: &Scene) -> Vec<String> {
    scene.texts(&format!("SELECT o::text FROM {OLD} o WHERE posting_id >= 900 ORDER BY posting_id"))
}

#[test]
fn no_resolution_empties_a_row_of_whose_posting_the_events_say_nothing() {
    let scene = planted();
    change_old(&scene, "UPDATE {old} SET execution_count = 70 WHERE posting_id = 1");
    scene.cutover(&["validate"]).expect_code(1);
    let before = rows(&scene);
    let from_events = ["validate", "--resolve", "from-events", "--reason", "a test"];
    let told = scene.cutover(&from_events).expect_code(1).stdout;
    // those that are not refused are resolved
    assert!(told.starts_with("resolved: 1 discrepancy\nnot resolved: 3 discrepancies\n"), "{told}");
    for (posting, kind, cure) in [
        (900, "row_unreadable", format!("correct the row in {OLD}")),
        (901, "event_missing", "--resolve from-old --posting 901".to_owned()),
        (902, "posting_missing", "--resolve from-old --posting 902".to_owned()),
    ] {
        let refusal = format!(
            "posting {posting} {kind}: the events of posting {posting} say nothing, and would empty its \
             old row ({kind})"
        );
        let line = told.lines().find(|line| line.contains(&refusal));
        let line = line.unwrap_or_else(|| panic!("{refusal}: {told}"));
        assert!(line.replace("public.", "").contains(&cure), "{cure}: {line}");
        let accept = format!("turing cutover validate --resolve accept --posting {posting}");
        assert!(line.contains(&accept), "{line}");
        let (posting, kind) = (posting.to_string(), ["--kind", kind]);
        let one = [&from_events[..], &["--posting", posting.as_str()], &kind].concat();
        let told = scene.cutover(&one).expect_code(1).stdout;
        assert!(
            told.starts_with("resolved: 0 discrepancies\nnot resolved: 1 discrepancy\n"),
            "{told}"
        );
    }
    assert_eq!(rows(&scene), before);
    assert_eq!(scene.open().len(), 3);
}

#[test]
fn a_row_that_cannot_be_read_is_told_with_a_cure_that_works() {
    let scene = planted();
    let told = scene.cutover(&["validate"]).expect_code(1).stdout;
    assert!(told.contains("  posting 900: cannot be read: outputs: it is no object"), "{told}");
    assert!(told.contains("--resolve accept --kind row_unreadable --reason TEXT"), "{told}");
    let resolve = |side: &str, kind: &str| {
        scene.cutover(&["validate", "--resolve", side, "--kind", kind, "--reason", "a test"])
    };
    let told = resolve("from-old", "row_unreadable").expect_code(1).stdout;
    let refusal =
        "posting 900 row_unreadable: the old row of posting 900 cannot be read: outputs: it is no";
    assert!(told.contains(refusal) && !told.contains("SQLSTATE"), "{told}");
    resolve("from-old", "event_missing").expect_code(1);
    resolve("from-old", "posting_missing").expect_code(1);
    resolve("accept", "row_unreadable").expect_code(0);
    // what was accepted stays, whatever events there are
    let before = rows(&scene);
    scene.run(
        "SELECT append_event('llm_call_completed', 900, '{\"output\": \"new\"}', '{\"conversation_id\": 8}')",
    );
    assert_eq!(rows(&scene), before);
    scene.cutover(&["validate"]).expect_code(0);
    scene.forward_to(5);
    scene.back_to(3);
    assert_eq!(rows(&scene), before);
}

#[test]
fn what_was_written_over_is_in_the_record() {
    let scene = planted();
    scene.run(
        "ALTER TABLE execution_events DISABLE TRIGGER cutover_hold_old;
         ALTER TABLE execution_events DISABLE TRIGGER write_old_postings;
         SELECT append_event('llm_call_completed', 900, '{\"output\": \"new\"}', '{\"conversation_id\": 8}');
         ALTER TABLE execution_events ENABLE ALWAYS TRIGGER cutover_hold_old;
         ALTER TABLE execution_events ENABLE ALWAYS TRIGGER write_old_postings",
    );
    let one = ["validate", "--resolve", "from-events", "--posting", "900", "--reason", "a test"];
    scene.cutover(&one).expect_code(1);
    let row = format!("SELECT concat_ws(' ', outputs, note) FROM {OLD} WHERE posting_id = 900");
    assert_eq!(scene.text(&row), "{\"8\": \"new\"} mine");
    let kept = scene.text(
        "SELECT concat_ws(' ', kind, resolution, old_row ->> 'outputs', events_state ->> 'outputs')
         FROM cutover_discrepancies WHERE posting_id = 900",
    );
    assert_eq!(kept, "row_unreadable from-events [\"keep me\"] {\"8\": \"new\"}");
}

#[test]
fn a_resolution_that_is_only_tried_tells_how_many_of_each_kind_and_its_statement() {
    let scene = planted();
    let tried = |arguments: &[&str]| {
        let resolve = ["validate", "--dry-run", "--reason", "it's known", "--json", "--resolve"];
        scene.cutover(&[&resolve[..], arguments].concat()).expect_code(0).json()
    };
    let told = tried(&["from-events"]);
    for (what, count) in [
        ("discrepancies", 3),
        ("refused", 3),
        ("row_unreadable", 1),
        ("event_missing", 1),
        ("posting_missing", 1),
    ] {
        assert_eq!(told["counts"][what], count, "{what}: {told:#}");
    }
    let told = tried(&["from-old", "--posting", "901", "--kind", "event_missing"]);
    assert_eq!(told["counts"]["discrepancies"], 1, "{told:#}");
    assert!(told["counts"]["refused"].is_null(), "{told:#}");
    let statement = "SELECT \"public\".cutover_resolve(901, 'event_missing'::text, 'from-old'::text, \
                     'it''s known'::text)";
    assert_eq!(told["statements"][0], statement, "{told:#}");
    assert_eq!(scene.open().len(), 3, "nothing is resolved");
    let accept = ["validate", "--dry-run", "--resolve", "accept", "--reason", "known"];
    let text = scene.cutover(&[&accept[..], &["--kind", "event_missing"]].concat());
    let text = text.expect_code(0).stdout;
    assert!(text.contains("discrepancies: 1\nevent_missing: 1\n"), "{text}");
}

#[test]
fn a_backfill_that_leaves_rows_out_says_so_by_its_exit_code() {
    let scene = Scene::agreeing(20);
    scene.run(&format!("UPDATE {OLD} SET outputs = '[\"no object\"]' WHERE posting_id = 1"));
    scene.forward_to(2);
    scene.cutover(&["validate"]).expect_code(1);
    assert!(scene.open().len() > 1, "{:#?}", scene.open());
    let told = scene.cutover(&["backfill"]).expect_code(1).stdout;
    assert!(told.contains(", 1 refused\n") && told.contains("next: "), "{told}");
    assert!(scene.is_backfilled());
    // what the round before has found is over with it
    assert_eq!(scene.open(), ["1 row_unreadable"]);
    let status = scene.status();
    assert_eq!(status["kinds"].as_array().map(Vec::len), Some(1), "{status:#}");
}
