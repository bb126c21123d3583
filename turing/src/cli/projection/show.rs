//! `turing projection show`.

use std::collections::BTreeMap;

use es_core::backend::{ModelRow, Slot};
use es_core::event::Payload;
use es_core::projection::SinkError;
use es_core::{Aggregate, Projection};
use futures_util::TryStreamExt;
use serde_json::json;
use turing_domain::{Posting, PostingId};

use super::super::output::{Output, rows, shown, table};
use super::super::{Failure, Verdict};
use super::{Name, ShowArgs};
use crate::proposal::command;
use crate::read_models::{ConversationRow, PostingRow, RunRow};
use crate::store::Store;

pub(super) async fn execute(
    store: &Store,
    args: &ShowArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let name = args.name.as_str();
    let model = args.name.subscription(store)?;
    let key = args.key.as_ref().map(|key| key_of(args.name, key));
    let found = match &key {
        Some(key) => store.models()?.load(name, Slot::Active, std::slice::from_ref(key)).await,
        None => model.rows(Slot::Active).try_collect().await,
    };
    let mut found = match found {
        Err(SinkError::NoModel { .. }) => {
            let fill = command("projection run");
            let what = format!("read model {name} was never filled; `{fill}` does");
            return Err(Failure::NotFound { what });
        }
        found => found?,
    };
    if let (Some(key), true) = (&key, found.is_empty()) {
        let what = format!("read model {name} has no row {}", shown(key, 80));
        return Err(Failure::NotFound { what });
    }
    match args.common.json {
        true => {
            let rows = found.iter().map(|row| {
                let odd = |error| json!({ "key": row.key, "unreadable": text(&error) });
                let shown = shown_as_json(args.name, row).and_then(|shown| Payload::of(&shown));
                shown.unwrap_or_else(|error| odd(error).into())
            });
            output.json(&rows.collect::<Vec<_>>());
        }
        false => {
            found.sort_by(|one, other| natural(&one.key).cmp(&natural(&other.key)));
            tell(args.name, &found, output);
        }
    }
    Ok(Verdict::Well)
}

/// The key of a row: that of a posting is the name of its stream, of which its id is enough.
fn key_of(name: Name, key: &str) -> String {
    match (name, key.parse()) {
        (Name::PostingState, Ok(PostingId(id))) => format!("{}/{id}", Posting::TYPE),
        _ => key.to_owned(),
    }
}

/// What keys are sorted by for people: those that differ in their last number only, by that.
fn natural(key: &str) -> (&str, u64, &str) {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    match key[stem.len()..].parse() {
        Ok(number) if stem.is_empty() || stem.ends_with('/') => (stem, number, key),
        _ => (key, 0, key),
    }
}

fn read<P: Projection>(row: &Payload) -> Result<P, serde_json::Error> {
    row.decode()
}

/// Why a row cannot be read.
fn text(error: &serde_json::Error) -> String {
    shown(&error.to_string(), 200)
}

/// The members of a row by their text, which keeps every digit.
type Shown = BTreeMap<String, Payload>;

/// The stored row with its key, and with what is computed from it.
fn shown_as_json(name: Name, row: &ModelRow) -> Result<Shown, serde_json::Error> {
    let mut shown = Shown::from([("key".to_owned(), Payload::of(&row.key)?)]);
    let mut add = |fields: Payload| -> Result<(), serde_json::Error> {
        shown.extend(fields.decode::<Shown>()?);
        Ok(())
    };
    match name {
        Name::ConversationStatistics => {
            let row = read::<ConversationRow>(&row.value)?;
            add(Payload::of(&row)?)?;
            add(Payload::from(json!({
                "durations": {
                    "count": row.durations.count(),
                    "p50_ms": row.durations.percentile(50),
                    "p95_ms": row.durations.percentile(95),
                },
            })))?;
        }
        Name::PostingState => add(Payload::of(&read::<PostingRow>(&row.value)?)?)?,
        Name::RunProgress => {
            let row = read::<RunRow>(&row.value)?;
            add(Payload::of(&row)?)?;
            add(json!({ "open": row.open(), "per_minute": row.per_minute() }).into())?;
        }
    }
    Ok(shown)
}

fn tell(name: Name, found: &[ModelRow], output: &mut Output) {
    let mut listed = match name {
        Name::ConversationStatistics => table(
            &["conversation", "completed", "failed", "p50", "p95", "tokens by actor"],
            &[1, 3, 4],
        ),
        Name::PostingState => table(
            &["posting", "version", "at", "terminal", "reason", "last updated", "sequence"],
            &[1, 2],
        ),
        Name::RunProgress => table(
            &["run", "workflow", "status", "postings", "open", "ended", "failed", "per minute"],
            &[3, 4, 7],
        ),
    };
    let mut odd = Vec::new();
    for ModelRow { key, value } in found {
        let row = match name {
            Name::ConversationStatistics => {
                read::<ConversationRow>(value).map(|row| conversation(key, &row))
            }
            Name::PostingState => read::<PostingRow>(value).map(|row| posting(key, &row)),
            Name::RunProgress => read::<RunRow>(value).map(|row| run(key, &row)),
        };
        match row {
            Ok(row) => listed.add_row(row),
            Err(error) => odd.push(format!("{}: {}", shown(key, 80), text(&error))),
        }
    }
    output.line(rows(&listed));
    for row in &odd {
        output.line(format_args!("left out, because it cannot be read: {row}"));
    }
    if !odd.is_empty() {
        let rebuild = format!("projection rebuild {} --switch", name.as_str());
        output.line(format_args!("to make it anew: {}", command(rebuild)));
    }
}

fn counts<K: ToString>(counted: impl Iterator<Item = (K, u64)>) -> String {
    let counted: Vec<_> = counted.map(|(kind, n)| format!("{n} {}", kind.to_string())).collect();
    counted.join(", ")
}

fn conversation(key: &str, row: &ConversationRow) -> Vec<String> {
    let time = |percent| {
        row.durations.percentile(percent).map_or_else(String::new, |millis| format!("{millis} ms"))
    };
    let tokens = row.tokens.iter().map(|(actor, used)| (format!("by {actor}"), used.total));
    vec![
        key.to_owned(),
        row.completed.to_string(),
        counts(row.failed.iter().map(|(kind, n)| (kind, *n))),
        time(50),
        time(95),
        counts(tokens),
    ]
}

fn posting(key: &str, row: &PostingRow) -> Vec<String> {
    let state = &row.state;
    let at = state.current_conversation_id().map_or_else(String::new, |id| id.to_string());
    let reason = state.terminal().and_then(|terminal| terminal.reason.as_ref());
    let sequence: Vec<_> = state.execution_sequence().iter().map(|id| id.to_string()).collect();
    vec![
        key.to_owned(),
        row.version.to_string(),
        at,
        state.is_terminal().to_string(),
        reason.map_or_else(String::new, ToString::to_string),
        row.last_updated.to_string(),
        sequence.join(" "),
    ]
}

fn run(key: &str, row: &RunRow) -> Vec<String> {
    vec![
        key.to_owned(),
        row.workflow_id.clone().unwrap_or_default(),
        row.status.to_string(),
        row.postings.map_or_else(String::new, |count| count.to_string()),
        row.open().to_string(),
        counts(row.ended.iter().map(|(reason, n)| (reason, *n))),
        counts(row.failed.iter().map(|(kind, n)| (kind, *n))),
        format!("{:.0}", row.per_minute()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_posting_is_found_by_its_id() {
        assert_eq!(key_of(Name::PostingState, "3"), "posting/3");
        assert_eq!(key_of(Name::PostingState, "posting/3"), "posting/3");
        assert_eq!(key_of(Name::ConversationStatistics, "3"), "3");
    }

    #[test]
    fn keys_stand_in_the_order_of_their_numbers() {
        let mut keys = ["posting/10", "posting/9", "posting/odd", "posting/1", "0-2a10", "0-2a9"];
        keys.sort_by(|one, other| natural(one).cmp(&natural(other)));
        let sorted = ["0-2a10", "0-2a9", "posting/1", "posting/9", "posting/10", "posting/odd"];
        assert_eq!(keys, sorted);
        let mut keys = ["100", "20", "3"];
        keys.sort_by(|one, other| natural(one).cmp(&natural(other)));
        assert_eq!(keys, ["3", "20", "100"]);
    }
}
