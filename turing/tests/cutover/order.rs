//! Commands whose turn it is not, and two people at once.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::scene::{DEPRECATED, MAPPING_FILE, OLD, PHASES, Refused, Scene};
use crate::support::Answer;
use crate::support::process::Process;

/// The commands, and the phases in which it is their turn.
const TURNS: [(&[&str], &[usize]); 10] = [
    (&["create", "--mapping", MAPPING_FILE], &[0]),
    (&["dual-write"], &[1]),
    (&["backfill"], &[2]),
    (&["validate"], &[2, 3, 4]),
    (&["validate", "--resolve", "from-old", "--reason", "a test"], &[2, 3, 4]),
    (&["switch-reads"], &[3]),
    (&["deprecate"], &[4]),
    (&["deprecate", "--archive", "old.csv"], &[4, 5]),
    (&["deprecate", "--drop", "--confirm", DEPRECATED, "--archive", "old.csv"], &[]),
    (&["rollback"], &[1, 2, 3, 4, 5]),
];

/// Whether a command is only tried.
const TRIED: [&[&str]; 2] = [&[], &["--dry-run"]];

/// What a refused command must leave as it is.
fn trace(scene: &Scene) -> String {
    scene.text(
        "SELECT concat_ws(' ',
             (SELECT count(*) FROM execution_events),
             (SELECT md5(string_agg(c::text, '')) FROM cutovers c),
             (SELECT md5(string_agg(t::text, '' ORDER BY t.oid)) FROM pg_trigger t),
             (SELECT md5(string_agg(concat(r.oid, r.relname), '' ORDER BY r.oid)) FROM pg_class r
              WHERE r.relkind IN ('r', 'v')))",
    )
}

#[test]
fn a_command_out_of_its_turn_changes_nothing_and_names_the_one_whose_turn_it_is() {
    let scene = Scene::agreeing(20);
    for (phase, name) in PHASES.into_iter().enumerate() {
        scene.forward_to(phase);
        let before = trace(&scene);
        for (arguments, turns) in TURNS {
            // nothing is imported yet where it is the turn of the import
            if turns.contains(&phase) {
                continue;
            }
            for more in TRIED {
                let refused = scene.cutover(&[arguments, more].concat()).expect_code(2);
                let proposes = refused.stderr.contains("turing cutover");
                assert!(proposes, "phase {phase}, {arguments:?}: {refused:#?}");
                assert_eq!(trace(&scene), before, "phase {phase}, {arguments:?}");
            }
        }
        let status = scene.status();
        assert_eq!(status["phase"], name, "{status:#}");
    }
    assert!(!scene.workspace.path().join("old.csv").exists());
}

#[test]
fn what_is_imported_already_is_not_imported_again() {
    let scene = Scene::of(20);
    scene.forward_to(2);
    scene.cutover(&["backfill"]).expect_code(0);
    let before = trace(&scene);
    scene.cutover(&["backfill"]).expect_code(2);
    assert_eq!(trace(&scene), before);
}

#[test]
fn a_way_back_leads_to_a_phase_before() {
    let scene = Scene::agreeing(20);
    scene.forward_to(2);
    let before = trace(&scene);
    for to in ["dual-write", "validated", "deprecated"] {
        scene.cutover(&["rollback", "--to", to]).expect_code(2);
    }
    scene.cutover(&["rollback", "--to", "yesterday"]).expect_code(2);
    assert_eq!(trace(&scene), before);
}

#[test]
fn options_that_make_no_sense_together_are_refused() {
    let scene = Scene::agreeing(20);
    scene.forward_to(2);
    for arguments in [
        &["create"][..],
        &["backfill", "--rate", "many"],
        &["backfill", "--batch", "0"],
        &["validate", "--resolve", "perhaps", "--reason", "x"],
        &["validate", "--posting", "1"],
        &["deprecate", "--drop", "--archive", "old.csv"],
        &["deprecate", "--drop", "--confirm", OLD],
        &["undo"],
    ] {
        let refused = scene.cutover(arguments).expect_code(2);
        assert!(!refused.stderr.is_empty(), "{arguments:?}: {refused:#?}");
    }
    assert_eq!(scene.phase(), 2);
}

#[test]
fn a_store_in_a_file_has_no_cutover() {
    let scene = Scene::agreeing(20);
    for arguments in [&["status"][..], &["create", "--mapping", MAPPING_FILE]] {
        let mut command = scene.command(arguments);
        let refused = command.env("TURING_STORE", "sqlite:turing.db").output().unwrap();
        let refused = Answer::from(refused).expect_refused();
        assert!(refused.stderr.contains("PostgreSQL"), "{refused:#?}");
    }
}

/// Two of the same at once.
fn both(scene: &Scene, arguments: &[&str]) -> [Answer; 2] {
    let start = |_| -> Child {
        let mut command = scene.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    [0, 1].map(start).map(|child| child.wait_with_output().unwrap().into())
}

#[test]
fn of_two_who_do_the_same_at_once_one_does_it() {
    let scene = Scene::agreeing(40);
    let steps: [&[&str]; 8] = [
        &["create", "--mapping", MAPPING_FILE],
        &["dual-write"],
        &["backfill"],
        &["validate"],
        &["switch-reads"],
        &["deprecate"],
        &["rollback", "--to", "dual-write"],
        &["rollback", "--to", "none"],
    ];
    for arguments in steps {
        let answers = both(&scene, arguments);
        let done = answers.iter().filter(|answer| answer.code == Some(0)).count();
        let is_repeatable = arguments[0] == "validate";
        assert!(done == 1 || is_repeatable && done == 2, "{arguments:?}: {answers:#?}");
        for answer in answers.into_iter().filter(|answer| answer.code != Some(0)) {
            answer.expect_refused();
        }
    }
    // each phase began once
    let begun = scene.texts(
        "SELECT event_type FROM execution_events WHERE aggregate_type = 'cutover'
         ORDER BY aggregate_version",
    );
    let once = |name: &str| begun.iter().filter(|it| *it == name).count();
    for name in ["cutover_created", "dual_write_enabled", "backfill_completed", "reads_switched"] {
        assert_eq!(once(name), 1, "{name}: {begun:?}");
    }
    // each phase is left once, too
    assert_eq!(once("cutover_rolled_back"), 5, "{begun:?}");
    assert_eq!(scene.phase(), 0);
}

/// An import that takes long enough to be met by others.
fn slow_import(scene: &Scene) -> Process {
    let mut command = scene.command(&["backfill", "--rate", "5/s", "--batch", "1"]);
    Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

#[test]
fn a_second_operator_is_told_who_carries_the_cutover_on() {
    let scene = Scene::agreeing(60);
    scene.forward_to(2);
    let mut slow = slow_import(&scene);
    let pid = slow.id();
    scene.wait_until("the import has begun", || {
        scene.number("SELECT count(*)::text FROM cutovers WHERE backfilled_through IS NOT NULL") > 0
    });
    for arguments in [&["backfill"][..], &["validate"], &["rollback"]] {
        let told = scene.cutover(arguments).expect_code(4);
        assert!(told.stderr.contains(&format!("turing {pid}")), "{arguments:?}: {told:#?}");
    }
    // who only looks is not kept from it
    let status = scene.status();
    assert_eq!(status["phase"], "dual-write", "{status:#}");
    slow.signal(Signal::KILL);
    assert_eq!(slow.code(), None);
    // and it goes on where it was
    let before = scene.number("SELECT coalesce(backfill_done, 0)::text FROM cutovers");
    assert!(before > 0);
    scene.forward_to(3);
    scene.assert_equal(OLD, "after the import went on");
    let twice = "SELECT count(*)::text FROM (
        SELECT 1 FROM execution_events WHERE event_type = 'posting_state_imported'
        GROUP BY aggregate_id HAVING count(*) > 1) t";
    assert_eq!(scene.number(twice), 0, "nothing was imported twice");
}

#[test]
fn an_import_that_is_asked_to_stop_goes_on_later() {
    let scene = Scene::agreeing(60);
    scene.forward_to(2);
    let mut slow = slow_import(&scene);
    scene.wait_until("the import has begun", || {
        scene.number("SELECT count(*)::text FROM cutovers WHERE backfilled_through IS NOT NULL") > 0
    });
    slow.signal(Signal::INT);
    assert_eq!(slow.code(), Some(75), "it was asked to stop");
    assert_eq!(scene.phase(), 2);
    scene.forward_to(3);
    scene.assert_equal(OLD, "after the import went on");
}
