//! What one commit writes.

use crate::payload::Payload;

use super::{Checkpoint, Parked, ParkedId, TableChange};

/// One row of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRow {
    /// Its key, unique in the model.
    pub key: String,
    /// Its value.
    pub value: Payload,
}

/// What becomes of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// The key of the row.
    pub key: String,
    /// The new value; `None` removes the row.
    pub value: Option<Payload>,
}

/// What a batch does to the model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// The engine has folded; the sink stores rows. Each key stands at most once.
    Rows(Vec<RowChange>),
    /// The sink carries these changes out, in this order, within the transaction of the commit.
    Tables(Vec<TableChange>),
}

impl Content {
    /// True if there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Rows(rows) => rows.is_empty(),
            Self::Tables(changes) => changes.is_empty(),
        }
    }
}

/// One atomic step of a model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Batch {
    /// The slice of the model, from 0.
    pub slice: u32,
    /// Where the slice stands.
    pub from: Checkpoint,
    /// Where it stands afterwards; the same place if only parked events are dealt with.
    pub to: Checkpoint,
    /// How many events are dealt with, for [`GenerationStatus::events`](super::GenerationStatus).
    pub events: u64,
    /// What becomes of the model.
    pub content: Content,
    /// Entries that are added, or replaced if they exist.
    pub park: Vec<Parked>,
    /// Waiting entries that are removed, because their events are in the model now, or replaced by
    /// those that are parked.
    pub unpark: Vec<ParkedId>,
}

impl Batch {
    /// A step that only moves the checkpoint.
    pub fn moving(slice: u32, from: Checkpoint, to: Checkpoint) -> Self {
        Self {
            slice,
            from,
            to,
            events: 0,
            content: Content::Rows(Vec::new()),
            park: Vec::new(),
            unpark: Vec::new(),
        }
    }

    /// Replaces what becomes of the model.
    #[must_use]
    pub fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }
}
