//! `turing trace`: what belongs together, as a tree of causes and effects.

use clap::Args;
use es_core::event::RecordedEvent;
use serde::Serialize;
use serde_json::value::RawValue;
use turing_domain::fields::{CONVERSATION_ID, DURATION_MS};

use super::events::as_json;
use super::output::{Output, shown};
use super::{Common, Failure, Verdict};
use crate::proposal::command;
use crate::store::{Access, Store};
use crate::trace::{CauseOf, Node, trace};

#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// The correlation id, such as workflow_3001_posting_12345: `turing events … --json` shows it.
    correlation_id: String,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn execute(args: &TraceArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let url = args.common.store()?;
    let store = Store::open(&url, Access::Read).await?;
    let traced = trace(&store, &args.correlation_id).await;
    store.close().await;
    let traced = traced?;
    if traced.nodes.is_empty() {
        let id = shown(&args.correlation_id, 100);
        let what = format!(
            "no event in {url} belongs to the correlation {id}; `{}` shows the correlation_id of each \
             event",
            command("events posting ID --json")
        );
        return Err(Failure::NotFound { what });
    }
    if args.common.json {
        let events: Vec<_> = traced.nodes.iter().map(json_of).collect();
        output.json(&Tree {
            correlation_id: &args.correlation_id,
            missing_causes: traced.missing(),
            events,
        });
        return Ok(Verdict::Well);
    }
    let (mut shift, mut last) = (0, None);
    for node in &traced.nodes {
        if node.depth == 0 {
            let above = told(&node.cause);
            // what has a cause outside of the tree stands below that
            shift = usize::from(above.is_some());
            if let Some(above) = above.filter(|_| last != Some(&node.cause)) {
                output.line(above);
            }
            last = Some(&node.cause);
        }
        output.line(format_args!("{}{}", indent(node.depth + shift), line(&node.event)));
    }
    Ok(Verdict::Well)
}

fn indent(depth: usize) -> String {
    /// Deeper ones stand here and tell their depth.
    const DEEPEST: usize = 30;
    match depth {
        0..=DEEPEST => "  ".repeat(depth),
        _ => format!("{}[{depth}] ", "  ".repeat(DEEPEST)),
    }
}

fn line(event: &RecordedEvent) -> String {
    let RecordedEvent { stream, version, event_type, recorded_at, metadata, .. } = event;
    let name = shown(event_type.as_str(), 60);
    let at = metadata.get(CONVERSATION_ID).map_or_else(String::new, |id| format!(" at {id}"));
    let took = metadata.get(DURATION_MS).map_or_else(String::new, |ms| format!(" ({ms} ms)"));
    format!("{stream} {version} {name}{at}{took}  {recorded_at}")
}

/// A cause that is not in the tree, in a line.
fn told(cause: &CauseOf) -> Option<String> {
    match cause {
        CauseOf::None | CauseOf::Above => None,
        CauseOf::Elsewhere(event) => Some(format!("{}  (not of this correlation)", line(event))),
        CauseOf::Missing(id) => Some(format!("event {id}  (missing: it is not in this store)")),
        CauseOf::Circular(id) => {
            Some(format!("event {id}  (a circle: it follows from its effect)"))
        }
    }
}

/// What is told as JSON; events keep every digit.
#[derive(Serialize)]
struct Tree<'a, M> {
    correlation_id: &'a str,
    missing_causes: M,
    events: Vec<Told>,
}

/// A node of it.
#[derive(Serialize)]
struct Told {
    depth: usize,
    cause: &'static str,
    event: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause_event: Option<Box<RawValue>>,
}

fn json_of(node: &Node) -> Told {
    let Node { depth, cause, event } = node;
    let (name, outside) = match cause {
        CauseOf::None => ("none", None),
        CauseOf::Above => ("above", None),
        CauseOf::Elsewhere(event) => ("elsewhere", Some(&**event)),
        CauseOf::Missing(_) => ("missing", None),
        CauseOf::Circular(_) => ("circular", None),
    };
    Told { depth: *depth, cause: name, event: as_json(event), cause_event: outside.map(as_json) }
}
