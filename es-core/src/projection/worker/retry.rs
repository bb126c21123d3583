//! Further attempts at what is parked.

use crate::envelope::RecordedEvent;

use super::super::definition::Kind;
use super::super::fold::{Fold, is_unkeyed};
use super::super::{
    Batch, Content, EventReference, ListParked, Parked, ParkedState, RowChange, SinkError,
    StopCause,
};
use super::group::Group;
use super::{Parking, Worker, chain};

impl Worker {
    /// How much of what waits is read again at once.
    const RETRIED: usize = 500;

    /// Takes what was parked lately and has nothing before it any more: that may have been discarded
    /// just before.
    pub(in super::super) async fn retry_joined(&mut self) -> Result<(), StopCause> {
        while let Some(key) = self.may_be_due.pop_first() {
            let mut list = ListParked::waiting(&key);
            list.limit = 1;
            let first = self.sink.parked(self.definition.name(), self.lease.slot, &list).await?;
            self.answered();
            let is_due = ParkedState::Waiting { is_due: true };
            if first.first().is_none_or(|first| first.state == is_due) {
                self.retry_key(&key).await?;
            }
        }
        Ok(())
    }

    /// Takes what waits under the key, in order, until an event fails or none is left.
    ///
    /// The events are read again, so that today's upcasters and code apply.
    pub(in super::super) async fn retry_key(&mut self, key: &str) -> Result<(), StopCause> {
        self.flush().await?;
        loop {
            let mut list = ListParked::waiting(key);
            list.limit = self.limit.events.clamp(1, Self::RETRIED);
            let entries = self.sink.parked(self.definition.name(), self.lease.slot, &list).await?;
            self.answered();
            if entries.is_empty() {
                self.parked.remove(key);
                return Ok(());
            }
            let is_stuck = self.retry_page(key, entries).await?;
            if is_stuck {
                return Ok(());
            }
        }
    }

    /// Takes these entries of a key, and answers whether one failed.
    async fn retry_page(&mut self, key: &str, entries: Vec<Parked>) -> Result<bool, StopCause> {
        let (mut events, mut bytes) = (Vec::with_capacity(entries.len()), 0);
        for entry in &entries {
            let event = self.recorded(&entry.event).await?;
            bytes += event.payload.as_str().len();
            events.push(event);
            if bytes > self.limit.bytes {
                break;
            }
        }
        let entries = &entries[..events.len()];
        match self.definition.kind.clone() {
            Kind::Fold(fold) if is_unkeyed(key) => {
                for (entry, event) in entries.iter().zip(&events) {
                    if self.retry_unkeyed(&*fold, entry, event).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Kind::Fold(fold) => {
                let rows = self.rows(&[key.to_owned()]).await?;
                let row = rows.get(key);
                let refs: Vec<_> = events.iter().collect();
                let folded = fold.fold(key, row, &refs);
                let taken = folded.failed.as_ref().map_or(events.len(), |(index, _)| *index);
                let failed = folded.failed.map(|(_, error)| chain(&*error));
                let change = RowChange { key: key.to_owned(), value: folded.row };
                let content = Content::Rows(if taken > 0 { vec![change] } else { Vec::new() });
                self.settle(entries, taken, failed.clone(), content).await?;
                Ok(failed.is_some())
            }
            Kind::Tables(project) => {
                for (entry, event) in entries.iter().zip(&events) {
                    let entry = std::slice::from_ref(entry);
                    let failed = match project.project(event) {
                        Err(error) => chain(&*error),
                        Ok(changes) => {
                            let content = Content::Tables(changes);
                            match self.settle(entry, 1, None, content).await {
                                Err(SinkError::Refused { source, .. }) => chain(&*source),
                                answer => {
                                    answer?;
                                    continue;
                                }
                            }
                        }
                    };
                    let nothing = Content::Tables(Vec::new());
                    self.settle(entry, 0, Some(failed), nothing).await?;
                    return Ok(true);
                }
                Ok(false)
            }
        }
    }

    /// Takes an event of which the keys could not be told into the rows of all its keys, or has it
    /// wait under them; answers whether they still cannot be told.
    async fn retry_unkeyed(
        &mut self,
        fold: &dyn Fold,
        entry: &Parked,
        event: &RecordedEvent,
    ) -> Result<bool, StopCause> {
        let keys = match fold.keys(event) {
            Ok(keys) => keys,
            Err(error) => {
                let (failed, nothing) = (chain(&*error), Content::Rows(Vec::new()));
                self.settle(std::slice::from_ref(entry), 0, Some(failed), nothing).await?;
                return Ok(true);
            }
        };
        let open = keys.iter().filter(|key| !self.parked.contains(*key)).cloned();
        let rows = self.rows(&open.collect::<Vec<_>>()).await?;
        let before = std::mem::replace(&mut self.parking, Parking::Always);
        let plan = self.plan(fold, &Group::one(event, keys), &rows);
        self.parking = before;
        let (plan, here) = (plan?, self.checkpoint.clone());
        let mut batch = Batch::moving(self.slice, here.clone(), here);
        (batch.content, batch.park) = (Content::Rows(plan.rows), plan.park);
        batch.unpark.push(entry.id());
        self.commit(batch).await?;
        Ok(false)
    }

    /// Commits that the first `taken` entries are in the model, and that the next one failed.
    async fn settle(
        &mut self,
        entries: &[Parked],
        taken: usize,
        failed: Option<String>,
        content: Content,
    ) -> Result<(), SinkError> {
        let here = self.checkpoint.clone();
        let mut batch = Batch::moving(self.slice, here.clone(), here).content(content);
        batch.unpark = entries[..taken].iter().map(Parked::id).collect();
        if let Some(reason) = failed
            && let Some(entry) = entries.get(taken)
        {
            let attempts = entry.attempts.saturating_add(1);
            let state = ParkedState::Waiting { is_due: false };
            let parked_at = self.environment.clock.now();
            // it is replaced only if it waits still: somebody may have discarded it meanwhile
            batch.unpark.push(entry.id());
            batch.park.push(Parked { reason, attempts, parked_at, state, ..entry.clone() });
        }
        self.commit(batch).await
    }

    /// The event that a reference is of.
    pub(super) async fn recorded(
        &self,
        wanted: &EventReference,
    ) -> Result<RecordedEvent, StopCause> {
        let found = wanted.find(&*self.store).await?;
        found.ok_or_else(|| StopCause::Diverged { event: wanted.clone() })
    }
}
