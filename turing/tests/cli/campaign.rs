//! Thousands of postings through four steps: nothing twice, sums that add up, memory that is flat.

use std::fmt::Write as _;
use std::process::Stdio;

use es_core::backend::EventStore;
use es_core::event::{EventFilter, EventStoreExt, ReadLog};
use es_core::execution::StoreError;
use es_sqlite::{SqliteConfig, SqliteStore};
use futures_util::TryStreamExt;
use tokio::process::Command;
use turing_domain::Posting;
use turing_domain::fields::CONVERSATION_ID;

use crate::support::{RUN, Workspace};

fn is_full() -> bool {
    std::env::var_os("ES_CAMPAIGN").is_some_and(|campaign| campaign == "full")
}

/// `count` postings through four conversations whose actor is `cat`.
fn workspace(count: usize) -> Workspace {
    let workspace = Workspace::new();
    let mut lines = String::new();
    for id in 1..=count {
        let _ = writeln!(lines, r#"{{"posting_id":{id},"job_description":"advert {id} grüße"}}"#);
    }
    workspace.file("postings/all.jsonl", lines);
    let mut text = String::from(
        "[workflow]\nid = 3001\nname = \"campaign\"\nentry = 1\n\
         [[actors]]\nid = 1\nname = \"cat\"\ntype = \"script\"\ncommand = [\"cat\"]\n\
         env = { PATH = \"/usr/bin:/bin\" }\n",
    );
    for id in 1..=4 {
        let to = if id < 4 { format!("to = {}\n", id + 1) } else { String::new() };
        let _ = write!(
            text,
            "[[conversations]]\nid = {id}\nname = \"step {id}\"\nactor = 1\nexecution_order = {id}\n\
             input = \"{{posting_id}}\"\n[[conversations.branches]]\n{to}\
             [[conversations.branches]]\non = \"failure\"\nwhen = \"*\"\n"
        );
    }
    workspace.file("workflow.toml", text);
    workspace
}

/// Each posting completed each conversation exactly once, in order; answers the number of events.
async fn check(workspace: &Workspace, count: usize) -> usize {
    let config = SqliteConfig::new(workspace.path().join("turing.db")).create(false);
    let store = SqliteStore::open(config).await.unwrap();
    let mut reached = vec![0; count + 1];
    let mut events = 0;
    let filter = EventFilter::all().aggregate::<Posting>();
    let mut log = store.log(ReadLog::from_start().filter(filter));
    while let Some(event) = log.try_next().await.unwrap() {
        events += 1;
        let posting: usize = event.stream.aggregate_id().parse().unwrap();
        match event.event_type.as_str() {
            "script_execution_completed" => {
                let conversation = event.metadata.get(CONVERSATION_ID).unwrap().0;
                assert_eq!(conversation, reached[posting] + 1, "posting {posting}");
                reached[posting] = conversation;
            }
            "posting_terminal" => {
                assert_eq!(reached[posting], 4, "posting {posting}");
                reached[posting] = 5;
            }
            "script_execution_failed" => panic!("posting {posting}: {}", event.payload),
            _ => {}
        }
    }
    drop(log);
    assert!(reached[1..].iter().all(|reached| *reached == 5));
    store.close().await;
    events
}

#[tokio::test]
async fn many_postings_campaign() {
    let count = if is_full() { 20_000 } else { 300 };
    let workspace = workspace(count);
    let report = workspace.run(&["--json"]).expect_code(0).json();
    assert_eq!(report["postings"], count);
    assert_eq!((&report["open"], report["refused"].as_array().unwrap().len()), (&0.into(), 0));
    assert_eq!(report["ended"][0]["postings"], count);
    let events = check(&workspace, count).await;
    let seconds = report["elapsed_ms"].as_f64().unwrap() / 1000.0;
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    println!(
        "{count} postings: {events} events in {seconds:.1} s, {:.0} events a second, peak {} MiB",
        events as f64 / seconds,
        peak / 1024 / 1024
    );
    // a posting may cost a few hundred bytes of index and digest, but not its outputs
    let allowed = 64 * 1024 * 1024 + count as u64 * 2048;
    assert!(peak < allowed, "peak memory of {peak} bytes, more than {allowed}");
}

#[tokio::test]
async fn many_postings_with_kills_campaign() {
    let count = if is_full() { 20_000 } else { 200 };
    let workspace = workspace(count);
    let store = SqliteStore::open(workspace.path().join("turing.db")).await.unwrap();
    // a posting has some twelve events, so that it is killed more than ten times
    let between = count as u64;
    let mut kills = 0;
    loop {
        let begins = store.end_of_log().await.unwrap().to_sequence();
        let mut command = Command::from(workspace.command(&RUN));
        let told = std::fs::File::create(workspace.path().join("told")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(told).spawn().unwrap();
        tokio::select! {
            status = child.wait() => {
                let told = std::fs::read_to_string(workspace.path().join("told")).unwrap();
                assert!(status.unwrap().success(), "{told}");
                break;
            }
            grown = grown_to(&store, begins + between) => {
                grown.unwrap();
                child.kill().await.unwrap();
                kills += 1;
            }
        }
    }
    store.close().await;
    let events = check(&workspace, count).await;
    println!("{count} postings with {kills} kills: {events} posting events, no step twice");
    assert!(kills > 5, "{kills} kills only");
}

/// Waits until the log has so many events.
async fn grown_to(store: &SqliteStore, count: u64) -> Result<(), StoreError> {
    loop {
        let end = store.end_of_log().await?;
        if end.to_sequence() >= count {
            return Ok(());
        }
        store.wait_past(end).await?;
    }
}
