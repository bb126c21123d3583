//! What reactions and projections cost for which nothing happens: appends beside 20 of either, and a
//! while without any event.
//!
//! `cargo bench -p es-benches --bench idle`; run as a test it does all of it with a few events.
#![allow(clippy::print_stdout, reason = "it shows what it found")]

mod counted;
mod idlers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use es_benches::rounds::median;
use es_benches::{Backend, Opened, Workload, is_measured, runtime};
use es_core::backend::Position;
use es_pgtest::Proxy;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::timeout;

use crate::counted::{Counts, counted};
use crate::idlers::{COUNT, Idlers};

/// How much is measured.
struct Sizes {
    /// Appends, one after the other.
    appends: usize,
    /// Appends that each wait until all have passed them.
    passed: usize,
    /// How long nothing is appended.
    quiet: Duration,
}

/// For what must happen: only what hangs reaches it.
const LIMIT: Duration = Duration::from_secs(60);

/// What was found with some of the idlers.
struct Figures {
    /// Milliseconds of an append, the middle one.
    append: f64,
    /// Milliseconds of an append and until all have passed it, the middle one.
    passed: f64,
    /// What such an append asked of the store, itself included.
    asked: Asked,
    /// Milliseconds of this process's CPUs while nothing was appended.
    cpu: f64,
    asked_in_quiet: Asked,
}

/// Calls of the store and its sink, and what went to a server, if that is counted.
#[derive(Clone, Copy)]
struct Asked {
    calls: f64,
    statements: Option<f64>,
}

/// Who counts.
struct Meter<'a> {
    counts: Arc<Counts>,
    proxy: Option<&'a Proxy>,
}

impl Meter<'_> {
    fn read(&self) -> Asked {
        let statements = self.proxy.map(|proxy| proxy.syncs() as f64);
        Asked { calls: self.counts.calls() as f64, statements }
    }

    /// What was asked since `before`, for each of so many.
    fn since(&self, before: Asked, times: f64) -> Asked {
        let now = self.read();
        let each = |now: f64, before: f64| (now - before) / times;
        let statements = now.statements.zip(before.statements);
        let statements = statements.map(|(now, before)| each(now, before));
        Asked { calls: each(now.calls, before.calls), statements }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The time that this process has had of all CPUs.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.try_into().expect("no process has had less than nothing")
}

/// Appends one event, by a handle that is not counted.
async fn append(opened: &Opened, workload: &mut Workload) -> (Position, Duration) {
    let request = workload.anywhere(1);
    let begun = Instant::now();
    let appended = opened.store.append(request).await.expect("nothing conflicts with Any");
    (appended.position(), begun.elapsed())
}

async fn measure(opened: &Opened, idlers: Idlers, sizes: &Sizes, proxy: Option<&Proxy>) -> Figures {
    let meter = Meter { counts: Arc::default(), proxy };
    let runner = idlers.runner(&counted(&opened.store, &meter.counts));
    let running = runner.map(|runner| (runner.handle(), tokio::spawn(runner.run())));
    let all_have_passed = async |position| {
        let reached = meter.counts.reached(idlers.count(), position);
        timeout(LIMIT, reached).await.expect("all come to the end of the log");
    };
    let mut workload = Workload::seeded(1 + idlers as u64);
    // all are at work, and what is asked is prepared
    for _ in 0..2 {
        all_have_passed(append(opened, &mut workload).await.0).await;
    }

    let (mut took, mut last) = (Vec::new(), Position::START);
    for _ in 0..sizes.appends {
        let (position, append) = append(opened, &mut workload).await;
        took.push(milliseconds(append));
        last = position;
    }
    all_have_passed(last).await;

    let (mut passed, before) = (Vec::new(), meter.read());
    for _ in 0..sizes.passed {
        let begun = Instant::now();
        all_have_passed(append(opened, &mut workload).await.0).await;
        passed.push(milliseconds(begun.elapsed()));
    }
    let mut asked = meter.since(before, sizes.passed as f64);
    // that of the append
    asked.calls += 1.0;

    let (before, cpu_before) = (meter.read(), cpu());
    tokio::time::sleep(sizes.quiet).await;
    let cpu = milliseconds(cpu() - cpu_before);
    let asked_in_quiet = meter.since(before, 1.0);
    if let Some((handle, running)) = running {
        handle.stop();
        let ended = running.await.expect("the runner does not panic");
        ended.expect("nothing keeps them from going on");
    }
    Figures { append: median(&took), passed: median(&passed), asked, cpu, asked_in_quiet }
}

/// One line: what there is without idlers, and with each kind of them, with the ratio to that.
fn line(name: &str, values: &[Option<f64>]) {
    let without = values.first().copied().flatten();
    let shown = values.iter().enumerate().map(|(index, value)| {
        let shown = match (value, without) {
            (None, _) => "-".to_owned(),
            (Some(value), Some(without)) if index > 0 && without > 0.0 => {
                format!("{value:.3} ({:.2})", value / without)
            }
            (Some(value), _) => format!("{value:.3}"),
        };
        format!("{shown:>20}")
    });
    println!("{name:44}{}", shown.collect::<String>());
}

fn print(backend: Backend, sizes: &Sizes, found: &[Figures]) {
    let heading = |text: String| format!("{text:>20}");
    let kinds = ["nobody".to_owned(), format!("{COUNT} reactions"), format!("{COUNT} projections")];
    println!("\n{:44}{}", backend.name(), kinds.map(heading).concat());
    let all = |name: &str, of: fn(&Figures) -> Option<f64>| {
        line(name, &found.iter().map(of).collect::<Vec<_>>());
    };
    let quiet = format!("{:?} without an event", sizes.quiet);
    all("append, ms", |it| Some(it.append));
    all("append until all have passed it, ms", |it| Some(it.passed));
    all("  calls for it", |it| Some(it.asked.calls));
    all("  statements for it", |it| it.asked.statements);
    all(&format!("{quiet}: CPU ms"), |it| Some(it.cpu));
    all("  calls", |it| Some(it.asked_in_quiet.calls));
    all("  statements", |it| it.asked_in_quiet.statements);
}

async fn on(backend: Backend, sizes: &Sizes) {
    let opened = backend.open().await;
    let mut found = Vec::new();
    for idlers in Idlers::ALL {
        found.push(Box::pin(measure(&opened, idlers, sizes, None)).await);
    }
    opened.close().await;
    if backend == Backend::Postgres {
        // what counts on the way to the server takes time, so that is another run
        let (opened, proxy) = Opened::behind_proxy().await;
        for (idlers, figures) in Idlers::ALL.into_iter().zip(&mut found) {
            let counted = Box::pin(measure(&opened, idlers, sizes, Some(&proxy))).await;
            figures.asked.statements = counted.asked.statements;
            figures.asked_in_quiet.statements = counted.asked_in_quiet.statements;
        }
        opened.close().await;
    }
    print(backend, sizes, &found);
}

fn main() {
    let sizes = if is_measured() {
        Sizes { appends: 2_000, passed: 200, quiet: Duration::from_secs(10) }
    } else {
        Sizes { appends: 10, passed: 3, quiet: Duration::from_millis(20) }
    };
    runtime().block_on(async {
        for backend in Backend::ALL {
            Box::pin(on(backend, &sizes)).await;
        }
    });
}
