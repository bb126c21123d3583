//! `turing events`: what happened, one stream at a time.

use std::collections::BTreeMap;

use es_core::event::{EventStoreExt, Payload, ReadStream, RecordedEvent, StreamId};
use es_core::execution::StreamVersion;
use futures_util::TryStreamExt;
use serde_json::json;
use serde_json::value::RawValue;
use turing_domain::fields::{CONVERSATION_ID, DURATION_MS};
use turing_domain::{CutoverId, CutoverStep};

use super::output::{Output, shown};
use super::telling::tell;
use super::{Failure, Kind, StreamArgs, Verdict};
use crate::cutover::command_of;
use crate::proposal::command;
use crate::store::Store;

pub(super) async fn execute(
    store: &Store,
    args: &StreamArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let stream = stream_of(args)?;
    let mut events = store.events.events(ReadStream::new(stream.clone()));
    let mut version = StreamVersion::EMPTY;
    while let Some(event) = events.try_next().await? {
        tell_gap(&stream, version.next(), event.version);
        if version.is_empty() && !args.common.json {
            let header = ["#", "recorded at", "event", "at", "took"];
            output.hanging(&row(header.map(str::to_owned)), "data");
        }
        version = event.version;
        match args.common.json {
            true => output.json_line(&as_json(&event)),
            // each as it is read: its data may be large
            false => output.hanging(&row(facts(&event)), &data(&event)),
        }
        if output.is_over() {
            break;
        }
    }
    if version.is_empty() {
        return Err(nothing(args));
    }
    Ok(Verdict::Well)
}

/// Says which events are missing where `next` was read in place of `expected`.
fn tell_gap(stream: &StreamId, expected: StreamVersion, next: StreamVersion) {
    let missing = next.as_u64().saturating_sub(expected.as_u64());
    let cure = "restore the store from a backup";
    match missing {
        0 => {}
        1 => tell(format_args!("warning: event {expected} of {stream} is missing; {cure}")),
        _ => tell(format_args!(
            "warning: events {expected} to {} of {stream} are missing; {cure}",
            next.as_u64() - 1
        )),
    }
}

/// The name of the stream that is asked for.
pub(super) fn stream_of(args: &StreamArgs) -> Result<StreamId, Failure> {
    let stream = StreamId::new(args.kind.name(), &args.id.to_string());
    stream.map_err(|error| es_core::execution::LoadError::InvalidId(error).into())
}

/// The answer when nothing ever happened to what is asked for.
pub(super) fn nothing(args: &StreamArgs) -> Failure {
    let (kind, id) = (args.kind.name(), args.id);
    // never as it was given: it may hold a password
    let place = match args.common.store() {
        Ok(store) => format!("in {store}"),
        Err(_) => "there".to_owned(),
    };
    let hint = match args.kind {
        Kind::Posting => "it has entered no run there".to_owned(),
        Kind::Workflow => format!("`{}` lists the workflows that have run", command("runs")),
        Kind::Conversation => {
            format!("`{}` lists the conversations of a run", command("run show"))
        }
        Kind::Actor => "an actor has events only once it has failed".to_owned(),
        Kind::Cutover => format!(
            "the only one is {}, from `{}` on",
            CutoverId::ONLY,
            command_of(CutoverStep::Create)
        ),
    };
    Failure::NotFound { what: format!("{kind} {id} has no events {place}; {hint}") }
}

/// The columns before the data; those of numbers stand at the right.
fn row([version, at, event, conversation, took]: [String; 5]) -> String {
    format!("{version:>4}   {at:<27}   {event:<27}   {conversation:>6}   {took:>9}   ")
}

fn facts(event: &RecordedEvent) -> [String; 5] {
    let (conversation_id, duration) =
        (event.metadata.get(CONVERSATION_ID), event.metadata.get(DURATION_MS));
    [
        event.version.to_string(),
        event.recorded_at.to_string(),
        shown(event.event_type.as_str(), 60),
        conversation_id.map_or_else(String::new, |id| id.to_string()),
        duration.map_or_else(String::new, |duration| format!("{duration} ms")),
    ]
}

/// The event as JSON; one that cannot be read says why.
pub(super) fn as_json(event: &RecordedEvent) -> Box<RawValue> {
    // as text, which keeps every digit
    let json = |event: &RecordedEvent| serde_json::to_string(event).expect("an event is JSON");
    let Some(reason) = event.payload.unreadable_because() else {
        return RawValue::from_string(json(event)).expect("it is JSON");
    };
    let payload = serde_json::Value::Null.into();
    let mut event = event.clone();
    event.payload = payload;
    let mut shown = json(&event);
    shown.truncate(shown.len() - 1);
    shown += &format!(",\"unreadable\":{}}}", json!(reason));
    RawValue::from_string(shown).expect("it is JSON")
}

/// The payload in one line.
fn data(event: &RecordedEvent) -> String {
    // each part by its text, which keeps every digit
    match event.payload.decode::<BTreeMap<String, Payload>>() {
        Ok(fields) => {
            let fields =
                fields.iter().filter(|(_, value)| value.as_str() != "null").map(|(name, value)| {
                    match value.decode::<String>() {
                        Ok(text) => format!("{name}: {text}"),
                        Err(_) => {
                            format!("{name}: {}", value.canonical().as_ref().unwrap_or(value))
                        }
                    }
                });
            fields.collect::<Vec<_>>().join("  ")
        }
        _ => event.payload.to_string(),
    }
}
