//! Mappings that are wrong: each is refused with its file, its line and what is to be done.

use crate::database::Database;
use crate::scene::{MAPPING, MAPPING_FILE, Refused, Scene};
use crate::support::Answer;

/// What is wrong, the mapping, and the line that is named.
const BAD: [(&str, &str, usize); 26] = [
    ("nothing in it", "", 1),
    ("no TOML", "table = \"sound\"\nposting_id =\n", 2),
    (
        "a key that there is not",
        "table = \"sound\"\nposting_id = \"posting_id\"\nouput = \"outputs\"",
        3,
    ),
    ("a key twice", "table = \"sound\"\ntable = \"sound\"\nposting_id = \"posting_id\"", 2),
    ("a number for a name", "table = \"sound\"\nposting_id = 7", 2),
    ("an empty name", "table = \"sound\"\nposting_id = \"posting_id\"\noutputs = \"\"", 3),
    ("no column of the posting", "table = \"sound\"\noutputs = \"outputs\"", 1),
    (
        "one column for two things",
        "table = \"sound\"\nposting_id = \"posting_id\"\noutputs = \"outputs\"\nhistory = \"outputs\"",
        4,
    ),
    (
        "a key of no history",
        "table = \"sound\"\nposting_id = \"posting_id\"\nhistory_key = \"step\"",
        3,
    ),
    (
        "two names of a conversation",
        "table = \"sound\"\nposting_id = \"posting_id\"\n[steps]\na = 1\nb = 1",
        5,
    ),
    (
        "a step by its name",
        "table = \"sound\"\nposting_id = \"posting_id\"\n[steps]\na = \"one\"",
        4,
    ),
    ("no such table", "table = \"soud\"\nposting_id = \"posting_id\"", 1),
    ("no such schema", "# there\ntable = \"nowhere.sound\"\nposting_id = \"posting_id\"", 2),
    ("a view", "table = \"a_view\"\nposting_id = \"posting_id\"", 1),
    ("a partitioned table", "table = \"partitioned\"\nposting_id = \"posting_id\"", 1),
    ("a foreign table", "table = \"a_foreign_table\"\nposting_id = \"posting_id\"", 1),
    ("row security", "table = \"guarded\"\nposting_id = \"posting_id\"", 1),
    ("no such column", "table = \"sound\"\nposting_id = \"posting_id\"\noutputs = \"output\"", 3),
    ("postings that may stand twice", "table = \"repeated\"\nposting_id = \"posting_id\"", 2),
    ("postings that may be null", "table = \"nullable\"\nposting_id = \"posting_id\"", 2),
    ("text for postings", "table = \"other_types\"\nposting_id = \"name\"", 2),
    (
        "a flag for a conversation",
        "table = \"other_types\"\nposting_id = \"posting_id\"\ncurrent = \"flag\"",
        3,
    ),
    (
        "bytes for outputs",
        "table = \"other_types\"\nposting_id = \"posting_id\"\noutputs = \"picture\"",
        3,
    ),
    (
        "a number for a history",
        "table = \"other_types\"\nposting_id = \"posting_id\"\n\nhistory = \"amount\"",
        4,
    ),
    (
        "text for an end",
        "table = \"other_types\"\nposting_id = \"posting_id\"\nterminal = \"name\"",
        3,
    ),
    (
        "a day for an instant, and text for a counter",
        "table = \"other_types\"\nposting_id = \"posting_id\"\nupdated_at = \"at\"\ncounter = \"name\"",
        3,
    ),
];

/// A cutover with such a mapping, and what is only tried.
const CREATE: [&str; 4] = ["create", "--mapping", "bad.toml", "--dry-run"];

#[test]
fn a_bad_mapping_is_refused_with_its_line_and_changes_nothing() {
    let scene = Scene::of(20);
    scene.run(include_str!("odd_tables.sql"));
    for (what, mapping, line) in BAD {
        scene.workspace.file("bad.toml", mapping);
        for arguments in [&CREATE[..3], &CREATE] {
            let refused = scene.cutover(arguments).expect_code(2);
            let place = format!("bad.toml:{line}: ");
            assert!(refused.stderr.contains(&place), "{what}: {place}: {refused:#?}");
        }
        assert_eq!(scene.phase(), 0, "{what}");
    }
    // two things that are wrong are told at once
    let (_, both, _) = BAD[BAD.len() - 1];
    scene.workspace.file("bad.toml", both);
    let refused = scene.cutover(&CREATE[..3]).expect_code(2);
    assert!(refused.stderr.contains("bad.toml:4: "), "{refused:#?}");

    scene.workspace.file("bad.toml", b"table = \"sound\"\n# \xff\n");
    let refused = scene.cutover(&CREATE[..3]).expect_code(2);
    assert!(refused.stderr.contains("bad.toml:2: "), "{refused:#?}");
    let missing = scene.cutover(&["create", "--mapping", "no.toml"]).expect_code(2);
    assert!(missing.stderr.contains("no.toml"), "{missing:#?}");
    let events = "SELECT count(*)::text FROM execution_events WHERE aggregate_type = 'cutover'";
    assert_eq!(scene.number(events), 0);

    // and one that is right is taken
    scene.forward_to(1);
}

#[test]
fn a_near_name_is_proposed() {
    let scene = Scene::of(20);
    scene.workspace.file(MAPPING_FILE, MAPPING.replace("\"outputs\"", "\"output\""));
    let refused = scene.cutover(&["create", "--mapping", MAPPING_FILE]).expect_code(2);
    assert!(refused.stderr.contains("outputs"), "{refused:#?}");
}

#[test]
fn a_table_of_another_shape_goes_all_the_way() {
    let scene = Scene::without_table(Database::migrated(), 20);
    scene.run(
        "CREATE SCHEMA jobs;
         CREATE TABLE jobs.\"Old Rows\" (
             \"Posting\" BIGINT PRIMARY KEY,
             step TEXT,
             results JSON,
             done TEXT[],
             over BOOLEAN,
             changed TIMESTAMP,
             owner TEXT DEFAULT 'nobody'
         );
         INSERT INTO postings (posting_id) SELECT generate_series(1, 20);
         INSERT INTO jobs.\"Old Rows\" (\"Posting\", step, results, done, over, changed)
         SELECT n, 'grade', '{\"extract\": \"é\", \"grade\": null}', '{extract,grade}', n % 2 = 0, now()
         FROM generate_series(1, 20) n",
    );
    let mapping = "schema = \"jobs\"\ntable = \"Old Rows\"\nposting_id = \"Posting\"\n\
                   current = \"step\"\noutputs = \"results\"\nhistory = \"done\"\nterminal = \"over\"\n\
                   updated_at = \"changed\"\n[steps]\nextract = 9144\ngrade = 9145\nsave = 9146\n";
    scene.workspace.file(MAPPING_FILE, mapping);
    scene.forward_to(3);
    let states = scene.assert_projected("after the backfill");
    assert_eq!(states.len(), 20);
    let state = &states[&2];
    assert_eq!(state.current.map(|id| id.0), Some(9145));
    assert_eq!(state.sequence.iter().map(|id| id.0).collect::<Vec<_>>(), [9144, 9145]);
    assert_eq!(state.outputs.keys().map(|id| id.0).collect::<Vec<_>>(), [9144]);
    assert!(state.is_terminal && !states[&1].is_terminal);

    let append = "SELECT append_event('llm_call_completed', 1, '{\"output\": 7}', '{\"conversation_id\": 9146}')";
    let row = "SELECT concat_ws(' ', step, results ->> 'save', done, owner)
               FROM jobs.\"Old Rows\" WHERE \"Posting\" = 1";
    scene.run(append);
    assert_eq!(scene.text(row), "save 7 {extract,grade,save} nobody");
    let columns = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
                   FROM pg_attribute
                   WHERE attrelid = 'jobs.\"Old Rows\"'::regclass AND attnum > 0 AND NOT attisdropped";
    let before = scene.text(columns);
    scene.forward_to(4);
    assert_eq!(scene.text(columns), before, "the view has the columns of the table");
    scene.run("UPDATE jobs.\"Old Rows\" SET step = 'extract', owner = 'Ada' WHERE \"Posting\" = 3");
    assert_eq!(scene.assert_projected("after a write")[&3].current.map(|id| id.0), Some(9144));
    scene.cutover(&["validate"]).expect_code(0);
    scene.forward_to(5);
    scene.run(append);
    scene.back_to(0);
    assert_eq!(scene.text(row), "save 7 {extract,grade,save,save} nobody");
    let owner = "SELECT owner FROM jobs.\"Old Rows\" WHERE \"Posting\" = 3";
    assert_eq!(scene.text(owner), "Ada");
}

#[test]
fn a_mapping_is_read_before_the_database_is_asked() {
    let scene = Scene::without_table(Database::migrated(), 0);
    // where nobody listens
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    scene.workspace.file("bad.toml", "table = \"sound\"\nposting_id =\n");
    for mapping in ["bad.toml", "no.toml"] {
        for arguments in
            [&["create", "--mapping", mapping][..], &["create", "--mapping", mapping, "--dry-run"]]
        {
            let refused: Answer = scene.command_as(nowhere, arguments).output().unwrap().into();
            let refused = refused.expect_code(2);
            assert!(refused.stderr.contains(mapping), "{refused:#?}");
        }
    }
    // and one that can be read is what the database is asked for
    let refused: Answer =
        scene.command_as(nowhere, &["create", "--mapping", MAPPING_FILE]).output().unwrap().into();
    let refused = refused.expect_refused();
    assert!(!refused.stderr.contains(MAPPING_FILE), "{refused:#?}");
}
