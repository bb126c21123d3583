//! The store as a place for the models of projections.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::CommitSignal;
use sqlx::SqlStr;

use crate::connection::Connections;
use crate::sql::{Statements, TableTemplates};

mod commit;
mod inline;
mod model;
mod reached;
mod retired;
mod row;
mod sink;
mod tables;

use inline::Inline;
pub(crate) use inline::Undone;
use reached::Reached;
use retired::LeftOver;

/// What the projections of a store need.
pub(crate) struct Projections {
    /// Each call takes one of these, and none while it holds one.
    pub(crate) connections: Connections,
    /// How a transaction begins that makes tables.
    begin_making: SqlStr,
    statements: Arc<Statements>,
    templates: TableTemplates,
    commits: CommitSignal,
    reached: Reached,
    pub(crate) inline: Inline,
    left_over: LeftOver,
    is_persistent: bool,
    /// How long an append waits for writers that its models cannot pass, and a claim for whoever is at
    /// the tables that it makes or changes.
    patience: Duration,
}

impl Projections {
    pub(crate) fn new(
        connections: Connections,
        begin_making: SqlStr,
        statements: Arc<Statements>,
        templates: TableTemplates,
        is_persistent: bool,
        patience: Duration,
    ) -> Self {
        Self {
            connections,
            begin_making,
            statements,
            templates,
            commits: CommitSignal::new(),
            reached: Reached::default(),
            inline: Inline::default(),
            left_over: LeftOver::default(),
            is_persistent,
            patience,
        }
    }

    /// Refuses further use, and wakes who waits to tell so.
    pub(crate) async fn close(&self) {
        self.connections.close().await;
        self.commits.give();
    }
}
