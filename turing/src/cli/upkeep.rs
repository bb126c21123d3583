//! The read models, which a run brings up to date when it ends.

use std::collections::BTreeMap;

use es_core::execution::StoreErrorKind;
use es_core::projection::SinkError;
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

/// Brings the read models up to date that nobody else keeps, if this user may write them. They can
/// be made at any time, so their failure fails no run: answers what keeps them from it.
pub(super) async fn keep_read_models(
    store: &Store,
    heard: &mut watch::Receiver<u32>,
) -> Vec<String> {
    let mut told = Vec::new();
    let kept = async {
        let (mut free, mut left) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        let (mut denied, models) = (Vec::new(), store.models()?);
        for definition in definitions(store) {
            match models.acquire(&claim(&definition)).await {
                Ok(lease) => {
                    models.release(&lease).await?;
                    free.push(definition);
                }
                Err(SinkError::Held { projection, holder, expires_at }) => {
                    left.entry((holder, expires_at)).or_default().push(projection);
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
        for ((holder, until), models) in left {
            told.push(format!(
                "left to `{}`, whose lease lasts until {until} at least: {}; if it has been \
                 killed, `{}` brings them up to date after that",
                shown(&holder, 80),
                models.join(", "),
                command("projection run --once")
            ));
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
        done.map_err(Failure::from)
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
