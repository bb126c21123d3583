//! `turing projection run` and `release`.

use std::process::ExitCode;

use es_core::projection::{Definition, SinkError};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::super::Failure;
use super::super::output::{Output, shown, tell};
use super::{OneArgs, RunArgs, holder};
use crate::read_models::{definitions, runner};
use crate::store::Store;

pub(super) async fn execute(
    store: &Store,
    args: &RunArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let named = args.names.iter().map(|name| name.definition(store));
    let wanted = match args.names.is_empty() {
        true => definitions(store),
        false => named.collect::<Result<Vec<_>, _>>()?,
    };
    let names: Vec<_> = wanted.iter().map(|it| it.name().to_owned()).collect();
    match args.once {
        true => once(store, wanted).await?,
        false => until_interrupted(store, wanted, &names).await?,
    }
    match args.common.json {
        true => output.json(&json!({ "read_models": names, "caught_up": args.once }))?,
        false if args.once => output.line(format_args!("up to date: {}", names.join(", ")))?,
        false => output.line(format_args!("stopped: {}", names.join(", ")))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn once(store: &Store, wanted: Vec<Definition>) -> Result<(), Failure> {
    let mut runner = runner(store, wanted);
    let done = runner.catch_up().await;
    runner.release().await;
    Ok(done?)
}

async fn until_interrupted(
    store: &Store,
    wanted: Vec<Definition>,
    names: &[String],
) -> Result<(), Failure> {
    let runner = runner(store, wanted);
    let handle = runner.handle();
    tell(format_args!("keeping up to date until interrupted: {}", names.join(", ")));
    let mut terminate = signal(SignalKind::terminate())?;
    let running = runner.run();
    tokio::pin!(running);
    tokio::select! {
        done = &mut running => return Ok(done?),
        Ok(()) = tokio::signal::ctrl_c() => {}
        Some(()) = terminate.recv() => {}
    }
    handle.stop();
    Ok(running.await?)
}

/// Ends the lease of appends; any other holder keeps its own.
pub(super) async fn release(
    store: &Store,
    args: &OneArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let name = args.name.as_str();
    args.name.definition(store)?;
    match store.models.release_inline(name).await {
        Err(SinkError::NoModel { .. }) => {
            let what =
                format!("{name} was never filled; to fill it: turing projection run --once {name}");
            return Err(Failure::NotFound { what });
        }
        released => released?,
    }
    let holder = holder(store, name).await?;
    match (args.common.json, &holder) {
        (true, _) => output.json(&json!({ "read_model": name, "holder": holder }))?,
        (false, Some(holder)) => output
            .line(format_args!("{name} is kept by {}, as long as that runs", shown(holder, 80)))?,
        (false, None) => output.line(format_args!(
            "{name} is kept by nobody; to keep it up to date: turing projection run {name}"
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}
