//! A process that projects until it is killed, and what must be true afterwards; for the crash
//! campaigns of durable backends.
//!
//! A backend's test gives [`campaign`] a command that starts the test's own program again, as a child
//! that calls [`project_until_killed`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use es_core::projection::{
    BatchLimit, Claim, Definition, ProjectionSink, ProjectionStatus, RawKeying, Rebuild, Runner,
    Slot, Subscription,
};
use es_core::{EventStore, RecordedEvent, Store};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::parts::{ANY, append, event, number, read_log, rounds, stream};
use super::{HANDLED, SuiteHandler};

/// Whose leases these are: a child takes those of the one before it at once.
const HOLDER: &str = "campaign";
const TIME_TO_LIVE: Duration = Duration::from_secs(30);

/// A fold by which an event that is missing, twice or out of order shows.
struct Tally;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TallyRow {
    events: u64,
    digest: u64,
}

impl TallyRow {
    fn taken(self, event: &RecordedEvent) -> Self {
        let digest = self.digest.wrapping_mul(31).wrapping_add(number(event)) % 1_000_000_007;
        Self { events: self.events + 1, digest }
    }
}

impl Tally {
    const NAME: &str = "tally";

    fn model() -> Definition {
        let selection = SuiteHandler::selection();
        Definition::rows(Self::NAME, 1, selection, RawKeying::Streams, |_, row, event| {
            // tells the process that kills this one how far it is
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "taken {}", event.position)?;
            stdout.flush()?;
            let row: TallyRow = row.unwrap_or_default();
            Ok(Some(row.taken(event)))
        })
    }
}

fn handled() -> Definition {
    Definition::handled(HANDLED, 1, SuiteHandler::selection())
}

/// Starts a child, appends while it projects, kills it after some of what it does, and judges the
/// models; again and again, 12 times, or 200 with `ES_CAMPAIGN=full`.
///
/// `child` makes the command. `effects` answers what the handler of [`HANDLED`] wrote for its active
/// model, as [`ProjectionFixture::effects`](super::ProjectionFixture::effects) does.
///
/// # Panics
///
/// When a model is not the fold of the log, or a child ends by itself.
pub async fn campaign(
    store: impl Into<Store>,
    child: impl Fn() -> Command,
    effects: impl AsyncFn() -> Vec<(String, u64)>,
) {
    let store = store.into();
    let events = store.event_store();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut numbers = 0..;
    let mut next = |count: usize| numbers.by_ref().take(count).collect::<Vec<u64>>();
    let (kills, mut steps) = (rounds(12, 200), 0);
    append_some(events, next(60)).await;
    for kill in 0..kills {
        append_some(events, next(10)).await;
        let mut child = child()
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program of this test can be started again");
        let output = child.stdout.take().expect("it was asked for");
        // some do not get beyond catching up, some rebuild and switch several times
        let lines = random.usize(0..200);
        let reading = tokio::task::spawn_blocking(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok).take(lines);
            let taken = lines.filter(|line| line.starts_with("taken ")).count();
            // without a reader the child would end by itself, so it is killed before
            let killed = child.kill().and_then(|()| child.wait());
            (taken, killed.expect("it is this process's child"))
        });
        append_some(events, next(10)).await;
        let (taken, status) = reading.await.expect("reading lines does not panic");
        assert!(
            !status.success() && status.code().is_none(),
            "seed {seed}: a child ended: {status}"
        );
        steps += taken;
        judge(&store, &effects).await;
        assert!(kill < 8 || steps > 0, "seed {seed}: nothing was projected");
    }
}

/// Appends events with these numbers to a few streams.
async fn append_some(store: &Arc<dyn EventStore>, numbers: Vec<u64>) {
    for number in numbers {
        append(store, &stream(&(number % 7).to_string()), ANY, vec![event(number)]).await;
    }
}

/// Catches up and rebuilds, over and over, until the process is killed; in small batches or, by chance,
/// in ones that hold whatever there is. Prints a line for each event that is taken into a row.
///
/// # Panics
///
/// When it cannot go on.
pub async fn project_until_killed(store: impl Into<Store>) {
    let store = store.into();
    let limit = if fastrand::bool() { BatchLimit::events(7) } else { BatchLimit::default() };
    let mut runner = Runner::new(&store)
        .holder(HOLDER)
        .lease(TIME_TO_LIVE)
        .batches(limit)
        .definition(Tally::model())
        .definition(handled());
    let mut failures = 0;
    loop {
        let mut errors = Vec::new();
        errors.extend(runner.catch_up().await.err().map(|error| error.to_string()));
        for projection in [Tally::model(), handled()] {
            let rebuild = Rebuild::definition(&store, projection);
            let rebuild = rebuild.holder(HOLDER).lease(TIME_TO_LIVE).slices(3).batches(limit);
            errors.extend(rebuild.run().await.err().map(|error| error.to_string()));
        }
        // what was under way for the process before may have come between, but not for ever
        failures = if errors.is_empty() { 0 } else { failures + 1 };
        assert!(failures < 10, "nothing keeps projections from their end, but: {errors:?}");
    }
}

/// Checks that the active models are the folds of the log up to their checkpoints.
async fn judge(store: &Store, effects: &impl AsyncFn() -> Vec<(String, u64)>) {
    let log = read_log(store.event_store()).await;
    let sink = store.capabilities().models.as_ref().expect("the store keeps models");
    let tally = Subscription::definition(store, Tally::model());
    loop {
        // what was under way for the killed process is done or refused from now on
        let mut before = Vec::new();
        for definition in [Tally::model(), handled()] {
            before.push(fenced(sink, &definition).await);
        }
        let rows = tally.rows(Slot::Active).try_collect::<Vec<_>>().await;
        let (rows, effects) = (rows.expect("the model is there"), effects().await);
        let mut after = Vec::new();
        for name in [Tally::NAME, HANDLED] {
            after.extend(sink.status(Some(name)).await.expect("the sink answers"));
        }
        if before != after {
            // but for a switch, which needs another lease
            continue;
        }
        let upto = |index: usize| {
            let active = after[index].active.as_ref().expect("the model is there");
            let place = active.checkpoint().position;
            log.iter().filter(move |event| event.position <= place)
        };
        let mut tally: BTreeMap<String, TallyRow> = BTreeMap::new();
        for event in upto(0) {
            let row = tally.entry(event.stream.to_string()).or_default();
            *row = std::mem::take(row).taken(event);
        }
        let found = rows.into_iter().map(|row| (row.key, row.value.decode().expect("as written")));
        assert_eq!(found.collect::<BTreeMap<String, TallyRow>>(), tally, "rows are the fold");
        let expected: Vec<_> =
            upto(1).map(|event| (event.stream.to_string(), number(event))).collect();
        assert_eq!(effects, expected, "the handler took each event once, in order");
        return;
    }
}

/// Takes the lease of the active model, and answers its status.
async fn fenced(sink: &Arc<dyn ProjectionSink>, definition: &Definition) -> ProjectionStatus {
    let claim =
        Claim::new(definition.name(), definition.fingerprint(), Slot::Active, HOLDER, TIME_TO_LIVE);
    sink.acquire(&claim).await.expect("the lease is the campaign's");
    let status = sink.status(Some(definition.name())).await.expect("the sink answers");
    status.into_iter().next().expect("it was acquired")
}
