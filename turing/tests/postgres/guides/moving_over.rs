//! `docs/moving-over.md`: an old table is moved over as the guide says, and back, and what it lists is all
//! that there is.

#[path = "../../../../docs/examples/dual_write.rs"]
mod dual_write;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use es_postgres::sqlx::{ConnectOptions, Connection};
use turing_domain::PostingId;

use super::page::{self, Block};
use super::reader::Reader;
use crate::database::Database;
use crate::support::Workspace;

pub(super) const GUIDE: &str = "moving-over.md";

/// A file of the repository.
pub(super) fn source(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The step in Rust, which the guide shows as it is.
fn graded(database: &Database, block: &Block) {
    assert_eq!(block.info, "rust dual_write", "{}: how is it followed?", block.place);
    assert_eq!(
        block.text,
        source("docs/examples/dual_write.rs"),
        "copy examples/dual_write.rs to {GUIDE}"
    );
    let version = database.runtime.block_on(async {
        let mut connection = database.test.options().connect().await.unwrap();
        let version = dual_write::graded(&mut connection, PostingId(503), "[PASS]").await.unwrap();
        connection.close().await.unwrap();
        version
    });
    assert_eq!(version, 2, "behind the event of the step in Python");
}

#[test]
fn an_old_table_is_moved_over_and_back_as_it_is_told() {
    let (workspace, database) = (Workspace::new(), Database::migrated());
    // before 15 everybody may create there, which is told
    database.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let reader = Reader::of_a_database(&workspace, &database);
    let reader = reader.otherwise(|block| graded(&database, block));
    for section in page::sections(GUIDE) {
        reader.follow(&section.blocks);
    }
    // as if nothing had been, but for what is known now
    let relations =
        "SELECT string_agg(c.relname || ' ' || c.relkind::text, ', ' ORDER BY c.relname) FROM pg_class c
        WHERE c.relname LIKE 'posting_state_checkpoints%' AND c.relkind IN ('r', 'v')";
    assert_eq!(database.texts(relations), ["posting_state_checkpoints r"]);
    let triggers = "SELECT count(*)::text FROM pg_trigger t
        WHERE t.tgrelid = 'posting_state_checkpoints'::regclass AND NOT t.tgisinternal";
    assert_eq!(database.number(triggers), 0);
}

/// What the help of a command lists: commands, or options with two dashes.
fn listed(help: &str) -> BTreeSet<String> {
    let (_, commands) = help.split_once("Commands:\n").unwrap_or(("", ""));
    let commands = commands.split("\n\n").next().unwrap_or_default();
    // a description may go on, further to the right
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands = commands.lines().filter(is_name);
    let commands = commands.filter_map(|line| line.split_whitespace().next());
    let options = help.split_whitespace().filter(|word| word.starts_with("--"));
    let options = options.map(|word| word.trim_end_matches(|c: char| !c.is_ascii_lowercase()));
    commands.chain(options).map(str::to_owned).collect()
}

#[test]
fn every_command_and_option_of_a_cutover_is_in_the_guide() {
    let (workspace, guide) = (Workspace::new(), page::text(GUIDE));
    let help = workspace.turing(&["cutover", "--help"]).expect_code(0).stdout;
    let commands = listed(&help).into_iter().filter(|name| !name.starts_with("--"));
    let commands: Vec<_> = commands.filter(|name| name != "help").collect();
    assert_eq!(commands.len(), 8, "{commands:?}");
    for command in commands {
        assert!(guide.contains(&format!("turing cutover {command}")), "{command}");
        let help = workspace.turing(&["cutover", &command, "--help"]).expect_code(0).stdout;
        let options: Vec<_> =
            listed(&help).into_iter().filter(|name| name.starts_with("--")).collect();
        assert!(options.iter().any(|option| option == "--store"), "{command}: {options:?}");
        for option in options.iter().filter(|option| *option != "--help") {
            assert!(guide.contains(option), "{command} {option}");
        }
    }
}
