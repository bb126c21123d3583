//! `kill -9` of each command at random instants: then `status` says how to go on, and that works.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use es_testing::suite::rounds;
use fastrand::Rng;
use serde_json::{Value, json};
use turing_domain::ConversationId;

use crate::scene::{BASE, DEPRECATED, MAPPING_FILE, OLD, PHASES, Scene};
use crate::support::Answer;
use crate::support::preload::Preload;

/// A command, and when it is done.
struct Step {
    /// By what it is known here.
    name: &'static str,
    arguments: Vec<String>,
    /// What `status` proposes as long as it is not done; nothing of a way back, which nobody proposes.
    proposed: Option<&'static str>,
    /// A statement that answers true when it is done.
    is_done: String,
}

impl Step {
    fn new(name: &'static str, arguments: &[&str], is_done: impl Into<String>) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { name, arguments, proposed: None, is_done: is_done.into() }
    }

    fn proposed(mut self, words: &'static str) -> Self {
        self.proposed = Some(words);
        self
    }

    fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }
}

/// All commands forth and back, the `cycle`th time.
fn steps(cycle: u64) -> Vec<Step> {
    let phase = |phase: u32| format!("SELECT (phase = {phase})::text FROM cutovers");
    let archive = format!("old-{cycle}.csv");
    let archived = format!(
        "SELECT (count(*) > 0)::text FROM execution_events
         WHERE event_type = 'old_table_archived' AND event_data ->> 'file_name' = '{archive}'"
    );
    let created = "SELECT (coalesce(max(phase), 0) = 1)::text FROM cutovers";
    let imported = "SELECT is_backfilled::text FROM cutovers";
    let found = "SELECT (count(*) > 0)::text FROM cutover_open_discrepancies";
    let resolve = ["validate", "--resolve", "from-events", "--reason", "a test"];
    let back = |name: &'static str, to: usize| {
        Step::new(name, &["rollback", "--to", PHASES[to]], phase(to.try_into().unwrap()))
    };
    vec![
        Step::new("create", &["create", "--mapping", MAPPING_FILE], created).proposed("create"),
        Step::new("dual-write", &["dual-write"], phase(2)).proposed("dual-write"),
        Step::new("backfill", &["backfill", "--batch", "3"], imported).proposed("backfill"),
        Step::new("validate", &["validate"], found).proposed("validate"),
        Step::new("resolve", &resolve, phase(3)).proposed("validate"),
        Step::new("switch-reads", &["switch-reads"], phase(4)).proposed("switch-reads"),
        Step::new("deprecate", &["deprecate"], phase(5)).proposed("deprecate"),
        Step::new("archive", &["deprecate", "--archive", &archive], archived)
            .proposed("deprecate --archive"),
        back("rollback from deprecated", 4),
        back("rollback from reads-switched", 3),
        back("rollback from validated", 2),
        back("rollback from dual-write", 1),
        back("rollback from created", 0),
    ]
}

/// An instant of a life that long.
fn instant(chance: &mut Rng, life: Duration) -> Duration {
    life.mul_f64(chance.f64())
}

/// Starts a command and kills it after this time, unless it ends before; answers whether it was killed.
fn start_and_kill(scene: &Scene, command: Command, life: Duration) -> bool {
    let mut command = tokio::process::Command::from(command);
    scene.block_on(async {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        match tokio::time::timeout(life, child.wait()).await {
            Ok(_) => false,
            Err(_) => {
                child.kill().await.unwrap();
                true
            }
        }
    })
}

/// What `status` proposes next, without the name of the program.
fn proposed(status: &Value) -> String {
    status["next"].as_str().unwrap_or_default().to_owned()
}

/// Goes all the way forth and back, and is killed on the way.
struct Walk {
    scene: Scene,
    chance: Rng,
    /// How long each command takes when nobody kills it.
    lives: BTreeMap<&'static str, Duration>,
    kills: BTreeMap<&'static str, u64>,
    /// How many were done when they were killed, though nobody had heard of it.
    done: u64,
}

impl Walk {
    fn go(&mut self, step: &Step, wanted: u64) {
        let arguments = step.arguments();
        let is_done = |scene: &Scene| {
            let answers = scene.texts(&step.is_done);
            answers.first().is_some_and(|answer| answer == "true")
        };
        let life = self.lives.get(step.name).copied();
        if let Some(life) = life
            && self.kills[step.name] < wanted
        {
            let life = instant(&mut self.chance, life);
            let command = self.scene.command(&arguments);
            if start_and_kill(&self.scene, command, life) {
                *self.kills.get_mut(step.name).unwrap() += 1;
                self.done += u64::from(is_done(&self.scene));
            }
        }
        for tries in 0.. {
            // what was sent by somebody who was killed then may be done a moment later
            let (status, phase) = (self.scene.status(), self.scene.phase());
            if is_done(&self.scene) {
                return;
            }
            assert!(tries < 10, "{} is never done: {status:#}", step.name);
            // it says how to go on, and that is done
            assert_eq!(status["phase"], PHASES[phase], "{status:#}");
            assert_eq!(status["troubles"], json!([]), "{status:#}");
            if let Some(words) = step.proposed {
                assert!(proposed(&status).contains(words), "{}: {status:#}", step.name);
            }
            let began = Instant::now();
            let answer = self.scene.cutover(&arguments);
            // a round that finds something answers 1
            let is_well = matches!(answer.code, Some(0 | 1)) || is_done(&self.scene);
            assert!(is_well, "{}: {answer:#?}", step.name);
            self.lives.insert(step.name, began.elapsed());
            self.kills.entry(step.name).or_default();
        }
    }

    /// A program of the past writes the old table, and one of the present an event, as far as they may;
    /// answers which of them did.
    fn write(&self, number: u64) -> [bool; 2] {
        let phase = self.scene.phase();
        let writes = [phase < 5, phase >= 2 && self.scene.is_backfilled()];
        let statements = [
            format!(
                "UPDATE {OLD} SET outputs = outputs || '{{\"5\": {number}}}' WHERE posting_id = 16"
            ),
            format!(
                "SELECT append_event('llm_call_completed', 17, '{{\"output\": {number}}}',
                     '{{\"conversation_id\": 5}}')"
            ),
        ];
        for (statement, _) in statements.iter().zip(writes).filter(|(_, writes)| *writes) {
            // the server may just notice that somebody was killed who held the row
            let is_written = || self.scene.try_run(statement).is_ok();
            self.scene.wait_until(statement, is_written);
        }
        writes
    }

    /// What was written last is in the old table, as the programs wrote it.
    #[track_caller]
    fn check(&self, old: u64, event: u64) {
        let (states, _) = self.scene.block_on(self.scene.old_states(OLD));
        for (posting, number) in [(16, old), (17, event)] {
            let output = states[&posting].outputs.get(&ConversationId(5));
            let output = output.map(|output| output.as_str().to_owned());
            assert_eq!(output, Some(number.to_string()), "posting {posting}");
        }
    }
}

#[test]
fn a_command_that_is_killed_at_any_instant_can_be_gone_on_with_campaign() {
    let wanted = rounds(1, 50);
    let scene = Scene::of(60);
    let seed = scene.seed;
    println!("ES_SEED={seed}");
    let (lives, kills) = (BTreeMap::new(), BTreeMap::new());
    let mut walk = Walk { scene, chance: Rng::with_seed(seed), lives, kills, done: 0 };
    let (mut cycle, mut number) = (0, 0);
    // the first time nobody is killed, to know how long each takes
    while cycle == 0 || walk.kills.values().any(|kills| *kills < wanted) {
        cycle += 1;
        assert!(cycle < 4 * wanted + 20, "too few were killed: {:?}", walk.kills);
        let (mut old, mut event) = (0, 0);
        for step in steps(cycle) {
            number += 1;
            let [writes_old, appends] = walk.write(number);
            old = if writes_old { number } else { old };
            event = if appends { number } else { event };
            if step.name == "validate" {
                // there is always something to be found
                walk.scene.run(&format!(
                    "UPDATE {OLD} SET execution_count = execution_count + 1 WHERE posting_id = 6"
                ));
            }
            walk.go(&step, wanted);
            if step.name == "switch-reads" {
                walk.scene.assert_equal(BASE, "after reads are switched");
            }
        }
        walk.check(old, event);
    }
    println!(
        "{cycle} times forth and back, {} done when they were killed: {:?}",
        walk.done, walk.kills
    );
}

#[test]
fn a_drop_that_is_killed_is_done_or_can_be_done_campaign() {
    let wanted = rounds(1, 50);
    let archive = ["deprecate", "--archive", "old.csv"];
    let confirmed = ["deprecate", "--drop", "--confirm", DEPRECATED];
    let arguments = [&confirmed[..], &archive[1..]].concat();
    let (mut kills, mut done, mut chance) = (0, 0, Rng::new());
    let mut life = Duration::from_millis(100);
    while kills < wanted {
        let scene = Scene::agreeing(20);
        let clock = Preload::clock(scene.workspace.path());
        clock.set(61 * 24 * 3_600);
        let command = || {
            let mut command = scene.command(&arguments);
            clock.load_into(&mut command);
            command
        };
        scene.forward_to(5);
        scene.cutover(&archive).expect_code(0);
        let began = Instant::now();
        let killed = start_and_kill(&scene, command(), instant(&mut chance, life));
        if !killed {
            life = began.elapsed();
        }
        kills += u64::from(killed);
        let is_there = format!("SELECT (to_regclass('{DEPRECATED}') IS NOT NULL)::text");
        if scene.text(&is_there) == "true" {
            assert!(killed && proposed(&scene.status()).contains("deprecate --drop"));
            let dropped = command().output().unwrap();
            Answer::from(dropped).expect_code(0);
        } else {
            done += u64::from(killed);
        }
        assert_eq!(scene.text(&is_there), "false");
        let dropped =
            "SELECT count(*)::text FROM execution_events WHERE event_type = 'old_table_dropped'";
        assert_eq!(scene.number(dropped), 1);
        assert_eq!(proposed(&scene.status()), "");
    }
    println!("{kills} kills, {done} of them when it was done");
}
