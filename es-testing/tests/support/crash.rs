//! A process that projects until it is killed, and what must be true afterwards; for the crash
//! campaigns of durable backends.
//!
//! A backend's test has this file as a module, and gives [`campaign`] a command that starts the test's
//! own program again, as a child that calls [`project_until_killed`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{
    AppendRequest, Claim, Definition, EventStore, NewEvent, ProjectionSink, RawKeying, ReadLog,
    Slot, StreamId, TableRead,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{EventFilter, Metadata, RecordedEvent};
use es_core::projection::{BatchLimit, Changes, ProjectionStatus, Rebuild, TableRow};
use es_core::{BoxError, Envelope, Event, ExpectedVersion, Runner, Store, TableProjection};
use es_testing::suite::rounds;
use serde::{Deserialize, Serialize};

/// Whose leases these are: a child takes those of the one before it at once.
const HOLDER: &str = "campaign";
const TIME_TO_LIVE: Duration = Duration::from_secs(30);

/// What is written.
#[derive(Event)]
enum Paid {
    AmountPaidIn { number: u64 },
}

/// A fold by which an event that is missing, twice or out of order shows.
struct Tally;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TallyRow {
    events: u64,
    digest: u64,
}

impl TallyRow {
    fn taken(self, event: &RecordedEvent) -> Self {
        let Paid::AmountPaidIn { number } = event.decode_one().expect("the campaign wrote it");
        let digest = self.digest.wrapping_mul(31).wrapping_add(number) % 1_000_000_007;
        Self { events: self.events + 1, digest }
    }
}

impl Tally {
    const NAME: &str = "tally";

    fn model() -> Definition {
        let selection = EventFilter::of::<Paid>();
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

/// The same fold, by a database.
#[derive(TableRow)]
#[table(name = "tallies")]
struct TallyEntry {
    #[table(key)]
    account: String,
    events: i64,
    digest: i64,
}

impl TableProjection for TallyEntry {
    type Event = Paid;
    type Tables = Self;

    fn project(event: &Envelope<'_, Paid>, rows: &mut Changes) -> Result<(), BoxError> {
        let Paid::AmountPaidIn { number } = event.data;
        let (account, digest) = (event.stream.to_string(), i64::try_from(number)?);
        rows.insert_or_update(
            Self { account, events: 1, digest },
            "events = tallies.events + excluded.events,
             digest = (tallies.digest * 31 + excluded.digest) % 1000000007",
        );
        Ok(())
    }
}

fn models() -> [Definition; 2] {
    [Tally::model(), Definition::table::<TallyEntry>()]
}

/// Starts a child, appends while it projects, kills it after some of what it does, and judges the
/// models; again and again, 12 times, or 200 with `ES_CAMPAIGN=full`.
///
/// `child` makes the command.
///
/// # Panics
///
/// When a model is not the fold of the log, or a child ends by itself.
pub(crate) async fn campaign(store: impl Into<Store>, child: impl Fn() -> Command) {
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
        judge(&store).await;
        assert!(kill < 8 || steps > 0, "seed {seed}: nothing was projected");
    }
}

/// Appends events with these numbers to a few streams.
async fn append_some(store: &Arc<dyn EventStore>, numbers: Vec<u64>) {
    for number in numbers {
        let event = Paid::AmountPaidIn { number };
        let payload = event.encode(&mut Metadata::new()).expect("a number is JSON");
        let event = NewEvent::new(UuidV7Ids.next_id(), event.event_type().name, payload);
        let stream = StreamId::new("account", &(number % 7).to_string());
        let stream = stream.expect("a number is an id");
        let request = AppendRequest::to(stream, ExpectedVersion::Any, vec![event]);
        store.append(request).await.expect("a store that is open takes an event");
    }
}

async fn read_log(store: &Arc<dyn EventStore>) -> Vec<RecordedEvent> {
    let (mut read, mut log) = (ReadLog::from_start(), Vec::new());
    loop {
        let page = store.read_log(&read).await.expect("the log can be read");
        log.extend(page.events);
        if page.at_end {
            return log;
        }
        read.after = page.next;
    }
}

/// Catches up and rebuilds, over and over, until the process is killed; in small batches or, by chance,
/// in ones that hold whatever there is. Prints a line for each event that is taken into a row.
///
/// # Panics
///
/// When it cannot go on.
pub(crate) async fn project_until_killed(store: impl Into<Store>) {
    let store = store.into();
    let limit = if fastrand::bool() { BatchLimit::events(7) } else { BatchLimit::default() };
    let runner = Runner::new(&store).holder(HOLDER).lease(TIME_TO_LIVE).batches(limit);
    let mut runner = models().into_iter().fold(runner, Runner::definition);
    let mut failures = 0;
    loop {
        let mut errors = Vec::new();
        errors.extend(runner.catch_up().await.err().map(|error| error.to_string()));
        for projection in models() {
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
async fn judge(store: &Store) {
    let log = read_log(store.event_store()).await;
    let sink = store.capabilities().models.as_ref().expect("the store keeps models");
    loop {
        // what was under way for the killed process is done or refused from now on
        let mut before = Vec::new();
        for definition in models() {
            before.push(fenced(sink, &definition).await);
        }
        let rows = sink.rows(Tally::NAME, Slot::Active, None, 1_000).await;
        let rows = rows.expect("the model is there").into_iter();
        let rows = rows.map(|row| (row.key, row.value.decode().expect("as written")));
        let all = TableRead::Rows { after: None, limit: 1_000 };
        let (name, table) = (TallyEntry::NAME, &TallyEntry::SCHEMA);
        let entries = sink.table_rows(name, Slot::Active, table, &all).await;
        let entries = entries.expect("the table is there").into_iter().map(|values| {
            let entry = TallyEntry::from_values(values).expect("as written");
            let (events, digest) = (entry.events.unsigned_abs(), entry.digest.unsigned_abs());
            (entry.account, TallyRow { events, digest })
        });
        let found: [BTreeMap<String, TallyRow>; 2] = [rows.collect(), entries.collect()];
        let mut after = Vec::new();
        for definition in models() {
            after.extend(sink.status(Some(definition.name())).await.expect("the sink answers"));
        }
        if before != after {
            // but for a switch, which needs another lease
            continue;
        }
        for (found, status) in found.into_iter().zip(after) {
            let active = status.active.as_ref().expect("the model is there");
            let place = active.checkpoint().position;
            let mut tally: BTreeMap<String, TallyRow> = BTreeMap::new();
            for event in log.iter().take_while(|event| event.position <= place) {
                let row = tally.entry(event.stream.to_string()).or_default();
                *row = std::mem::take(row).taken(event);
            }
            assert_eq!(found, tally, "{} is the fold of the log", status.projection);
        }
        return;
    }
}

/// Takes the lease of the active model, and answers its status.
async fn fenced(sink: &Arc<dyn ProjectionSink>, definition: &Definition) -> ProjectionStatus {
    let claim = Claim::of(definition, Slot::Active, HOLDER, TIME_TO_LIVE);
    sink.acquire(&claim).await.expect("the lease is the campaign's");
    let status = sink.status(Some(definition.name())).await.expect("the sink answers");
    status.into_iter().next().expect("it was acquired")
}
