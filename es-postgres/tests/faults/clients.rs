//! The client is killed: a process of its own that appends until it is.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use es_core::{AppendRequest, EventStore, EventStoreExt, ExpectedVersion, ReadLog};
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use futures_util::TryStreamExt;

use crate::support::{database, events, key, open};
use crate::{rounds, seed};

/// Where the child finds its database, and at which append it goes on.
const ADDRESS: &str = "ES_FAULTS_CLIENT";

/// How many streams an append with this number is for, and its events in each.
fn shape(number: u64) -> (u64, usize) {
    (1 + number % 3, 1 + (number % 4) as usize)
}

fn request(number: u64) -> AppendRequest {
    let (streams, size) = shape(number);
    let stream = |part: u64| format!("account/{}", (number + part) % 7).parse().unwrap();
    let first = AppendRequest::to(stream(0), ExpectedVersion::Any, events(size));
    let request = (1..streams)
        .fold(first, |request, part| request.and(stream(part), ExpectedVersion::Any, events(size)));
    // the same content for the same number, which the key is compared with
    request.with_key(key(&format!("append-{number}")))
}

/// What the child does; nothing unless it was started by the campaign.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_is_killed() {
    let Ok(told) = std::env::var(ADDRESS) else { return };
    let (first, url) = told.split_once(' ').unwrap();
    let store = PostgresStore::open(url.parse::<PostgresConfig>().unwrap()).await.unwrap();
    for number in first.parse().unwrap().. {
        store.append(request(number)).await.unwrap();
        // what is told is acknowledged
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "acknowledged {number}").unwrap();
        stdout.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_kills_campaign() {
    let (kills, seed) = (rounds(15, 500), seed());
    let mut chance = fastrand::Rng::with_seed(seed);
    let database = database(IdType::Text).await;
    let (mut acknowledged, mut next, mut found) = (BTreeSet::new(), 1_u64, 0);
    for _ in 0..kills {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "clients::client_that_is_killed", "--nocapture"]);
        command.env(ADDRESS, format!("{next} {}", database.url()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let reading = tokio::task::spawn_blocking(move || {
            let numbers = output
                .lines()
                .map_while(Result::ok)
                .filter_map(|line| line.split_once("acknowledged ")?.1.trim().parse::<u64>().ok());
            numbers.collect::<Vec<_>>()
        });
        // it lives for a random time, which includes its start
        let life = Duration::from_micros(chance.u64(5_000..120_000));
        let _ = tokio::time::timeout(life, std::future::pending::<()>()).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let numbers = reading.await.unwrap();
        acknowledged.extend(numbers.iter().copied());
        next = numbers.last().map_or(next, |last| last + 1);
        // the next child sends the same request again, whose outcome nobody was told
    }
    let store = open(&database).await;
    // and so does the last one
    if store.append(request(next)).await.unwrap().repeated {
        found += 1;
    }
    acknowledged.insert(next);

    // by the same rules as the history checker's, over what the children told: each append is there
    // once, whole and in its stream together, and versions are dense
    let log: Vec<_> = store.log(ReadLog::from_start()).try_collect().await.unwrap();
    let mut versions = std::collections::HashMap::new();
    for event in &log {
        let version = versions.entry(event.stream.clone()).or_insert(0);
        assert_eq!(event.version.as_u64(), *version + 1, "ES_SEED={seed}: {event:?}");
        *version += 1;
    }
    let mut count = 0;
    for number in 1..=next {
        let (streams, size) = shape(number);
        let request = request(number);
        let key = request.idempotency_key().unwrap();
        for part in request.streams() {
            let recorded = store.find_append(&part.stream, key).await.unwrap();
            let recorded = recorded.unwrap_or_else(|| panic!("ES_SEED={seed}: {number} is lost"));
            assert_eq!(recorded.streams.len() as u64, streams, "ES_SEED={seed}: {number} is torn");
            for part in &recorded.streams {
                assert_eq!(part.events.len(), size, "ES_SEED={seed}: {number} is torn");
                let together =
                    part.events.windows(2).all(|pair| pair[0].version.next() == pair[1].version);
                assert!(together, "ES_SEED={seed}: {number} is apart");
            }
        }
        count += streams as usize * size;
    }
    assert_eq!(
        log.len(),
        count,
        "ES_SEED={seed}: something is there twice, or was never acknowledged"
    );
    println!(
        "{kills} kills of the client: {} appends acknowledged, {} events, each once; the last was \
         {} before it was told",
        acknowledged.len(),
        log.len(),
        if found == 1 { "written" } else { "not written" },
    );
    assert!(acknowledged.len() > 20, "only {}", acknowledged.len());
}
