//! Whatever the database is set to, migrations make the same and the functions answer the same.

use std::fmt::Write;

use es_pgtest::SETTINGS;
use fastrand::Rng;

use crate::database::{Database, turing};
use crate::support::{ID_END, RUN, Workspace};

/// Texts, numbers and times of every kind that the functions look into.
const APPENDED: &str = include_str!("settings/appended.sql");

/// What the functions say then, and what the migrations made.
const ANSWERED: &str = include_str!("settings/answered.sql");

/// Migrates and appends in a database that is set so, and answers what is there then.
fn answers(workspace: &Workspace, settings: &[(&str, &str)]) -> Vec<String> {
    let database = Database::new();
    let name = database.test.name();
    let mut statements = String::new();
    for (setting, value) in settings {
        writeln!(statements, "ALTER DATABASE {name} SET {setting} = '{value}';").unwrap();
    }
    // before 15 everybody may create there, which validate tells
    statements.push_str("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    database.run(&statements);
    let url = database.url();
    turing(workspace, &url, &["migrate"]).expect_code(0);
    turing(workspace, &url, &RUN).expect_code(0);
    turing(workspace, &url, &["runs"]).expect_code(0);
    let done = database.try_run(None, APPENDED);
    assert!(done.is_ok(), "{settings:?}: {done:?}");
    let validated = turing(workspace, &url, &["validate"]).expect_code(0);
    assert!(validated.stdout.ends_with("0 errors, 0 warnings\n"), "{settings:?}: {validated:#?}");
    // asked without them, so that what differs is what was made
    database.run(&format!("ALTER DATABASE {name} RESET ALL"));
    database.texts(ANSWERED)
}

#[test]
fn settings_change_nothing() {
    let workspace = Workspace::with_script(1, "a", ID_END, "cat");
    let expected = answers(&workspace, &[]);
    assert!(expected.len() > 50, "{}", expected.len());
    let seed = fastrand::u64(..);
    let mut chance = Rng::with_seed(seed);
    let all = SETTINGS.iter().map(|(name, values)| (*name, values[0])).collect();
    let any = SETTINGS.iter().filter(|_| chance.bool()).collect::<Vec<_>>();
    let any =
        any.iter().map(|(name, values)| (*name, values[chance.usize(..values.len())])).collect();
    for settings in [all, any] {
        let settings: Vec<(&str, &str)> = settings;
        let found = answers(&workspace, &settings);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "seed {seed}: {settings:?}");
        }
        assert_eq!(found.len(), expected.len(), "seed {seed}: {settings:?}");
    }
}
