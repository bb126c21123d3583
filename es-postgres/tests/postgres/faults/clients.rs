//! The client is killed: a process of its own that appends until it is.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendRequest, Appended, AppendedStream, EventReceipt, EventStore, EventStoreExt, Position,
    ReadLog, Timestamp,
};
use es_core::event::EventId;
use es_core::execution::StreamVersion;
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use es_testing::checker::{AppendCall, AppendOutcome, History, Span, WriteOrder};
use es_testing::suite::rounds;
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::seed;
use crate::support::{database, events, key, open};

/// Where the child finds its database, which child it is, and at which append it goes on.
const TASK: &str = "ES_FAULTS_CLIENT";

/// The append with this number, as one client sends it: what each client sends under the number is
/// the same but for the event ids.
fn request(client: u64, number: u64) -> AppendRequest {
    let stream = |part: u64| format!("account/{}", (number + part) % 7).parse().unwrap();
    let some = |part: u64| {
        let mut some = events(1 + (number % 4) as usize);
        for (event, place) in some.iter_mut().zip(0..) {
            let id = Uuid::from_u64_pair(client << 32 | number, part << 8 | place);
            event.event_id = EventId::from_uuid(id);
        }
        some
    };
    let first = AppendRequest::to(stream(0), ExpectedVersion::Any, some(0));
    let parts = 1..1 + number % 3;
    let whole = parts
        .fold(first, |request, part| request.and(stream(part), ExpectedVersion::Any, some(part)));
    whole.with_key(key(&format!("append-{number}")))
}

/// What the child does; nothing unless it was started by the campaign.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_is_killed() {
    let Ok(task) = std::env::var(TASK) else { return };
    let mut task = task.splitn(3, ' ');
    let mut number = || task.next().unwrap().parse::<u64>().unwrap();
    let (client, first) = (number(), number());
    let url = task.next().unwrap();
    let store = PostgresStore::open(url.parse::<PostgresConfig>().unwrap()).await.unwrap();
    for number in first.. {
        tell("begins", number, "");
        let appended = store.append(request(client, number)).await.unwrap();
        tell("acknowledged", number, &written(&appended));
    }
}

fn tell(what: &str, number: u64, more: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "client {what} {number} {more}").unwrap();
    stdout.flush().unwrap();
}

/// An answer as text: whether it is a repeat, and then each event's receipt.
fn written(appended: &Appended) -> String {
    let mut text = appended.repeated.to_string();
    for event in appended.streams.iter().flat_map(|part| &part.events) {
        let EventReceipt { event_id, version, position, recorded_at } = event;
        let (position, micros) = (position.to_sequence(), recorded_at.as_micros());
        text += &format!(" {event_id},{},{position},{micros}", version.as_u64());
    }
    text
}

/// The answer to a request from its text.
fn read(request: &AppendRequest, text: &str) -> Appended {
    let mut words = text.split_whitespace();
    let repeated = words.next().unwrap() == "true";
    let mut receipts = words.map(|word| {
        let [id, version, position, micros] = word.split(',').collect::<Vec<_>>()[..] else {
            panic!("{word}")
        };
        EventReceipt {
            event_id: id.parse().unwrap(),
            version: StreamVersion::new(version.parse().unwrap()),
            position: Position::from_sequence(position.parse().unwrap()),
            recorded_at: Timestamp::from_micros(micros.parse().unwrap()),
        }
    });
    let streams = request.streams().iter().map(|part| AppendedStream {
        stream: part.stream.clone(),
        events: receipts.by_ref().take(part.events.len()).collect(),
    });
    Appended { streams: streams.collect(), repeated }
}

/// What one client after the other said of its appends.
#[derive(Default)]
struct Calls {
    ticks: u64,
    calls: Vec<AppendCall>,
}

impl Calls {
    /// A client says something; what it does not say any more has an unknown outcome.
    fn hear(&mut self, client: u64, line: &str) {
        let Some((_, told)) = line.split_once("client ") else { return };
        let (what, rest) = told.split_once(' ').unwrap();
        let Some((number, rest)) = rest.split_once(' ') else { return };
        self.ticks += 1;
        match what {
            "begins" => self.calls.push(AppendCall {
                span: Span { began: self.ticks, ended: None },
                request: request(client, number.parse().unwrap()),
                outcome: AppendOutcome::Unknown,
            }),
            "acknowledged" => {
                let call = self.calls.last_mut().unwrap();
                call.span.ended = Some(self.ticks);
                call.outcome = AppendOutcome::Acknowledged(read(&call.request, rest));
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_kills_campaign() {
    let (kills, seed) = (rounds(15, 500), seed());
    let mut chance = fastrand::Rng::with_seed(seed);
    let database = database(IdType::Text).await;
    let (mut calls, mut next) = (Calls::default(), 1_u64);
    for client in 1..=kills {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "faults::clients::client_that_is_killed", "--nocapture"]);
        command.env(TASK, format!("{client} {next} {}", database.url()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (lines, mut heard) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|length| length > 0) {
                let _ = lines.send(std::mem::take(&mut line));
            }
        });
        // some are killed while they start, the others after some appends and a moment
        let mut wanted = chance.u64(0..20);
        let moment = Duration::from_micros(chance.u64(0..10_000));
        while wanted > 0
            && let Some(line) = heard.recv().await
        {
            calls.hear(client, &line);
            wanted -= u64::from(line.contains("client "));
        }
        let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(line) = heard.recv().await {
            calls.hear(client, &line);
        }
        let acknowledged = calls.calls.iter().rev();
        let is_known = |call: &&AppendCall| matches!(call.outcome, AppendOutcome::Acknowledged(_));
        let acknowledged = acknowledged.filter(is_known).count() as u64;
        // the next client sends the same append again, whose outcome nobody was told
        next = acknowledged + 1;
    }
    let store = open(&database).await;
    // and so does the last one
    let last = store.append(request(kills + 1, next)).await.unwrap();
    calls.hear(kills + 1, &format!("client begins {next} "));
    calls.hear(kills + 1, &format!("client acknowledged {next} {}", written(&last)));

    let log = store.log(ReadLog::from_start()).try_collect().await.unwrap();
    let appends = calls.calls;
    let history =
        History { write_order: WriteOrder::Overlapping, appends, log, ..History::default() };
    let summary =
        history.check().unwrap_or_else(|violations| panic!("ES_SEED={seed}: {violations}"));
    println!("{kills} kills of the client: {summary}");
    assert_eq!((summary.acknowledged + summary.repeated) as u64, next, "ES_SEED={seed}");
    assert!(next > 20 && summary.unknown > 2, "{summary}");
}
