//! Who has the program run a workflow round after round, whatever ends it, and judges how it ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::day::Phase;
use crate::scene::{Scene, Told};
use crate::workflow::STEADY;

/// What is counted of a scene.
pub(crate) const KILLS: &str = "kills";
pub(crate) const OUT_OF_USE: &str = "programs ended because their store was out of use";

/// A program that is refused so often in a row never comes through.
const REFUSALS: u32 = 60;

/// A signal, so long after the one before it, or after the program's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blow {
    pub(crate) after: Duration,
    pub(crate) signal: Signal,
}

/// Blows that the program is to get; one that ends before leaves them to the next.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) blows: Vec<Blow>,
    pub(crate) done: oneshot::Sender<()>,
}

/// Who keeps a workflow going.
pub(crate) struct Keeper {
    scene: Arc<Scene>,
    workflow: i32,
    orders: mpsc::Receiver<Order>,
    phase: watch::Receiver<Phase>,
    /// The program that runs, for who watches it; 0 if none does.
    process: Arc<AtomicU32>,
    order: Option<Order>,
    /// How often in a row the program could not begin or go on.
    refusals: u32,
    /// Whether there was a program before.
    has_run: bool,
}

/// How a program ended.
struct Ended {
    status: ExitStatus,
    /// The signals that it was sent.
    sent: Vec<Signal>,
    text: String,
    told: Told,
    /// Whether its store was out of use meanwhile.
    was_out: bool,
}

/// What follows from that.
enum Next {
    /// The round is over.
    Round,
    /// The same command goes on.
    Again,
    /// It was refused, or could not go on: the same command will, in time.
    Patience,
}

impl Keeper {
    pub(crate) fn new(
        scene: &Arc<Scene>,
        workflow: i32,
        orders: mpsc::Receiver<Order>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let (process, order) = (Arc::default(), None);
        let (refusals, has_run, scene) = (0, false, Arc::clone(scene));
        Self { scene, workflow, orders, phase, process, order, refusals, has_run }
    }

    pub(crate) fn process(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.process)
    }

    /// Runs round after round until the evening, each to its end.
    pub(crate) async fn keep(mut self) {
        for round in 0.. {
            self.scene.give(self.workflow, round);
            while !self.has_ended(round).await {}
            if self.workflow == STEADY || *self.phase.borrow() >= Phase::Evening {
                return;
            }
        }
    }

    /// Runs the program once; true if the round is over.
    async fn has_ended(&mut self, round: i32) -> bool {
        let (scene, workflow) = (Arc::clone(&self.scene), self.workflow);
        let outages = scene.outages();
        let name = format!("{}-{workflow}", scene.name);
        let (mut child, told) = scene.start(&name, scene.run(workflow, round));
        self.process.store(child.id().unwrap_or(0), Ordering::Relaxed);
        let (status, sent) = self.wait(&mut child).await;
        self.process.store(0, Ordering::Relaxed);

        let what = format!("nothing outlives {name}, which ended by {status}");
        scene.eventually(&what, || scene.left_by(workflow)).await;
        let (text, was_out) = (told.text(), scene.was_out_since(outages));
        let next = self.judge(&Ended { status, sent, text, told, was_out });
        match next {
            Next::Round | Next::Again => self.refusals = 0,
            Next::Patience => {
                self.refusals += 1;
                assert!(self.refusals < REFUSALS, "{name} never comes through; {}", scene.kept());
                if was_out && self.refusals > 1 {
                    // once it was tried while the store was out of use, too
                    scene.until_back().await;
                }
            }
        }
        matches!(next, Next::Round)
    }

    /// Waits for the program's end, and sends it the signals that are ordered.
    async fn wait(&mut self, child: &mut Child) -> (ExitStatus, Vec<Signal>) {
        let (mut sent, mut due) = (Vec::new(), Instant::now());
        due += self.order.as_ref().map_or(Duration::ZERO, |order| order.blows[0].after);
        loop {
            let blows = self.order.as_ref().map_or(&[][..], |order| &order.blows[sent.len()..]);
            let (blow, next) = (blows.first().copied(), blows.get(1).copied());
            tokio::select! {
                status = child.wait() => return (status.unwrap(), sent),
                Some(order) = self.orders.recv(), if self.order.is_none() => {
                    due = Instant::now() + order.blows[0].after;
                    self.order = Some(order);
                }
                () = sleep_until(due), if blow.is_some() => {
                    let signal = blow.expect("one is left").signal;
                    strike(child, signal);
                    sent.push(signal);
                    due += next.map_or(Duration::ZERO, |next| next.after);
                }
            }
        }
    }

    fn judge(&mut self, ended: &Ended) -> Next {
        let Ended { status, sent, text, was_out, .. } = ended;
        let (code, signal) = (status.code(), status.signal());
        let was_struck = match sent.contains(&Signal::KILL) {
            true => signal == Some(Signal::KILL.as_raw()),
            false => !sent.is_empty(),
        };
        if was_struck && let Some(order) = self.order.take() {
            let is_kill = sent.contains(&Signal::KILL);
            self.scene.count(if is_kill { KILLS } else { "requests to stop" });
            // who ordered it may have given up
            let _ = order.done.send(());
        }
        let tells = |words: &str| text.contains(words);
        let has_no_room = tells("no room is left") || tells("No space left on device");
        let is_file = self.scene.database.is_none();
        let next = match code {
            Some(0) => Next::Round,
            _ if tells("panicked") || tells("this is a defect") => self.fail(ended),
            None if sent.iter().any(|sent| Some(sent.as_raw()) == signal) => Next::Again,
            // the lock's own file lies on the disk as well
            Some(3) if is_file && *was_out && has_no_room => self.refused(OUT_OF_USE),
            Some(3) if !is_file && *was_out => self.refused(OUT_OF_USE),
            Some(1 | 75) if !sent.is_empty() => Next::Again,
            Some(1) if tells("cannot go on") => {
                self.refused("programs ended with postings held up")
            }
            Some(3) if tells("busy time-out") => self.refused("programs ended by a store held up"),
            // the server notices a moment later that a program has ended
            Some(4) if !is_file && self.has_run && tells("is being run in this store") => {
                self.refused("programs met the lock of the one before")
            }
            _ => self.fail(ended),
        };
        let is_clean = code == Some(0) || matches!(code, Some(1 | 75)) && sent.len() == 1;
        let is_cut_off = code != Some(4) && (!is_clean || tells("cannot go on"));
        if is_cut_off {
            self.scene.count(cut_offs_of(self.workflow));
        }
        self.has_run = true;
        next
    }

    fn refused(&self, how: &str) -> Next {
        self.scene.count(how);
        Next::Patience
    }

    fn fail(&self, ended: &Ended) -> ! {
        let Ended { status, sent, text, told, .. } = ended;
        panic!(
            "workflow {} in {} ended by {status} after the signals {sent:?}, which nothing \
             explains:\n{text}\nAll that its programs told is in {}; {}",
            self.workflow,
            self.scene.name,
            told.path.display(),
            self.scene.kept()
        )
    }
}

/// How the scene counts programs that were ended in the middle of their work.
pub(crate) fn cut_offs_of(workflow: i32) -> String {
    format!("programs of workflow {workflow} cut off")
}

/// Sends a signal to a process that was not waited for yet, so that its number is its own.
pub(crate) fn strike(child: &Child, signal: Signal) {
    let id = child.id().expect("it was not waited for");
    let pid = Pid::from_raw(id.cast_signed()).expect("the system gives no process the number 0");
    kill_process(pid, signal).unwrap();
}
