//! The Python package: by its own tests, by documents that go to it and come back, and in a storm
//! together with writers in Rust.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, Appended, AppendedStream, EventReceipt, EventStore, NewEvent,
    Position, Timestamp, check_json,
};
use es_core::event::{
    EventFilter, EventId, EventStoreExt, Payload, ReadStream, RecordedEvent, StreamId,
};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_postgres::PostgresStore;
use es_postgres::sqlx::types::Uuid;
use es_testing::checker::{AppendCall, AppendOutcome, Follower, Recorder, Span, WriteOrder};
use es_testing::raw_rows;
use es_testing::suite::{rounds, seed};
use fastrand::Rng;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::database::Database;
use crate::projected::Projected;
use crate::support::Answer;
use crate::support::python::{Python, address, child, interpreter, script};

const POSTINGS: i32 = 4;
const COMPLETED: &str = "llm_call_completed";

#[test]
fn the_python_package_passes_its_tests() {
    let database = Database::migrated();
    let mut tests = script(&address(&database.url()));
    if rounds(0, 1) > 0 {
        tests.arg("--full");
    }
    Answer::from(tests.output().unwrap()).expect_code(0);
}

/// The data of an event: odd documents, but such as a store takes.
fn document(chance: &mut Rng) -> Payload {
    loop {
        let text = format!(r#"{{"sent": {}}}"#, raw_rows::json(chance));
        if check_json(&text, 65_536, 64).is_ok() {
            return Payload::parse(text).unwrap();
        }
    }
}

async fn payloads(store: &PostgresStore, workflow: u8) -> Vec<Payload> {
    let stream = StreamId::new("workflow", &workflow.to_string()).unwrap();
    let events: Vec<_> = store.events(ReadStream::new(stream)).try_collect().await.unwrap();
    events.into_iter().map(|event| event.payload).collect()
}

#[test]
fn documents_go_from_rust_to_python_and_back_campaign() {
    let (documents, seed) = (rounds(300, 20_000), seed());
    let database = Database::migrated();
    let url = address(&database.url());
    let python = interpreter(&url);
    let mut chance = Rng::with_seed(seed);
    let sent: Vec<_> = (0..documents).map(|_| document(&mut chance)).collect();
    let store = database.runtime.block_on(async {
        let store = Projected::new(&database.test).await.store();
        let stream = StreamId::new("workflow", "1").unwrap();
        for (chunk, payloads) in (1..).zip(sent.chunks(100)) {
            let events = (0..).zip(payloads).map(|(number, payload)| {
                let id = EventId::from_uuid(Uuid::from_u64_pair(chunk, number));
                NewEvent::new(id, "noted", payload.clone())
            });
            let request = AppendRequest::to(stream.clone(), ExpectedVersion::Any, events.collect());
            store.append(request).await.unwrap();
        }
        store
    });
    Answer::from(child(&python, "copy", &url).output().unwrap()).expect_code(0);
    database.runtime.block_on(async {
        for workflow in 1..=3 {
            let read = payloads(&store, workflow).await;
            assert_eq!(read.len(), sent.len(), "ES_SEED={seed}, workflow {workflow}");
            for (read, sent) in read.iter().zip(&sent) {
                assert_eq!(read, sent, "ES_SEED={seed}, workflow {workflow}");
            }
        }
    });
    println!("{documents} documents to Python and back, ES_SEED={seed}");
}

/// The ids that a follower tells until it ends by itself.
fn ids(mut follower: Python) -> Vec<EventId> {
    let lines = follower.answers.by_ref();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn posting(id: i32) -> StreamId {
    StreamId::new("posting", &id.to_string()).unwrap()
}

/// What a writer knows of the versions, and what it expects therefore.
struct Guesses {
    chance: Rng,
    versions: HashMap<i32, u64>,
}

impl Guesses {
    fn new(seed: u64, number: u64) -> Self {
        Self { chance: Rng::with_seed(seed.wrapping_add(number)), versions: HashMap::new() }
    }

    /// A posting, and the version that its next event shall have, if that is said.
    fn next(&mut self) -> (i32, Option<u64>) {
        let id = self.chance.i32(1..=POSTINGS);
        let next = self.versions.get(&id).map_or(1, |version| version + 1);
        (id, (self.chance.u8(..3) > 0).then_some(next))
    }

    fn learn(&mut self, id: i32, version: u64) {
        self.versions.insert(id, version);
    }
}

fn expected(version: Option<u64>) -> ExpectedVersion {
    version.map_or(ExpectedVersion::Any, |version| {
        ExpectedVersion::Exact(StreamVersion::new(version - 1))
    })
}

/// Has a process in Python append, and writes down what it answers.
struct PythonWriter {
    python: Python,
    recorder: Recorder,
    guesses: Guesses,
    number: u64,
}

impl PythonWriter {
    fn write(mut self, appends: u64) {
        for attempt in 0..appends {
            let (id, version) = self.guesses.next();
            let has_key = self.guesses.chance.u8(..4) == 0;
            let arguments = json!({
                "event_type": COMPLETED,
                "aggregate_id": id,
                "event_data": {"output": "é", "writer": self.number, "attempt": attempt},
                "aggregate_version": version,
                "idempotency_key": has_key.then(|| format!("python {} {attempt}", self.number)),
            });
            let is_written = self.append(id, version, &arguments, false);
            if has_key && is_written {
                assert!(self.append(id, version, &arguments, true));
            }
        }
    }

    /// False if it was refused: then nothing is written down, and an event that is there all the same
    /// is one that nobody has appended.
    fn append(
        &mut self,
        id: i32,
        version: Option<u64>,
        arguments: &Value,
        is_repeat: bool,
    ) -> bool {
        let began = self.recorder.now();
        let answer = self.python.ask(arguments);
        let ended = Some(self.recorder.now());
        self.guesses.learn(id, answer["version"].as_u64().unwrap());
        if answer["conflict"] == true {
            return false;
        }
        let event_id = answer["event_id"].as_str().unwrap().parse().unwrap();
        let payload = Payload::of(&arguments["event_data"]).unwrap();
        let event = NewEvent::new(event_id, COMPLETED, payload);
        let mut request = AppendRequest::to(posting(id), expected(version), vec![event]);
        if let Some(key) = arguments["idempotency_key"].as_str() {
            request = request.with_key(IdempotencyKey::new(key).unwrap());
        }
        let receipt = EventReceipt {
            event_id,
            version: StreamVersion::new(answer["version"].as_u64().unwrap()),
            position: Position::from_sequence(answer["position"].as_u64().unwrap()),
            recorded_at: Timestamp::from_micros(answer["recorded_at"].as_i64().unwrap()),
        };
        let streams = vec![AppendedStream { stream: posting(id), events: vec![receipt] }];
        self.recorder.add_append(AppendCall {
            span: Span { began, ended },
            request,
            outcome: AppendOutcome::Acknowledged(Appended { streams, repeated: is_repeat }),
        });
        true
    }
}

async fn write(store: Arc<dyn EventStore>, mut guesses: Guesses, number: u64, appends: u64) {
    for attempt in 0..appends {
        let (id, version) = guesses.next();
        let payload = Payload::of(&json!({"writer": number, "attempt": attempt})).unwrap();
        let event_id = EventId::from_uuid(Uuid::from_u64_pair(number + 1, attempt));
        let events = vec![NewEvent::new(event_id, COMPLETED, payload)];
        let request = AppendRequest::to(posting(id), expected(version), events);
        match store.append(request).await {
            Ok(appended) => guesses.learn(id, appended.streams[0].version().as_u64()),
            Err(AppendError::Conflict(conflict)) => guesses.learn(id, conflict.actual.as_u64()),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn writers_in_python_and_rust_leave_a_consistent_history_campaign() {
    let (appends, seed) = (rounds(40, 1_000), seed());
    let database = Database::migrated();
    let url = address(&database.url());
    let python = interpreter(&url);
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        projected.clear(POSTINGS).await;
        let store = projected.store();
        let recorder = Recorder::with_order(WriteOrder::Overlapping);
        let watched = recorder.over(store.clone()).event_store().clone();

        let follower = Python::start(&python, "follow", &url);
        let following = thread::spawn(move || ids(follower));
        let writing: Vec<_> = ["psycopg", "psycopg2", "psycopg", "psycopg2"]
            .into_iter()
            .zip(0..)
            .map(|(driver, number)| {
                let writer = PythonWriter {
                    python: Python::start(&python, driver, &url),
                    recorder: recorder.clone(),
                    guesses: Guesses::new(seed, number),
                    number,
                };
                thread::spawn(move || writer.write(appends))
            })
            .collect();
        let mut tasks = JoinSet::new();
        for number in 4..8 {
            tasks.spawn(write(watched.clone(), Guesses::new(seed, number), number, appends));
        }
        while let Some(written) = tasks.join_next().await {
            written.unwrap();
        }
        for written in writing {
            tokio::task::spawn_blocking(move || written.join().unwrap()).await.unwrap();
        }
        let last = NewEvent::new(
            EventId::from_uuid(Uuid::from_u64_pair(1, 1)),
            "noted",
            Payload::of(&json!({})).unwrap(),
        );
        let closing = StreamId::new("workflow", "1").unwrap();
        watched
            .append(AppendRequest::to(closing, ExpectedVersion::NoStream, vec![last]))
            .await
            .unwrap();
        let seen = tokio::task::spawn_blocking(move || following.join().unwrap()).await.unwrap();

        let mut history = recorder.finish(store).await.unwrap();
        let by_id: HashMap<EventId, RecordedEvent> =
            history.log.iter().map(|event| (event.event_id, event.clone())).collect();
        history.followers.push(Follower {
            name: "in Python".to_owned(),
            after: Position::START,
            filter: EventFilter::all(),
            seen: seen.iter().map(|id| by_id[id].clone()).collect(),
            to_the_end: true,
        });
        let summary =
            history.check().unwrap_or_else(|violations| panic!("ES_SEED={seed}: {violations}"));
        println!("4 writers in Python, 4 in Rust, ES_SEED={seed}: {summary}");
        assert!(summary.acknowledged as u64 > appends && summary.repeated > 0, "{summary}");
        let in_python = by_id.values().filter(|event| event.payload.as_str().contains('é')).count();
        assert!(in_python as u64 > appends / 2, "{in_python} of {summary}");
    });
}
