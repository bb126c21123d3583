//! Four programs that write while the cutover goes on, and what must be there of it.
//!
//! Each owns every twentieth posting, of which it knows what it wrote last; others are everybody's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use es_core::event::Payload;
use fastrand::Rng;
use serde_json::{Value, json};
use turing_domain::ConversationId;

use crate::compare::States;
use crate::hands::{Events, Hand, InPython, OldTable, Target, Written};
use crate::scene::Scene;

/// How long a program waits between two writes: it is not alone on the machine.
const PACE: Duration = Duration::from_millis(10);

/// Of each twenty postings, the one that is everybody's, and the first that is somebody's.
const SHARED: i32 = 15;
const FIRST_OWN: i32 = 16;

/// Who they are.
const NAMES: [&str; 4] = ["old table, Rust", "events, Rust", "old table, Python", "both, Python"];

/// The last writes of one place.
#[derive(Debug, Default)]
struct Entry {
    certain: Option<u64>,
    last: u64,
}

/// What one program wrote.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<(i32, i32), Entry>,
    number: u64,
    written: u64,
    perhaps: u64,
    not: u64,
    refused: u64,
}

impl Ledger {
    /// Nothing that was certainly written is gone, and nothing older has come back.
    #[track_caller]
    fn check(&self, name: &str, states: &States) {
        for ((posting, conversation), entry) in &self.entries {
            let Some(certain) = entry.certain else { continue };
            let id = ConversationId(*conversation);
            let output = states.get(posting).and_then(|state| state.outputs.get(&id));
            let output: Option<Value> = output.map(|output| output.decode().unwrap());
            let number = output.as_ref().and_then(|output| output["n"].as_u64());
            let is_there = number.is_some_and(|it| (certain..=entry.last).contains(&it));
            assert!(
                is_there,
                "{name} wrote {entry:?} to posting {posting}, and there is {output:?}"
            );
        }
    }

    fn note(&mut self, written: &Written, target: Target, is_own: bool) {
        let number = self.number;
        let mut keep = |certain: Option<u64>| {
            if is_own {
                let entry = self.entries.entry((target.posting, target.conversation)).or_default();
                entry.certain = certain.or(entry.certain);
                entry.last = number;
            }
        };
        match written {
            Written::Certainly => {
                keep(Some(number));
                self.written += 1;
            }
            Written::Perhaps => {
                keep(None);
                self.perhaps += 1;
            }
            Written::Not => self.not += 1,
            Written::Refused(_) => self.refused += 1,
        }
    }
}

/// What one program does until it is stopped.
struct Program {
    name: &'static str,
    own: i32,
    postings: i32,
    hand: Box<dyn Hand>,
    ledger: Ledger,
    chance: Rng,
    /// True while the old table may be out of use.
    is_retired: Arc<AtomicBool>,
}

impl Program {
    fn run(mut self, stop: &Receiver<()>) -> Ledger {
        while stop.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
            self.ledger.number += 1;
            let rest = if self.chance.u8(..4) > 0 { self.own } else { SHARED };
            let mut target = Target {
                posting: self.chance.i32(0..self.postings / 20) * 20 + rest,
                conversation: self.chance.i32(1..=3),
            };
            let value = json!({"by": self.name, "n": self.ledger.number});
            let may_be_refused = self.is_retired.load(Ordering::SeqCst);
            let written = self.hand.write(&mut target, &value);
            let may_be_refused = may_be_refused || self.is_retired.load(Ordering::SeqCst);
            if let (false, Written::Refused(why)) = (may_be_refused, &written) {
                panic!("{} is refused posting {}: {why}", self.name, target.posting);
            }
            let is_shared = target.posting <= self.postings && rest == SHARED;
            self.ledger.note(&written, target, !is_shared);
        }
        self.ledger
    }
}

/// The four of them, at work.
pub(crate) struct Writers(Vec<(Sender<()>, JoinHandle<Ledger>)>);

/// What the four of them wrote.
#[derive(Debug, Default)]
pub(crate) struct Ledgers([Ledger; 4]);

impl Writers {
    pub(crate) fn start(scene: &Scene, python: &str, ledgers: Ledgers) -> Self {
        let hands: [Box<dyn Hand>; 4] = [
            Box::new(OldTable::new(scene, scene.seed)),
            Box::new(Events::new(scene)),
            Box::new(InPython::old(scene, python)),
            Box::new(InPython::both(scene, python)),
        ];
        let programs = NAMES.into_iter().zip(FIRST_OWN..).zip(hands).zip(ledgers.0);
        let started = programs.map(|(((name, own), hand), ledger)| {
            let program = Program {
                name,
                own,
                postings: scene.postings,
                hand,
                chance: Rng::with_seed(scene.seed.wrapping_add(ledger.number * 4 + own as u64)),
                ledger,
                is_retired: Arc::clone(&scene.is_retired),
            };
            let (stop, stopped) = mpsc::channel();
            (stop, thread::spawn(move || program.run(&stopped)))
        });
        Self(started.collect())
    }

    /// Ends them, each after what it is about.
    pub(crate) fn stop(self) -> Ledgers {
        let ended = self.0.into_iter().map(|(stop, program)| {
            drop(stop);
            program.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let ledgers: Vec<_> = ended.collect();
        Ledgers(ledgers.try_into().unwrap())
    }
}

impl Ledgers {
    /// All that was written is there, and all that was there before.
    #[track_caller]
    pub(crate) fn check(&self, scene: &Scene, states: &States) {
        for (name, ledger) in NAMES.into_iter().zip(&self.0) {
            ledger.check(name, states);
        }
        let before = Payload::of("before").unwrap();
        for posting in (1..=scene.postings).filter(|posting| posting % 20 >= SHARED) {
            let kept = states.get(&posting).and_then(|it| it.outputs.get(&ConversationId(9)));
            assert_eq!(kept, Some(&before), "posting {posting} lost what the old table had");
        }
    }

    /// Each program has written, and was not kept from it most of the time.
    #[track_caller]
    pub(crate) fn check_progress(&self) {
        for (name, ledger) in NAMES.into_iter().zip(&self.0) {
            assert!(ledger.written > ledger.not, "{name}: {}", ledger.told());
        }
    }

    pub(crate) fn told(&self) -> String {
        let told = NAMES.into_iter().zip(&self.0);
        let told: Vec<_> = told.map(|(name, it)| format!("{name}: {}", it.told())).collect();
        told.join("\n")
    }
}

impl Ledger {
    fn told(&self) -> String {
        let Self { written, perhaps, not, refused, .. } = self;
        format!(
            "{written} writes, {perhaps} while the phase changed, {not} gave way, {refused} refused"
        )
    }
}
