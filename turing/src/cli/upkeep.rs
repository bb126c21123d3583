//! The read models, which a run brings up to date when it ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use es_core::backend::Definition;
use es_core::event::{Position, Timestamp};
use es_core::execution::StoreErrorKind;
use es_core::projection::{SinkError, Subscription};
use tokio::sync::watch;

use super::Failure;
use super::output::shown;
use crate::proposal::command;
use crate::read_models::{claim, definitions, runner};
use crate::store::Store;
use crate::store::postgres::{Role, missing_grant};

/// What is said of read models where somebody does not want to wait for them.
pub(super) fn not_kept() -> Vec<String> {
    vec![format!(
        "the read models were not brought up to date, because the run was interrupted: `{}` does it",
        command("projection run --once")
    )]
}

/// What is said of read models that this login may not write.
async fn not_allowed(store: &Store, models: &[String]) -> String {
    let models = models.join(", ");
    let grant = match store.database() {
        Some(database) => missing_grant(database, Role::Projector).await,
        None => None,
    };
    let way = grant.map_or_else(String::new, |grant| format!("{grant}; or "));
    format!(
        "not brought up to date, because this login may not write them: {models}; {way}`{}` by a \
         login that may does it",
        command("projection run --once")
    )
}

/// The read models that others keep, by their names, and until when their leases last at least.
type Left = BTreeMap<String, (Timestamp, Vec<Definition>)>;

/// How long whoever keeps read models has to take the last events of a run.
const UNTIL_TAKEN: Duration = Duration::from_secs(2);

/// How long each of them has at least, when the others have taken that long.
const EACH: Duration = Duration::from_millis(50);

/// What is said of read models that others keep and that have not come to this place soon: a program
/// that is at work takes all events at once, and nothing is to be said of that.
async fn not_taken(store: &Store, left: Left, end: Position) -> Vec<String> {
    let (mut told, last) = (Vec::new(), Instant::now() + UNTIL_TAKEN);
    for (holder, (until, definitions)) in left {
        let mut behind = Vec::new();
        for definition in definitions {
            let name = definition.name().to_owned();
            let limit = last.saturating_duration_since(Instant::now()).max(EACH);
            let model = Subscription::definition(&store.events, definition);
            if model.wait_for(end, limit).await.is_err() {
                behind.push(name);
            }
        }
        if !behind.is_empty() {
            told.push(format!(
                "left to `{}`, which has not taken the last events in time, and whose lease lasts \
                 until {until} at least: {}; if it has been killed, `{}` brings them up to date after \
                 that",
                shown(&holder, 80),
                behind.join(", "),
                command("projection run --once")
            ));
        }
    }
    told
}

/// Brings the read models up to date that nobody else keeps, if this user may write them. They can
/// be made at any time, so their failure fails no run: answers what keeps them from it.
pub(super) async fn keep_read_models(
    store: &Store,
    heard: &mut watch::Receiver<u32>,
) -> Vec<String> {
    let mut told = Vec::new();
    let kept = async {
        let (mut free, mut left) = (Vec::new(), Left::new());
        let end = store.events.end_of_log().await?;
        let (mut denied, models) = (Vec::new(), store.models()?);
        for definition in definitions(store) {
            match models.acquire(&claim(&definition)).await {
                Ok(lease) => {
                    models.release(&lease).await?;
                    free.push(definition);
                }
                Err(SinkError::Held { holder, expires_at, .. }) => {
                    let (until, of_holder) = left.entry(holder).or_insert((expires_at, Vec::new()));
                    *until = expires_at.max(*until);
                    of_holder.push(definition);
                }
                // a model of an older program keeps no other from its place
                Err(error @ SinkError::Changed { .. }) => {
                    let words = format!("projection rebuild {} --switch", definition.name());
                    told.push(format!("{error}: `{}`", command(words)));
                }
                // whoever runs workflows need not be whoever keeps models
                Err(SinkError::Store(error)) if error.kind() == StoreErrorKind::ReadOnly => {
                    denied.push(definition.name().to_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !denied.is_empty() {
            told.push(not_allowed(store, &denied).await);
        }
        let mut runner = runner(store, free);
        let done = tokio::select! {
            done = runner.catch_up() => done.map(|_| true),
            Ok(()) = heard.changed() => Ok(false),
        };
        // or whoever is told to bring them up to date would wait for our lease
        runner.release().await;
        if let Ok(false) = done {
            return Ok(false);
        }
        let is_interrupted = tokio::select! {
            behind = not_taken(store, left, end) => {
                told.extend(behind);
                false
            }
            Ok(()) = heard.changed() => true,
        };
        done.map(|done| done && !is_interrupted).map_err(Failure::from)
    };
    let kept = kept.await;
    if let Ok(false) = kept {
        told.extend(not_kept());
    }
    if let Err(error) = kept {
        told.push(format!(
            "the read models are not up to date: {error}; `{}` says more, and the run is not \
             concerned",
            command("projection list")
        ));
    }
    told
}
