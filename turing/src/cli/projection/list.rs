//! `turing projection list`.

use es_core::projection::{Health, HealthState, Lag, Subscription, TroubleKind};
use serde::Serialize;
use serde_json::json;

use super::super::held_back::held_back;
use super::super::output::{Output, rows, shown, table};
use super::super::{Failure, Verdict};
use crate::proposal::command;
use crate::read_models::{NAMES, definitions};
use crate::store::Store;

/// One read model as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<serde_json::Value>,
}

pub(super) async fn execute(
    store: &Store,
    json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let definitions = definitions(store);
    let mut listed = Vec::with_capacity(NAMES.len());
    for name in NAMES {
        let definition = definitions.iter().find(|definition| definition.name() == name);
        let health = match definition.cloned() {
            Some(it) => Some(Subscription::definition(&store.events, it).health().await?),
            None => None,
        };
        listed.push((name, health));
    }
    match json {
        true => output.json(&listed.iter().map(row).collect::<Vec<_>>()),
        false => tell(&listed, output),
    }
    let is_well = |health: &Health| health.trouble.is_none() && health.waiting == 0;
    let all_well = listed.iter().all(|(_, health)| health.as_ref().is_none_or(is_well));
    Ok(if all_well { Verdict::Well } else { Verdict::Found })
}

/// What is said of a model that the database keeps within each append.
const BY_DATABASE: &str = "kept by the database";

fn row((name, health): &(&'static str, Option<Health>)) -> Row {
    let state = match health {
        Some(health) => health.state.to_string(),
        None => BY_DATABASE.to_owned(),
    };
    let health = health.as_ref().map(|health| {
        json!({
            "position": health.position,
            "lag_events": health.lag.events,
            "lag_is_exact": health.lag.is_exact,
            "lag_seconds": health.lag.time.as_secs_f64(),
            "rate": health.rate,
            "holder": health.holder.as_ref().map(|holder| &holder.name),
            "held_until": health.holder.as_ref().map(|holder| holder.expires_at),
            "parked": health.waiting,
            "discarded": health.discarded,
            "trouble": health.trouble.as_ref().map(|trouble| &trouble.message),
            "trouble_since": health.trouble.as_ref().map(|trouble| trouble.at),
            "blocked_by": health.blocked_by.as_ref().map(|blocker| json!({
                "session": blocker.session,
                "description": blocker.description,
                "open_seconds": blocker.open_for.map(|open_for| open_for.as_secs_f64()),
            })),
            "is_rebuilding": health.is_rebuilding,
        })
    });
    Row { name, state, health }
}

fn tell(listed: &[(&str, Option<Health>)], output: &mut Output) {
    let header =
        ["read model", "state", "behind", "for", "a second", "parked", "run by", "lease until"];
    let mut models = table(&header, &[2, 3, 4, 5]);
    for (name, health) in listed {
        let Some(health) = health else {
            models.add_row([*name, BY_DATABASE, "0", "", "", "", "", ""]);
            continue;
        };
        let state = match health.is_rebuilding {
            true => format!("{}, has a rebuilt model", health.state),
            false => health.state.to_string(),
        };
        let Lag { events, is_exact, time } = health.lag;
        let more = if is_exact { "" } else { "+" };
        let behind_for = match events {
            0 => String::new(),
            _ => format!("{:.1} s", time.as_secs_f64()),
        };
        let holder = health.holder.as_ref().map_or("", |holder| &holder.name);
        let until = health.holder.as_ref().map(|holder| holder.expires_at.to_string());
        models.add_row([
            (*name).to_owned(),
            state,
            format!("{events}{more}"),
            behind_for,
            health.rate.map_or_else(String::new, |rate| format!("{rate:.1}")),
            health.waiting.to_string(),
            shown(holder, 60),
            until.unwrap_or_default(),
        ]);
    }
    output.line(rows(&models));
    for (name, health) in listed {
        let Some(health) = health else { continue };
        if let Some(trouble) = &health.trouble {
            output.line(format_args!("\n{name}: {}", shown(&trouble.message, 400)));
            if matches!(trouble.kind(), TroubleKind::Diverged | TroubleKind::Changed) {
                let rebuild = command(format_args!("projection rebuild {name} --switch"));
                output.line(format_args!("{name}: `{rebuild}`"));
            }
        }
        if health.waiting > 0 {
            let parked = command(format_args!("projection parked {name}"));
            output.line(format_args!("\n{name}: see `{parked}`"));
        }
    }
    // the log is one for all of them
    let blocker = listed.iter().find_map(|(_, health)| health.as_ref()?.blocked_by.as_ref());
    if let Some(blocker) = blocker {
        output.line(format_args!("\n{}", held_back(blocker)));
    }
    if listed.iter().any(|(_, health)| {
        health.as_ref().is_some_and(|health| health.state == HealthState::NotRunning)
    }) {
        output.line(format_args!(
            "\n`{}` keeps them up to date; a run does when it ends, if its login may write them",
            command("projection run")
        ));
    }
}
