//! `turing state`: where something stands, folded from its events.

use std::process::ExitCode;

use es_core::{Aggregate, Loaded, Repository};
use serde::Serialize;
use serde_json::json;
use turing_domain::{
    ActorBreaker, ActorId, ConversationId, ConversationWaves, Posting, PostingId, WorkflowId,
    WorkflowRuns,
};

use super::events::nothing;
use super::output::Output;
use super::{Failure, Kind, StreamArgs};
use crate::store::Store;

pub(super) async fn execute(
    store: &Store,
    args: &StreamArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    match args.kind {
        Kind::Posting => tell::<Posting>(store, args, PostingId(args.id), output).await,
        Kind::Workflow => tell::<WorkflowRuns>(store, args, WorkflowId(args.id), output).await,
        Kind::Conversation => {
            tell::<ConversationWaves>(store, args, ConversationId(args.id), output).await
        }
        Kind::Actor => tell::<ActorBreaker>(store, args, ActorId(args.id), output).await,
    }
}

async fn tell<A: Aggregate + Serialize>(
    store: &Store,
    args: &StreamArgs,
    id: A::Id,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let loaded = Repository::<A>::new(store.events.clone()).load(&id).await?;
    if loaded.existing().is_none() {
        return Err(nothing(args));
    }
    let Loaded { stream, version, state, .. } = loaded;
    let state = serde_json::to_value(&state)?;
    if args.common.json {
        let whole = json!({"stream": stream, "version": version, "state": state});
        output.json(&whole)?;
    } else {
        output.line(format_args!("{stream} after {version} events"))?;
        output.line(serde_json::to_string_pretty(&state)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
