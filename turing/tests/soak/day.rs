//! The day of one store: who takes part in it, and what is done to them.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::looks;
use crate::plan::{Deed, Plan};
use crate::runs::{Keeper, OUT_OF_USE, Order, strike};
use crate::scene::{PATIENCE, Scene};
use crate::watch::{Watched, look_on};
use crate::workflow::{EVENING, ROUGH, STEADY};

/// How far the day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Things happen.
    Day,
    /// Runs come to their end, and no other begins.
    Evening,
    /// No run goes on.
    Night,
}

/// Those who take part; one that fails ends the day.
#[derive(Default)]
struct Others {
    /// Who ends in the evening.
    keepers: JoinSet<()>,
    /// Who ends at night.
    rest: JoinSet<()>,
}

impl Others {
    /// Waits for something while the others go on.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(ended) = self.keepers.join_next() => ended_well(ended),
                Some(ended) = self.rest.join_next() => ended_well(ended),
            }
        }
    }

    /// Waits for the end of all runs.
    async fn end_of_runs(&mut self) {
        while !self.keepers.is_empty() {
            tokio::select! {
                Some(ended) = self.keepers.join_next() => ended_well(ended),
                Some(ended) = self.rest.join_next() => ended_well(ended),
            }
        }
    }
}

/// Goes on with the failure of somebody who took part.
pub(crate) fn ended_well(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Lets the day of a store go by, and answers what was seen of its long-lived programs.
pub(crate) async fn day(scene: Arc<Scene>, plan: Plan) -> Watched {
    let phase = watch::Sender::new(Phase::Day);
    let mut others = Others::default();

    let (_, nothing) = mpsc::channel(1);
    let steady = Keeper::new(&scene, STEADY, nothing, phase.subscribe());
    let (run, models) = (steady.process(), Arc::<AtomicU32>::default());
    others.keepers.spawn(steady.keep());
    // its first wave begins when all its postings have entered
    let first = (STEADY * 100 + 10).to_string();
    others.beside(scene.until_well(&["events", "conversation", &first])).await;
    others.rest.spawn(keep_models(Arc::clone(&scene), Arc::clone(&models), phase.subscribe()));
    others.beside(scene.until_well(&["projection", "show", "run_progress"])).await;

    let mut orders = Vec::new();
    for workflow in ROUGH {
        let (sender, receiver) = mpsc::channel(1);
        let keeper = Keeper::new(&scene, workflow, receiver, phase.subscribe());
        others.keepers.spawn(keeper.keep());
        orders.push(sender);
    }
    others.rest.spawn(looks::read(Arc::clone(&scene), phase.subscribe()));
    others.rest.spawn(looks::back_up(Arc::clone(&scene), plan.backups));
    let watched = Arc::<Mutex<Watched>>::default();
    let long_lived = vec![("run", run), ("projection run", models)];
    let watching = look_on(Arc::clone(&scene), long_lived, Arc::clone(&watched), phase.subscribe());
    others.rest.spawn(watching);

    others.beside(carry_out(&scene, plan.deeds, &orders)).await;
    fs::write(scene.folder_of(STEADY).join(EVENING), "").unwrap();
    phase.send_replace(Phase::Evening);
    let ended = timeout(scene.size.evening, others.end_of_runs()).await;
    assert!(ended.is_ok(), "runs of {} have no end; {}", scene.name, scene.kept());
    phase.send_replace(Phase::Night);
    while let Some(ended) = others.rest.join_next().await {
        ended_well(ended);
    }
    std::mem::take(&mut *watched.lock().unwrap())
}

/// Keeps read models by one program from the morning to the night.
async fn keep_models(
    scene: Arc<Scene>,
    process: Arc<AtomicU32>,
    mut phase: watch::Receiver<Phase>,
) {
    let name = format!("{}-models", scene.name);
    let (mut child, told) = scene.start(&name, scene.by_the_clock(&["projection", "run"]));
    process.store(child.id().unwrap_or(0), Ordering::Relaxed);
    let early = tokio::select! {
        status = child.wait() => Some(status.unwrap()),
        Ok(_) = phase.wait_for(|phase| *phase == Phase::Night) => None,
    };
    let status = match early {
        Some(status) => status,
        None => {
            strike(&child, Signal::TERM);
            child.wait().await.unwrap()
        }
    };
    process.store(0, Ordering::Relaxed);
    let is_well = early.is_none() && status.success();
    let (text, path) = (told.text(), told.path.display());
    assert!(is_well, "{name} ended by {status}:\n{text}\nAll is in {path}; {}", scene.kept());
}

/// Does what is planned, each thing when the one before is done.
async fn carry_out(scene: &Scene, deeds: Vec<(Duration, Deed)>, orders: &[mpsc::Sender<Order>]) {
    let began = Instant::now();
    for (at, deed) in deeds {
        sleep_until(began + at).await;
        match deed {
            Deed::Blows(target, blows) => {
                let what = format!("{blows:?} for workflow {} in {}", ROUGH[target], scene.name);
                let (done, is_done) = oneshot::channel();
                let order = Order { blows, done };
                let struck =
                    async { orders[target].send(order).await.is_ok() && is_done.await.is_ok() };
                let struck = timeout(PATIENCE, struck).await;
                assert!(matches!(struck, Ok(true)), "{what} came to nothing; {}", scene.kept());
            }
            Deed::Clock(seconds) => {
                scene.clock.set(seconds);
                scene.count("clock steps");
            }
            Deed::FullDisk => {
                let enough = scene.counted(OUT_OF_USE) + 2;
                scene.goes_out();
                scene.fill_disk(true);
                let missing = || {
                    let met = scene.counted(OUT_OF_USE);
                    if met < enough { vec![format!("{met} of {enough}")] } else { Vec::new() }
                };
                scene.eventually("programs meet the full disk", missing).await;
                scene.fill_disk(false);
                scene.is_back();
                scene.count("full disks");
            }
            Deed::Restart(stop) => {
                let database = scene.database.as_ref().expect("only a server is restarted");
                let server = database.server().clone();
                scene.goes_out();
                let restart = move || {
                    stop(&server);
                    server.start();
                };
                tokio::task::spawn_blocking(restart).await.unwrap();
                scene.is_back();
                scene.count("server restarts");
            }
        }
    }
    sleep_until(began + scene.size.length).await;
}
