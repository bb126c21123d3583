//! Projections that are kept within the append.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use es_core::BoxError;
use es_core::backend::rules::{inline_failure, inline_refusal};
use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Definition, Lease, PageLimit, ReadLog, SinkError,
    StoreError, Timestamp, check_active_model,
};
use rusqlite::Connection;

use super::{commit, model, read, tables};
use crate::read::read_log;
use crate::store::SqliteStore;
use crate::writer::Flush;

/// The projections of a store that are kept within the append.
#[derive(Default)]
pub(crate) struct Inline(Mutex<Vec<Definition>>);

impl Inline {
    fn all(&self) -> MutexGuard<'_, Vec<Definition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Keeps it no longer.
    pub(super) fn forget(&self, projection: &str) {
        self.all().retain(|kept| kept.name() != projection);
    }

    /// Takes what stands in the log and not yet in the models, which is what an append has just
    /// written, and what other processes have.
    pub(crate) fn take(&self, connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
        for definition in self.all().iter() {
            let taken = loop {
                match take_page(connection, definition, now) {
                    Ok(true) => break Ok(()),
                    Ok(false) => {}
                    // a switch has made the model another code's, whose business it is now
                    Err(SinkError::Changed { .. }) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            taken.map_err(inline_failure)?;
        }
        Ok(())
    }

    /// Takes the lease of a model that has just become the active one, if its projection is kept
    /// inline, before a runner can.
    pub(super) fn adopt(
        &self,
        connection: &Connection,
        projection: &str,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        let all = self.all();
        let Some(definition) = all.iter().find(|it| it.name() == projection) else {
            return Ok(());
        };
        match model::acquire(connection, &Claim::of_appends(definition), now) {
            Ok(_) | Err(SinkError::Changed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl SqliteStore {
    /// Keeps a projection within every append of this store from now on.
    pub(super) async fn keep_within_appends(
        &self,
        definition: Definition,
    ) -> Result<(), SinkError> {
        definition.check()?;
        check_active_model(self, self, definition.name()).await?;
        loop {
            // a page for each transaction, so that appends wait for no more than that
            let (taken, inline) = (definition.clone(), Arc::clone(self.inline()));
            let is_at_end = self.advance(Flush::Now, move |connection, now| {
                tables::make(connection, taken.name(), &taken.tables())?;
                let is_at_end = take_page(connection, &taken, now)?;
                if is_at_end {
                    inline.forget(taken.name());
                    inline.all().push(taken);
                }
                Ok(is_at_end)
            });
            if is_at_end.await? {
                return Ok(());
            }
        }
    }
}

/// Takes a page of the log; true if there is no more.
fn take_page(
    connection: &Connection,
    definition: &Definition,
    now: Timestamp,
) -> Result<bool, SinkError> {
    let lease = model::acquire(connection, &Claim::of_appends(definition), now)?;
    let from = lease.checkpoints.first().cloned().unwrap_or(Checkpoint::START);
    let read = ReadLog::after(from.position).filter(definition.selection().clone());
    let page = read_log(connection, &read.limit(PageLimit::default()))?;
    let to = from.after(&page);
    let (mut batch, dealt_with) = (Batch::moving(0, from, to), page.events.len());
    batch.events = dealt_with as u64;
    let refused = |error| inline_refusal(definition, error);
    batch.content = if definition.has_tables() {
        Content::Tables(definition.table_changes(&page.events).map_err(refused)?)
    } else {
        let rows = rows(connection, definition, &lease, &page.events).map_err(refused)?;
        Content::Rows(definition.changes(&page.events, &rows).map_err(refused)?)
    };
    match commit::commit(connection, &lease, &batch, now) {
        Err(error @ SinkError::Refused { .. }) => Err(refused(error.into()).into()),
        committed => committed.map(|()| page.at_end),
    }
}

/// The rows that the events concern, as they are.
fn rows(
    connection: &Connection,
    definition: &Definition,
    lease: &Lease,
    events: &[es_core::event::RecordedEvent],
) -> Result<HashMap<String, es_core::event::Payload>, BoxError> {
    let keys = definition.keys_of(events)?;
    let rows = read::load(connection, definition.name(), lease.slot, keys)?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}
