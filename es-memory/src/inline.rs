//! Projections that are kept within the append.

use std::collections::HashMap;

use es_core::BoxError;
use es_core::backend::rules::{inline_failure, inline_refusal};
use es_core::backend::{
    AppendError, Batch, Checkpoint, Claim, Content, Definition, Lease, SinkError, Timestamp,
    check_active_model,
};
use es_core::event::RecordedEvent;

use crate::projections::Projections;
use crate::store::MemoryStore;

impl MemoryStore {
    /// Keeps a projection within every append from now on.
    pub(crate) async fn keep_within_appends(
        &self,
        definition: Definition,
    ) -> Result<(), SinkError> {
        definition.check()?;
        check_active_model(self, self, definition.name()).await?;
        // the log first, as appends do
        let log = self.log();
        let mut projections = self.projections();
        let mut lease = projections.acquire(&Claim::of_appends(&definition), self.now())?;
        let here = lease.checkpoints[0].position;
        let rest: Vec<_> =
            log.events.iter().filter(|event| event.position > here).cloned().collect();
        projections
            .take(&definition, &mut lease, &rest, self.now())
            .map_err(|error| inline_refusal(&definition, error))?;
        projections.inline.retain(|(other, _)| other.name() != definition.name());
        projections.inline.push((definition, lease));
        drop((projections, log));
        self.commits().give();
        Ok(())
    }

    /// Takes the events of an append into all inline models, or into none.
    pub(crate) fn take_inline(
        &self,
        events: &[RecordedEvent],
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let mut projections = self.projections();
        if projections.inline.is_empty() {
            return Ok(());
        }
        let mut inline = std::mem::take(&mut projections.inline);
        let batches: Result<Vec<_>, SinkError> = inline
            .iter()
            .map(|(definition, lease)| {
                let batch = projections.batch(definition, lease, events);
                batch.map_err(|error| inline_refusal(definition, error).into())
            })
            .collect();
        let taken = batches.and_then(|batches| {
            for ((_, lease), batch) in inline.iter_mut().zip(batches) {
                // nothing of this can be refused: the lease never ends, the rows and the changes are checked
                projections.commit(lease, &batch, now)?;
                lease.checkpoints[0] = batch.to;
            }
            Ok(())
        });
        projections.inline = inline;
        drop(projections);
        self.commits().give();
        taken.map_err(|error| inline_failure(error).into())
    }
}

impl Projections {
    /// Takes the lease of a model that has just become the active one, if its projection is kept
    /// inline: it has come as far as the append had brought its predecessor.
    pub(crate) fn adopt(&mut self, projection: &str, now: Timestamp) {
        let mut inline = std::mem::take(&mut self.inline);
        inline.retain_mut(|(definition, lease)| {
            if definition.name() != projection {
                return true;
            }
            // refused if it is other code's
            let adopted = self.acquire(&Claim::of_appends(definition), now);
            adopted.map(|adopted| *lease = adopted).is_ok()
        });
        self.inline = inline;
    }

    /// Ends what `keep_inline` began.
    pub(crate) fn release_inline(&mut self, projection: &str) -> Result<(), SinkError> {
        self.end_inline(projection)?;
        self.inline.retain(|(definition, _)| definition.name() != projection);
        Ok(())
    }

    /// What the events do to an inline model.
    fn batch(
        &mut self,
        definition: &Definition,
        lease: &Lease,
        events: &[RecordedEvent],
    ) -> Result<Batch, BoxError> {
        let from = lease.checkpoints[0].clone();
        let to = events.last().map_or_else(|| from.clone(), Checkpoint::at);
        let selected = events.iter().filter(|event| definition.selection().accepts(event));
        let selected: Vec<_> = selected.cloned().collect();
        let content = if definition.has_tables() {
            let changes = definition.table_changes(&selected)?;
            // undone again: another projection may refuse the append yet
            let tables = &mut self.model(definition.name(), lease.slot)?.tables;
            let undo = tables.apply(definition.name(), &changes)?;
            tables.undo(undo);
            Content::Tables(changes)
        } else {
            let keys = definition.keys_of(&selected)?;
            let model = &self.model(definition.name(), lease.slot)?.rows;
            let row = |key: &String| Some((key.clone(), model.get(key)?.clone()));
            let rows: HashMap<_, _> = keys.iter().filter_map(row).collect();
            Content::Rows(definition.changes(&selected, &rows)?)
        };
        let mut batch = Batch::moving(0, from, to).content(content);
        batch.events = selected.len() as u64;
        Ok(batch)
    }

    fn take(
        &mut self,
        definition: &Definition,
        lease: &mut Lease,
        events: &[RecordedEvent],
        now: Timestamp,
    ) -> Result<(), BoxError> {
        let batch = self.batch(definition, lease, events)?;
        self.commit(lease, &batch, now)?;
        lease.checkpoints[0] = batch.to;
        Ok(())
    }
}
