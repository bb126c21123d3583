//! What becomes of the processes that scripts start, whatever becomes of the run.

mod few;
mod scarce;
mod spared;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Resource, Signal, geteuid, getrlimit, kill_process};

use crate::support::processes::{Held, eventually, fifo, rest_of};
use crate::support::{Answer, END, PROGRAM_PID, RUN, Workspace, find, names};

const TURING: &str = env!("CARGO_BIN_EXE_turing");

/// A workspace with one posting, whose script starts `hold` in this way and then does the rest.
fn leaving(way: &str, then: &str, seconds: u32) -> (Workspace, Held) {
    let workspace = Workspace::new();
    workspace.postings(1);
    let held = Held::new(workspace.path().join("held"));
    workspace.script("hold.sh", &format!("{}\nexec sleep 1000", held.hold()));
    let counted = held.counted();
    let body = format!("{way}\nwhile [ ! -s {counted} ]; do :; done\n{then}");
    workspace.script("check.sh", &body);
    let limited = format!("timeout_seconds = {seconds}\n{END}");
    workspace.definition(10, &[(10, "check", &limited)]);
    (workspace, held)
}

fn begin(workspace: &Workspace) -> Child {
    let mut command = workspace.command(&RUN);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads what the program tells until it tells this.
fn read_until(told: &mut impl BufRead, part: &str) {
    let mut all = String::new();
    while !all.contains(part) {
        assert!(told.read_line(&mut all).unwrap() > 0, "{part:?} was never told: {all}");
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// A script of `sh` that becomes the program, with `RUN` and more arguments.
fn in_shell(workspace: &Workspace, script: &str, more: &[&str]) -> Answer {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{script}\nexec \"$0\" \"$@\""), TURING]).args(RUN).args(more);
    shell.current_dir(workspace.path()).env_remove("TURING_STORE").output().unwrap().into()
}

#[tokio::test]
async fn a_child_of_timeout_does_not_outlive_the_attempt() {
    for (way, then, code) in [
        ("timeout 1000 ./hold.sh &", "wait", 1),
        ("timeout 1000 ./hold.sh &", "echo ok", 0),
        ("setsid -f nohup ./hold.sh > /dev/null 2>&1", "exit 3", 1),
    ] {
        let (workspace, held) = leaving(way, then, 1);
        workspace.run(&[]).expect_code(code);
        assert!(held.is_free(), "{way} {then}");
    }
}

#[tokio::test]
async fn nothing_outlives_a_run_that_is_interrupted_twice() {
    let (workspace, held) =
        leaving("timeout 1000 ./hold.sh & setsid ./hold.sh &", "sleep 1000", 300);
    let mut run = begin(&workspace);
    let mut told = BufReader::new(run.stderr.take().unwrap());
    eventually("it holds on", || !held.is_free()).await;
    kill_process(pid(&run), Signal::INT).unwrap();
    read_until(&mut told, "stopping");
    kill_process(pid(&run), Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(75));
    assert!(held.is_free());
}

#[tokio::test]
async fn nothing_outlives_a_run_that_is_killed() {
    let (workspace, held) =
        leaving("timeout 1000 ./hold.sh & setsid ./hold.sh &", "sleep 1000", 300);
    let mut run = begin(&workspace);
    eventually("it holds on", || !held.is_free()).await;
    kill_process(pid(&run), Signal::KILL).unwrap();
    run.wait().unwrap();
    eventually("nothing holds on", || held.is_free()).await;
}

#[test]
fn what_a_killed_supervisor_leaves_is_ended_before_the_attempt_is_repeated() {
    let (workspace, held) = leaving(
        "case $(cat) in *'\"attempt\":1,'*) ;; *) flock -n held true && echo free; exit ;; esac\n\
         setsid ./hold.sh & timeout 1000 ./hold.sh &",
        "kill -9 $PPID; sleep 1000",
        300,
    );
    workspace.run(&[]).expect_code(0);
    assert!(held.is_free());
    let events = workspace.events(1);
    let failed = find(&events, "script_execution_failed");
    assert_eq!(failed["payload"]["failure_type"], "interrupted", "{failed}");
    assert!(failed["payload"].to_string().contains("lost its supervisor"), "{failed}");
    assert_eq!(workspace.state(1)["outputs"]["10"], "free");
}

#[test]
fn no_descriptor_that_was_open_when_the_program_began_reaches_a_script_or_its_supervisor() {
    let body = "cat <&9; ls /proc/self/fd | tr '\\n' ' '; ls -l /proc/$PPID/fd /proc/$$/fd";
    let workspace = Workspace::with_script(1, "check", END, body);
    workspace.file("secret", "secret");
    in_shell(&workspace, "exec 9< secret 8> secret.lock", &[]).expect_code(0);
    let state = workspace.state(1);
    let output = state["outputs"]["10"].as_str().unwrap();
    // 3 is the folder that `ls` reads
    assert!(output.starts_with("0 1 2 3 "), "{output}");
    assert!(!output.contains("secret"), "{output}");
}

#[tokio::test]
async fn a_lock_of_whoever_started_a_run_is_free_when_the_run_is_killed() {
    let (workspace, held) = leaving("./hold.sh &", "sleep 1000", 300);
    let cron = Held::new(workspace.path().join("cron"));
    let mut command = Command::new("flock");
    command.args(["--no-fork", "-n", "cron", TURING]).args(RUN).current_dir(workspace.path());
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it holds on", || !held.is_free()).await;
    assert_eq!(cron.holders(), [run.id()]);
    assert!(!cron.is_free());
    kill_process(pid(&run), Signal::KILL).unwrap();
    run.wait().unwrap();
    eventually("the lock is free", || cron.is_free()).await;
}

#[test]
fn a_run_does_with_few_descriptors() {
    let workspace = Workspace::with_script(30, "check", END, "echo ok");
    let answer = in_shell(&workspace, "ulimit -n 64", &["--parallel", "30"]).expect_code(0);
    assert!(answer.stderr.contains("the limit of 64 open files allows "), "{answer:#?}");
    assert!(answer.stderr.contains(" at a time, not 30; raise it"), "{answer:#?}");
    for posting in 1..=30 {
        let events = workspace.events(posting);
        assert!(!names(&events).contains(&"script_execution_failed"), "{events:#?}");
    }
}

#[test]
fn scripts_have_the_limit_of_descriptors_that_the_program_was_started_with() {
    let body = format!("ulimit -Sn; ulimit -Hn; cat /proc/{PROGRAM_PID}/limits");
    let workspace = Workspace::with_script(1, "check", END, &body);
    let answer = in_shell(&workspace, "ulimit -Sn 256; ulimit -Hn 4096", &["--parallel", "300"]);
    let answer = answer.expect_code(0);
    assert!(!answer.stderr.contains("the limit of"), "{answer:#?}");
    let state = workspace.state(1);
    let output = state["outputs"]["10"].as_str().unwrap();
    assert!(output.starts_with("256\n4096\n"), "{output}");
    let raised = output.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let raised: Vec<_> = raised.split_whitespace().collect();
    assert_eq!(raised[3..5], ["4096", "4096"], "{output}");
}

#[tokio::test]
async fn a_start_that_the_system_refuses_waits_and_is_charged_to_nobody() {
    let body =
        "grep -q 'advert 1\"' && { echo $PPID > there.new; mv there.new there; cat go; }; echo ok";
    let workspace = Workspace::with_script(8, "check", END, body);
    let go = fifo(workspace.path().join("go"));
    let mut run = as_a_user_with_limits(&workspace, &["--parallel", "1"]);
    let mut told = BufReader::new(run.stderr.take().unwrap());
    eventually("the first script runs", || workspace.path().join("there").exists()).await;
    let supervisor = fs::read_to_string(workspace.path().join("there")).unwrap();

    // it has more threads than this, so that it can start nothing more, and so has who supervises
    limit_processes(run.id(), "1");
    limit_processes(supervisor.trim().parse().unwrap(), "1");
    fs::write(go, "").unwrap();
    read_until(&mut told, "wait until their scripts can be started");
    limit_processes(run.id(), &getrlimit(Resource::Nproc).maximum.unwrap().to_string());
    let rest = rest_of(told, pid(&run));
    assert_eq!(run.wait().unwrap().code(), Some(0), "{rest}");
    assert!(!rest.contains("wait until their scripts"), "told once: {rest}");
    for posting in 1..=8 {
        let events = workspace.events(posting);
        assert!(!names(&events).contains(&"script_execution_failed"), "{events:#?}");
    }
    let breaker = workspace.turing(&["events", "actor", "10"]).expect_code(1);
    assert_eq!(breaker.stdout, "", "{breaker:#?}");
}

/// Limits the processes of the user that a program runs as, as that user: root may lack the right.
fn limit_processes(process: u32, count: &str) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &process.to_string(), &format!("--nproc={count}:")]);
    if geteuid().is_root() {
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    let done = command.output().expect("prlimit of util-linux");
    assert!(done.status.success(), "{done:?}");
}

/// A user that nobody is.
const SOMEBODY: u32 = 54_321;

/// Starts the program as a user whose processes are limited, which those of root are not.
fn as_a_user_with_limits(workspace: &Workspace, more: &[&str]) -> Child {
    let mut command = Command::new(given_to(workspace, SOMEBODY));
    command.args(RUN).args(more).current_dir(workspace.path()).env_remove("TURING_STORE");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    if geteuid().is_root() {
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    command.spawn().unwrap()
}

/// Gives the workspace to a user, with the program, whose path is answered.
fn given_to(workspace: &Workspace, user: u32) -> std::path::PathBuf {
    // where somebody else can get at it
    let program = workspace.path().join("turing");
    fs::hard_link(TURING, &program).or_else(|_| fs::copy(TURING, &program).map(drop)).unwrap();
    if geteuid().is_root() {
        for entry in walk(workspace.path()) {
            chown(entry, Some(user), Some(user)).unwrap();
        }
    }
    program
}

/// A folder, and all that is in it, but for hard links, which are of others too.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            found.extend(walk(&path));
        } else if metadata.nlink() == 1 {
            found.push(path);
        }
    }
    found
}

/// The child of a process.
fn child_of(parent: &Child) -> Option<String> {
    let parent = format!("PPid:\t{}\n", parent.id());
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    all.filter_map(|name| name.into_string().ok()).find(|name| {
        fs::read_to_string(format!("/proc/{name}/status"))
            .is_ok_and(|status| status.contains(&parent))
    })
}

#[tokio::test]
async fn as_process_one_it_reaps_all_orphans_and_kills_none_of_strangers() {
    let workspace = Workspace::new();
    workspace.postings(40);
    let path = |name: &str| workspace.path().join(name);
    let held = Held::new(path("held"));
    workspace.script("hold.sh", &format!("{}\nexec sleep 1000", held.hold()));
    let (go, end, ask) = (fifo(path("go")), fifo(path("end")), fifo(path("ask")));
    workspace.script("leave.sh", "(true &); (setsid sleep 1000 &); (sleep 0.01 &); echo ok");
    workspace.script(
        "lose.sh",
        &format!(
            "case $(cat) in *'\"attempt\":1,'*'\"input\":\"advert 1\"'*)\n\
             setsid ./hold.sh & while [ ! -s {} ]; do :; done\n\
             echo > there; cat go; kill -9 $PPID; sleep 1000 ;; esac; echo ok",
            held.counted()
        ),
    );
    // one that is never reaped would keep it from ending
    workspace.script(
        "look.sh",
        "case $(cat) in *'\"input\":\"advert 1\"'*) echo > lost; cat end ;; esac\n\
         while cat /proc/[0-9]*/status 2> /dev/null | grep -q '^State:.*zombie'; do :; done\n\
         echo ok",
    );
    let to = |next: i32| {
        format!("input = \"{{job_description}}\"\n[[conversations.branches]]\nto = {next}\n")
    };
    let (leave, lose, look) = (to(20), to(30), format!("timeout_seconds = 20\n{END}"));
    workspace.definition(10, &[(10, "leave", &leave), (20, "lose", &lose), (30, "look", &look)]);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", TURING]).args(RUN).args(["--parallel", "1"]);
    command.current_dir(workspace.path()).env_remove("TURING_STORE");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = run.stderr.take().unwrap();
    let exits = std::cell::RefCell::new(&mut run);
    let permitted = "unshare is refused: this test makes a PID namespace, which takes root";
    eventually("a script waits", || {
        assert!(exits.borrow_mut().try_wait().unwrap().is_none(), "{permitted}");
        path("there").exists()
    })
    .await;

    // somebody comes in from outside and leaves two children, one of which lives on
    let stranger = "exec 0<>ask; while read -r line; do echo \"$line\" >> answered; done";
    let enter = format!("(true &); (setsid sh -c '{stranger}' &)");
    let first = child_of(&run).expect("unshare has a child");
    let mut visit = Command::new("nsenter");
    visit.args(["--target", &first, "--pid", "/bin/sh", "-c", &enter]);
    visit.current_dir(workspace.path()).stdin(Stdio::null()).stdout(Stdio::null());
    assert!(visit.status().unwrap().success());
    let answers = |asked: &str| {
        fs::write(&ask, format!("{asked}\n")).unwrap();
        let (answered, asked) = (path("answered"), format!("{asked}\n"));
        move || fs::read_to_string(&answered).is_ok_and(|lines| lines.ends_with(&asked))
    };
    eventually("the stranger answers", answers("before")).await;

    fs::write(go, "").unwrap();
    eventually("the next conversation has begun", || path("lost").exists()).await;
    assert!(held.is_free(), "what the killed supervisor left is ended");
    eventually("the stranger lives", answers("after")).await;
    fs::write(end, "").unwrap();

    let told = rest_of(stderr, Pid::from_raw(first.parse().unwrap()).unwrap());
    assert_eq!(run.wait().unwrap().code(), Some(0), "{told}");
    for posting in 1..=40 {
        assert_eq!(workspace.state(posting)["is_terminal"], true, "posting {posting}");
    }
}

#[test]
fn process_one_hands_signals_on_and_answers_with_the_exit_code() {
    let body = format!(
        "cat /proc/{PROGRAM_PID}/comm > name; kill -TERM 1; while [ ! -e stopping ]; do :; done; echo ok"
    );
    let workspace = Workspace::with_script(1, "check", END, &body);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", TURING]).args(RUN);
    command.current_dir(workspace.path()).env_remove("TURING_STORE");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    read_until(&mut BufReader::new(run.stderr.take().unwrap()), "stopping");
    workspace.file("stopping", "");
    assert_eq!(run.wait().unwrap().code(), Some(0));
    // under which who looks for the program finds the one that works
    assert_eq!(fs::read_to_string(workspace.path().join("name")).unwrap(), "turing\n");
    let mut missing = Command::new("unshare");
    missing.args(["--pid", "--fork", "--mount-proc", TURING, "check", "absent.toml"]);
    assert_eq!(missing.output().unwrap().status.code(), Some(2));
}

#[test]
fn a_script_on_a_file_system_without_programs_is_told_so() {
    let workspace = Workspace::new();
    workspace.postings(1);
    fs::create_dir(workspace.path().join("mnt")).unwrap();
    workspace.script("check.sh", "echo ok");
    workspace.definition(10, &[(10, "mnt/check", END)]);
    let script = "mount -t tmpfs -o noexec none mnt && cp -p check.sh mnt/ && exec \"$0\" \"$@\"";
    let turing = |arguments: &[&str]| -> Answer {
        let mut command = Command::new("unshare");
        command.args(["--mount", "/bin/sh", "-c", script, TURING]).args(arguments);
        command.current_dir(workspace.path()).env_remove("TURING_STORE").output().unwrap().into()
    };
    let found = turing(&["check", "workflow.toml", "--json"]).expect_code(1).json();
    let errors = found.as_array().unwrap().iter().filter(|one| one["severity"] == "error");
    let [error] = errors.collect::<Vec<_>>()[..] else { panic!("{found:#}") };
    assert!(error["message"].as_str().unwrap().contains("mounted noexec"), "{error:#}");
    // the cure that is told works
    let cure = error["cure"].as_str().unwrap().split("command = ").nth(1).unwrap();
    let text = workspace.workflow();
    let cured = text.replace("[\"./mnt/check.sh\"]", cure.strip_suffix('`').unwrap());
    workspace.file("cured.toml", cured);
    turing(&["run", "--workflow", "cured.toml", "--postings", "postings"]).expect_code(0);
}
