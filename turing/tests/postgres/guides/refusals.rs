//! Every refusal that the guide lists, in the words of the sources and of the database.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::moving_over::{GUIDE, source};
use super::page::{fits, table};
use crate::database::{Database, turing};
use crate::support::Workspace;

/// Words with one `…` for whatever stands in a row of names.
fn plain(words: &str) -> String {
    let mut words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in ["……", "….…", "… …"] {
        while words.contains(row) {
            words = words.replace(row, "…");
        }
    }
    words
}

/// The first cells of a table of the guide.
fn listed(header: &str) -> BTreeSet<String> {
    let rows = table(GUIDE, header);
    let words: BTreeSet<_> = rows.iter().map(|row| plain(&row[0])).collect();
    assert_eq!(words.len(), rows.len(), "something is listed twice below `{header}`");
    words
}

/// The messages of errors in a source: the texts of `#[error("…")]`, with `…` for what is put in.
fn messages(source: &str) -> impl Iterator<Item = String> {
    let texts = source.split("#[error(").skip(1).filter_map(|rest| {
        let mut rest = rest.trim_start().strip_prefix('"')?.chars().peekable();
        let (mut text, mut is_put_in) = (String::new(), false);
        while let Some(c) = rest.next().filter(|c| *c != '"') {
            match c {
                '{' => is_put_in = true,
                '}' => {
                    is_put_in = false;
                    text.push('…');
                }
                // the text goes on in the next line
                '\\' if rest.peek() == Some(&'\n') => {
                    while rest.next_if(|c| c.is_whitespace()).is_some() {}
                }
                c if !is_put_in && c != '\\' => text.push(c),
                _ => {}
            }
        }
        Some(plain(&text))
    });
    texts.filter(|text| text.chars().any(char::is_alphabetic))
}

#[test]
fn every_refusal_of_a_command_is_listed_in_its_words() {
    let sources = [
        "turing/src/cutover/error.rs",
        "turing/src/cutover/mapping/finding.rs",
        "turing-domain/src/cutover/rejection.rs",
    ];
    let texts = sources.map(source);
    let told: BTreeSet<_> = texts.iter().flat_map(|text| messages(text)).collect();
    assert!(told.len() > 15, "{told:?}");
    assert_eq!(listed("a command says"), told);
}

/// What a migration raises, with `…` for what is put in.
fn raised(migration: &str) -> impl Iterator<Item = String> {
    migration.split("RAISE EXCEPTION '").skip(1).map(|rest| {
        let (mut rest, mut text) = (rest.chars().peekable(), String::new());
        while let Some(c) = rest.next() {
            match c {
                '\'' if rest.next_if_eq(&'\'').is_none() => break,
                '%' => text.push('…'),
                c => text.push(c),
            }
        }
        plain(&text)
    })
}

#[test]
fn every_refusal_of_the_database_is_listed_in_its_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut told = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if name.contains("cutover") || name.contains("dual_write") {
            told.extend(raised(&fs::read_to_string(&path).unwrap()));
        }
    }
    // nobody meets that but who makes triggers by hand
    told.retain(|words| !words.contains("is the trigger of"));
    assert!(told.len() > 15, "{told:?}");
    assert_eq!(listed("a program is told"), told);
}

/// What is wrong with a mapping: what is made before, and the mapping, whose other columns are those of
/// the table `old`.
fn wrong_for_the_database() -> Vec<(&'static str, Value)> {
    let table = |name: &str| json!({"table": name});
    vec![
        ("", table("no_table")),
        ("CREATE VIEW a_view AS SELECT 1 AS posting_id, TRUE AS is_terminal", table("a_view")),
        (
            "CREATE TABLE parent (LIKE old INCLUDING ALL); CREATE TABLE child () INHERITS (parent)",
            table("parent"),
        ),
        ("", table("postings")),
        (
            "CREATE TABLE secured (LIKE old INCLUDING ALL);
             ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
            table("secured"),
        ),
        (
            "CREATE TABLE ruled (LIKE old INCLUDING ALL);
             CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING",
            table("ruled"),
        ),
        (
            "CREATE TABLE later (LIKE old INCLUDING ALL);
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE CONSTRAINT TRIGGER look AFTER UPDATE ON later DEFERRABLE
             FOR EACH ROW EXECUTE FUNCTION look()",
            table("later"),
        ),
        ("CREATE TABLE two (LIKE old INCLUDING ALL); CREATE TABLE two_base ()", table("two")),
        ("", json!({"outputs": "not"})),
        // which is near to none
        ("", json!({"outputs": "somewhere_else"})),
        ("", json!({"terminal": "note"})),
        ("", json!({"terminal": "made"})),
        ("", json!({"posting_id": "number"})),
        ("", json!({"terminal": null})),
        ("", json!({"history": "steps", "history_key": "step"})),
    ]
}

const OLD: &str = "CREATE TABLE old (
        posting_id INT PRIMARY KEY, is_terminal BOOLEAN, note TEXT, number INT, steps INT[],
        made BOOLEAN GENERATED ALWAYS AS (TRUE) STORED
    )";

/// What the database finds to be wrong with a mapping.
fn problems(database: &Database, mapping: &Value, before: &str) -> Vec<String> {
    let mut whole = json!({
        "schema": "public", "table": "old", "posting_id": "posting_id", "current": null,
        "outputs": null, "history": null, "history_key": null, "terminal": "is_terminal",
        "updated_at": null, "counter": null, "steps": {},
    });
    let given = mapping.as_object().unwrap().clone();
    whole.as_object_mut().unwrap().extend(given);
    let ask = format!("SELECT problem FROM cutover_check_mapping('{whole}')");
    database.texts(&format!("{before}{ask}"))
}

/// Files that are no mapping for any database.
const WRONG: [&[u8]; 8] = [
    b"table = \"\"\nposting_id = \"posting_id\"\n",
    b"table = \"old\"\nposting_id = \"a\"\ncurrent = \"a\"\n",
    b"table = \"old\"\nposting_id = \"a\"\nhistory_key = \"step\"\n",
    b"table = \"old\"\nposting_id = \"a\"\n[steps]\nread = 1\nlook = 1\n",
    b"table = \"\xff\"\n",
    b"table = \"old\"\nposting = \"a\"\n",
    b"table = \"old\"\n",
    b"table = \"old\"\nposting_id = 5\n",
];

#[test]
fn everything_that_is_wrong_with_a_mapping_is_listed_in_its_words() {
    let (workspace, database) = (Workspace::new(), Database::migrated());
    database.run(OLD);
    let mut told = Vec::new();
    for (made, mapping) in wrong_for_the_database() {
        if !made.is_empty() {
            database.run(made);
        }
        let found = problems(&database, &mapping, "");
        assert!(!found.is_empty(), "{mapping}");
        told.extend(found);
    }
    // a login that owns neither side, and an owner of the events who may not use the old table
    let stranger = format!("stranger_{}", database.test.name());
    database.run(&format!(
        "CREATE ROLE {stranger};
         GRANT USAGE ON SCHEMA public TO {stranger};
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {stranger};
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {stranger};
         REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         CREATE SCHEMA other; CREATE TABLE other.old (LIKE old INCLUDING ALL)"
    ));
    told.extend(problems(&database, &json!({}), &format!("SET ROLE {stranger}; ")));
    database.run(&format!("ALTER TABLE execution_events OWNER TO {stranger}"));
    told.extend(problems(&database, &json!({"schema": "other"}), ""));
    database.run(&format!(
        "ALTER TABLE execution_events OWNER TO CURRENT_USER;
         DROP OWNED BY {stranger}; DROP ROLE {stranger}"
    ));
    told.extend(database.texts(
        "CREATE TEMPORARY TABLE passing (LIKE old INCLUDING ALL);
         SELECT problem FROM cutover_check_mapping(jsonb_build_object(
             'schema', (SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()),
             'table', 'passing', 'posting_id', 'posting_id', 'terminal', 'is_terminal'))",
    ));
    for (text, number) in WRONG.iter().zip(1..) {
        let name = format!("wrong{number}.toml");
        workspace.file(&name, text);
        let create = ["cutover", "create", "--mapping", &name];
        let refused = turing(&workspace, &database.url(), &create).expect_code(2).stderr;
        let before = format!("  {name}:");
        // behind the number of the line, and without the cure
        let found = refused.lines().filter_map(|line| line.strip_prefix(&before)?.split_once(": "));
        let found = found.map(|(_, found)| found.split("; ").next().unwrap_or(found).to_owned());
        let count = told.len();
        told.extend(found);
        assert!(told.len() > count, "{refused}");
    }
    let rows = table(GUIDE, "a mapping is told");
    let mut seen = vec![false; rows.len()];
    for words in &told {
        let place = rows.iter().position(|row| fits(&row[0], words));
        seen[place.unwrap_or_else(|| panic!("not listed: {words}"))] = true;
    }
    let unseen: Vec<_> = rows.iter().zip(&seen).filter(|(_, seen)| !**seen).collect();
    assert!(unseen.is_empty(), "nothing is told so: {unseen:#?}");
}
