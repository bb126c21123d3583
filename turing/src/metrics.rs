//! Metrics of a call that runs a workflow, for Prometheus: what they are counted from, the page that
//! tells them, and the address where it is served.
//!
//! No label has an id of a posting, a run or an event; names of actors are cut off and not too many.

mod board;
mod labels;
mod lag;
mod page;
mod serve;
mod text;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turing_domain::{
    Attempt, ConversationId, EndReason, FailureType, LlmUsage, PostingId, Workflow,
};

use crate::run::Sight;
use crate::store::Store;
use board::Board;
use labels::Labels;
use lag::Lags;

pub(crate) use serve::{CONNECTIONS, Serving, address};

/// What is counted of a call; a handle, of which all that are made tell the same.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    labels: Labels,
    board: Mutex<Board>,
    lags: Lags,
}

impl Metrics {
    /// Nothing is counted yet.
    pub(crate) fn new(workflow: &Workflow) -> Self {
        let (labels, board) = (Labels::of(workflow), Mutex::default());
        Self(Arc::new(Counted { labels, board, lags: Lags::default() }))
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page, as it is now.
    pub(crate) async fn page(&self) -> String {
        let lags = self.0.lags.look().await;
        let labels = &self.0.labels;
        let mut board = self.board();
        board.look(labels);
        page::page(labels, &board, &lags, Instant::now())
    }

    /// Of this store it is told how far the read models are behind.
    pub(crate) async fn ask(&self, store: &Store) {
        self.0.lags.ask(store.clone()).await;
    }

    pub(crate) fn sees(&self, sight: &Sight) {
        self.board().sees(sight.clone());
    }

    pub(crate) fn run_begins(&self, postings: usize) {
        self.board().begins(postings);
    }

    pub(crate) fn run_ends(&self) {
        self.board().ends(&self.0.labels);
    }

    /// So many events are recorded by now.
    pub(crate) fn events(&self, events: u64) {
        let mut board = self.board();
        board.events = board.events.max(events);
    }

    pub(crate) fn attempt_begins(&self, conversation: ConversationId, posting: PostingId) {
        self.board().attempt_begins(conversation, posting);
    }

    pub(crate) fn attempt_ends(&self, posting: PostingId) {
        self.board().attempt_ends(posting);
    }

    pub(crate) fn attempted(
        &self,
        conversation: ConversationId,
        failure: Option<&FailureType>,
        worked: Duration,
        usage: &LlmUsage,
    ) {
        self.board().attempted(&self.0.labels, conversation, failure, worked, usage);
    }

    pub(crate) fn posting_stands(&self, posting: PostingId, at: &[(Attempt, Instant)]) {
        self.board().stands(posting, at);
    }

    pub(crate) fn posting_apart(&self, posting: PostingId) {
        self.board().stands_apart(posting);
    }

    pub(crate) fn posting_ends(&self, reason: &EndReason) {
        self.board().posting_ends(reason);
    }

    pub(crate) fn store_away(&self) {
        self.board().store_away();
    }

    pub(crate) fn store_back(&self) {
        self.board().store_back();
    }
}
