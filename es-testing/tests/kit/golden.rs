//! Golden files: what is written, what is refused, and what a failure tells.

mod split;

use std::fs;
use std::path::Path;

use es_core::event::Fields;
use es_core::{Aggregate, Event};
use es_testing::golden::{self, Mismatch, check, check_aggregate, compare, write_missing};
use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Event, Debug)]
enum OrderEvent {
    OrderPlaced {
        cents: u64,
        #[event(metadata)]
        request_id: Option<i64>,
    },
    OrderPaid,
}
use OrderEvent::*;

fn examples() -> [OrderEvent; 3] {
    [
        OrderPlaced { cents: 100, request_id: Some(74) },
        OrderPaid,
        OrderPlaced { cents: 0, request_id: None },
    ]
}

/// A folder in which the examples are frozen.
fn frozen() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    write_missing(folder.path(), examples()).expect("files can be written");
    folder
}

fn read(folder: &Path, file: &str) -> Value {
    let text = fs::read_to_string(folder.join(file)).expect("the file is there");
    serde_json::from_str(&text).expect("the file is JSON")
}

fn write(folder: &Path, file: &str, content: &Value) {
    fs::write(folder.join(file), content.to_string()).expect("the folder can be written");
}

/// The only problem.
fn problem(checked: Result<(), Mismatch>) -> String {
    let mismatch = checked.expect_err("something differs");
    let [problem] = mismatch.problems() else {
        panic!("{mismatch}");
    };
    problem.clone()
}

#[test]
fn missing_files_are_written_on_demand_and_then_agree() {
    let folder = frozen();
    let placed = json!({
        "payload": {"cents": 100},
        "metadata": {"request_id": 74, "event_version": "1.0"},
    });
    assert_eq!(read(folder.path(), "order_placed.v1.json"), placed);
    assert_eq!(read(folder.path(), "order_placed.v1.2.json")["payload"], json!({"cents": 0}));
    assert_eq!(read(folder.path(), "order_paid.v1.json")["payload"], json!({}));
    compare(folder.path(), examples()).unwrap();
}

#[test]
fn a_missing_file_is_a_failure_that_names_the_command_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mismatch = compare(folder.path().join("order"), examples()).unwrap_err();
    assert_eq!(mismatch.problems().len(), 3);
    let command = "UPDATE_GOLDEN=1 cargo test -p es-testing";
    assert!(mismatch.to_string().contains(command), "{mismatch}");
    assert!(!folder.path().join("order").exists());
}

/// Run by the test below in a process of its own, because the environment belongs to the process.
#[test]
fn the_check_in_the_folder_of_the_environment() {
    if let Some(folder) = std::env::var_os("GOLDEN_TEST_FOLDER") {
        check(folder, examples()).unwrap();
    }
}

#[test]
fn the_variable_of_the_command_writes_missing_files() {
    let folder = tempfile::tempdir().unwrap();
    let run = |update: &str| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "golden::the_check_in_the_folder_of_the_environment"])
            .env("GOLDEN_TEST_FOLDER", folder.path())
            .env("UPDATE_GOLDEN", update)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(!run("0"), "nothing is there and nothing may be written");
    assert!(run("1"));
    assert!(run("0"), "what was written agrees");
    compare(folder.path(), examples()).unwrap();
}

#[test]
fn a_changed_form_is_a_failure_that_shows_both_even_when_updating() {
    let folder = frozen();
    let old = json!({"payload": {"total": 100}, "metadata": {"event_version": "1.0"}});
    write(folder.path(), "order_placed.v1.json", &old);
    let mismatch = write_missing(folder.path(), examples()).unwrap_err();
    let text = mismatch.to_string();
    for part in ["\"total\": 100", "\"cents\": 100", "version = 2", "order_placed.v1.old.json"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(read(folder.path(), "order_placed.v1.json"), old);
}

#[test]
fn white_space_and_the_order_of_keys_do_not_matter() {
    let folder = frozen();
    let text = r#"{"metadata":{"event_version":"1.0","request_id":74},"payload":{ "cents":100 }}"#;
    fs::write(folder.path().join("order_placed.v1.json"), text).unwrap();
    compare(folder.path(), examples()).unwrap();
}

#[test]
fn metadata_is_frozen_too() {
    let folder = frozen();
    let mut changed = read(folder.path(), "order_placed.v1.json");
    changed["metadata"]["request_id"] = json!(75);
    write(folder.path(), "order_placed.v1.json", &changed);
    assert!(problem(compare(folder.path(), examples())).contains("differs"));
}

#[test]
fn every_kind_needs_an_example() {
    let folder = frozen();
    let problem = problem(compare(folder.path(), [OrderPaid]));
    assert_eq!(problem, "`order_placed` has no example; add one to the examples");
}

#[test]
fn forms_with_another_ending_must_still_be_read() {
    let folder = frozen();
    let old = json!({"payload": {"cents": 1, "note": "x"}, "metadata": {}});
    write(folder.path(), "order_placed.v1.old.json", &old);
    compare(folder.path(), examples()).unwrap();
    write(folder.path(), "order_placed.v1.old.json", &json!({"payload": {}, "metadata": {}}));
    let problem = problem(compare(folder.path(), examples()));
    assert!(problem.contains("order_placed.v1.old.json was stored once"), "{problem}");
    assert!(problem.contains("missing field `cents`"), "{problem}");
}

#[test]
fn a_kind_that_is_gone_is_a_failure() {
    let folder = frozen();
    let form = json!({"payload": {}, "metadata": {}});
    write(folder.path(), "order_lost.v1.json", &form);
    let problem = problem(compare(folder.path(), examples()));
    assert!(problem.contains("order_lost.v1.json is of no known kind"), "{problem}");
}

#[test]
fn foreign_files_are_named() {
    for name in ["README.md", "order_placed.json", "order_placed.v01.json", "order_placed.vx.json"]
    {
        let folder = frozen();
        fs::write(folder.path().join(name), "{}").unwrap();
        let problem = problem(compare(folder.path(), examples()));
        assert!(problem.contains(name), "{problem}");
    }
    let folder = frozen();
    fs::write(folder.path().join("order_paid.v1.json"), "{").unwrap();
    let mismatch = compare(folder.path(), examples()).unwrap_err();
    assert!(mismatch.to_string().contains("order_paid.v1.json is no stored form"), "{mismatch}");
}

/// The second program: the same orders with a new shape.
mod next {
    use super::{Aggregate, Event, Fields};

    #[derive(Event, Debug)]
    pub(super) enum OrderEvent {
        #[event(version = 2, upcast(1 => currency), alias = "order_made")]
        OrderPlaced {
            cents: u64,
            currency: String,
        },
        OrderPaid,
    }

    fn currency(payload: &mut Fields) {
        payload.insert("currency", "EUR");
    }

    #[derive(Clone, Default)]
    pub(super) struct Order;

    impl Aggregate for Order {
        const TYPE: &'static str = "order";
        type Id = i64;
        type Event = OrderEvent;

        fn evolve(&mut self, event: &OrderEvent) {
            if let OrderEvent::OrderPlaced { cents: 0, .. } = event {
                panic!("an order of nothing");
            }
        }
    }

    pub(super) fn examples() -> [OrderEvent; 2] {
        let currency = "USD".to_owned();
        [OrderEvent::OrderPlaced { cents: 5, currency }, OrderEvent::OrderPaid]
    }
}

#[test]
fn files_of_older_versions_and_older_names_stay_and_are_read() {
    let folder = frozen();
    let form = json!({"payload": {"cents": 3}, "metadata": {}});
    write(folder.path(), "order_made.v1.json", &form);
    write_missing(folder.path(), next::examples()).unwrap();
    assert_eq!(
        read(folder.path(), "order_placed.v2.json")["metadata"],
        json!({"event_version": "2.0"})
    );
    compare(folder.path(), next::examples()).unwrap();
}

/// A third program, whose orders are at version 3.
mod third {
    use super::{Event, Fields};

    #[derive(Event, Debug)]
    pub(super) enum OrderEvent {
        #[event(version = 3, upcast(1 => currency, 2 => unchanged), alias = "order_made")]
        OrderPlaced {
            cents: u64,
            currency: String,
        },
        OrderPaid,
    }

    // wrong: it expects a field that version 1 never had
    fn currency(payload: &mut Fields) {
        let currency = payload.remove("unit");
        payload.insert("currency", currency);
    }

    fn unchanged(_: &mut Fields) {}

    pub(super) fn examples() -> [OrderEvent; 2] {
        let currency = "USD".to_owned();
        [OrderEvent::OrderPlaced { cents: 5, currency }, OrderEvent::OrderPaid]
    }
}

/// A folder in which the examples of the third program are written, and nothing older.
fn third() -> (TempDir, Mismatch) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let written = write_missing(folder.path(), third::examples());
    let mismatch = written.expect_err("versions are missing");
    (folder, mismatch)
}

#[test]
fn every_older_version_needs_a_file() {
    let (_folder, mismatch) = third();
    let problem = |version: u32| {
        format!(
            "`order_placed` is at version 3 but no golden file shows version {version}; put a \
             stored one at order_placed.v{version}.json, or an empty file at \
             order_placed.v{version}.never-stored if there never was one"
        )
    };
    assert_eq!(mismatch.problems(), [problem(1), problem(2)]);
}

#[test]
fn a_broken_upcaster_is_found_by_the_file_that_is_demanded() {
    let (folder, _) = third();
    let form = json!({"payload": {"cents": 1, "currency": "EUR"}, "metadata": {}});
    write(folder.path(), "order_placed.v2.json", &form);
    write(folder.path(), "order_placed.v1.json", &json!({"payload": {"cents": 1}, "metadata": {}}));
    let problem = problem(compare(folder.path(), third::examples()));
    assert!(problem.starts_with("order_placed.v1.json was stored once and cannot be read"));
    assert!(problem.contains("invalid type: null, expected a string"), "{problem}");
}

#[test]
fn what_an_old_file_reads_as_can_be_compared() {
    let folder = frozen();
    let read = |file: &str| golden::read::<next::OrderEvent>(folder.path(), file);
    let next::OrderEvent::OrderPlaced { cents, currency } = read("order_placed.v1.json").unwrap()
    else {
        panic!("it is another kind");
    };
    assert_eq!((cents, currency.as_str()), (100, "EUR"));

    let text = |file: &str| read(file).map(drop).unwrap_err().to_string();
    assert!(text("order_placed.v9.json").contains("order_placed.v9.json cannot be read: No such"));
    assert!(text("order_placed.json").contains("order_placed.json is no golden file"));
    write(folder.path(), "order_placed.v2.json", &json!({"payload": {}, "metadata": {}}));
    assert!(text("order_placed.v2.json").contains("missing field `cents`"));
}

#[test]
fn an_older_version_is_shown_under_any_name_and_ending() {
    let (folder, _) = third();
    let form = json!({"payload": {"cents": 1, "unit": "EUR"}, "metadata": {}});
    write(folder.path(), "order_made.v1.from-the-first-shop.json", &form);
    let form = json!({"payload": {"cents": 1, "currency": "EUR"}, "metadata": {}});
    write(folder.path(), "order_placed.v2.json", &form);
    compare(folder.path(), third::examples()).unwrap();
}

#[test]
fn a_version_that_was_never_stored_is_marked() {
    let (folder, _) = third();
    for (mark, reason) in
        [("order_placed.v1.never-stored", ""), ("order_placed.v2.never-stored", "lost")]
    {
        fs::write(folder.path().join(mark), reason).unwrap();
    }
    compare(folder.path(), third::examples()).unwrap();

    let form = json!({"payload": {"cents": 1, "currency": "EUR"}, "metadata": {}});
    write(folder.path(), "order_placed.v2.json", &form);
    let problem = problem(compare(folder.path(), third::examples()));
    assert_eq!(
        problem,
        "order_placed.v2.never-stored contradicts order_placed.v2.json; delete one of them"
    );
}

#[test]
fn a_mark_that_is_about_no_older_version_is_a_failure() {
    for name in ["order_placed.v1", "order_paid.v2", "order_lost.v1", "order_paid.v0"] {
        let folder = frozen();
        let name = format!("{name}.never-stored");
        fs::write(folder.path().join(&name), "").unwrap();
        assert!(problem(compare(folder.path(), examples())).contains(&name));
    }
    let folder = frozen();
    fs::write(folder.path().join("order_placed.v1.2.never-stored"), "").unwrap();
    assert!(problem(compare(folder.path(), examples())).contains("is no golden file"));
}

#[test]
fn a_later_version_than_the_program_knows_is_a_failure() {
    let folder = frozen();
    let form = json!({"payload": {"cents": 3}, "metadata": {}});
    write(folder.path(), "order_placed.v3.json", &form);
    let problem = problem(compare(folder.path(), examples()));
    assert!(problem.contains("schema version 3"), "{problem}");
}

#[test]
fn stored_forms_are_folded_too() {
    let folder = frozen();
    let mismatch = {
        write_missing(folder.path(), next::examples()).unwrap();
        check_aggregate::<next::Order>(folder.path(), next::examples()).unwrap_err()
    };
    let [problem] = mismatch.problems() else {
        panic!("{mismatch}");
    };
    assert!(problem.contains("order_placed.v1.2.json"), "{problem}");
    assert!(problem.contains("an order of nothing"), "{problem}");
}

#[test]
fn numbers_are_frozen_to_the_last_digit() {
    #[derive(Event, Debug, PartialEq)]
    enum Booking {
        AmountBooked {
            amount: u128,
            #[event(metadata)]
            of: i128,
            parts: Vec<u128>,
        },
    }
    let booked =
        || [Booking::AmountBooked { amount: u128::MAX, of: i128::MIN, parts: vec![1 << 64] }];
    let folder = tempfile::tempdir().unwrap();
    write_missing(folder.path(), booked()).unwrap();
    compare(folder.path(), booked()).unwrap();
    let text = fs::read_to_string(folder.path().join("amount_booked.v1.json")).unwrap();
    assert!(text.contains("    \"amount\": 340282366920938463463374607431768211455,\n"), "{text}");
}
