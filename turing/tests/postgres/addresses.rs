//! Addresses that lead nowhere, or not where they should.

use crate::database::{Database, turing};
use crate::support::Workspace;

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
