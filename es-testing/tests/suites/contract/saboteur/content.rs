//! Sins against what is kept: payloads, metadata, names, time.

use std::sync::Mutex;
use std::time::Duration;

use es_core::backend::{AppendError, AppendRequest, Appended, StreamAppend, StreamId, Timestamp};
use es_core::event::Payload;
use serde_json::Value;

use super::appends::{Memory, appending, locked, of_parts_now, remembering, rewriting};
use super::mangled::mangling;
use super::respelled::respelling;
use super::{Saboteur, Store};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        rewriting("reads_numbers_as_doubles", 12, |part| {
            payloads(part, |value| match value {
                Value::Number(number) => {
                    let double = number.as_f64().and_then(serde_json::Number::from_f64);
                    double.map_or(Value::Null, Value::Number)
                }
                other => other,
            });
        }),
        rewriting("trims_strings", 12, |part| {
            payloads(part, |value| match value {
                Value::String(text) => text.trim().into(),
                other => other,
            });
        }),
        rewriting("drops_null_fields", 12, |part| {
            payloads(part, |value| match value {
                Value::Object(fields) => {
                    fields.into_iter().filter(|(_, value)| !value.is_null()).collect()
                }
                other => other,
            });
        }),
        rewriting("forgets_which_numbers_are_floats", 12, |part| {
            for event in &mut part.events {
                if let Ok(payload) = Payload::from_stored(event.payload.as_str()) {
                    event.payload = payload;
                }
            }
        }),
        respelling("gives_back_floats_with_an_exponent", |document| {
            let whole = document.as_str().strip_suffix(".0");
            let respelled = whole.and_then(|whole| Payload::parse(format!("{whole}e0")).ok());
            respelled.unwrap_or_else(|| document.clone())
        }),
        rewriting("reads_numbers_in_metadata_as_doubles", 12, |part| {
            for event in &mut part.events {
                let written = event.metadata.clone();
                for (name, value) in written.documents() {
                    if let Ok(number) = value.decode::<f64>()
                        && let Ok(double) = Payload::of(&number)
                    {
                        event.metadata.set_document(name, double);
                    }
                }
            }
        }),
        rewriting("drops_free_metadata", 12, |part| {
            for event in &mut part.events {
                let written = event.metadata.clone();
                for (name, _) in written.documents() {
                    event.metadata.set_document(name, Value::Null);
                }
            }
        }),
        rewriting("drops_the_cause", 12, |part| {
            for event in &mut part.events {
                event.metadata.causation_id = None;
            }
        }),
        rewriting("cuts_large_payloads", 12, |part| {
            const KEPT: usize = 10_000;
            for event in &mut part.events {
                if let Ok(Value::String(text)) = event.payload.decode::<Value>() {
                    let cut: String = text.chars().take(KEPT).collect();
                    if let Ok(cut) = Payload::of(&cut) {
                        event.payload = cut;
                    }
                }
            }
        }),
        rewriting("cuts_long_event_types", 12, |part| {
            const KEPT: usize = 63;
            for event in &mut part.events {
                if let Some(cut) = event.event_type.as_str().get(..KEPT) {
                    event.event_type = cut.into();
                }
            }
        }),
        rewriting("takes_ids_of_either_case_for_one", 12, |part| rename(part, str::to_lowercase)),
        rewriting("drops_blanks_after_ids", 12, |part| rename(part, |id| id.trim_end().to_owned())),
        rewriting("takes_digits_for_a_number", 12, |part| {
            rename(part, |id| {
                id.parse::<i64>().map_or_else(|_| id.to_owned(), |number| number.to_string())
            });
        }),
        timing("takes_the_time_of_another_clock", || {
            Box::new(|time| time.plus(Duration::from_secs(3_600)))
        }),
        timing("keeps_milliseconds", || {
            Box::new(|time| Timestamp::from_micros(time.as_micros() / 1_000 * 1_000))
        }),
        timing("never_lets_time_step_back", || {
            let latest = Mutex::new(Timestamp::from_micros(i64::MIN));
            Box::new(move |time| {
                let mut latest = locked(&latest);
                *latest = time.max(*latest);
                *latest
            })
        }),
        appending("takes_its_own_clock_for_an_import", 13, takes_its_own_clock),
        remembering("records_what_follows_an_import_at_its_time", 13, goes_on_at_the_last_time),
        mangling("sorts_by_time", 13, |log| {
            let positions: Vec<_> = log.iter().map(|event| event.position).collect();
            log.sort_by_key(|event| event.recorded_at);
            for (event, position) in log.iter_mut().zip(positions) {
                event.position = position;
            }
        }),
    ]
}

/// Writes to the stream whose id this function answers.
fn rename(part: &mut StreamAppend, rename: fn(&str) -> String) {
    let id = rename(part.stream.aggregate_id());
    if let Ok(stream) = StreamId::new(part.stream.aggregate_type(), &id) {
        part.stream = stream;
    }
}

/// Writes what is imported as if it happened now.
async fn takes_its_own_clock(
    store: Store,
    request: AppendRequest,
) -> Result<Appended, AppendError> {
    let parts = request.clone().into_streams();
    store.append(of_parts_now(&request, parts)).await
}

/// Writes what comes after an import as if it was of the same time.
async fn goes_on_at_the_last_time(
    store: Store,
    request: AppendRequest,
    imported: Memory<Option<Timestamp>>,
) -> Result<Appended, AppendError> {
    let before = std::mem::replace(&mut *locked(&imported), request.original_time());
    let request = match before {
        Some(time) if request.original_time().is_none() => request.recorded_at(time),
        _ => request,
    };
    store.append(request).await
}

type Retime = Box<dyn Fn(Timestamp) -> Timestamp + Send + Sync>;

/// Shows the times of the log, in its order, as this function has them.
fn timing(name: &'static str, retime: fn() -> Retime) -> Saboteur {
    mangling(name, 13, move |log| {
        let retime = retime();
        for event in log {
            event.recorded_at = retime(event.recorded_at);
        }
    })
}

/// Rewrites every value of every payload, from the inside.
fn payloads(part: &mut StreamAppend, rewrite: fn(Value) -> Value) {
    for event in &mut part.events {
        // what has no value, such as U+0000 that is to be refused, stays as it is
        if let Ok(value) = event.payload.decode::<Value>() {
            let before = value.clone();
            let after = deep(value, rewrite);
            if after != before
                && let Ok(payload) = Payload::of(&after)
            {
                event.payload = payload;
            }
        }
    }
}

fn deep(value: Value, rewrite: fn(Value) -> Value) -> Value {
    let inner = match value {
        Value::Array(items) => items.into_iter().map(|item| deep(item, rewrite)).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields.map(|(name, value)| (name, deep(value, rewrite))).collect()
        }
        other => other,
    };
    rewrite(inner)
}
