//! es-sqlite beside bare rusqlite: the same rows, in one process, in alternating rounds.
#![allow(clippy::print_stdout, reason = "it shows what it found")]

mod bare;

use std::time::Instant;

use es_benches::rounds::{Round, Rounds, Unit};
use es_benches::{Backend, CALLERS, Opened, Posting, Workload, concurrently, runtime};
use es_core::backend::AppendRequest;
use es_core::execution::StreamVersion;
use es_core::{ExpectedVersion, Repository};

use crate::bare::Bare;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rounds that count; one more comes first and does not.
const ROUNDS: usize = 9;

/// Requests of one round, from postings that no other round has.
#[derive(Clone, Copy)]
struct Load {
    appends: u64,
    events: usize,
}

const SINGLES: Load = Load { appends: 1_000, events: 1 };
const SINGLES_OF_MANY: Load = Load { appends: 8_000, events: 1 };
const HUNDREDS: Load = Load { appends: 50, events: 100 };
const LOADED: usize = 10_000;
const LOADS: u32 = 5;

impl Load {
    /// The same for the same round.
    fn requests(self, round: usize) -> Vec<AppendRequest> {
        let mut workload = Workload::seeded(round as u64);
        let first = round as u64 * self.appends.next_multiple_of(10);
        (first..first + self.appends).map(|n| workload.in_turn(n, self.events)).collect()
    }

    fn round(self, took: std::time::Duration) -> Round {
        Round { events: self.appends * self.events as u64, took }
    }
}

/// One task appends; it is a task of the runtime, as those of an application are.
async fn append_by_one(opened: &Opened, load: Load, round: usize) -> Round {
    append_by(opened, load, vec![load.requests(round)]).await
}

/// Each of 32 tasks appends to postings of its own.
async fn append_by_many(opened: &Opened, load: Load, round: usize) -> Round {
    let mut lists: Vec<Vec<AppendRequest>> = vec![Vec::new(); CALLERS];
    for (number, request) in load.requests(round).into_iter().enumerate() {
        // ten requests in a row are for one posting
        lists[number / 10 % CALLERS].push(request);
    }
    append_by(opened, load, lists).await
}

async fn append_by(opened: &Opened, load: Load, lists: Vec<Vec<AppendRequest>>) -> Round {
    let store = opened.store.clone();
    let took = concurrently(lists, move |request| {
        let store = store.clone();
        async move {
            store.append(request).await.expect("no other writer has these postings");
        }
    });
    load.round(took.await)
}

fn append_bare(bare: &Bare, load: Load, round: usize) -> Result<Round, Failure> {
    let requests = load.requests(round);
    let start = Instant::now();
    for request in &requests {
        bare.append(request)?;
    }
    Ok(load.round(start.elapsed()))
}

async fn appends(
    mut rounds: Rounds,
    ours: Load,
    bare_load: Load,
    callers: usize,
) -> Result<Rounds, Failure> {
    let opened = Backend::Sqlite.open().await;
    let bare = Bare::open()?;
    for round in 0..=ROUNDS {
        let ours = match callers {
            1 => append_by_one(&opened, ours, round).await,
            _ => append_by_many(&opened, ours, round).await,
        };
        let bare = append_bare(&bare, bare_load, round)?;
        if round > 0 {
            rounds.add(&ours, &bare);
        }
    }
    opened.close().await;
    Ok(rounds)
}

/// One posting of 10,000 events into its state, in one statement there and in pages here.
async fn loads(mut rounds: Rounds) -> Result<Rounds, Failure> {
    let opened = Backend::Sqlite.open().await;
    let bare = Bare::open()?;
    let mut workload = Workload::seeded(1);
    for hundred in 0..LOADED as u64 / 100 {
        for posting in [1, 2] {
            let expected = ExpectedVersion::Exact(StreamVersion::new(hundred * 100));
            let stream = Workload::stream(posting);
            let request = AppendRequest::to(stream, expected, workload.events(100));
            bare.append(&request)?;
            opened.store.append(request).await?;
        }
    }
    let postings = Repository::<Posting>::new(&opened.store);
    for round in 0..=ROUNDS {
        let start = Instant::now();
        let mut state = Posting::default();
        for _ in 0..LOADS {
            let loaded = postings.load(&1).await?;
            assert_eq!(loaded.version, StreamVersion::new(LOADED as u64));
            state = loaded.state;
        }
        let ours = Round { events: LOADED as u64, took: start.elapsed() / LOADS };
        let start = Instant::now();
        for _ in 0..LOADS {
            assert_eq!(bare.load(&Workload::stream(1))?, (state.clone(), LOADED));
        }
        let bare = Round { events: LOADED as u64, took: start.elapsed() / LOADS };
        if round > 0 {
            rounds.add(&ours, &bare);
        }
    }
    opened.close().await;
    Ok(rounds)
}

async fn compare() -> Result<(), Failure> {
    println!("{ROUNDS} rounds, medians\n\n{}", Rounds::headings("es-sqlite", "rusqlite"));
    let rate = Unit::EventsPerSecond;
    let single = Rounds::new("append 1 event, 1 task", ">= 0.75", rate);
    println!("{}", appends(single, SINGLES, SINGLES, 1).await?.line());
    let many = Rounds::new("append 1 event, 32 tasks to bare 1", ">= 4", rate);
    println!("{}", appends(many, SINGLES_OF_MANY, SINGLES, CALLERS).await?.line());
    let batch = Rounds::new("append 100 events at once, 1 task", ">= 0.75", rate);
    println!("{}", appends(batch, HUNDREDS, HUNDREDS, 1).await?.line());
    let load = Rounds::new("load 10,000 events", "<= 1.3", Unit::Milliseconds);
    println!("{}", loads(load).await?.line());
    Ok(())
}

fn main() -> Result<(), Failure> {
    runtime().block_on(compare())
}
