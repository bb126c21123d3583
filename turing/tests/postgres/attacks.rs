//! Attempts of every role to read, forge, delay, blind or escalate: `attacks/*.sql` says for each
//! who is refused and how, and who is let through by design and why.

use std::collections::BTreeMap;

use es_pgtest::Server;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::database::{Database, turing};
use crate::support::Workspace;

/// What is tried while somebody appends: whether one waits for the lock tells what is looked at first.
const QUEUE: &str = include_str!("attacks/queue.sql");

const TABLE: [&str; 5] = [
    include_str!("attacks/read.sql"),
    include_str!("attacks/forge.sql"),
    include_str!("attacks/delay.sql"),
    include_str!("attacks/blind.sql"),
    include_str!("attacks/escalate.sql"),
];

/// The logins that stand for each word of the table: `nobody` may connect and has TEMPORARY,
/// `strangers` have the roles of another database of the same server.
const LOGINS: [(&str, &[&str]); 6] = [
    ("nobody", &["nobody"]),
    ("strangers", &["other_reader_login", "other_writer_login", "other_projector_login"]),
    ("reader", &["turing_reader_login"]),
    ("writer", &["turing_writer_login"]),
    ("projector", &["turing_projector_login"]),
    ("owner", &["turing_owner_login"]),
];

/// One attempt, and what becomes of it: for each word a SQLSTATE, or `allowed`.
struct Attempt {
    name: &'static str,
    statements: String,
    outcomes: BTreeMap<&'static str, &'static str>,
}

fn attempts(files: &[&'static str]) -> Vec<Attempt> {
    let blocks = files.iter().flat_map(|file| file.trim().split("\n\n"));
    blocks.map(attempt).collect()
}

fn attempt(block: &'static str) -> Attempt {
    let comments: Vec<_> = block.lines().map_while(|line| line.strip_prefix("-- ")).collect();
    let [name, lines @ ..] = &comments[..] else { panic!("{block}") };
    let mut outcomes = BTreeMap::new();
    for line in lines {
        let (outcome, rest) = line.split_once(": ").expect(block);
        let (who, reason) = rest.split_once(": ").unwrap_or((rest, ""));
        assert_eq!(
            outcome == "allowed",
            !reason.is_empty(),
            "what is allowed has a reason: {block}"
        );
        for word in who.split(", ") {
            assert!(LOGINS.iter().any(|(known, _)| *known == word), "{word}: {block}");
            assert!(outcomes.insert(word, outcome).is_none(), "{word} twice: {block}");
        }
    }
    for word in ["nobody", "strangers", "reader", "writer", "projector"] {
        assert!(outcomes.contains_key(word), "{word} is missing: {block}");
    }
    let statements: Vec<_> = block.lines().skip(comments.len()).collect();
    Attempt { name, statements: statements.join("\n"), outcomes }
}

/// A store in a database of its own, with its roles and a login for each.
fn store(workspace: &Workspace, server: &Server, prefix: &str) -> Database {
    let database = Database::on(server);
    turing(workspace, &database.url(), &["migrate"]).expect_code(0);
    let roles = ["migrate", "--roles", "--role-prefix", prefix];
    turing(workspace, &database.url(), &roles).expect_code(0);
    for role in ["reader", "writer", "projector", "owner"] {
        let role = format!("{prefix}_{role}");
        database.run(&format!("CREATE ROLE {role}_login LOGIN; GRANT {role} TO {role}_login"));
    }
    database.run(
        "INSERT INTO postings (posting_id) VALUES (1);
         SELECT append_event('circuit_breaker_open', 1);
         SELECT append_event('circuit_breaker_open', 1)",
    );
    database
}

/// What becomes of statements of which nothing stays: a SQLSTATE, or `allowed`.
async fn outcome(session: &mut PgConnection, statements: &str) -> String {
    let mut transaction = session.begin().await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    match done {
        Ok(_) => "allowed".to_owned(),
        Err(error) => {
            let error = error.into_database_error().expect(statements);
            format!("{} ({error})", error.code().unwrap())
        }
    }
}

#[test]
fn every_attempt_of_every_role_ends_as_the_table_says() {
    let server = Server::private(&[]);
    let workspace = Workspace::new();
    let database = store(&workspace, &server, "turing");
    let _other = store(&workspace, &server, "other");
    database.run("CREATE ROLE nobody LOGIN");
    let (head, queue) = QUEUE.split_once("\n\n").unwrap();
    assert!(head.starts_with("-- "), "{head}");
    let (attempts, queue) = (attempts(&TABLE), attempts(&[queue]));
    assert!(attempts.len() >= 60, "{}", attempts.len());
    let connect = |login: &str| {
        let options = database.test.options().username(login);
        database.runtime.block_on(options.connect()).unwrap()
    };
    let mut victim = connect("turing_owner_login");
    let mut wrong = Vec::new();
    let mut try_all = |attempts: &[Attempt], first: &'static str| {
        for (word, logins) in LOGINS {
            for login in logins {
                let mut session = connect(login);
                database.runtime.block_on(sqlx::raw_sql(first).execute(&mut session)).unwrap();
                for attempt in attempts {
                    let Some(expected) = attempt.outcomes.get(word) else { continue };
                    let found =
                        database.runtime.block_on(outcome(&mut session, &attempt.statements));
                    if !found.starts_with(expected) {
                        let name = attempt.name;
                        wrong.push(format!("{login}: {name}: {found} instead of {expected}"));
                    }
                }
            }
        }
    };
    try_all(&attempts, "");
    let append = "BEGIN; SELECT public.append_event('circuit_breaker_open', 1)";
    database.runtime.block_on(sqlx::raw_sql(append).execute(&mut victim)).unwrap();
    try_all(&queue, "SET lock_timeout = '50ms'");
    drop(victim);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // the refusals are not of a broken store
    assert_eq!(database.number("SELECT count(*)::text FROM execution_events"), 2);
    turing(&workspace, &database.url(), &["validate"]).expect_code(0);
}
