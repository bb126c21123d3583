//! The end of the old table: it is archived, kept for sixty days, and dropped by who confirms it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use es_postgres::sqlx::postgres::PgPoolCopyExt;
use turing::postings::digest_of;

use crate::compare::assert_same;
use crate::scene::{DEPRECATED, OLD, Refused, Scene};
use crate::support::Answer;
use crate::support::preload::Preload;

const DAY: i64 = 24 * 3_600;
const ARCHIVE: [&str; 3] = ["deprecate", "--archive", "old.csv"];
const DROP: [&str; 6] = ["deprecate", "--drop", "--confirm", DEPRECATED, "--archive", "old.csv"];

/// The last event of this kind of the cutover, as JSON.
fn event(scene: &Scene, name: &str) -> serde_json::Value {
    let event = scene.text(&format!(
        "SELECT event_data::text FROM execution_events
         WHERE aggregate_type = 'cutover' AND event_type = '{name}'
         ORDER BY aggregate_version DESC LIMIT 1"
    ));
    serde_json::from_str(&event).unwrap()
}

fn is_there(scene: &Scene, table: &str) -> bool {
    scene.text(&format!("SELECT (to_regclass('{table}') IS NOT NULL)::text")) == "true"
}

#[test]
fn an_archive_holds_every_row_and_its_digest_is_recorded() {
    let scene = Scene::agreeing(200);
    scene.forward_to(5);
    let told = scene.cutover(&[&ARCHIVE[..], &["--by", "Ada", "--json"]].concat()).expect_code(0);
    let path = scene.workspace.path().join("old.csv");
    let text = fs::read_to_string(&path).unwrap();
    let event = event(&scene, "old_table_archived");
    assert_eq!(event["sha256"], digest_of(&text), "{event:#}");
    assert!(told.stdout.contains(event["sha256"].as_str().unwrap()), "{told:#?}");
    assert_eq!(event["bytes"], text.len(), "{event:#}");
    let rows = scene.number(&format!("SELECT count(*)::text FROM {DEPRECATED}"));
    assert_eq!((&event["rows"], &event["by"]), (&rows.into(), &"Ada".into()), "{event:#}");
    assert_eq!(event["file_name"], "old.csv");
    // and what is in it is the table
    scene.run(&format!("CREATE TABLE restored (LIKE {DEPRECATED})"));
    let loaded = scene.block_on(async {
        let copy = "COPY restored FROM STDIN WITH (FORMAT csv, HEADER)";
        let mut copy = scene.pool.copy_in_raw(copy).await.unwrap();
        copy.send(text.as_bytes()).await.unwrap();
        copy.finish().await.unwrap()
    });
    assert_eq!(i64::try_from(loaded).unwrap(), rows);
    let other = format!(
        "SELECT count(*)::text FROM (
             (SELECT t::text FROM {DEPRECATED} t EXCEPT ALL SELECT t::text FROM restored t)
             UNION ALL
             (SELECT t::text FROM restored t EXCEPT ALL SELECT t::text FROM {DEPRECATED} t)) t"
    );
    assert_eq!(scene.number(&other), 0);
    let files = fs::read_dir(scene.workspace.path()).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let beside: Vec<_> = names.filter(|name| name.starts_with("old.csv")).collect();
    assert_eq!(beside, ["old.csv"], "nothing unfinished is left");
}

#[test]
fn a_table_is_taken_out_of_use_and_archived_by_one_command() {
    let scene = Scene::agreeing(20);
    scene.forward_to(4);
    let tried = scene.cutover(&[&ARCHIVE[..], &["--dry-run"]].concat()).expect_code(0).stdout;
    assert!(tried.starts_with("from phase `reads-switched` to `deprecated`"), "{tried}");
    assert!(tried.contains("warning: archive: the old table is in use still"), "{tried}");
    let copy = format!("COPY (SELECT o.* FROM public.{DEPRECATED} o ORDER BY o.posting_id)");
    assert!(tried.contains(&copy), "{tried}");
    scene.cutover(&ARCHIVE).expect_code(0);
    assert_eq!(scene.phase(), 5);
    let text = fs::read_to_string(scene.workspace.path().join("old.csv")).unwrap();
    let status = scene.status();
    assert_eq!(status["archive"]["sha256"], digest_of(&text), "{status:#}");
    // again, it is the same file
    scene.cutover(&ARCHIVE).expect_code(0);
    let recorded =
        "SELECT count(*)::text FROM execution_events WHERE event_type = 'old_table_archived'";
    assert_eq!(scene.number(recorded), 1);
}

#[test]
fn a_file_that_is_there_is_not_overwritten_by_an_archive() {
    let scene = Scene::agreeing(20);
    scene.forward_to(5);
    scene.workspace.file("old.csv", "mine");
    scene.cutover(&ARCHIVE).expect_refused();
    let path = scene.workspace.path().join("old.csv");
    assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    let nowhere = ["deprecate", "--archive", "no/such/folder/old.csv"];
    let refused = scene.cutover(&nowhere).expect_refused();
    assert!(refused.stderr.contains("no/such/folder/old.csv"), "{refused:#?}");
    let recorded =
        "SELECT count(*)::text FROM execution_events WHERE event_type = 'old_table_archived'";
    assert_eq!(scene.number(recorded), 0);
}

#[test]
fn an_archive_is_its_owners_alone_and_is_written_through_no_link() {
    let scene = Scene::agreeing(20);
    scene.forward_to(5);
    let at = |name: &str| scene.workspace.path().join(name);
    scene.workspace.file("theirs", "mine");
    for name in ["old.csv.partial", "old.csv"] {
        symlink(at("theirs"), at(name)).unwrap();
        let refused = scene.cutover(&ARCHIVE).expect_code(2);
        assert!(refused.stderr.contains(name), "{name}: {refused:#?}");
        assert_eq!(fs::read_to_string(at("theirs")).unwrap(), "mine", "{name}");
        fs::remove_file(at(name)).unwrap();
    }
    let recorded =
        "SELECT count(*)::text FROM execution_events WHERE event_type = 'old_table_archived'";
    assert_eq!(scene.number(recorded), 0);
    // what a killed call has left, which everybody may read
    scene.workspace.file("old.csv.partial", "half");
    scene.cutover(&ARCHIVE).expect_code(0);
    let mode = fs::metadata(at("old.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!at("old.csv.partial").exists());
}

#[test]
fn the_old_table_is_dropped_after_sixty_days_by_who_confirms_it() {
    let scene = Scene::agreeing(40);
    let clock = Preload::clock(scene.workspace.path());
    let later = |arguments: &[&str]| -> Answer {
        let mut command = scene.command(arguments);
        clock.load_into(&mut command);
        command.output().unwrap().into()
    };
    scene.forward_to(5);
    clock.set(61 * DAY);
    later(&DROP).expect_refused();
    scene.cutover(&ARCHIVE).expect_code(0);
    clock.set(0);
    let early = scene.cutover(&DROP).expect_refused();
    assert!(early.stderr.contains("60"), "{early:#?}");
    // who is wrong about the table is told that now, and not in sixty days
    let other = ["deprecate", "--drop", "--confirm", OLD, "--archive", "old.csv"];
    let dry = [&other[..], &["--dry-run"]].concat();
    for tried in [&other[..], &dry[..]] {
        let refused = scene.cutover(tried).expect_code(2);
        assert!(refused.stderr.contains("is not the table that would be dropped"), "{refused:#?}");
    }
    clock.set(60 * DAY - 3_600);
    later(&DROP).expect_refused();

    clock.set(61 * DAY);
    let unconfirmed = ["deprecate", "--drop", "--archive", "old.csv"];
    later(&unconfirmed).expect_code(2);
    for name in [OLD, "postings", ""] {
        let other = ["deprecate", "--drop", "--confirm", name, "--archive", "old.csv"];
        later(&other).expect_refused();
    }
    let path = scene.workspace.path().join("old.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("summary", "summarY", 1)).unwrap();
    later(&DROP).expect_refused();
    fs::remove_file(&path).unwrap();
    later(&DROP).expect_refused();
    fs::write(&path, text).unwrap();
    // what was written since is in no archive
    let write = |count: i32| {
        scene.run(&format!(
            "UPDATE {DEPRECATED} SET execution_count = execution_count + {count} WHERE posting_id = 1"
        ));
    };
    write(1);
    let refused = later(&DROP).expect_refused();
    assert!(refused.stderr.contains("archive it again"), "{refused:#?}");
    write(-1);
    assert!(is_there(&scene, DEPRECATED), "it is there as long as nobody may drop it");
    let before = scene.assert_projected("before the drop");

    let tried = later(&[&DROP[..], &["--dry-run"]].concat()).expect_code(0);
    assert!(tried.stdout.contains("DROP TABLE") && is_there(&scene, DEPRECATED), "{tried:#?}");
    later(&[&DROP[..], &["--by", "Ada", "--reason", "it is archived"]].concat()).expect_code(0);
    assert!(!is_there(&scene, DEPRECATED));
    let dropped = event(&scene, "old_table_dropped");
    assert_eq!((&dropped["by"], &dropped["reason"]), (&"Ada".into(), &"it is archived".into()));
    assert_eq!(dropped["archive_sha256"], event(&scene, "old_table_archived")["sha256"]);

    // the old name goes on showing what the events say, and what nobody knows any more as null
    let (shown, _) = scene.block_on(scene.old_states(OLD));
    assert_same(&shown, &before, "the old name after the drop");
    let notes = format!("SELECT count(*)::text FROM {OLD} WHERE note IS NOT NULL");
    assert_eq!(scene.number(&notes), 0);
    scene.run(
        "SELECT append_event('llm_call_completed', 16, '{\"output\": \"later\"}', '{\"conversation_id\": 8}')",
    );
    let shown = format!("SELECT outputs ->> '8' FROM {OLD} WHERE posting_id = 16");
    assert_eq!(scene.text(&shown), "later");

    // and that is the end
    for arguments in [&["rollback"][..], &["deprecate"], &ARCHIVE, &DROP, &["validate"]] {
        later(arguments).expect_refused();
    }
    let status = scene.status();
    assert_eq!(status["phase"], "deprecated", "{status:#}");
    scene.turing(&["validate"]).expect_code(0);
}

#[test]
fn a_way_back_forgets_the_archive_and_begins_the_sixty_days_anew() {
    let scene = Scene::agreeing(20);
    let clock = Preload::clock(scene.workspace.path());
    scene.forward_to(5);
    scene.cutover(&ARCHIVE).expect_code(0);
    scene.back_to(4);
    scene.forward_to(5);
    clock.set(61 * DAY);
    let mut command = scene.command(&DROP);
    clock.load_into(&mut command);
    let refused: Answer = command.output().unwrap().into();
    refused.expect_refused();
    assert!(is_there(&scene, DEPRECATED));
}
