//! Differences that somebody makes past the triggers: each is found by one round, keeps the next phase
//! from beginning, and is mended.

use std::fs::{self, File};
use std::process::Stdio;

use rustix::process::Signal;

use crate::scene::{OLD, Scene};
use crate::support::process::Process;

/// Makes a change while a trigger is out of the way, as somebody might who repairs a table by hand.
fn past(scene: &Scene, table: &str, trigger: &str, statements: &str) {
    let mode = scene.text(&format!(
        "SELECT tgenabled::text FROM pg_trigger
         WHERE tgrelid = '{table}'::regclass AND tgname = '{trigger}'"
    ));
    let always = if mode == "A" { "ALWAYS" } else { "" };
    scene.run(&format!(
        "BEGIN;
         ALTER TABLE {table} DISABLE TRIGGER {trigger};
         {statements};
         ALTER TABLE {table} ENABLE {always} TRIGGER {trigger};
         COMMIT"
    ));
}

/// Changes the old table without an event.
pub(crate) fn change_old(scene: &Scene, statements: &str) {
    let table = scene.table();
    past(scene, table, "cutover_import_old", &statements.replace("{old}", table));
}

/// Appends an event without a write to the old table.
fn append_alone(scene: &Scene, posting: i32) {
    let append = format!(
        "SELECT append_event('llm_call_completed', {posting}, '{{\"output\": \"planted\"}}',
             '{{\"conversation_id\": 7}}')"
    );
    past(scene, "execution_events", "write_old_postings", &append);
}

/// What is open of these postings, and of no others.
#[track_caller]
fn assert_found(scene: &Scene, expected: &[(i32, &str)]) {
    let open = scene.open();
    for (posting, kind) in expected {
        assert!(open.contains(&format!("{posting} {kind}")), "{kind} of {posting}: {open:#?}");
    }
    for one in &open {
        let posting: i32 = one.split_once(' ').unwrap().0.parse().unwrap();
        assert!(expected.iter().any(|(it, _)| *it == posting), "{one} was not planted: {open:#?}");
    }
}

#[test]
fn every_kind_of_difference_is_found_by_one_round_and_mended() {
    let scene = Scene::agreeing(60);
    scene.forward_to(2);
    scene.cutover(&["backfill"]).expect_code(0);
    change_old(
        &scene,
        "UPDATE {old} SET current_conversation_id = 99 WHERE posting_id = 1;
         UPDATE {old} SET conversation_history = '[]', execution_count = 0 WHERE posting_id = 12;
         UPDATE {old} SET outputs = outputs || '{\"1\": \"planted\"}' WHERE posting_id = 2;
         UPDATE {old} SET is_terminal = NOT is_terminal WHERE posting_id = 4;
         UPDATE {old} SET execution_count = execution_count + 1 WHERE posting_id = 14;
         UPDATE {old} SET outputs = '[\"no object\"]' WHERE posting_id = 10;
         DELETE FROM {old} WHERE posting_id = 5;
         INSERT INTO postings (posting_id) VALUES (900);
         INSERT INTO {old} (posting_id, current_conversation_id) VALUES (900, 1), (901, 1)",
    );
    append_alone(&scene, 20);
    let planted = [
        (1, "current_differs"),
        (12, "sequence_differs"),
        (2, "outputs_differ"),
        (4, "terminal_differs"),
        (14, "counter_differs"),
        (10, "row_unreadable"),
        (5, "old_row_missing"),
        (900, "event_missing"),
        (901, "posting_missing"),
        (20, "outputs_differ"),
        (20, "sequence_differs"),
    ];
    scene.cutover(&["validate", "--json"]).expect_code(1);
    assert_found(&scene, &planted);
    assert_eq!(scene.phase(), 2, "the next phase does not begin");
    scene.cutover(&["switch-reads"]).expect_code(2);

    // it is the same the next time, seen once more
    let sightings = "SELECT string_agg(sightings::text, ',') FROM (
        SELECT DISTINCT sightings FROM cutover_open_discrepancies) s";
    assert_eq!(scene.text(sightings), "1");
    scene.cutover(&["validate"]).expect_code(1);
    assert_eq!(scene.text(sightings), "2");
    let seen =
        "SELECT count(*)::text FROM cutover_open_discrepancies WHERE last_seen <= first_seen";
    assert_eq!(scene.number(seen), 0);

    // who compares the whole store is told of it, too
    let told = scene.turing(&["validate", "--json"]).expect_code(1).json();
    for (posting, kind) in planted {
        let is_told = told.as_array().unwrap().iter().any(|finding| {
            finding["aggregate_id"] == *posting.to_string()
                && finding["kind"] == format!("cutover_{kind}")
        });
        assert!(is_told, "{kind} of {posting}: {told:#}");
    }

    for (posting, kind, which) in [
        ("1", "current_differs", "from-old"),
        ("2", "outputs_differ", "from-events"),
        ("14", "counter_differs", "accept"),
        ("900", "event_missing", "from-old"),
        ("5", "old_row_missing", "from-events"),
        ("10", "row_unreadable", "from-events"),
    ] {
        let how = ["validate", "--resolve", which, "--posting", posting, "--kind", kind];
        scene.cutover(&[&how[..], &["--reason", "a test", "--by", "Ada"]].concat());
    }
    // what is left is decided at once
    scene.cutover(&["validate", "--resolve", "from-old", "--reason", "the rest", "--by", "Ada"]);
    scene.cutover(&["validate"]).expect_code(0);
    assert_eq!(scene.open(), [""; 0]);
    assert_eq!(scene.phase(), 3);
    let kept = scene.texts(
        "SELECT posting_id || ' ' || kind || ' ' || resolution || ' ' || reason
         FROM cutover_discrepancies
         WHERE resolved_at IS NOT NULL AND resolved_by IS NOT NULL AND reason IS NOT NULL",
    );
    for expected in [
        "1 current_differs from-old a test",
        "2 outputs_differ from-events a test",
        "14 counter_differs accepted a test",
        "901 posting_missing from-old the rest",
    ] {
        assert!(kept.iter().any(|it| it == expected), "{expected}: {kept:#?}");
    }
    let states = scene.assert_equal(OLD, "after all was mended");
    assert_eq!(states[&1].current.map(|id| id.0), Some(99), "what the old table had");
    assert_eq!(states[&20].sequence.len(), 3, "the event alone does not count");
}

#[test]
fn what_was_accepted_is_open_again_once_it_changes() {
    let scene = Scene::of(20);
    scene.forward_to(3);
    change_old(&scene, "UPDATE {old} SET execution_count = 70 WHERE posting_id = 1");
    scene.cutover(&["validate"]).expect_code(1);
    scene.cutover(&["validate", "--resolve", "accept", "--reason", "known"]);
    for _ in 0..2 {
        scene.cutover(&["validate"]).expect_code(0);
    }
    change_old(&scene, "UPDATE {old} SET execution_count = 71 WHERE posting_id = 1");
    scene.cutover(&["validate"]).expect_code(1);
    assert_found(&scene, &[(1, "counter_differs")]);
}

#[test]
fn a_difference_in_each_phase_is_found_by_one_round_and_stops_the_next_phase() {
    let scene = Scene::agreeing(40);
    for (phase, next) in [(2, "switch-reads"), (3, "switch-reads"), (4, "deprecate")] {
        scene.forward_to(phase);
        if phase == 2 {
            scene.cutover(&["backfill"]).expect_code(0);
        }
        for side in ["old", "events"] {
            if scene.phase() > phase {
                // what was resolved has ended the phase
                scene.back_to(phase);
            }
            match side {
                "old" => change_old(
                    &scene,
                    &format!(
                        "UPDATE {{old}} SET outputs = outputs || '{{\"3\": \"planted {phase}\"}}'
                         WHERE posting_id = 1"
                    ),
                ),
                _ => append_alone(&scene, 1),
            }
            let told = scene.cutover(&["validate"]).expect_code(1);
            assert!(told.stdout.contains("outputs_differ"), "{told:#?}");
            assert!(scene.open().contains(&"1 outputs_differ".to_owned()), "{:#?}", scene.open());
            // out of its turn, or stopped by what is open
            scene.cutover(&[next]).expect_code(if phase == 2 { 2 } else { 1 });
            assert_eq!(scene.phase(), phase, "{side}");
            scene.cutover(&["validate", "--resolve", "from-old", "--reason", "a test"]);
        }
    }
    scene.forward_to(5);
}

#[test]
fn a_watch_goes_on_and_finds_what_is_planted_meanwhile() {
    let scene = Scene::of(40);
    scene.forward_to(3);
    let mut command = scene.command(&["validate", "--watch", "1"]);
    let told = scene.workspace.path().join("told");
    command.stdout(Stdio::null()).stderr(File::create(&told).unwrap());
    let mut watch = Process::spawn(&mut command);
    append_alone(&scene, 1);
    scene.wait_until("the watch finds it", || !scene.open().is_empty());
    assert!(!watch.is_over(), "it goes on");
    append_alone(&scene, 2);
    scene.wait_until("the watch finds the next one", || {
        scene.open().contains(&"2 outputs_differ".to_owned())
    });
    // each round is later than a moment after the one before
    scene.wait_until("there are some rounds", || {
        scene.number("SELECT max(sightings)::text FROM cutover_open_discrepancies") > 3
    });
    watch.end_with(Signal::TERM);
    let told = fs::read_to_string(told).unwrap();
    assert!(!told.contains("comparing"), "no file is told how far a round is: {told}");
    scene.cutover(&["validate"]).expect_code(1);
    scene.agree();
}

#[test]
fn an_event_before_the_backfill_writes_over_nothing_of_the_old_row() {
    let scene = Scene::agreeing(40);
    scene.forward_to(2);
    let row = |posting: i32| {
        scene.text(&format!("SELECT o::text FROM {OLD} o WHERE posting_id = {posting}"))
    };
    let before = row(16);
    let append = "SELECT append_event('llm_call_completed', 16, '{\"output\": \"new\"}', '{\"conversation_id\": 8}')";
    let refused = scene.try_run(append).unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "ES011", "{refused}");
    assert_eq!(row(16), before);
    // whoever writes both has it imported first
    scene.run(&append.replace("append_event", "dual_write"));
    let states = scene.assert_projected("after a dual write before the backfill");
    let sequence: Vec<_> = states[&16].sequence.iter().map(|id| id.0).collect();
    assert_eq!(sequence, [9, 8], "what the old row had, and the event");
    // a program of the past writes one of its columns
    scene.run(&format!("UPDATE {OLD} SET is_terminal = TRUE WHERE posting_id = 17"));
    let states = scene.assert_projected("after a write before the backfill");
    let state = &states[&17];
    assert!(
        state.is_terminal && state.outputs.len() == 1,
        "all of the row is imported: {state:#?}"
    );
    scene.cutover(&["backfill"]).expect_code(0);
    scene.run(append);
    scene.forward_to(3);
    scene.assert_equal(OLD, "after the backfill");
}

#[test]
fn what_was_accepted_outlives_events_and_is_told_with_its_reason_when_it_differs_otherwise() {
    let scene = Scene::agreeing(20);
    scene.forward_to(3);
    let current = || {
        scene
            .text(&format!("SELECT current_conversation_id::text FROM {OLD} WHERE posting_id = 16"))
    };
    change_old(&scene, "UPDATE {old} SET current_conversation_id = 70 WHERE posting_id = 16");
    scene.cutover(&["validate"]).expect_code(1);
    scene
        .cutover(&["validate", "--resolve", "accept", "--reason", "nobody reads it"])
        .expect_code(0);
    scene.run(
        "SELECT append_event('llm_call_completed', 16, '{\"output\": \"more\"}', '{\"conversation_id\": 8}')",
    );
    assert_eq!(current(), "70", "what was accepted stays");
    let output = format!("SELECT outputs ->> '8' FROM {OLD} WHERE posting_id = 16");
    assert_eq!(scene.text(&output), "more", "and all else is written");
    // the events stand somewhere else than when it was accepted
    scene.cutover(&["switch-reads"]).expect_code(1);
    let told = scene.cutover(&["validate"]).expect_code(1);
    assert!(told.stdout.contains("; accepted as it was before: nobody reads it"), "{told:#?}");
    let told = scene.cutover(&["validate", "--json"]).expect_code(1).json();
    let example = &told["kinds"][0]["examples"][0];
    assert_eq!(example["accepted_before"], "nobody reads it", "{told:#}");
    scene
        .cutover(&["validate", "--resolve", "from-events", "--reason", "all of it"])
        .expect_code(0);
    assert_eq!(current(), "8");
    scene.forward_to(4);
}

#[test]
fn what_one_cutover_has_found_is_there_when_the_next_one_is_created() {
    let scene = Scene::agreeing(20);
    scene.forward_to(3);
    change_old(&scene, "UPDATE {old} SET execution_count = 70 WHERE posting_id = 1");
    scene.cutover(&["validate"]).expect_code(1);
    scene.back_to(0);
    scene.forward_to(1);
    assert_eq!(scene.status()["open"], 0, "those of the present one");
    let past =
        "SELECT concat_ws(' ', cutover, old_table, posting_id, kind, coalesce(resolution, 'open'))
                FROM cutover_past_discrepancies";
    let expected = format!("1 public.{OLD} 1 counter_differs open");
    assert_eq!(scene.texts(past), [expected]);
}
