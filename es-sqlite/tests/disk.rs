//! What a loss of power and a disk that fails leave of a store, judged by every event of it: the
//! calls of a program are written down ([`trace`](disk/trace.c)), and disks are made of them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]
#![allow(clippy::print_stdout, reason = "a campaign prints what it did")]

#[path = "disk/image.rs"]
mod image;
#[path = "disk/left.rs"]
mod left;
#[path = "disk/program.rs"]
mod program;
#[path = "disk/run.rs"]
mod run;

use std::collections::BTreeMap;

use es_sqlite::Synchronous;

use crate::left::{Come, judge, judge_backups, left};
use crate::run::{Plan, Run, Start};

fn rounds(quick: usize, full: usize) -> usize {
    if std::env::var("ES_CAMPAIGN").is_ok_and(|campaign| campaign == "full") { full } else { quick }
}

fn seed() -> u64 {
    std::env::var("ES_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap())
}

fn plan(start: Start, synchronous: Synchronous, appends: u64) -> Plan {
    Plan { seed: seed(), start, synchronous, appends, fail: None }
}

/// Cuts a run off after each of its calls in turn, or at places all over it.
async fn lose_power(start: Start, synchronous: Synchronous) {
    let plan = plan(start, synchronous, 24);
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    let run = Run::of(&plan);
    let (calls, images) = (&run.calls, rounds(250, 5_000));
    let whole = left(&run.files(), "the run itself").await.log;
    let (mut lost, mut broken, mut backups) = (0, 0, 0);
    for image in 0..=images {
        let cut = image * calls.len() / images;
        let what = format!("{plan:?}, power lost after call {cut} of {}", calls.len());
        let folder = tempfile::tempdir().unwrap();
        image::disk_after(&run.before, &calls[..cut], &mut chance, folder.path());
        let told = program::told(&calls[..cut]);
        backups += judge_backups(folder.path(), &whole, &told, &what).await;
        let left = left(folder.path(), &what).await;
        // whole appends from its end are lost, and nothing else
        assert!(whole.starts_with(&left.log), "{what}: not the beginning of the log");
        let sum = |counts: &Come| counts.values().sum::<u64>();
        lost += sum(&told.sent) - sum(&left.come);
        broken += sum(&told.acknowledged).saturating_sub(sum(&left.come));
        let at_least = match synchronous {
            Synchronous::Full => &told.acknowledged,
            _ => &told.closed,
        };
        judge(&left, at_least, &told, &what);
    }
    // a disk that kept what nobody has flushed would judge nothing
    assert_eq!(broken > 0, synchronous != Synchronous::Full, "{broken}");
    assert!(backups > 0);
    println!(
        "power lost {images} times within {} calls, {start:?}, {synchronous:?}: {lost} appends were \
         lost, of which {broken} were acknowledged; {backups} backups were whole",
        calls.len()
    );
}

/// Nothing acknowledged is lost with the default; the log is never torn.
#[tokio::test]
async fn power_loss_campaign() {
    lose_power(Start::Nothing, Synchronous::Full).await;
}

#[tokio::test]
async fn power_loss_campaign_of_a_store_that_is_migrated() {
    lose_power(Start::OldStore, Synchronous::Full).await;
}

/// Nothing is lost that was there when the store was closed.
#[tokio::test]
async fn power_loss_campaign_of_late_flushes() {
    lose_power(Start::Nothing, Synchronous::Normal).await;
}

#[tokio::test]
async fn power_loss_campaign_of_late_flushes_of_a_store_that_is_migrated() {
    lose_power(Start::OldStore, Synchronous::Normal).await;
}

const NO_ROOM: i32 = 28;
const BROKEN: i32 = 5;

/// Lets each call of a short run fail in turn, or some all over it: whatever call it is, what was
/// acknowledged is there, what was refused is not, and no answer is a panic.
async fn fail(start: Start, ways: &[(i32, &str)]) {
    let plan = plan(start, Synchronous::Full, 2);
    let all = Run::of(&plan).can_fail();
    let step = all.div_ceil(rounds(10, all)).max(1);
    let mut answers = BTreeMap::<String, u64>::new();
    let mut runs = 0;
    for call in (1..=all).step_by(step) {
        for (error, how) in ways {
            let plan = Plan { fail: Some(format!("{call} {error}{how}")), ..plan.clone() };
            let run = Run::of(&plan);
            let what = format!("{plan:?} of {all} calls");
            let told = program::told(&run.calls);
            for answer in &told.answers {
                *answers.entry(answer.clone()).or_default() += 1;
            }
            let unfinished = std::fs::read_dir(run.files()).unwrap().find(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_str().unwrap().contains(".unfinished")
            });
            assert!(unfinished.is_none(), "{what}: {unfinished:?}");
            // refused appends were sent again, so that one that was written all the same stands twice
            let left = left(&run.files(), &what).await;
            judge(&left, &told.acknowledged, &told, &what);
            judge_backups(&run.files(), &left.log, &told, &what).await;
            runs += 1;
        }
    }
    println!(
        "a call of {all} failed in {runs} runs, {start:?}, {ways:?}; the answers: {answers:?}"
    );
}

#[tokio::test]
async fn failing_disk_campaign() {
    fail(Start::Nothing, &[(BROKEN, ""), (BROKEN, " once")]).await;
}

#[tokio::test]
async fn failing_disk_campaign_of_a_store_that_is_migrated() {
    fail(Start::OldStore, &[(BROKEN, ""), (BROKEN, " once"), (NO_ROOM, "")]).await;
}

#[tokio::test]
async fn full_disk_campaign() {
    fail(Start::Nothing, &[(NO_ROOM, ""), (NO_ROOM, " once")]).await;
}

/// A write that is cut short, and whatever is written after it.
#[tokio::test]
async fn short_write_campaign() {
    fail(Start::Nothing, &[(NO_ROOM, " short"), (BROKEN, " short"), (0, " short once")]).await;
}

/// As SMB, 9p, sshfs or exFAT are.
#[tokio::test]
async fn a_backup_is_made_where_the_file_system_knows_little() {
    let plan =
        Plan { fail: Some("foreign".to_owned()), ..plan(Start::Nothing, Synchronous::Full, 2) };
    let run = Run::of(&plan);
    let told = program::told(&run.calls);
    assert!(told.answers.is_empty(), "{told:?}");
    assert!(!told.backups.is_empty());
    let whole = left(&run.files(), "the run itself").await.log;
    let backups = judge_backups(&run.files(), &whole, &told, "the run itself").await;
    assert_eq!(backups, told.backups.len());
}
