//! What is run: four workflows of one shape, whose scripts write down outside of the store that they
//! were executed.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The workflows whose programs are killed.
pub(crate) const ROUGH: [i32; 3] = [1, 2, 3];

/// The one whose program never is. Its postings go round until the day is over.
pub(crate) const STEADY: i32 = 4;

/// How many postings each program attempts side by side.
pub(crate) const PARALLEL: u64 = 2;

/// The conversation whose script fails at times, or hangs until its time limit.
pub(crate) const MOODY: i32 = 20;

/// The conversation whose actor is the model.
pub(crate) const MODEL: i32 = 30;

/// How many ids a workflow has for its postings, and each round of it.
const IDS: i32 = 1_000_000;
const IDS_OF_A_ROUND: i32 = 1_000;

/// The file that ends the steady workflow's rounds.
pub(crate) const EVENING: &str = "evening";

/// Takes the document apart and notes the execution under a token of its own. A program that is
/// killed while it writes the document starts nothing.
const STEP: &str = r#"read -r d
case $d in *'"workflow_id":'*'}') ;; *) exit 1 ;; esac
a=${d#*'"attempt":'}; a=${a%%,*}
c=${d#*'"conversation_id":'}; c=${c%%,*}
e=${d#*'"execution":'}; e=${e%%,*}
p=${d##*'"posting_id":'}; p=${p%%,*}
r=${d##*'"run_id":"'}; r=${r%%\"*}
read -r t < /proc/sys/kernel/random/uuid
step="$r $p $c $e $a $t"
echo "$step" >> ledger"#;

/// Four postings in a row fail at first, so that the breaker opens; one in sixteen hangs.
const MOOD: &str = r#"echo "$step" >&2
if [ "$a" = 1 ]; then
    [ $((p / 4 % 2)) = 1 ] && exit 143
    [ $((p % 16)) = 2 ] && exec sleep 1000
fi
echo "$step""#;

/// What is left behind would outlive the script by far.
const LEAVE: &str = r#"sleep 1000 &
timeout 1000 sleep 1000 &
setsid sleep 1000 > /dev/null 2>&1 &
(nohup sleep 1000 > /dev/null 2>&1 &)
[ -e evening ] && mark=END || mark=AGAIN
echo "$step [$mark]""#;

/// Which workflow a posting was made for.
pub(crate) fn workflow_of(posting: i32) -> i32 {
    posting / IDS
}

/// Which conversation of its workflow this is.
pub(crate) fn place_of(conversation: i32) -> i32 {
    conversation % 100
}

/// The postings of a round.
pub(crate) fn postings(workflow: i32, round: i32, count: i32) -> impl Iterator<Item = i32> {
    assert!(count < IDS_OF_A_ROUND && round < IDS / IDS_OF_A_ROUND, "the ids are not enough");
    let before = workflow * IDS + round * IDS_OF_A_ROUND;
    (1..=count).map(move |number| before + number)
}

/// The postings of a round as a file.
pub(crate) fn lines(postings: impl Iterator<Item = i32>) -> String {
    postings.fold(String::new(), |mut lines, id| {
        let _ = writeln!(lines, r#"{{"posting_id":{id},"text":"advert {id} grüße"}}"#);
        lines
    })
}

/// Puts a workflow with its scripts into a folder of its own, in which all that they start works.
pub(crate) fn make(folder: &Path, workflow: i32, endpoint: &str) {
    fs::create_dir(folder).unwrap();
    for (name, then) in [("quick", "echo \"$step\""), ("moody", MOOD), ("leaving", LEAVE)] {
        let path = folder.join(format!("{name}.sh"));
        fs::write(&path, format!("#!/bin/sh\n{STEP}\n{then}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(folder.join("workflow.toml"), definition(workflow, endpoint)).unwrap();
}

fn definition(workflow: i32, endpoint: &str) -> String {
    let (actors, conversations) = (workflow * 10, workflow * 100);
    let first = conversations + 10;
    let mut text = format!(
        "[workflow]\nid = {workflow}\nname = \"soak\"\nentry = {first}\n\
         max_total_session_runs = {most}\n\
         [workflow.retry]\nretries = 100\nbase_seconds = 0.02\nmax_seconds = 0.1\n\
         [workflow.circuit_breaker]\nfailures = 3\ncooldown_seconds = 0.1\n\
         [[actors]]\nid = {model}\nname = \"model\"\ntype = \"llm\"\nmodel = \"soak\"\n\
         endpoint = \"{endpoint}\"\n",
        most = u32::MAX,
        model = actors + 3,
    );
    for (number, name) in [(1, "quick"), (2, "moody"), (4, "leaving")] {
        let _ = write!(
            text,
            "[[actors]]\nid = {}\nname = \"{name}\"\ntype = \"script\"\n\
             command = [\"./{name}.sh\"]\nenv = {{ PATH = \"/usr/bin:/bin\" }}\n",
            actors + number
        );
    }
    let asked = format!("input = \"{{conversation_{}_output}}\"\n", conversations + MOODY);
    let again = format!(
        "[[conversations.branches]]\npriority = 1\nwhen = \"[AGAIN]\"\nto = {first}\n\
         max_iterations = {}\n",
        u32::MAX
    );
    let end = "[[conversations.branches]]\n".to_owned();
    let end = if workflow == STEADY { again + &end } else { end };
    let to = |place: i32| format!("[[conversations.branches]]\nto = {}\n", conversations + place);
    let steps = [
        (1, String::new(), to(MOODY)),
        (2, "timeout_seconds = 1\n".to_owned(), to(MODEL)),
        (3, asked, to(40)),
        (4, String::new(), end),
    ];
    for (number, more, branches) in steps {
        let _ = write!(
            text,
            "[[conversations]]\nid = {}\nname = \"step {number}\"\nactor = {}\n\
             execution_order = {number}\nmax_instruction_runs = {}\n{more}{branches}",
            conversations + number * 10,
            actors + number,
            u32::MAX
        );
    }
    text
}
