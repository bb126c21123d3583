//! Who lacks a right is told which one, and programs with rights on the old table alone go on writing it;
//! an old table that changes, or goes, is told of.

use es_pgtest::Server;
use turing_domain::ConversationId;

use crate::compare::State;
use crate::scene::{MAPPING_FILE, OLD, PHASES, Refused, Scene};
use crate::support::Answer;

/// What a command as another login answers.
fn cutover_as(scene: &Scene, role: &str, arguments: &[&str]) -> Answer {
    let url = scene.database.url_as(role);
    scene.command_as(&url, arguments).output().unwrap().into()
}

#[test]
fn a_missing_right_is_named_and_programs_need_none_on_events() {
    // roles are of the whole server
    let server = Server::private(&[]);
    let scene = Scene::on(&server, 40).with_agreeing_counters();
    scene.turing(&["migrate", "--roles"]).expect_code(0);
    scene.run(&format!(
        "CREATE ROLE app LOGIN;
         CREATE ROLE stranger LOGIN;
         CREATE ROLE looker LOGIN IN ROLE turing_reader;
         CREATE ROLE mover LOGIN IN ROLE turing_owner;
         GRANT USAGE ON SCHEMA public TO app;
         ALTER TABLE {OLD} OWNER TO app"
    ));
    let create = ["create", "--mapping", MAPPING_FILE];
    for role in ["stranger", "looker", "mover", "app"] {
        let refused = cutover_as(&scene, role, &create).expect_refused();
        assert_eq!(scene.phase(), 0, "{role}: {refused:#?}");
    }
    // each cure that is named is done, until nothing is missing
    let mut granted = 0;
    loop {
        let answer = cutover_as(&scene, "mover", &create);
        let cures = answer.stderr.lines().filter_map(|line| line.split_once("; GRANT "));
        let cures: Vec<_> = cures.map(|(_, grant)| format!("GRANT {grant}")).collect();
        if cures.is_empty() {
            answer.expect_code(0);
            break;
        }
        granted += cures.len();
        assert!(granted < 10, "the cures do not help: {answer:#?}");
        scene.run(&cures.join(";\n"));
    }
    assert!(granted > 0, "the owner of the store alone has all rights");

    // a program that may do nothing but write its own table, in each phase
    let write = |phase: usize| {
        let posting = 15 + phase;
        let write = format!(
            "UPDATE {OLD} SET outputs = outputs || '{{\"5\": {phase}}}', current_conversation_id = 5
             WHERE posting_id = {posting}"
        );
        scene.database.try_run(Some("app"), &write)
    };
    for (phase, name) in PHASES.into_iter().enumerate().take(5).skip(1) {
        let commands: &[&str] = match phase {
            1 => &[],
            2 => &["dual-write"],
            3 => &["backfill", "validate"],
            _ => &["switch-reads"],
        };
        for command in commands {
            cutover_as(&scene, "mover", &[*command]).expect_code(0);
        }
        assert_eq!(scene.phase(), phase);
        write(phase).unwrap();
        let status = cutover_as(&scene, "looker", &["status", "--json"]).expect_code(0).json();
        assert_eq!(status["phase"], name, "{status:#}");
        for role in ["looker", "stranger"] {
            cutover_as(&scene, role, &["rollback"]).expect_refused();
        }
        assert_eq!(scene.phase(), phase);
    }
    let states = scene.assert_equal(scene.table(), "after a program wrote in each phase");
    for posting in 16..=19 {
        assert_eq!(states[&posting].current.map(|id| id.0), Some(5), "posting {posting}");
    }
    cutover_as(&scene, "mover", &["deprecate"]).expect_code(0);
    let refused = write(5).unwrap_err().to_string();
    assert!(refused.contains(OLD), "{refused}");
    cutover_as(&scene, "mover", &["rollback", "--to", "none"]).expect_code(0);
    write(5).unwrap();
}

#[test]
fn an_old_table_that_changes_its_columns_is_told_of_and_keeps_being_written() {
    let scene = Scene::agreeing(40);
    scene.forward_to(1);
    for phase in [1, 3] {
        scene.forward_to(phase);
        let next = if phase == 1 { "dual-write" } else { "switch-reads" };
        scene.run(&format!("ALTER TABLE {OLD} RENAME COLUMN outputs TO results"));
        let refused = scene.cutover(&[next]).expect_code(1);
        assert!(refused.stderr.contains(OLD), "{refused:#?}");
        assert_eq!(scene.phase(), phase);
        assert_eq!(scene.status()["phase"], PHASES[phase]);
        // the program that writes it is not kept from it
        scene.run(&format!(
            "UPDATE {OLD} SET results = results || '{{\"6\": \"renamed {phase}\"}}' WHERE posting_id = 16"
        ));
        scene.run(&format!("ALTER TABLE {OLD} RENAME COLUMN results TO outputs"));
    }
    // what could not be imported meanwhile is imported now
    let answer = scene.cutover(&["validate"]);
    if answer.code != Some(0) {
        answer.expect_code(1);
        scene.cutover(&["validate", "--resolve", "from-old", "--reason", "the columns are back"]);
        scene.cutover(&["validate"]).expect_code(0);
    }
    let states = scene.assert_equal(OLD, "after the columns were as before");
    let output = states[&16].outputs[&ConversationId(6)].as_str();
    assert_eq!(output, "\"renamed 3\"");
    scene.forward_to(5);
}

#[test]
fn an_old_table_that_is_gone_is_told_of_and_the_cutover_can_be_taken_back() {
    let scene = Scene::agreeing(20);
    scene.forward_to(1);
    scene.run(&format!("DROP TABLE {OLD} CASCADE"));
    let refused = scene.cutover(&["dual-write"]).expect_code(1);
    assert!(refused.stderr.contains(OLD), "{refused:#?}");
    assert_eq!(scene.status()["phase"], "created");
    scene.cutover(&["rollback"]).expect_code(0);
    assert_eq!(scene.phase(), 0);
}

#[test]
fn a_table_that_is_to_be_emptied_is_not_but_by_its_rows() {
    let scene = Scene::agreeing(20);
    scene.forward_to(3);
    let refused = scene.try_run(&format!("TRUNCATE {OLD}")).unwrap_err().to_string();
    assert!(refused.contains(OLD), "{refused}");
    scene.run(&format!("DELETE FROM {OLD} WHERE posting_id IN (4, 20)"));
    scene.cutover(&["validate"]).expect_code(0);
    let states = scene.assert_equal(OLD, "after rows were deleted");
    assert_eq!(states[&20], State::default());
}
