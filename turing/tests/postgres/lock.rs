//! A run whose lock's session is ended, or whose server is restarted, lets no second run begin.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use es_pgtest::{Server, TransactionPooler};
use rustix::process::{Pid, Signal, kill_process};
use turing::lock::RunLock;
use turing::store::{Access, Store, StoreUrl};
use turing_domain::WorkflowId;

use crate::database::{Database, directly};
use crate::support::gates::Gated;
use crate::support::processes::pause;
use crate::support::{ID_END, RUN, Workspace};

/// The sessions that hold the lock of a run.
const HOLDERS: &str = "pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE a.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 2
        AND a.state = 'idle in transaction' AND l.granted";

/// Ends the session that holds the lock, as an administrator would, and waits until it is gone.
fn end_session(database: &Database) -> usize {
    database.texts(&format!("SELECT pg_terminate_backend(l.pid, 10000)::text FROM {HOLDERS}")).len()
}

const COMPLETED: &str = "SELECT count(*)::text FROM execution_events
    WHERE event_type = 'script_execution_completed'";
const WAVES_BEGUN: &str = "SELECT count(*)::text FROM execution_events
    WHERE event_type = 'conversation_started'";
const WAVES_ENDED: &str = "SELECT count(*)::text FROM execution_events
    WHERE event_type = 'conversation_completed'";
const RUNS_COMPLETED: &str = "SELECT count(*)::text FROM execution_events
    WHERE event_type = 'workflow_completed'";

/// Runs to the end with a lock that is lost during the first attempt.
#[track_caller]
fn goes_on_with_a_lock_that_is_taken_again(database: &Database, url: &str, lose: impl FnOnce()) {
    let gated = Gated::new(3);
    let mut run = gated.start(url);
    let gate = gated.gate(1, &mut run);
    lose();
    gate.open();
    let gate = gated.gate(2, &mut run);
    // behind a proxy sessions have its name
    gated.expect_refused(url, "is being run in this store by process ");
    gate.open();
    gated.gate(3, &mut run).open();
    let answer = run.end().expect_code(0);
    assert_eq!(answer.stderr.matches("it is taken again").count(), 1, "{answer:#?}");
    assert_eq!(gated.begun(), [1, 2, 3]);
    assert_eq!(database.number(COMPLETED), 3);
}

#[test]
fn a_lock_whose_session_is_ended_is_taken_again_before_the_next_attempt() {
    let database = Database::migrated();
    let lose = || assert_eq!(end_session(&database), 1);
    goes_on_with_a_lock_that_is_taken_again(&database, &database.url(), lose);
}

#[test]
fn a_lock_behind_a_pooling_proxy_is_taken_again_before_the_next_attempt() {
    let database = Database::migrated();
    let pooler = TransactionPooler::with_sessions(Server::shared(), 10);
    let pooler = database.runtime.block_on(pooler);
    let url = pooler.url(database.test.name());
    let mark = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{mark}pooled=true");
    let lose = || assert_eq!(end_session(&database), 1);
    goes_on_with_a_lock_that_is_taken_again(&database, &url, lose);
}

#[test]
fn a_restart_of_the_server_takes_the_lock_from_no_run() {
    let server = Server::private(&[]);
    let database = Database::migrated_on(&server);
    let restart = || {
        server.stop();
        server.start();
        // nobody has the lock, and it is not known whether somebody comes back
        let look = |arguments: &[&str]| directly(&Workspace::new(), &database.url(), arguments);
        let text = look(&["runs"]).expect_code(0).stdout;
        assert!(text.contains(", in progress, or interrupted: the server began at "), "{text}");
        let shown = look(&["run", "show", "--json"]).expect_code(0).json();
        assert!(shown["is_interrupted"].is_null() && shown["server_began"].is_string(), "{shown}");
    };
    goes_on_with_a_lock_that_is_taken_again(&database, &database.url(), restart);
}

#[test]
fn a_result_that_comes_while_the_server_restarts_is_recorded() {
    let server = Server::private(&[]);
    for (body, code) in [("echo ok", 0), ("exit 3", 1)] {
        let database = Database::migrated_on(&server);
        let gated = Gated::new(2);
        gated.workspace.script("a.sh", &Gated::script(body));
        let mut run = gated.start(&database.url());
        let gate = gated.gate(1, &mut run);
        server.stop();
        gate.open();
        server.start();
        gated.gate(2, &mut run).open();
        run.end().expect_code(code);
        assert_eq!(gated.begun(), [1, 2], "{body}");
    }
}

/// Takes the lock in this process.
fn take(database: &Database) -> (Store, RunLock) {
    database.runtime.block_on(async {
        let url: StoreUrl = database.url().parse().unwrap();
        let store = Store::open(&url, Access::Existing).await.unwrap();
        let lock = store.lock_run(WorkflowId(3001)).await.unwrap();
        (store, lock)
    })
}

/// Loses the lock to this process; a host that was asleep is one that was stopped.
#[track_caller]
fn begins_nothing_more_once_somebody_else_has_the_lock(is_asleep: bool) {
    let (gated, database) = (Gated::new(3), Database::migrated());
    let url = database.url();
    let mut run = gated.start(&url);
    let gate = gated.gate(1, &mut run);
    if is_asleep {
        run.signal(Signal::STOP);
    }
    assert_eq!(end_session(&database), 1);
    let (store, lock) = take(&database);
    if is_asleep {
        run.signal(Signal::CONT);
    }
    gate.open();
    let lost = run.end().expect_code(4);
    let host = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
    let (process, host) = (std::process::id(), String::from_utf8(host).unwrap());
    let holder = format!("run by process turing {process} on {} (session ", host.trim());
    assert!(lost.stderr.contains(&holder), "{lost:#?}");
    // the attempt that was in progress is recorded, and no other was begun
    assert_eq!((gated.begun(), database.number(COMPLETED)), (vec![1], 1));

    drop(lock);
    database.runtime.block_on(store.close());
    let mut run = gated.start(&url);
    gated.gate(2, &mut run).open();
    gated.gate(3, &mut run).open();
    run.end().expect_code(0);
    assert_eq!((gated.begun(), database.number(COMPLETED)), (vec![1, 2, 3], 3));
}

#[test]
fn a_run_whose_lock_somebody_else_took_begins_nothing_more() {
    begins_nothing_more_once_somebody_else_has_the_lock(false);
}

#[test]
fn a_run_that_was_asleep_while_somebody_else_took_its_lock_begins_nothing_more() {
    begins_nothing_more_once_somebody_else_has_the_lock(true);
}

/// A process of the server that does nothing until this is dropped.
struct Frozen(Pid);

impl Frozen {
    /// The one that holds the lock of a run.
    fn holder(database: &Database) -> Self {
        let holders = database.texts(&format!("SELECT l.pid::text FROM {HOLDERS}"));
        let [holder] = &holders[..] else { panic!("{holders:?}") };
        let holder = Pid::from_raw(holder.parse().unwrap()).unwrap();
        kill_process(holder, Signal::STOP).unwrap();
        Self(holder)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// The server does not answer for the lock, which would be waited for and asked for again for long:
/// before another wave, or when every posting has ended and all that is left is to record that.
#[test]
fn a_run_that_is_asked_to_stop_does_not_wait_for_its_lock() {
    let server = Server::private(&[]);
    for is_last_look in [false, true] {
        let database = Database::migrated_on(&server);
        let gated = Gated::new(1);
        if !is_last_look {
            gated.workspace.script("b.sh", "echo b >> begun; echo ok");
            let [next, end] = ["to = 20\n", ""]
                .map(|to| format!("input = \"{{posting_id}}\"\n[[conversations.branches]]\n{to}"));
            gated.workspace.definition(10, &[(10, "a", &next), (20, "b", &end)]);
        }
        let mut run = gated.start(&database.url());
        let gate = gated.gate(1, &mut run);
        let frozen = Frozen::holder(&database);
        gate.open();
        while database.number(WAVES_ENDED) == 0 {
            assert!(run.is_running(), "{:#?}", run.end());
            pause();
        }
        run.signal(Signal::TERM);
        let stopped = run.end().expect_code(75);
        drop(frozen);
        let told = match is_last_look {
            false => stopped.stderr.contains("stopping:"),
            true => stopped.stdout.contains("1 posting = 1 ended + 0 open"),
        };
        assert!(told, "{stopped:#?}");
        assert!(stopped.stdout.contains("run the same command to go on"), "{stopped:#?}");
        assert_eq!(gated.begun(), [1]);
        // the second wave is not begun either, nor is the end recorded
        let recorded = [WAVES_BEGUN, COMPLETED, RUNS_COMPLETED].map(|sql| database.number(sql));
        assert_eq!(recorded, [1, 1, 0]);
        if is_last_look {
            gated.start(&database.url()).end().expect_code(0);
            assert_eq!((gated.begun(), database.number(RUNS_COMPLETED)), (vec![1], 1));
        }
    }
}

/// Two processes that run the same postings again and again until they are done, and whose lock is
/// ended again and again: what one of them has begun when the other takes over may begin twice, and
/// nothing else.
#[test]
fn campaign_of_lost_locks_lets_no_two_runs_work_side_by_side() {
    let is_full = std::env::var_os("ES_CAMPAIGN").is_some_and(|campaign| campaign == "full");
    let (postings, wanted) = if is_full { (4_000, 60) } else { (400, 6) };
    let database = Database::migrated();
    let url = database.url();
    let workspaces = [Workspace::new(), Workspace::new()];
    let log = workspaces[0].path().join("begun");
    for workspace in &workspaces {
        let lines = (1..=postings).map(|id| format!("{{\"posting_id\":{id}}}\n"));
        workspace.file("postings/all.jsonl", lines.collect::<String>());
        let body = r#"id=$(sed 's/.*"input":"\([^"]*\)".*/\1/'); echo "$id" >> {log}; echo ok"#;
        workspace.script("a.sh", &body.replace("{log}", &log.display().to_string()));
        workspace.definition(10, &[(10, "a", ID_END)]);
    }
    let begun = || fs::read_to_string(&log).map_or(0, |log| log.lines().count());

    let (running, lost) = (AtomicUsize::new(workspaces.len()), AtomicUsize::new(0));
    let mut kills = 0_usize;
    std::thread::scope(|scope| {
        for workspace in &workspaces {
            let (url, lost, ended) = (&url, &lost, Ended(&running));
            scope.spawn(move || {
                let _ended = ended;
                loop {
                    let run = [&RUN[..], &["--parallel", "1"]].concat();
                    let answer = directly(workspace, url, &run);
                    match answer.code {
                        Some(0) => break,
                        Some(4) if answer.stderr.contains("is being run") => {}
                        Some(4) => {
                            lost.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => panic!("{answer:#?}"),
                    }
                }
            });
        }
        let is_over = || running.load(Ordering::SeqCst) < workspaces.len();
        let waits = "SELECT count(*)::text FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE a.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
        while kills < wanted && !is_over() {
            let before = begun();
            // by turns the other process waits for it, and whoever comes first takes it
            let is_awaited = || !kills.is_multiple_of(2) || database.number(waits) > 0;
            while !is_over() && (begun() < before + 3 || !is_awaited()) {
                std::thread::yield_now();
            }
            kills += end_session(&database);
        }
    });
    let lost = lost.into_inner();
    let twice = begun() - postings;
    println!("{kills} locks ended, {lost} of them lost to the other; {twice} attempts began twice");
    assert!(kills > 2, "only {kills} locks were ended");
    assert!(twice <= kills, "{twice} attempts began twice with {kills} losses");
    assert_eq!(database.number(COMPLETED), i64::try_from(postings).unwrap());
    assert_eq!(database.number(RUNS_COMPLETED), 1);
}

/// Counts down when it goes, also by a panic.
struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
