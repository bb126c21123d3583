//! `turing snapshot`: the kept states.

use clap::{Args, Subcommand};
use es_core::backend::{SnapshotSummary, prune_all};
use es_core::event::{ReadStream, StreamId, Timestamp};
use es_core::execution::{StoreError, StreamVersion};
use serde::Serialize;
use serde_json::json;

use super::output::{Output, rows, shown, table};
use super::{Common, Failure, Kind, Verdict};
use crate::store::{Access, Store};

#[derive(Debug, Args)]
pub(super) struct SnapshotArgs {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// List the kept states, of everything or of one posting.
    List(ListArgs),
    /// Remove all but the newest kept states of each stream.
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those of this kind and id.
    #[arg(value_enum, requires = "id")]
    kind: Option<Kind>,
    /// The id, such as 12345.
    #[arg(allow_negative_numbers = true)]
    id: Option<i32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct PruneArgs {
    /// How many of each stream stay; 0 removes all.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    keep: u64,
    #[command(flatten)]
    common: Common,
}

impl SnapshotArgs {
    pub(super) fn only_looks(&self) -> bool {
        matches!(self.command, SnapshotCommand::List(_))
    }
}

pub(super) async fn execute(args: SnapshotArgs, output: &mut Output) -> Result<Verdict, Failure> {
    match args.command {
        SnapshotCommand::List(args) => {
            let store = Store::open(&args.common.store()?, Access::Read).await?;
            let done = list(&store, &args, output).await;
            store.close().await;
            done
        }
        SnapshotCommand::Prune(args) => {
            let url = args.common.store()?;
            let store = Store::open(&url, Access::Existing).await?;
            let pruned = match store.snapshots() {
                Ok(snapshots) => prune_all(&**snapshots, args.keep).await,
                Err(error) => Err(error),
            };
            store.close().await;
            let (pruned, keep) = (pruned?, args.keep);
            if args.common.json {
                output.json(&json!({"removed": pruned.removed, "streams": pruned.streams}));
            } else {
                let (removed, streams) = (pruned.removed, pruned.streams);
                output.line(format_args!(
                    "{removed} kept states of {streams} streams removed; of each the newest {keep} stay"
                ));
            }
            Ok(Verdict::Well)
        }
    }
}

async fn list(store: &Store, args: &ListArgs, output: &mut Output) -> Result<Verdict, Failure> {
    const PAGE: usize = 500;
    let only = match (args.kind, args.id) {
        (Some(kind), Some(id)) => Some(
            StreamId::new(kind.name(), &id.to_string())
                .map_err(es_core::execution::LoadError::InvalidId)?,
        ),
        _ => None,
    };
    // those of a stream stand together, in the order of their versions
    let mut last = only.clone().map(before);
    let header = ["stream", "version", "taken at", "bytes", "last event", "schema"];
    let mut listed = table(&header, &[1, 3]);
    let mut count = 0_u64;
    loop {
        let page = store.snapshots()?.list_snapshots(last.as_ref(), PAGE).await?;
        let mut is_last = page.len() < PAGE;
        for snapshot in page {
            if only.as_ref().is_some_and(|only| snapshot.stream != *only) {
                is_last = true;
                break;
            }
            count += 1;
            let is_of_stream = is_of_stream(store, &snapshot).await?;
            match args.common.json {
                true => output.json_line(&Listed { snapshot: &snapshot, is_of_stream }),
                false => listed.add_row(row(&snapshot, is_of_stream)),
            }
            last = Some(snapshot);
        }
        if is_last || output.is_over() {
            break;
        }
    }
    if !args.common.json {
        match count {
            0 => output.line("no state is kept"),
            _ => output.line(rows(&listed)),
        }
    }
    Ok(Verdict::Well)
}

/// A kept state as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    snapshot: &'a SnapshotSummary,
    /// False if the stream has another event there, or none: then the state is not used.
    is_of_stream: bool,
}

/// Whether the last event of a kept state is the stream's of that version.
async fn is_of_stream(store: &Store, kept: &SnapshotSummary) -> Result<bool, StoreError> {
    let read = ReadStream::new(kept.stream.clone()).from_version(kept.version);
    let page = store.events.read_stream(&read.to_version(kept.version)).await?;
    Ok(kept.last_event.is_some()
        && page.events.first().map(|event| event.event_id) == kept.last_event)
}

/// The place in the list before all of a stream.
fn before(stream: StreamId) -> SnapshotSummary {
    let (version, taken_at) = (StreamVersion::EMPTY, Timestamp::EPOCH);
    SnapshotSummary { stream, version, last_event: None, schema: String::new(), taken_at, bytes: 0 }
}

fn row(snapshot: &SnapshotSummary, is_of_stream: bool) -> [String; 6] {
    [
        snapshot.stream.to_string(),
        snapshot.version.to_string(),
        snapshot.taken_at.to_string(),
        snapshot.bytes.to_string(),
        match (is_of_stream, snapshot.last_event) {
            (true, _) => "the stream's",
            (false, Some(_)) => "another, so not used",
            (false, None) => "not told, so not used",
        }
        .to_owned(),
        // the schema of a state names all of its events
        shown(&snapshot.schema, 40),
    ]
}
