//! Processes that react: how one works, and how it is started and ended.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{Batch, Claim, Lease, ProjectionSink, SinkError};
use es_core::layer::{LayeredSink, SinkLayer};
use es_core::{Runner, Store};
use tokio::sync::mpsc::UnboundedSender;

use super::receipts::Receipts;

/// Name to a child whose lease it takes, the file of its calls, and how many events it holds at once.
const HOLDER: &str = "ES_REACTOR_HOLDER";
const RECORD: &str = "ES_REACTOR_RECORD";
const AHEAD: &str = "ES_REACTOR_AHEAD";

/// So long a process waits for the lease of one that was killed under another name.
const LEASE: Duration = Duration::from_millis(300);

/// A runner as all processes of the campaign have one.
pub(crate) fn runner(store: &Store, holder: &str) -> Runner {
    Runner::new(store).holder(holder).lease(LEASE)
}

/// Tells the process that ends this one that something has begun or is done.
fn step() {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "step").and_then(|()| stdout.flush()).is_err() {
        // nobody is there any more to end it
        std::process::abort();
    }
}

/// A sink that tells what is about to change, and what has changed.
struct Telling(Arc<dyn ProjectionSink>);

#[async_trait]
impl SinkLayer for Telling {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.0
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        let lease = self.0.acquire(claim).await?;
        step();
        Ok(lease)
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        step();
        let committed = self.0.commit(lease, batch).await;
        step();
        committed
    }
}

/// Reacts until it is killed, or until whoever started it lets its standard input end.
///
/// # Panics
///
/// When it cannot go on.
pub(crate) async fn react_until_killed(store: impl Into<Store>) {
    let told = |name: &str| std::env::var(name).expect("the campaign says it to its children");
    let store = store.into();
    let models = store.capabilities().models.clone().expect("the store keeps models");
    let telling = store.clone().with_models(Arc::new(LayeredSink(Telling(models))));
    let ahead = told(AHEAD).parse().expect("it is a number");
    let receipts = Receipts::new(&store, Path::new(&told(RECORD)), ahead).telling(step);
    let runner = runner(&telling, &told(HOLDER)).reaction(receipts);
    let handle = runner.handle();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        handle.stop();
    });
    runner.run().await.expect("nothing keeps the reaction from its work");
}

/// How a child works, and what becomes of it.
pub(crate) struct Life<'a> {
    pub(crate) holder: &'a str,
    pub(crate) record: &'a Path,
    pub(crate) ahead: usize,
    /// After how many lines of its output it is ended.
    pub(crate) lines: usize,
    /// Whether it is killed, or asked to end.
    pub(crate) is_killed: bool,
}

/// A child that lives no longer than this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // one that has ended is not there to be killed
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a child, and a thread that passes on that it wrote a line, and ends it.
///
/// It is a thread and no task, so that a test that has failed waits for nobody.
pub(crate) fn started(
    mut child: Command,
    life: &Life<'_>,
    steps: UnboundedSender<()>,
) -> JoinHandle<()> {
    child.env(HOLDER, life.holder).env(RECORD, life.record).env(AHEAD, life.ahead.to_string());
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let child = child.spawn().expect("the program of this test can be started again");
    let (mut child, wanted, is_killed) = (Running(child), life.lines, life.is_killed);
    std::thread::spawn(move || {
        let output = child.0.stdout.take().expect("it was asked for");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        for _ in lines.by_ref().take(wanted) {
            // nobody listens any more when the test has failed
            let _ = steps.send(());
        }
        if is_killed {
            child.0.kill().expect("it is this process's child");
        } else {
            drop(child.0.stdin.take());
            lines.for_each(drop);
        }
        let status = child.0.wait().expect("it is this process's child");
        // who was killed has no code
        let is_as_wanted = if is_killed { status.code().is_none() } else { status.success() };
        assert!(is_as_wanted, "a child that was to be killed ({is_killed}) ended: {status}");
    })
}
