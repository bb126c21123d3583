//! Many postings: how long each command takes, how much memory it needs, and for how long programs wait
//! that write meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use es_testing::suite::rounds;
use fastrand::Rng;
use serde_json::json;
use tokio::sync::watch;

use crate::hands::{Events, Hand, OldTable, Target, Written};
use crate::scene::{MAPPING_FILE, Scene};

/// How long the writes took that came to their end since somebody asked: the longest, and how many.
type Waits = Arc<Mutex<BTreeMap<&'static str, (Duration, u64)>>>;

/// A program that writes one posting after the other, and takes the time of each write.
fn write_on(
    scene: &Scene,
    name: &'static str,
    mut hand: Box<dyn Hand>,
    waits: &Waits,
    stopped: &watch::Receiver<bool>,
) -> JoinHandle<()> {
    let (waits, stopped) = (Arc::clone(waits), stopped.clone());
    let (postings, mut chance) = (scene.postings, Rng::with_seed(scene.seed));
    thread::spawn(move || {
        for number in 0_u64.. {
            if *stopped.borrow() {
                return;
            }
            // those that are open
            let posting = chance.i32(0..postings / 20) * 20 + 15 + chance.i32(0..5);
            let mut target = Target { posting, conversation: 4 };
            let began = Instant::now();
            let written = hand.write(&mut target, &json!({"by": name, "n": number}));
            let took = began.elapsed();
            if !matches!(written, Written::Refused(_)) {
                let mut waits = waits.lock().unwrap();
                let (longest, count) = waits.entry(name).or_default();
                *longest = took.max(*longest);
                *count += 1;
            }
        }
    })
}

/// Carries a command out, and answers how long it took and how many bytes it needed at most.
fn measured(scene: &Scene, arguments: &[&str]) -> (Duration, u64, Option<i32>) {
    let mut command = tokio::process::Command::from(scene.command(arguments));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    scene.block_on(async {
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let status = format!("/proc/{}/status", child.id().unwrap());
        let mut look = tokio::time::interval(Duration::from_millis(20));
        let mut peak = 0;
        loop {
            tokio::select! {
                ended = child.wait() => return (began.elapsed(), peak, ended.unwrap().code()),
                _ = look.tick() => peak = peak.max(high_water_mark(&status)),
            }
        }
    })
}

/// How many bytes a process has had at most; 0 if it has ended.
fn high_water_mark(status: &str) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[test]
fn many_postings_move_over_campaign() {
    let postings = i32::try_from(rounds(400, 200_000)).unwrap();
    let scene = Scene::of(postings);
    let waits = Waits::default();
    let (stop, stopped) = watch::channel(false);
    let hands: [(&'static str, Box<dyn Hand>); 2] = [
        ("old table", Box::new(OldTable::new(&scene, scene.seed))),
        ("events", Box::new(Events::new(&scene))),
    ];
    let programs = hands.map(|(name, hand)| write_on(&scene, name, hand, &waits, &stopped));

    println!("{postings} postings");
    let from_events =
        ["validate", "--resolve", "from-events", "--reason", "the counters are wrong"];
    let steps: [&[&str]; 11] = [
        &["create", "--mapping", MAPPING_FILE],
        &["dual-write"],
        &["backfill"],
        &["validate"],
        &from_events,
        &["validate"],
        &["switch-reads"],
        &["deprecate"],
        &["deprecate", "--archive", "old.csv"],
        &["rollback", "--to", "dual-write"],
        &["validate"],
    ];
    let mut whole = Duration::ZERO;
    for (number, arguments) in steps.into_iter().enumerate() {
        waits.lock().unwrap().clear();
        let (took, peak, code) = scene.during(arguments, |scene| measured(scene, arguments));
        // the first round finds the counters
        let expected = if number == 3 { 1 } else { 0 };
        assert_eq!(code, Some(expected), "{arguments:?}");
        whole += took;
        let longest = waits.lock().unwrap().clone();
        let longest: Vec<_> = longest
            .iter()
            .map(|(name, (longest, count))| {
                format!("{name} {:.1} ms of {count}", longest.as_secs_f64() * 1_000.0)
            })
            .collect();
        println!(
            "{}: {:.1} s, {} MiB; longest write: {}",
            arguments.join(" "),
            took.as_secs_f64(),
            peak / 1024 / 1024,
            longest.join(", ")
        );
    }
    println!("all of it: {:.1} s", whole.as_secs_f64());
    stop.send(true).unwrap();
    programs.into_iter().for_each(|program| program.join().unwrap());
    assert_eq!(scene.number("SELECT count(*)::text FROM cutover_differences(NULL)"), 0);
}
