//! Somebody who does what a guide says, block by block, and compares the answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use es_postgres::sqlx::postgres::{PgDatabaseError, PgRow};
use es_postgres::sqlx::{self, AssertSqlSafe, Column, ConnectOptions, Connection, Row};

use super::page::{Block, all_fit};
use crate::database::Database;
use crate::support::python::{address, interpreter, python};
use crate::support::{Answer, Workspace};

/// What a transcript says of an exit code, where it is not 0.
const EXIT_CODE: &str = "# exit code ";

/// Does something for a block that only its guide knows how to follow.
type Otherwise<'a> = Box<dyn Fn(&Block) + 'a>;

pub(crate) struct Reader<'a> {
    workspace: &'a Workspace,
    database: Option<&'a Database>,
    environment: BTreeMap<String, String>,
    /// What the guide writes, and what is meant by it here.
    names: Vec<(String, String)>,
    /// What was told before the reader came.
    seen: Option<String>,
    otherwise: Option<Otherwise<'a>>,
}

impl<'a> Reader<'a> {
    /// Whose store is the file that is meant where none is named.
    pub(crate) fn of_a_file(workspace: &'a Workspace) -> Self {
        let (environment, names) = (BTreeMap::new(), Vec::new());
        Self { workspace, database: None, environment, names, seen: None, otherwise: None }
    }

    /// Whose store is a database, named by `TURING_STORE` and `DATABASE_URL`.
    pub(crate) fn of_a_database(workspace: &'a Workspace, database: &'a Database) -> Self {
        let reader = Self { database: Some(database), ..Self::of_a_file(workspace) };
        let url = address(&database.url());
        reader.with("TURING_STORE", &url).with("DATABASE_URL", &url)
    }

    pub(crate) fn with(mut self, variable: &str, value: &str) -> Self {
        self.environment.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// What the guide writes as an example is this here.
    pub(crate) fn meaning(mut self, written: &str, here: &str) -> Self {
        self.names.push((written.to_owned(), here.to_owned()));
        self
    }

    /// To whom this was told before the first block.
    pub(crate) fn having_seen(self, told: String) -> Self {
        Self { seen: Some(told), ..self }
    }

    /// Who asks here what to do with a block that is none of a shell, SQL, Python or a file.
    pub(crate) fn otherwise(self, otherwise: impl Fn(&Block) + 'a) -> Self {
        Self { otherwise: Some(Box::new(otherwise)), ..self }
    }

    /// Does what the blocks say, in their order.
    pub(crate) fn follow(&self, blocks: &[Block]) {
        let mut blocks = blocks.iter().peekable();
        while let Some(block) = blocks.next() {
            let text = self.meant(&block.text);
            match block.language() {
                "console" => self.enter(block, &text),
                "sql" => {
                    let answer = self.ask(&text);
                    match blocks.next_if(|next| next.info == "text") {
                        Some(shown) => {
                            self.compare(shown, &block.text, &without_rule(shown), &answer)
                        }
                        None => assert!(!answer.starts_with("ERROR"), "{}: {answer}", block.place),
                    }
                }
                "python" => {
                    let printed = self.run(&text).expect_code(0).stdout;
                    let shown = blocks.next_if(|next| next.info == "text");
                    let (place, lines) = shown.map_or((block, ""), |it| (it, it.text.as_str()));
                    self.compare(place, &block.text, lines, &printed);
                }
                "toml" => {
                    let name = block.info.split(' ').nth(1);
                    let name = name.unwrap_or_else(|| panic!("{}: of which file?", block.place));
                    self.workspace.file(name, text);
                }
                "text" => {
                    let seen = self.seen.as_deref();
                    let seen = seen.unwrap_or_else(|| panic!("{}: nobody told it", block.place));
                    self.compare(block, "what was told before", &block.text, seen);
                }
                other => match &self.otherwise {
                    Some(otherwise) => otherwise(block),
                    None => panic!("{}: how is `{other}` followed?", block.place),
                },
            }
        }
    }

    fn meant(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (written, here)| text.replace(written, here))
    }

    /// Enters the commands of a transcript.
    fn enter(&self, block: &Block, text: &str) {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let command = line.strip_prefix("$ ");
            let command = command.unwrap_or_else(|| panic!("{}: {line}: no command", block.place));
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.push('\n');
                command += lines.next().unwrap();
            }
            let mut shown = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                shown += line;
                shown.push('\n');
            }
            let code = command.split_once(EXIT_CODE).map_or(0, |(_, code)| code.parse().unwrap());
            let answer = self.shell(&command);
            assert_eq!(answer.code, Some(code), "{}: {command}\n{answer:#?}", block.place);
            let told = [answer.told(), answer.stdout].concat();
            self.compare(block, &command, &shown, &told);
        }
    }

    fn shell(&self, command: &str) -> Answer {
        let program = Path::new(env!("CARGO_BIN_EXE_turing"));
        let programs = program.parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).current_dir(self.workspace.path()).stdin(Stdio::null());
        shell.env_remove("TURING_STORE").env("PATH", format!("{programs}:{path}"));
        // who looks at it is one and the same on every machine
        shell.env("USER", "ada").env("TZ", "UTC").envs(&self.environment);
        shell.output().unwrap().into()
    }

    /// Runs a program in Python.
    fn run(&self, text: &str) -> Answer {
        let database = self.database.expect("the package is for PostgreSQL");
        let mut command = python(&interpreter(&address(&database.url())));
        command.args(["-c", text]).current_dir(self.workspace.path()).envs(&self.environment);
        command.output().unwrap().into()
    }

    /// What `psql` would print of a statement, but for the line below the names.
    fn ask(&self, statement: &str) -> String {
        let database = self.database.expect("only a database is asked in SQL");
        database.runtime.block_on(async {
            let mut connection = database.test.options().connect().await.unwrap();
            // the server may speak another language; who may not change that has one that does not
            let _ = sqlx::raw_sql("SET lc_messages = 'C'").execute(&mut connection).await;
            let asked = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&mut connection).await;
            connection.close().await.unwrap();
            asked.map_or_else(|error| refusal(&error), |rows| table(&rows))
        })
    }

    #[track_caller]
    fn compare(&self, block: &Block, of: &str, shown: &str, told: &str) {
        let shown = self.meant(shown);
        let patterns: Vec<_> = shown.trim_end().lines().collect();
        let lines: Vec<_> = told.trim_end().lines().collect();
        let place = &block.place;
        let fit = all_fit(&patterns, &lines);
        assert!(fit, "{place}: {of}\nis shown with\n{shown}\nand answers\n{told}");
    }
}

/// What `psql` shows, without the line between the names and the rows.
fn without_rule(block: &Block) -> String {
    let is_rule = |line: &&str| !line.is_empty() && line.chars().all(|c| "-+".contains(c));
    let lines: Vec<_> = block.text.lines().filter(|line| !is_rule(line)).collect();
    lines.join("\n")
}

fn table(rows: &[PgRow]) -> String {
    let Some(first) = rows.first() else { return "(0 rows)".to_owned() };
    let names: Vec<_> = first.columns().iter().map(|column| column.name().to_owned()).collect();
    let mut lines = vec![names.join(" | ")];
    for row in rows {
        let cell = |column| row.get_unchecked::<Option<String>, _>(column).unwrap_or_default();
        let cells: Vec<_> = (0..row.len()).map(cell).collect();
        lines.push(cells.join(" | "));
    }
    let s = if rows.len() == 1 { "" } else { "s" };
    lines.push(format!("({} row{s})", rows.len()));
    lines.join("\n")
}

fn refusal(error: &sqlx::Error) -> String {
    let error = error.as_database_error().unwrap_or_else(|| panic!("{error}"));
    let error: &PgDatabaseError = error.downcast_ref();
    let parts = [("DETAIL", error.detail()), ("HINT", error.hint())];
    let parts = parts.iter().filter_map(|(name, part)| Some(format!("{name}: {}", (*part)?)));
    let first = std::iter::once(format!("ERROR: {}", error.message()));
    first.chain(parts).collect::<Vec<_>>().join("\n")
}

/// A folder in the workspace.
pub(crate) fn folder(workspace: &Workspace, name: &str) -> String {
    let path = workspace.path().join(name);
    fs::create_dir(&path).unwrap();
    path.display().to_string()
}
