//! Models of postings, from none to a row for each.

use es_benches::{Posting, PostingEvent};
use es_core::event::{Envelope, RecordedEvent};
use es_core::projection::{Changes, Keying, TableRow};
use es_core::{BoxError, Projection, Store, TableProjection};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// Nothing of any event: what remains is reading, and commits that move the checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NoRows;

impl Projection for NoRows {
    const NAME: &'static str = "no_rows";
    type Event = PostingEvent;
    type Key = i64;

    fn keying() -> Keying<Self> {
        fn none(_: &RecordedEvent) -> Option<i64> {
            None
        }
        Keying::by_metadata(none)
    }

    fn evolve(_: &i64, row: &mut Option<Self>, _: &Envelope<PostingEvent>) -> Result<(), BoxError> {
        *row = None;
        Ok(())
    }
}

/// How many events a posting has.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct PostingEvents {
    events: u64,
    letters: u64,
}

impl Projection for PostingEvents {
    const NAME: &'static str = "posting_events";
    type Event = PostingEvent;
    type Key = i64;

    fn keying() -> Keying<Self> {
        Keying::per_stream::<Posting>()
    }

    fn evolve(
        _: &i64,
        row: &mut Option<Self>,
        event: &Envelope<PostingEvent>,
    ) -> Result<(), BoxError> {
        let row = row.get_or_insert_default();
        row.events += 1;
        row.letters += letters(&event.data);
        Ok(())
    }
}

/// The same of a conversation, to which events of many postings belong.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ConversationEvents {
    events: u64,
    letters: u64,
}

fn conversation_of(event: &Envelope<PostingEvent>) -> Option<i64> {
    match &event.data {
        PostingEvent::ScriptExecutionCompleted { conversation_id, .. } => Some(*conversation_id),
        PostingEvent::ReachedTerminal => None,
    }
}

impl Projection for ConversationEvents {
    const NAME: &'static str = "conversation_events";
    type Event = PostingEvent;
    type Key = i64;

    fn keying() -> Keying<Self> {
        Keying::across_streams(conversation_of)
    }

    fn evolve(
        _: &i64,
        row: &mut Option<Self>,
        event: &Envelope<PostingEvent>,
    ) -> Result<(), BoxError> {
        let row = row.get_or_insert_default();
        row.events += 1;
        row.letters += letters(&event.data);
        Ok(())
    }
}

/// A posting in a table of one's own.
#[derive(TableRow, Debug)]
#[table(name = "postings_seen")]
pub(crate) struct PostingSeen {
    #[table(key)]
    posting: i64,
    conversation: Option<i64>,
    letters: i64,
}

impl TableProjection for PostingSeen {
    type Event = PostingEvent;
    type Tables = Self;

    fn project(event: &Envelope<PostingEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let posting = event.aggregate_id::<Posting>()?;
        let letters = i64::try_from(letters(&event.data))?;
        rows.upsert(Self { posting, conversation: conversation_of(event), letters });
        Ok(())
    }
}

fn letters(event: &PostingEvent) -> u64 {
    match event {
        PostingEvent::ScriptExecutionCompleted { output, .. } => output.len() as u64,
        PostingEvent::ReachedTerminal => 0,
    }
}

/// How many events the served model of a projection was made of.
pub(crate) async fn passed(store: &Store, projection: &str) -> Result<u64, Failure> {
    let models = store.capabilities().models.clone().ok_or("the store keeps models")?;
    let status = models.status(Some(projection)).await?;
    let active = status.first().and_then(|status| status.active.as_ref());
    Ok(active.map_or(0, |active| active.events))
}
