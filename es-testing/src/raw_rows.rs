//! Rows that somebody writes by hand: a grammar of odd ones, and what must still work after them.

use es_core::backend::{
    ContentProblem, Definition, EventStoreExt, ListParked, RawKeying, ReadLog, ReadStream, Slot,
    StreamId,
};
use es_core::event::{EventFilter, Payload, RecordedEvent};
use es_core::projection::{FailurePolicy, Rebuild};
use es_core::{Runner, Store};
use fastrand::Rng;
use futures_util::StreamExt;
use serde_json::Value;

use crate::contract::documents::document;

/// How many rows a campaign writes: few, or 20,000 with `ES_CAMPAIGN=full`.
pub fn rows() -> u64 {
    crate::suite::rounds(300, 20_000)
}

/// An odd JSON text, or any document of the grammar that the contract's campaigns write.
pub fn json(chance: &mut Rng) -> String {
    if chance.bool() {
        return document(chance);
    }
    let inner = |chance: &mut Rng| {
        let token = ["RawValue", "Number"][chance.usize(0..2)];
        match chance.u8(0..6) {
            0 => "1e400".to_owned(),
            1 => format!("{}{}", "[".repeat(200), "]".repeat(200)),
            2 => format!(r#"{{"$serde_json::private::{token}": 5}}"#),
            3 => format!(r#"{{"$serde_json::private::{token}": "[1]"}}"#),
            4 => "null".to_owned(),
            _ => {
                format!("{{{}1{}}}", r#""a": {"#.repeat(140).trim_end_matches('{'), "}".repeat(139))
            }
        }
    };
    let value = inner(chance);
    match chance.u8(0..3) {
        0 => value,
        1 => format!("[{value}]"),
        _ => format!(r#"{{"output": {value}}}"#),
    }
}

/// Texts that somebody may write into a row, and what every store reads there.
pub const SPELLINGS: [(&str, &str); 7] = [
    (r#"{"by":1,"by":2}"#, r#"{"by":2}"#),
    (r#"{"by":1e0}"#, r#"{"by":1}"#),
    (r#"{"by":-0}"#, r#"{"by":0}"#),
    (
        r#" { "to" : [1E2, 1.0, -0.0, 1.50e1], "by" : 1e17 } "#,
        r#"{"by":100000000000000000,"to":[100,1.0,0.0,15.0]}"#,
    ),
    (
        r#"{"by":{"x":[1,{"y":1,"\u0079":[1e0]}],"x":[{"y":1,"\u0079":[1e0]}]}}"#,
        r#"{"by":{"x":[{"y":[1]}]}}"#,
    ),
    (r#"{"by":18446744073709551617}"#, r#"{"by":18446744073709551617}"#),
    (r#"{"by":0.12345678901234567890e1}"#, r#"{"by":1.2345678901234567890}"#),
];

/// Checks that a row with such a text in its payload and as `x` in its metadata, as a store gives it
/// back, is read as every other store reads it.
///
/// # Panics
///
/// When it is not.
pub fn check_spelling(event: &RecordedEvent, expected: &str) {
    check_document(&event.payload, expected);
    check_document(&event.metadata.document("x").expect("it is read"), expected);
}

/// The same of one document, wherever it stood.
///
/// # Panics
///
/// When it is not read so.
pub fn check_document(document: &Payload, expected: &str) {
    let document = document.canonical().expect("it is read without a repeated member");
    assert_eq!(document.as_str(), expected);
}

/// An odd JSON object for metadata.
pub fn metadata(chance: &mut Rng) -> String {
    let names = ["n", "conversation_id", "event_version", "causation_id", "correlation_id"];
    format!(r#"{{"{}": {}}}"#, names[chance.usize(0..names.len())], json(chance))
}

/// A text that is no name.
pub fn text(chance: &mut Rng) -> String {
    match chance.u8(0..6) {
        0 => String::new(),
        1 => "Not a name".to_owned(),
        2 => "x".repeat(100_000),
        3 => "a\u{85}b\u{7}".to_owned(),
        4 => "\u{202e}é".to_owned(),
        _ => "ordinary".to_owned(),
    }
}

/// Counts the events of each stream whose payload can be read.
fn readable() -> Definition {
    Definition::rows("readable", 1, EventFilter::all(), RawKeying::Streams, |_, row, event| {
        event.payload.decode::<Value>()?;
        Ok(Some(row.unwrap_or(0_u64) + 1))
    })
}

/// Checks that every reader still works, with `events` events in the log, of which the good ones of
/// the stream `well` are the last: read, filtered, tailed, projected under each policy and rebuilt.
/// Answers the whole log.
///
/// # Panics
///
/// When something does not work.
pub async fn check_readers(
    store: impl Into<Store>,
    events: usize,
    well: &StreamId,
) -> Vec<RecordedEvent> {
    let store = store.into();
    let mut log = Vec::new();
    let mut read = ReadLog::from_start();
    loop {
        let page = store.read_log(&read).await.expect("the log is read");
        log.extend(page.events);
        if page.at_end {
            break;
        }
        read.after = page.next;
    }
    assert_eq!(log.len(), events);
    for event in &log {
        let form = event.payload.canonical();
        let is_repeated = matches!(form, Err(ContentProblem::RepeatedMember { .. }));
        assert!(!is_repeated, "no type is to choose between two members: {}", event.payload);
    }
    assert!(log.is_sorted_by(|a, b| a.position < b.position));
    let good: Vec<_> = log.iter().filter(|event| event.stream == *well).cloned().collect();
    assert!(good.iter().all(|event| event.payload.unreadable_because().is_none()));
    let page = store.read_stream(&ReadStream::new(well.clone())).await.expect("the stream is read");
    assert_eq!(page.events, good);

    let filter = EventFilter::all().stored_name(good[0].event_type.as_str());
    let mut wanted = store.log(ReadLog::from_start().filter(filter));
    let mut last = None;
    while let Some(event) = wanted.next().await {
        last = Some(event.expect("the filtered log is read"));
    }
    assert_eq!(last.as_ref(), good.last());
    let tailed: Vec<_> = store.tail(ReadLog::from_start()).take(events).collect().await;
    assert!(tailed.iter().all(Result::is_ok));

    // the first event that cannot be taken stops it, by name
    let mut runner = Runner::new(&store).definition(readable());
    let stopped = runner.catch_up().await;
    runner.release().await;
    let is_odd = |event: &RecordedEvent| event.payload.decode::<Value>().is_err();
    if let Some(odd) = log.iter().find(|event| is_odd(event)) {
        let error = stopped.expect_err("it stops at an odd event").to_string();
        assert!(error.contains(&odd.position.to_string()), "{error}");
    }
    let parking = readable().on_failure(FailurePolicy::park_key());
    let mut runner = Runner::new(&store).definition(parking.clone());
    runner.catch_up().await.expect("odd events are parked");
    runner.release().await;
    let count = u64::try_from(good.len()).expect("a number of events");
    let key = well.to_string();
    let models = store.capabilities().models.as_ref().expect("they are kept there");
    let row = async || {
        let rows = models.load("readable", Slot::Active, std::slice::from_ref(&key)).await;
        let row = rows.expect("the row is read").pop();
        row.map(|row| row.value.decode::<u64>().expect("it is a number"))
    };
    assert_eq!(row().await, Some(count));
    Rebuild::definition(&store, parking).run().await.expect("it is rebuilt");
    assert_eq!(row().await, Some(count));
    let parked = models.parked("readable", Slot::Active, &ListParked::default()).await;
    let parked = parked.expect("they are listed");
    assert_eq!(parked.is_empty(), !log.iter().any(is_odd));
    log
}
