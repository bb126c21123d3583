//! `turing projection run` and `release`.

use es_core::backend::Definition;
use es_core::projection::{Health, SinkError};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::super::interrupts::Interrupts;
use super::super::output::{Output, shown};
use super::super::telling::tell;
use super::super::{Failure, Verdict};
use super::{OneArgs, RunArgs, holder};
use crate::proposal::command;
use crate::read_models::{definitions, runner};
use crate::store::Store;

pub(super) async fn execute(
    store: &Store,
    args: &RunArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let named = args.names.iter().map(|name| name.definition(store));
    let wanted = match args.names.is_empty() {
        true => definitions(store),
        false => named.collect::<Result<Vec<_>, _>>()?,
    };
    let names: Vec<_> = wanted.iter().map(|it| it.name().to_owned()).collect();
    match args.once {
        true => once(store, wanted).await?,
        false => until_interrupted(store, wanted, &names, interrupts).await?,
    }
    match args.common.json {
        true => output.json(&json!({ "read_models": names, "caught_up": args.once })),
        false if args.once => output.line(format_args!("up to date: {}", names.join(", "))),
        false => output.line(format_args!("stopped: {}", names.join(", "))),
    }
    Ok(Verdict::Well)
}

pub(super) async fn once(store: &Store, wanted: Vec<Definition>) -> Result<(), Failure> {
    let mut runner = runner(store, wanted);
    let done = runner.catch_up().await;
    runner.release().await;
    Ok(done?)
}

async fn until_interrupted(
    store: &Store,
    wanted: Vec<Definition>,
    names: &[String],
    interrupts: &Interrupts,
) -> Result<(), Failure> {
    let runner = runner(store, wanted);
    let handle = runner.handle();
    let mut heard = interrupts.going()?;
    let mut asked = signal(SignalKind::user_defined1()).map_err(Failure::Signals)?;
    tell(format_args!("keeping up to date until interrupted: {}", names.join(", ")));
    let running = runner.run();
    tokio::pin!(running);
    loop {
        tokio::select! {
            done = &mut running => return Ok(done?),
            Ok(()) = heard.changed() => break,
            Some(()) = asked.recv() => {}
        }
        // it works meanwhile
        tokio::select! {
            done = &mut running => return Ok(done?),
            health = handle.health() => tell_health(health),
        }
    }
    // it takes a moment; who asks twice does not want to wait for it
    interrupts.over(Verdict::Stopped.exit_code());
    handle.stop();
    Ok(running.await?)
}

/// Answers who asks how far the read models are.
fn tell_health(health: Result<Vec<Health>, SinkError>) {
    let all = match health {
        Ok(all) => all,
        Err(error) => return tell(format_args!("how far they are cannot be read now: {error}")),
    };
    for Health { projection, lag, .. } in all {
        let more = if lag.is_exact { "" } else { "+" };
        tell(format_args!("{projection}: {}{more} events behind", lag.events));
    }
}

/// Ends the lease of appends; any other holder keeps its own.
pub(super) async fn release(
    store: &Store,
    args: &OneArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let name = args.name.as_str();
    let model = args.name.subscription(store)?;
    match model.release_inline().await {
        Err(SinkError::NoModel { .. }) => {
            let fill = command(format_args!("projection run --once {name}"));
            let what = format!("{name} was never filled; to fill it: {fill}");
            return Err(Failure::NotFound { what });
        }
        released => released?,
    }
    let holder = holder(&model).await?;
    match (args.common.json, &holder) {
        (true, _) => output.json(&json!({ "read_model": name, "holder": holder })),
        (false, Some(holder)) => output
            .line(format_args!("{name} is kept by {}, as long as that runs", shown(holder, 80))),
        (false, None) => output.line(format_args!(
            "{name} is kept by nobody; to keep it up to date: {}",
            command(format_args!("projection run {name}"))
        )),
    }
    Ok(Verdict::Well)
}
