//! A migrated database with an old table in it, and the commands of the cutover.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use es_pgtest::Server;
use es_postgres::sqlx::{self, AssertSqlSafe, PgPool, Row};
use es_postgres::{PostgresConfig, PostgresStore};
use es_testing::suite::seed;
use serde_json::Value;
use tokio::runtime::Handle;
use turing::store::postgres::configured;

use crate::database::{Database, directly};
use crate::support::processes::{PATIENCE, pause};
use crate::support::{Answer, Workspace, python};

/// The name by which programs know the old table, that of the table behind it while a view has the
/// name, and that of the table when it is out of use.
pub(crate) const OLD: &str = "posting_state_checkpoints";
pub(crate) const BASE: &str = "posting_state_checkpoints_base";
pub(crate) const DEPRECATED: &str = "posting_state_checkpoints_deprecated";

/// The phases by their numbers.
pub(crate) const PHASES: [&str; 6] =
    ["none", "created", "dual-write", "validated", "reads-switched", "deprecated"];

/// Which column of the old table means what.
pub(crate) const MAPPING: &str = include_str!("mapping.toml");

/// The file of that, in the workspace.
pub(crate) const MAPPING_FILE: &str = "mapping.toml";

/// An answer that says no.
pub(crate) trait Refused {
    /// The refusal: it says why, and with which command one goes on.
    fn expect_refused(self) -> Self;
}

impl Refused for Answer {
    #[track_caller]
    fn expect_refused(self) -> Self {
        assert!(self.code.is_some_and(|code| code != 0 && code != 101), "{self:#?}");
        assert!(!self.stderr.is_empty() && !self.stderr.contains("panicked"), "{self:#?}");
        self
    }
}

/// A database with an old table, a folder for files, and what there is to look at both.
pub(crate) struct Scene {
    pub(crate) store: PostgresStore,
    pub(crate) pool: PgPool,
    pub(crate) workspace: Workspace,
    /// How many postings the old system had.
    pub(crate) postings: i32,
    pub(crate) seed: u64,
    /// True while the old table may be out of use.
    pub(crate) is_retired: Arc<AtomicBool>,
    pub(crate) database: Database,
}

impl Scene {
    /// So many postings in every state.
    pub(crate) fn of(postings: i32) -> Self {
        Self::in_database(Database::migrated(), postings)
    }

    /// The same on a server of its own.
    pub(crate) fn on(server: &Server, postings: i32) -> Self {
        Self::in_database(Database::migrated_on(server), postings)
    }

    fn in_database(database: Database, postings: i32) -> Self {
        let scene = Self::without_table(database, postings);
        scene.run(include_str!("old_table.sql"));
        scene.run(&include_str!("old_rows.sql").replace("{postings}", &postings.to_string()));
        scene
    }

    /// So many postings in every state, whose counters agree with what they count.
    pub(crate) fn agreeing(postings: i32) -> Self {
        Self::of(postings).with_agreeing_counters()
    }

    pub(crate) fn with_agreeing_counters(self) -> Self {
        self.run(&format!(
            "UPDATE {OLD} SET execution_count = jsonb_array_length(conversation_history)"
        ));
        self
    }

    /// A store, and no old table yet.
    pub(crate) fn without_table(database: Database, postings: i32) -> Self {
        let workspace = Workspace::new();
        workspace.file(MAPPING_FILE, MAPPING);
        let options = database.test.options();
        let (store, pool) = database.runtime.block_on(async {
            let config = configured(PostgresConfig::new(options.clone()));
            let store = PostgresStore::open(config).await.unwrap();
            (store, PgPool::connect_with(options).await.unwrap())
        });
        let is_retired = Arc::new(AtomicBool::new(false));
        Self { store, pool, workspace, postings, seed: seed(), is_retired, database }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.database.runtime.handle().clone()
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.database.runtime.block_on(future)
    }

    /// The address of the database as psycopg takes it.
    pub(crate) fn address(&self) -> String {
        python::address(&self.database.url())
    }

    /// `turing cutover` with these arguments, to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_as(&self.database.url(), arguments)
    }

    /// The same for another address.
    pub(crate) fn command_as(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command(&[&["cutover"][..], arguments].concat());
        command.env("TURING_STORE", url);
        command
    }

    /// `turing cutover` with these arguments.
    pub(crate) fn cutover(&self, arguments: &[&str]) -> Answer {
        self.during(arguments, |scene| scene.command(arguments).output().unwrap().into())
    }

    /// Another command of the program.
    pub(crate) fn turing(&self, arguments: &[&str]) -> Answer {
        directly(&self.workspace, &self.database.url(), arguments)
    }

    /// Has a command carried out while programs may be refused the old table, if it takes that out of
    /// use, or brings it back.
    pub(crate) fn during<T>(&self, arguments: &[&str], act: impl FnOnce(&Self) -> T) -> T {
        if arguments.first() == Some(&"deprecate") {
            self.is_retired.store(true, Ordering::SeqCst);
        }
        let done = act(self);
        if self.phase() < 5 {
            self.is_retired.store(false, Ordering::SeqCst);
        }
        done
    }

    /// What `turing cutover status` tells.
    pub(crate) fn status(&self) -> Value {
        self.cutover(&["status", "--json"]).expect_code(0).json()
    }

    /// The number of the phase, as the database has it.
    pub(crate) fn phase(&self) -> usize {
        let phase: Option<i32> = self.block_on(async {
            let phase = sqlx::query_scalar("SELECT phase FROM cutovers");
            phase.fetch_optional(&self.pool).await.unwrap()
        });
        phase.map_or(0, |phase| phase.try_into().unwrap())
    }

    /// Sends statements, again where they met another's lock, as a refused statement's that is not
    /// undone yet.
    pub(crate) fn run(&self, statements: &str) {
        let is_race = |error: &sqlx::Error| {
            error.as_database_error().and_then(|told| told.code()).is_some_and(|it| it == "40001")
        };
        let mut done = self.try_run(statements);
        for _ in 0..100 {
            match &done {
                Err(error) if is_race(error) => done = self.try_run(statements),
                _ => break,
            }
        }
        assert!(done.is_ok(), "{statements}: {done:?}");
    }

    pub(crate) fn try_run(&self, statements: &str) -> Result<(), sqlx::Error> {
        self.block_on(async {
            let statements = sqlx::raw_sql(AssertSqlSafe(statements));
            statements.execute(&self.pool).await.map(drop)
        })
    }

    /// The first column of all rows, as text.
    pub(crate) fn texts(&self, statement: &str) -> Vec<String> {
        let rows = self.block_on(async {
            sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&self.pool).await.unwrap()
        });
        rows.iter().map(|row| row.get_unchecked(0)).collect()
    }

    /// The first column of the only row.
    pub(crate) fn text(&self, statement: &str) -> String {
        let texts = self.texts(statement);
        assert_eq!(texts.len(), 1, "{statement}: {texts:?}");
        texts.into_iter().next().unwrap()
    }

    pub(crate) fn number(&self, statement: &str) -> i64 {
        self.text(statement).parse().unwrap()
    }

    /// Waits until something is so, of which the database tells.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < 3 * PATIENCE, "never came true: {what}");
            pause();
        }
    }

    /// The table that is compared with the events in this phase.
    pub(crate) fn table(&self) -> &'static str {
        match self.phase() {
            0..=3 => OLD,
            4 => BASE,
            _ => DEPRECATED,
        }
    }

    /// The next command on the way forward succeeds, with what belongs to it.
    #[track_caller]
    pub(crate) fn forward(&self) {
        let phase = self.phase();
        match phase {
            0 => drop(self.cutover(&["create", "--mapping", MAPPING_FILE]).expect_code(0)),
            1 => drop(self.cutover(&["dual-write"]).expect_code(0)),
            2 => {
                if !self.is_backfilled() {
                    self.cutover(&["backfill"]).expect_code(0);
                }
                self.agree();
            }
            3 => drop(self.cutover(&["switch-reads"]).expect_code(0)),
            4 => drop(self.cutover(&["deprecate"]).expect_code(0)),
            _ => panic!("there is nothing behind phase {phase}"),
        }
        assert_eq!(self.phase(), phase + 1, "{:#}", self.status());
    }

    /// Goes forward up to this phase.
    #[track_caller]
    pub(crate) fn forward_to(&self, phase: usize) {
        while self.phase() < phase {
            self.forward();
        }
        assert_eq!(self.phase(), phase);
    }

    /// Validates until nothing is open, with what the events say where both differ.
    #[track_caller]
    pub(crate) fn agree(&self) {
        for _ in 0..10 {
            let answer = self.cutover(&["validate"]);
            if answer.code == Some(0) {
                return;
            }
            answer.expect_code(1);
            self.cutover(&["validate", "--resolve", "from-events", "--reason", "they count"]);
        }
        panic!("discrepancies stay open: {:#?}", self.open());
    }

    /// Whether all that the old table had is imported.
    pub(crate) fn is_backfilled(&self) -> bool {
        self.texts("SELECT is_backfilled::text FROM cutovers") == ["true"]
    }

    /// The open discrepancies, as `posting kind`.
    pub(crate) fn open(&self) -> Vec<String> {
        self.texts(
            "SELECT posting_id || ' ' || kind FROM cutover_open_discrepancies
             ORDER BY posting_id, kind, field",
        )
    }

    /// Goes back to this phase.
    #[track_caller]
    pub(crate) fn back_to(&self, phase: usize) {
        self.cutover(&["rollback", "--to", PHASES[phase], "--reason", "to look again"])
            .expect_code(0);
        assert_eq!(self.phase(), phase);
    }
}
