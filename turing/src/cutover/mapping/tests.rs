//! What is read from a mapping file, and what is told of one that is wrong.

use super::*;

fn parse(text: &str) -> Result<MappingFile, MappingError> {
    MappingFile::parse(Path::new("old.toml"), text.as_bytes().to_vec())
}

/// What is found in a text.
fn found(text: &str) -> Vec<String> {
    match parse(text) {
        Err(MappingError::Wrong { findings, .. }) => {
            findings.iter().map(ToString::to_string).collect()
        }
        other => panic!("{text}: {other:?}"),
    }
}

const LEAST: &str = "table = \"old\"\nposting_id = \"id\"\n";

#[test]
fn every_key_is_read() {
    let text = "schema = \"jobs\"\ntable = \"old.rows\"\nposting_id = \"id\"\ncurrent = \"at\"\n\
                outputs = \"out\"\nhistory = \"done\"\nhistory_key = \"step\"\nterminal = \"over\"\n\
                updated_at = \"changed\"\ncounter = \"count\"\n[steps]\nextract = 9144\n";
    let read = parse(text).unwrap();
    assert_eq!(read.mapping.old_table(), "jobs.old.rows");
    assert_eq!(read.digest, digest_of(text));
    let expected = serde_json::json!({
        "schema": "jobs",
        "table": "old.rows",
        "posting_id": "id",
        "current": "at",
        "outputs": "out",
        "history": "done",
        "history_key": "step",
        "terminal": "over",
        "updated_at": "changed",
        "counter": "count",
        "steps": {"extract": 9144},
    });
    assert_eq!(read.mapping.document(), expected.into());
}

#[test]
fn what_is_left_out_is_nothing_and_the_schema_is_public_or_that_of_the_name() {
    let least = parse(LEAST).unwrap().mapping;
    assert_eq!((least.schema.as_str(), least.table.as_str()), ("public", "old"));
    let expected = serde_json::json!({
        "schema": "public",
        "table": "old",
        "posting_id": "id",
        "current": null,
        "outputs": null,
        "history": null,
        "history_key": null,
        "terminal": null,
        "updated_at": null,
        "counter": null,
        "steps": {},
    });
    assert_eq!(least.document(), expected.into());
    let named = parse("table = \"jobs.old\"\nposting_id = \"id\"").unwrap().mapping;
    assert_eq!((named.schema.as_str(), named.table.as_str()), ("jobs", "old"));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_its_cure() {
    let table: [(&str, &str, &[&str]); 11] = [
        (
            "nothing",
            "",
            &["old.toml:1: the key `table` is missing; correct it; docs/moving-over.md"],
        ),
        ("no posting", "table = \"old\"\n", &["old.toml:1: the key `posting_id` is missing; "]),
        (
            "twice",
            "table = \"old\"\n\ntable = \"new\"",
            &["old.toml:3: duplicate key: `table` is there already; "],
        ),
        (
            "a list",
            "table = [\"old\"]\nposting_id = \"id\"",
            &["old.toml:1: a list stands where a text is wanted; "],
        ),
        (
            "another key",
            "table = \"old\"\nposting_id = \"id\"\nouput = \"o\"",
            &["old.toml:3: unknown key `ouput`, possible is one of `schema`, `table`, "],
        ),
        (
            "a step by its name",
            "table = \"old\"\nposting_id = \"id\"\n[steps]\na = \"b\"",
            &[
                "old.toml:4: the text \"b\" stands where an integer from -2147483648 to 2147483647 is wanted",
            ],
        ),
        (
            "a large step",
            "table = \"old\"\nposting_id = \"id\"\n[steps]\na = 9999999999",
            &["old.toml:4: the integer `9999999999` does not fit"],
        ),
        (
            "an empty name",
            "table = \"\"\nposting_id = \"id\"\noutputs = \"\"",
            &[
                "old.toml:1: `table` names nothing; write the name as the database has it, or leave the key \
             out",
                "old.toml:3: `outputs` names nothing; ",
            ],
        ),
        (
            "one column twice",
            "table = \"old\"\nposting_id = \"id\"\ncurrent = \"id\"",
            &[
                "old.toml:3: `current` names the column `id`, as `posting_id` does; give each its own column",
            ],
        ),
        (
            "no history",
            "table = \"old\"\nposting_id = \"id\"\nhistory_key = \"step\"",
            &[
                "old.toml:3: `history_key` is a field of what `history` has, and there is no history; add \
             `history`, or leave the key out",
            ],
        ),
        (
            "one step twice",
            "table = \"old\"\nposting_id = \"id\"\n[steps]\na = 1\nb = 1",
            &[
                "old.toml:5: the steps `a` and `b` are both conversation 1; give each conversation one name",
            ],
        ),
    ];
    for (what, text, expected) in table {
        let found = found(text);
        assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{what}: {found}");
        }
    }
}

#[test]
fn a_text_that_is_no_toml_is_told_with_its_line() {
    let found = found("table = \"old\"\nposting_id =\n");
    assert!(found[0].starts_with("old.toml:2: "), "{found:?}");
}

#[test]
fn a_text_that_is_not_utf_8_is_told_with_its_line() {
    let error = MappingFile::parse(Path::new("old.toml"), b"table = \"o\"\n# \xff".to_vec());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("old.toml:2: the text is not UTF-8; save the file as UTF-8"), "{error}");
}

#[test]
fn what_the_database_finds_has_the_line_of_its_key() {
    let text = "table = \"old\"\nposting_id = \"id\"\n[steps]\na = 1\n";
    let read = parse(text).unwrap();
    let problem = |key: &str| (key.to_owned(), format!("{key} is wrong"), "mend it".to_owned());
    assert!(read.refused([]).is_none());
    let keys = ["steps.a", "posting_id", "schema", "steps.b", "nothing"];
    let Some(MappingError::Wrong { findings, .. }) = read.refused(keys.map(problem)) else {
        panic!("it is refused");
    };
    let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "old.toml:1: schema is wrong; mend it",
            "old.toml:1: nothing is wrong; mend it",
            "old.toml:2: posting_id is wrong; mend it",
            "old.toml:3: steps.b is wrong; mend it",
            "old.toml:4: steps.a is wrong; mend it",
        ]
    );
}

#[test]
fn a_name_cannot_change_the_terminal() {
    let text = "table = \"old\"\nposting_id = \"\\u001b[31m\"\ncurrent = \"\\u001b[31m\"";
    let found = found(text).concat();
    assert!(found.contains("\\u{1b}[31m") && !found.contains('\u{1b}'), "{found}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = MappingFile::load(Path::new("no-such-folder/old.toml")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the mapping no-such-folder/old.toml");
}
