//! What an actor was given for an attempt.

use es_core::execution::StreamVersion;
use turing_domain::PostingId;

use super::StateArgs;
use crate::cli::output::Output;
use crate::cli::{Failure, Kind, StreamArgs, Verdict};
use crate::given::given;
use crate::store::Store;

pub(super) async fn tell_given(
    store: &Store,
    args: &StateArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let StreamArgs { kind, id, common } = &args.stream;
    if *kind != Kind::Posting {
        let what =
            format!("--given: attempts are those of a posting, and not of a {}", kind.name());
        return Err(Failure::Usage { what });
    }
    let version = args.when.at_version.map(StreamVersion::new);
    let given = Box::pin(given(store, PostingId(*id), version)).await?;
    match common.json {
        true => output.json(&given),
        // as the actor read it
        false => output.verbatim(&given.given),
    }
    Ok(Verdict::Well)
}
