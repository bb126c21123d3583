//! `turing state`: where something stands or stood, folded from its events, and what changed.

mod given;
mod range;

use clap::Args;
use es_core::event::{EventStoreExt, ReadStream, StreamId, Timestamp};
use es_core::execution::{Loaded, Moment, StateDifference, StreamVersion};
use es_core::{Aggregate, Repository};
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::json;
use turing_domain::{
    ActorBreaker, ActorId, ConversationId, ConversationWaves, Cutover, CutoverId, Posting,
    PostingId, WorkflowId, WorkflowRuns,
};

use self::range::{Range, Told};
use super::events::{nothing, stream_of};
use super::output::{Output, counted};
use super::why::tell_others;
use super::{Failure, Kind, StreamArgs, Verdict};
use crate::store::Store;
use crate::why::{Asker, PostingWhy};

#[derive(Debug, Args)]
pub(super) struct StateArgs {
    #[command(flatten)]
    pub(super) stream: StreamArgs,
    #[command(flatten)]
    when: When,
    /// Print the data that the posting is registered with instead.
    #[arg(long, conflicts_with_all = ["at_version", "at", "diff"])]
    data: bool,
    /// Print what the actor was given instead, to the last byte: for the attempt whose end is event N of
    /// the posting, by --at-version, or for its last one. It is made again from the store alone.
    #[arg(long, conflicts_with_all = ["at", "diff", "data"])]
    given: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct When {
    /// The state after its first N events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    at_version: Option<u64>,
    /// The state at an instant, such as 2026-11-23T10:00:00Z: before the first event recorded later.
    #[arg(long, value_name = "INSTANT")]
    at: Option<Timestamp>,
    /// What changed from A to B: versions or instants, such as 3..7, 3.. (to now), ..7 (from the
    /// start).
    #[arg(long, value_name = "A..B")]
    diff: Option<Range>,
}

pub(super) async fn execute(
    store: &Store,
    args: &StateArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let id = args.stream.id;
    if args.data {
        return tell_data(store, args, output).await;
    }
    if args.given {
        return given::tell_given(store, args, output).await;
    }
    match args.stream.kind {
        Kind::Posting => {
            let why = why_now(store, args, PostingId(id)).await?;
            tell::<Posting>(store, args, PostingId(id), why.as_ref(), output).await
        }
        Kind::Workflow => tell::<WorkflowRuns>(store, args, WorkflowId(id), None, output).await,
        Kind::Conversation => {
            tell::<ConversationWaves>(store, args, ConversationId(id), None, output).await
        }
        Kind::Actor => tell::<ActorBreaker>(store, args, ActorId(id), None, output).await,
        Kind::Cutover => tell::<Cutover>(store, args, CutoverId(id), None, output).await,
    }
}

/// Why a posting is where it is, where its state of now is printed for people.
async fn why_now(
    store: &Store,
    args: &StateArgs,
    posting: PostingId,
) -> Result<Option<PostingWhy>, Failure> {
    let When { at_version, at, diff } = &args.when;
    let is_now = at_version.is_none() && at.is_none() && diff.is_none();
    if !is_now || args.stream.common.json {
        return Ok(None);
    }
    let why = Box::pin(Asker::new(store).ask(posting, None)).await?;
    Ok(Some(why))
}

async fn tell_data(
    store: &Store,
    args: &StateArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let StreamArgs { kind, id, common } = &args.stream;
    if *kind != Kind::Posting {
        let what = format!("--data: a posting is registered with data, and no {}", kind.name());
        return Err(Failure::Usage { what });
    }
    let Some(data) = store.postings.data(PostingId(*id)).await? else {
        let what = format!("posting {id} is not registered in this store");
        return Err(Failure::NotFound { what });
    };
    match common.json {
        true => output.json(&json!({ "posting_id": id, "data": data })),
        false => output.json_for_people(&data),
    }
    Ok(Verdict::Well)
}

async fn tell<A: Aggregate + Serialize>(
    store: &Store,
    args: &StateArgs,
    id: A::Id,
    why: Option<&PostingWhy>,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let repository = Repository::<A>::new(store.events.clone());
    if let Some(Range { from, to }) = args.when.diff {
        let changed = repository.difference(&id, from, to).await?;
        check(store, args, from, &changed.from).await?;
        check(store, args, to, &changed.to).await?;
        if changed.from.version > changed.to.version {
            return Err(Failure::Reversed {
                from: format!("{} is version {}", Told(from), changed.from.version),
                to: format!("{} is version {}", Told(to), changed.to.version),
            });
        }
        return tell_difference(args, changed, output);
    }
    let moment = match &args.when {
        When { at_version: Some(version), .. } => StreamVersion::new(*version).into(),
        When { at: Some(instant), .. } => (*instant).into(),
        _ => Moment::Now,
    };
    let loaded = repository.load_at(&id, moment).await?;
    check(store, args, moment, &loaded).await?;
    if loaded.existing().is_none() {
        return Err(not_yet(store, args, moment).await?);
    }
    let Loaded { stream, version, state, .. } = loaded;
    if args.stream.common.json {
        // by its text, which keeps every digit
        #[derive(Serialize)]
        struct Whole<A> {
            state: A,
            stream: StreamId,
            version: StreamVersion,
        }
        output.json(&Whole { state, stream, version });
    } else {
        let events = usize::try_from(version.as_u64()).unwrap_or(usize::MAX);
        let head = format!("{stream} after {}", counted(events, "event"));
        match why {
            Some(why) => {
                output.hanging(&format!("{head}: "), &why.sentence);
                tell_others(why, output);
            }
            None => output.line(head),
        }
        output.json_for_people(&state);
    }
    Ok(Verdict::Well)
}

/// Refuses what never was, and a version that it has not come to.
async fn check<A: Aggregate>(
    store: &Store,
    args: &StateArgs,
    moment: Moment,
    loaded: &Loaded<A>,
) -> Result<(), Failure> {
    if loaded.existing().is_none() && first_event(store, args).await?.is_none() {
        return Err(nothing(&args.stream));
    }
    match moment {
        Moment::Version(version) if loaded.version < version => {
            let (kind, id, count) =
                (args.stream.kind.name(), args.stream.id, loaded.version.as_u64());
            let events = if count == 1 { "event" } else { "events" };
            let what =
                format!("{kind} {id} has {count} {events}, so there is no version {version}");
            Err(Failure::NotFound { what })
        }
        _ => Ok(()),
    }
}

/// The answer for a moment before the first event.
async fn not_yet(store: &Store, args: &StateArgs, moment: Moment) -> Result<Failure, Failure> {
    let Some(first) = first_event(store, args).await? else {
        return Ok(nothing(&args.stream));
    };
    let (kind, id, moment) = (args.stream.kind.name(), args.stream.id, Told(moment));
    let what = format!("{kind} {id} had no events at {moment}; its first was recorded at {first}");
    Ok(Failure::NotFound { what })
}

/// When the first event was recorded, if there is one.
async fn first_event(store: &Store, args: &StateArgs) -> Result<Option<Timestamp>, Failure> {
    let read = ReadStream::new(stream_of(&args.stream)?).to_version(StreamVersion::FIRST);
    let mut events = store.events.events(read);
    Ok(events.try_next().await?.map(|event| event.recorded_at))
}

fn tell_difference<A>(
    args: &StateArgs,
    changed: StateDifference<A>,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let StateDifference { from, to, differences, .. } = changed;
    if args.stream.common.json {
        #[derive(Serialize)]
        struct Changed {
            stream: StreamId,
            from_version: StreamVersion,
            to_version: StreamVersion,
            differences: Vec<es_core::execution::Difference>,
        }
        let (from_version, to_version) = (from.version, to.version);
        output.json(&Changed { stream: from.stream, from_version, to_version, differences });
        return Ok(Verdict::Well);
    }
    let (stream, from, to) = (from.stream, from.version, to.version);
    if differences.is_empty() {
        output.line(format_args!("{stream} from version {from} to {to}: no difference"));
        return Ok(Verdict::Well);
    }
    output.line(format_args!("{stream} from version {from} to {to}"));
    for difference in differences {
        output.hanging("  ", &difference.to_string());
    }
    Ok(Verdict::Well)
}
