//! What a loss of power and a disk that fails leave of a store, judged by every event of it: the
//! calls of a program are watched ([`trace`](disk/trace.c)); disks are made of those that were written
//! down, or some of them fail.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]
#![allow(clippy::print_stdout, reason = "a campaign prints what it did")]

#[path = "disk/faults.rs"]
mod faults;
#[path = "disk/flushes.rs"]
mod flushes;
#[path = "disk/image.rs"]
mod image;
#[path = "disk/left.rs"]
mod left;
#[path = "disk/library.rs"]
mod library;
#[path = "disk/program.rs"]
mod program;
#[path = "disk/run.rs"]
mod run;
#[path = "disk/told.rs"]
mod told;

use es_sqlite::Synchronous;

use crate::faults::{DISK, KINDS, Way, campaign, knows_little};
use crate::image::Did;
use crate::left::{Come, Judged, is_none, judge, judge_backups, left};
use crate::run::{Plan, Run, Start};
use crate::told::Told;

fn rounds<T>(quick: T, full: T) -> T {
    if std::env::var("ES_CAMPAIGN").is_ok_and(|campaign| campaign == "full") { full } else { quick }
}

fn seed() -> u64 {
    std::env::var("ES_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap())
}

/// Cuts a run off after each of its calls in turn, or at places all over it.
async fn lose_power(start: Start, synchronous: Synchronous) {
    let plan = Plan { seed: seed(), start, synchronous, appends: 24, faults: None };
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    let run = Run::of(&plan);
    let (calls, images) = (&run.calls, rounds(120, 5_000));
    // all over it, and where a backup was just acknowledged, or the model was kept, of which the disk
    // then keeps nothing more than it must
    let told = (1..=calls.len()).filter(|cut| told::is_of_the_least(&calls[cut - 1]));
    let cuts = (0..=images).map(|image| (image * calls.len() / images, false));
    let cuts: Vec<_> = cuts.chain(told.map(|cut| (cut, true))).collect();
    let whole = left(&run.files(), "the run itself").await.log;
    let (mut lost, mut broken, mut backups, mut forgotten) = (0, 0, 0, 0);
    let mut judged = Judged::new();
    for (cut, keeps_least) in cuts {
        let what = format!("{plan:?}, power lost after call {cut} of {}", calls.len());
        let folder = tempfile::tempdir().unwrap();
        // one loss keeps much, another little
        let kept = if keeps_least { 0.0 } else { chance.f64() };
        image::disk_after(&run.before, &calls[..cut], kept, &mut chance, folder.path());
        let told = Told::of_calls(&calls[..cut]);
        backups += judge_backups(folder.path(), &whole, &told, &mut judged, &what).await;
        let left = left(folder.path(), &what).await;
        // whole appends from its end are lost, and nothing else
        assert!(whole.starts_with(&left.log), "{what}: not the beginning of the log");
        let sum = |counts: &Come| counts.values().sum::<u64>();
        lost += sum(&told.sent) - sum(&left.come);
        broken += sum(&told.acknowledged).saturating_sub(sum(&left.come));
        // which `left` has seen to become the fold of the log again
        forgotten += u64::from(left.model < told.model);
        let at_least = match synchronous {
            Synchronous::Full => &told.acknowledged,
            _ => &told.closed,
        };
        judge(&left, at_least, &told, &what);
    }
    // a disk that kept what nobody has flushed would judge nothing
    assert_eq!(broken > 0, synchronous != Synchronous::Full, "{broken}");
    assert!(backups > 0);
    // commits of models are not flushed by themselves
    assert!(forgotten > 0);
    println!(
        "power lost {images} times within {} calls, {start:?}, {synchronous:?}: {lost} appends were \
         lost, of which {broken} were acknowledged; {backups} backups were whole; {forgotten} times the \
         model had forgotten what it knew",
        calls.len()
    );
}

/// Nothing acknowledged is lost with the default; the log is never torn. A model may be lost as far as
/// it can be made again.
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
const NO_LOCKS: i32 = 37;

/// Lets a flush fail, alone or with all that follow, and cuts the run off at that moment, later, and
/// when it has told all answers; of what was not flushed nothing is left, all of it, or half.
async fn fail_to_flush(start: Start) {
    let mut plan =
        Plan { seed: seed(), start, synchronous: Synchronous::Full, appends: 4, faults: None };
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    let flushes = Run::of(&plan).calls.iter().filter(|call| call.did == Did::Sync).count();
    let rounds = rounds(8, flushes).min(flushes);
    let (mut failed, mut images, mut lost) = (0, 0, 0);
    for (round, count) in (0..rounds).flat_map(|round| [(round, 1), (round, 0)]) {
        let flush = chance.usize(round * flushes / rounds..(round + 1) * flushes / rounds) + 1;
        plan.faults = Some(format!("s {flush} {count} {BROKEN}"));
        let run = Run::of(&plan);
        let calls = &run.calls;
        let Some(fails) = calls.iter().position(|call| call.did == Did::SyncFailed) else {
            continue;
        };
        failed += 1;
        let whole = left(&run.files(), &format!("{plan:?}")).await.log;
        let mut judged = Judged::new();
        let cuts = [fails + 1, chance.usize(fails + 1..=calls.len()), calls.len()];
        let losses = cuts.map(|cut| [0.0, 1.0, 0.5].map(|kept| (cut, kept)));
        for (cut, kept) in losses.into_iter().flatten() {
            let what = format!("{plan:?}, power lost after call {cut} of {}, {kept}", calls.len());
            let folder = tempfile::tempdir().unwrap();
            image::disk_after(&run.before, &calls[..cut], kept, &mut chance, folder.path());
            let told = Told::of_calls(&calls[..cut]);
            judge_backups(folder.path(), &whole, &told, &mut judged, &what).await;
            images += 1;
            // nobody was told yet that there is a store
            if told.sent.is_empty() && is_none(folder.path(), &what).await {
                continue;
            }
            let left = left(folder.path(), &what).await;
            judge(&left, &told.acknowledged, &told, &what);
            let sum = |counts: &Come| counts.values().sum::<u64>();
            lost += sum(&told.sent) - sum(&left.come);
        }
    }
    // no run has quite as many flushes as the one before: appends share them as it happens
    assert!(failed * 10 >= rounds * 2 * 7, "in {failed} of {} runs a flush has failed", rounds * 2);
    assert!(lost > 0);
    println!(
        "power lost {images} times after {failed} flushes that failed, of {flushes}, {start:?}: {lost} \
         appends were lost, none of which was acknowledged"
    );
}

/// What was acknowledged is there, what was refused is not, and nothing is torn.
#[tokio::test]
async fn failing_flush_campaign() {
    fail_to_flush(Start::Nothing).await;
}

#[tokio::test]
async fn failing_flush_campaign_of_a_store_that_is_migrated() {
    fail_to_flush(Start::OldStore).await;
}

/// Every kind of call that SQLite and the store make, one alone and some one after the other; and a
/// disk that goes away, for a moment or for ever.
#[tokio::test]
async fn failing_disk_campaign() {
    let mut ways = KINDS.map(|kind| Way::new(kind, 1, BROKEN, 2)).to_vec();
    ways.extend([
        Way::new(DISK, 20, BROKEN, 4),
        Way::new(DISK, 0, BROKEN, 5),
        Way::new("r", 1, 0, 2).short(),
        Way::new("r", 0, BROKEN, 3).short(),
        // each of them is tried again for a while
        Way::new("l", 40, NO_LOCKS, 2).at_most(100),
    ]);
    campaign("failing_disk_campaign", Start::Nothing, &ways).await;
}

#[tokio::test]
async fn failing_disk_campaign_of_a_store_that_is_migrated() {
    let mut ways = KINDS.map(|kind| Way::new(kind, 1, BROKEN, 1)).to_vec();
    ways.extend([
        Way::new(DISK, 20, BROKEN, 3),
        Way::new(DISK, 0, BROKEN, 3),
        Way::new("owtsn", 0, NO_ROOM, 3),
    ]);
    let test = "failing_disk_campaign_of_a_store_that_is_migrated";
    campaign(test, Start::OldStore, &ways).await;
}

#[tokio::test]
async fn full_disk_campaign() {
    let ways = [(0, 6), (20, 3), (1, 5)];
    let ways = ways.map(|(count, quick)| Way::new("owtsn", count, NO_ROOM, quick));
    campaign("full_disk_campaign", Start::Nothing, &ways).await;
}

/// A write that is cut short, and whatever is written after it.
#[tokio::test]
async fn short_write_campaign() {
    let ways = [(0, NO_ROOM, 5), (0, BROKEN, 4), (1, 0, 4)];
    let ways = ways.map(|(count, error, quick)| Way::new("w", count, error, quick).short());
    campaign("short_write_campaign", Start::Nothing, &ways).await;
}

#[tokio::test]
async fn what_is_made_again_is_flushed_with_what_comes_next() {
    flushes::counted("what_is_made_again_is_flushed_with_what_comes_next").await;
}

#[tokio::test]
async fn a_flush_that_nobody_waits_for_and_fails_stops_the_store() {
    let test = "a_flush_that_nobody_waits_for_and_fails_stops_the_store";
    flushes::one_that_fails_stops_the_store(test).await;
}

/// As SMB, 9p, sshfs or exFAT are.
#[tokio::test]
async fn a_backup_is_made_where_the_file_system_knows_little() {
    knows_little("a_backup_is_made_where_the_file_system_knows_little").await;
}
