//! `turing projection parked`, `retry` and `discard`.

use es_core::backend::{ListParked, Slot};
use es_core::projection::{Parked, ParkedId, ParkedState, SinkError};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::super::output::{Output, rows, shown, table};
use super::super::{Failure, Verdict};
use super::run::once;
use super::{DiscardArgs, KeyArgs, OneArgs, holder};
use crate::proposal::command;
use crate::store::Store;

pub(super) async fn list(
    store: &Store,
    args: &OneArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let name = args.name.as_str();
    let model = args.name.subscription(store)?;
    let all = match model.parked().try_collect::<Vec<_>>().await {
        // what was never filled has nothing parked
        Err(SinkError::NoModel { .. }) => Vec::new(),
        all => all?,
    };
    if args.common.json {
        output.json(&all.iter().map(as_json).collect::<Vec<_>>());
    } else if all.is_empty() {
        output.line(format_args!("nothing is parked in {name}"));
    } else {
        let header = ["key", "position", "event", "attempts", "state", "reason"];
        let mut listed = table(&header, &[3]);
        for entry in &all {
            listed.add_row([
                shown(&entry.key, 60),
                entry.event.position.to_string(),
                entry.event.event_id.to_string(),
                entry.attempts.to_string(),
                state(entry),
                shown(&entry.reason, 200),
            ]);
        }
        output.line(rows(&listed));
        let retry = command(format_args!("projection retry {name} KEY"));
        let discard = format!("projection discard {name} KEY --position POSITION --reason TEXT");
        output.line(format_args!(
            "\nto try a key again: {retry}\nto go without an event: {}",
            command(discard)
        ));
    }
    let waits = all.iter().any(Parked::is_waiting);
    Ok(if waits { Verdict::Found } else { Verdict::Well })
}

fn state(entry: &Parked) -> String {
    match &entry.state {
        ParkedState::Waiting { .. } => "waits".to_owned(),
        ParkedState::Discarded { reason, at } => {
            format!("discarded at {at}: {}", shown(reason, 200))
        }
    }
}

fn as_json(entry: &Parked) -> Value {
    let (discarded_at, discard_reason) = match &entry.state {
        ParkedState::Waiting { .. } => (None, None),
        ParkedState::Discarded { reason, at } => (Some(at), Some(reason)),
    };
    json!({
        "key": entry.key,
        "position": entry.event.position,
        "event_id": entry.event.event_id,
        "attempts": entry.attempts,
        "parked_at": entry.parked_at,
        "reason": entry.reason,
        "waits": entry.is_waiting(),
        "discarded_at": discarded_at,
        "discard_reason": discard_reason,
    })
}

/// Asks for another attempt; makes it at once if nobody runs the read model.
pub(super) async fn retry(
    store: &Store,
    args: &KeyArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let (name, key) = (args.name.as_str(), args.key.as_str());
    let model = args.name.subscription(store)?;
    model.retry(key).await?;
    let holder = holder(&model).await?;
    if holder.is_none() {
        once(store, vec![args.name.definition(store)?]).await?;
    }
    let waiting = ListParked::waiting(key);
    let waits = !store.models()?.parked(name, Slot::Active, &waiting).await?.is_empty();
    let (key, is_done) = (shown(key, 80), holder.is_none() && !waits);
    if args.common.json {
        output
            .json(&json!({ "read_model": name, "key": key, "tried_by": holder, "done": is_done }));
    } else {
        output.line(match holder {
            Some(holder) => format!("{} will try {key} of {name} again", shown(&holder, 80)),
            None if waits => format!(
                "{key} of {name} still cannot go on; `{}` says why",
                command(format_args!("projection parked {name}"))
            ),
            None => format!("{key} of {name} goes on"),
        });
    }
    Ok(if waits && !is_done { Verdict::Found } else { Verdict::Well })
}

pub(super) async fn discard(
    store: &Store,
    args: &DiscardArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let KeyArgs { name, key, common } = &args.of;
    let model = name.subscription(store)?;
    let entry = ParkedId { position: args.position, key: key.clone() };
    model.discard(&entry, &args.reason).await?;
    // who waited behind it is due now
    if holder(&model).await?.is_none() {
        once(store, vec![name.definition(store)?]).await?;
    }
    let (name, key, position) = (name.as_str(), shown(key, 80), args.position);
    match common.json {
        true => output.json(&json!({ "read_model": name, "key": key, "discarded": position })),
        false => output.line(format_args!("{name} goes without {position} under {key}")),
    }
    Ok(Verdict::Well)
}
