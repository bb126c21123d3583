//! Addresses that lead nowhere, or not where they should.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use es_pgtest::Server;

use crate::database::{Database, directly as turing};
use crate::support::{Answer, Workspace};

const CANARY: &str = "canary-51c0";

#[test]
fn every_bad_address_is_a_clear_error_without_its_password() {
    let workspace = Workspace::new();
    let database = Database::new();
    let host = database.url().split_once('?').unwrap().1.to_owned();
    let with = |name: &str, user: &str| {
        let host = host
            .split('&')
            .filter(|parameter| !parameter.starts_with("user="))
            .collect::<Vec<_>>()
            .join("&");
        format!("postgres:///{name}?{host}&user={user}&password={CANARY}")
    };
    let table = [
        (format!("postgres://u:{CANARY}@127.0.0.1:1/d"), 3, "cannot be reached"),
        (format!("postgres://u:{CANARY}@127.0.0.1:port/d"), 2, "impossible value"),
        (format!("postgres://u:{CANARY}@h/d?sslmode=perhaps"), 2, "impossible value"),
        (format!("postgres://u:{CANARY}@h/d?passwd={CANARY}"), 2, "unknown parameter `passwd`"),
        (format!("postgres://u:{CANARY}@h/d?schema=a-b"), 2, "schema"),
        (format!("postgres:u:{CANARY}"), 2, "not an address"),
        (format!("mysql://u:{CANARY}@h/d"), 2, "unknown kind of store `mysql`"),
        (with("es_nowhere", "postgres"), 3, "createdb"),
        (with(database.test.name(), "nobody_here"), 3, "check user and password"),
        (with(database.test.name(), "postgres"), 3, "turing migrate"),
    ];
    for (address, code, words) in table {
        for command in [&["runs"][..], &["migrate"]] {
            // an empty database is what is migrated
            if command == ["migrate"] && words == "turing migrate" {
                continue;
            }
            let answer = turing(&workspace, &address, command).expect_code(code);
            assert!(answer.stderr.contains(words), "{address}: {answer:#?}");
            assert!(!format!("{answer:?}").contains(CANARY), "{answer:#?}");
        }
    }
    let help = turing(&workspace, &format!("postgres://u:{CANARY}@h/d"), &["runs", "--help"]);
    assert!(!help.expect_code(0).stdout.contains(CANARY));
    let demo =
        turing(&workspace, &with(database.test.name(), "postgres"), &["demo"]).expect_code(0);
    assert!(!format!("{demo:?}").contains(CANARY), "{demo:#?}");
    for command in [&["events", "posting", "99"][..], &["state", "actor", "99"]] {
        let nothing = turing(&workspace, &with(database.test.name(), "postgres"), command);
        let nothing = nothing.expect_code(1);
        assert!(nothing.stderr.contains("has no events in postgres:///"), "{nothing:#?}");
        assert!(!format!("{nothing:?}").contains(CANARY), "{nothing:#?}");
    }
    let id = ["events", "posting", "2147483648"];
    let out_of_range = turing(&workspace, &database.url(), &id).expect_code(2);
    assert!(out_of_range.stderr.contains("2147483648"), "{out_of_range:#?}");
}

#[test]
fn a_password_that_is_not_encoded_is_not_shown_and_one_that_is_works() {
    let workspace = Workspace::new();
    for mark in ["/", "?", "#", "@", ":"] {
        let address = format!("postgres://u:1{mark}{CANARY}@127.0.0.1:1/d");
        let answer = turing(&workspace, &address, &["runs"]);
        assert!(matches!(answer.code, Some(2 | 3)), "{answer:#?}");
        assert!(!format!("{answer:?}").contains(CANARY), "{answer:#?}");
    }
    let answer = turing(&workspace, &format!("postgres://u:1/{CANARY}@h/d"), &["runs"]);
    assert!(answer.expect_code(2).stderr.contains("%2F"));
}

/// A server of its own that asks a role for its password.
#[test]
fn a_wrong_password_is_told_and_the_right_one_is_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let rules = folder.path().join("pg_hba.conf");
    fs::write(&rules, "local all asked scram-sha-256\nlocal all all trust\n").unwrap();
    let server = Server::private(&[("hba_file", rules.to_str().unwrap())]);
    let (workspace, database) = (Workspace::new(), Database::on(&server));
    let name = database.test.name();
    database.run(&format!(
        "CREATE ROLE asked LOGIN PASSWORD '{CANARY}/?#@'; ALTER DATABASE {name} OWNER TO asked"
    ));
    let url = database.url_as("asked");
    for (password, command) in [("wrong", "runs"), ("wrong", "demo"), ("", "migrate")] {
        let address = format!("{url}&password={password}{CANARY}");
        let answer = turing(&workspace, &address, &[command]).expect_code(3);
        assert!(answer.stderr.contains("check user and password"), "{answer:#?}");
        assert!(!format!("{answer:?}").contains(CANARY), "{answer:#?}");
    }
    let address = format!("{url}&password={CANARY}%2F%3F%23%40");
    let answer = turing(&workspace, &address, &["demo"]).expect_code(0);
    assert!(answer.stdout.contains("Look closer:"), "{answer:#?}");
    assert!(!format!("{answer:?}").contains(CANARY), "{answer:#?}");
    let mut command = workspace.command(&["runs", "--store", &url]);
    let answer: Answer =
        command.env("PGPASSWORD", format!("{CANARY}/?#@")).output().unwrap().into();
    answer.expect_code(0);
}

#[test]
fn a_role_without_privileges_is_told_so() {
    let (workspace, database) = (Workspace::new(), Database::migrated());
    let role = format!("nothing_{}", database.test.name());
    database.run(&format!("CREATE ROLE {role} LOGIN"));
    for command in ["runs", "demo", "migrate"] {
        let answer = turing(&workspace, &database.url_as(&role), &[command]).expect_code(3);
        assert!(answer.stderr.contains("lacks the privilege"), "{answer:#?}");
        // in the server's language
        assert!(answer.stderr.contains("caused by"), "{answer:#?}");
    }
    database.run(&format!("DROP ROLE {role}"));
}

#[test]
fn a_server_that_takes_no_writes_is_told_and_can_be_looked_at() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let url = database.url();
    turing(&workspace, &url, &["demo"]).expect_code(0);
    let read_only = format!("{url}&options=-c%20default_transaction_read_only%3Don");
    turing(&workspace, &read_only, &["runs"]).expect_code(0);
    let answer = turing(&workspace, &read_only, &["demo", "--again"]).expect_code(3);
    assert!(answer.stderr.contains("takes no writes"), "{answer:#?}");
}
