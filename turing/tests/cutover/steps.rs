//! Every step is an event: who took it, when, why, and what it came to; `status` reads them.

use serde_json::{Value, json};

use crate::scene::{MAPPING_FILE, OLD, PHASES, Scene};

/// The steps that `status` tells, by their events.
fn steps(scene: &Scene) -> Vec<Value> {
    let status = scene.status();
    status["steps"].as_array().unwrap_or_else(|| panic!("{status:#}")).clone()
}

#[test]
fn who_took_which_step_and_why_is_told_with_its_counts() {
    let scene = Scene::of(40);
    assert_eq!(scene.status()["phase"], "none");
    let commands: [(&[&str], i32); 9] = [
        (&["create", "--mapping", MAPPING_FILE], 0),
        (&["dual-write"], 0),
        (&["backfill"], 0),
        (&["validate"], 1),
        (&["validate", "--resolve", "from-events"], 0),
        (&["validate"], 0),
        (&["switch-reads"], 0),
        (&["deprecate"], 0),
        (&["rollback", "--to", "created"], 0),
    ];
    for (number, (arguments, code)) in commands.into_iter().enumerate() {
        let reason = format!("reason {number}");
        let who = ["--by", "Ada Lovelace", "--reason", &reason];
        scene.cutover(&[arguments, &who].concat()).expect_code(code);
    }
    let steps = steps(&scene);
    let events: Vec<_> = steps.iter().map(|step| step["event"].as_str().unwrap()).collect();
    let expected = [
        "cutover_created",
        "dual_write_enabled",
        "backfill_started",
        "backfill_completed",
        "validation_completed",
        "discrepancies_resolved",
        "validation_completed",
        "reads_switched",
        "old_table_deprecated",
    ];
    assert_eq!(events[..expected.len()], expected);
    // several phases are taken back one by one
    assert!(events[expected.len()..].iter().all(|event| *event == "cutover_rolled_back"));
    for (version, step) in (1..).zip(&steps) {
        assert_eq!((&step["version"], &step["by"]), (&json!(version), &json!("Ada Lovelace")));
        assert!(step["reason"].as_str().unwrap().starts_with("reason "), "{step:#}");
        assert!(step["at"].is_string(), "{step:#}");
    }
    let data = |event: &str| {
        let step = steps.iter().find(|step| step["event"] == event);
        step.unwrap_or_else(|| panic!("{event}: {steps:#?}"))["data"].clone()
    };
    // two postings of forty have events and no row, and so have two whose rows have nothing to import
    assert_eq!(data("cutover_created")["rows"], 38);
    assert_eq!(data("backfill_started")["total"], 40);
    let backfill = data("backfill_completed");
    assert_eq!((&backfill["seen"], &backfill["written_back"]), (&json!(40), &json!(2)));
    assert_eq!(backfill["refused"], 0, "{backfill:#}");
    // the counters of two postings disagree
    assert_eq!(data("validation_completed")["open"], 2);
    let resolved = data("discrepancies_resolved");
    assert_eq!((&resolved["resolution"], &resolved["count"]), (&json!("from-events"), &json!(2)));
    let switched = data("reads_switched");
    assert!(switched["sample"].as_u64() > Some(0), "{switched:#}");
    assert!(switched["before_us"].is_u64() && switched["after_us"].is_u64(), "{switched:#}");
    let status = scene.status();
    // it went all the way back
    assert!(status["reads"].is_null(), "{status:#}");
    let next = status["next"].as_str().unwrap();
    assert!(next.ends_with("cutover dual-write"), "{status:#}");
}

#[test]
fn what_somebody_has_changed_past_the_commands_is_told() {
    let scene = Scene::agreeing(20);
    scene.forward_to(2);
    scene.run("UPDATE cutovers SET phase = 3");
    let status = scene.status();
    assert_eq!(status["phase"], "dual-write", "what the stream says: {status:#}");
    assert!(!status["troubles"].as_array().unwrap().is_empty(), "{status:#}");
    let refused = scene.cutover(&["switch-reads"]).expect_code(1);
    assert!(refused.stderr.contains(PHASES[2]), "{refused:#?}");
    scene.run("UPDATE cutovers SET phase = 2");
    assert_eq!(scene.status()["troubles"], json!([]));
    scene.forward_to(4);
}

#[test]
fn the_status_quotes_what_was_measured_with_the_statement() {
    let scene = Scene::agreeing(40);
    scene.forward_to(3);
    assert!(scene.status()["reads"].is_null());
    scene.forward_to(4);
    let reads = scene.status()["reads"].clone();
    let switched = scene
        .text("SELECT event_data::text FROM execution_events WHERE event_type = 'reads_switched'");
    let switched: Value = serde_json::from_str(&switched).unwrap();
    for figure in ["before_us", "after_us", "sample"] {
        assert_eq!(reads[figure], switched[figure], "{figure}: {reads:#}");
    }
    assert_eq!(reads["rows"], 38, "{reads:#}");
    let statement = reads["statement"].as_str().unwrap();
    let read = format!("SELECT o.* FROM public.{OLD} o WHERE o.posting_id = $1");
    assert_eq!(statement, read);
    let told = scene.cutover(&["status"]).expect_code(0);
    assert!(told.stdout.contains("µs before the switch"), "{told:#?}");
    // the figures stay while the table is out of use, and go with the way back
    scene.forward_to(5);
    assert_eq!(scene.status()["reads"]["after_us"], reads["after_us"]);
    scene.back_to(3);
    assert!(scene.status()["reads"].is_null());
}

#[test]
fn a_run_does_not_count_a_posting_open_that_an_import_took_out_of_it() {
    let scene = Scene::agreeing(20);
    scene.forward_to(3);
    let run = "0193a1d4-0000-7000-8000-000000000001";
    for posting in [15, 16, 17] {
        scene.run(&format!(
            "SELECT append_event('posting_entered_run', {posting},
                 '{{\"run_id\": \"{run}\", \"workflow_id\": 1, \"entry_conversation_id\": 9}}')"
        ));
    }
    let shown = || {
        scene.turing(&["projection", "run", "--once"]).expect_code(0);
        let show = ["projection", "show", "run_progress", "--json"];
        scene.turing(&show).expect_code(0).json()[0].clone()
    };
    let before = shown();
    assert_eq!((&before["entered"], &before["open"]), (&json!(3), &json!(3)), "{before:#}");
    assert!(before["taken_out"].is_null(), "{before:#}");
    // one ends in the run, one as an older program says, and one is moved on by that
    scene.run(&format!(
        "SELECT append_event('posting_terminal', 15, '{{\"reason\": \"completed\"}}',
             '{{\"run_id\": \"{run}\"}}');
         UPDATE {OLD} SET is_terminal = TRUE WHERE posting_id = 16"
    ));
    let after = shown();
    assert_eq!((&after["open"], &after["taken_out"]), (&json!(1), &json!(1)), "{after:#}");
    scene.run(&format!("UPDATE {OLD} SET current_conversation_id = 4 WHERE posting_id = 17"));
    let after = shown();
    assert_eq!((&after["open"], &after["taken_out"]), (&json!(0), &json!(2)), "{after:#}");
    // and what it is made anew from says the same
    let rebuild = ["projection", "rebuild", "run_progress", "--switch"];
    let rebuilt = scene.turing(&rebuild).expect_code(0);
    assert!(rebuilt.stdout.contains("0 rows differ"), "{rebuilt:#?}");
    assert_eq!(shown()["open"], 0);
    scene.cutover(&["validate"]).expect_code(0);
}
