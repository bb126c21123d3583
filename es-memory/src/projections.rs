//! The models of projections and the rules of committing, without any locking.

use std::collections::BTreeMap;

use es_core::backend::rules::{Acquired, Model, Models};
use es_core::backend::{
    Batch, Claim, Content, Definition, Lease, Position, Renewal, SinkError, Slot, Timestamp,
};
use es_core::event::Payload;
use es_core::projection::{
    GenerationStatus, Parked, ParkedId, ParkedState, ProjectionStatus, Trouble,
};

use crate::tables::Tables;

/// All projections of a store.
#[derive(Debug, Default)]
pub(crate) struct Projections {
    entries: BTreeMap<String, Entry>,
    /// The projections that are kept within the append, and their leases.
    pub(crate) inline: Vec<(Definition, Lease)>,
}

/// One projection.
#[derive(Debug, Default)]
struct Entry {
    models: Models,
    newest_generation: u64,
    /// What is in the models, by generation.
    contents: BTreeMap<u64, Contents>,
}

/// What is in one model.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// By key.
    pub(crate) rows: BTreeMap<String, Payload>,
    pub(crate) tables: Tables,
    /// By position and key.
    pub(crate) parked: BTreeMap<(u64, String), Parked>,
    events: u64,
    committed_at: Option<Timestamp>,
    trouble: Option<Trouble>,
}

fn place(id: &ParkedId) -> (u64, String) {
    (id.position.to_sequence(), id.key.clone())
}

impl Entry {
    /// Makes room for another model, which takes over what was discarded; answers its generation.
    fn create(&mut self) -> u64 {
        let active = self.models.active.as_ref();
        let active = active.and_then(|active| self.contents.get(&active.generation));
        let parked = active.into_iter().flat_map(|active| &active.parked);
        let discarded = parked.filter(|(_, entry)| !entry.is_waiting());
        let parked = discarded.map(|(place, entry)| (place.clone(), entry.clone())).collect();
        self.newest_generation += 1;
        self.contents.insert(self.newest_generation, Contents { parked, ..Contents::default() });
        self.newest_generation
    }

    fn status(&self, slot: Slot, now: Timestamp) -> Option<GenerationStatus> {
        let model = self.models.slot(slot)?;
        let contents = self.contents.get(&model.generation)?;
        let waiting = contents.parked.values().filter(|entry| entry.is_waiting()).count() as u64;
        Some(GenerationStatus {
            generation: model.generation,
            fingerprint: model.fingerprint.clone(),
            checkpoints: model.checkpoints.clone(),
            holder: model.held_by(now).cloned(),
            events: contents.events,
            committed_at: contents.committed_at,
            waiting,
            discarded: contents.parked.len() as u64 - waiting,
            trouble: contents.trouble.clone(),
        })
    }
}

impl Contents {
    /// So many of the keys of which the first waiting entry is due.
    pub(crate) fn due(&self, most: usize) -> Vec<String> {
        let mut first: BTreeMap<&str, bool> = BTreeMap::new();
        for entry in self.parked.values() {
            if let ParkedState::Waiting { is_due } = entry.state {
                first.entry(&entry.key).or_insert(is_due);
            }
        }
        let due = first.into_iter().filter(|(_, is_due)| *is_due);
        due.map(|(key, _)| key.to_owned()).take(most.max(1)).collect()
    }

    fn waits(&self, id: &ParkedId) -> bool {
        self.parked.get(&place(id)).is_some_and(Parked::is_waiting)
    }
}

impl Projections {
    fn entry(&mut self, projection: &str) -> &mut Entry {
        self.entries.entry(projection.to_owned()).or_default()
    }

    pub(crate) fn acquire(&mut self, claim: &Claim, now: Timestamp) -> Result<Lease, SinkError> {
        self.check_tables(claim)?;
        let entry = self.entry(&claim.projection);
        let model = match entry.models.acquire(claim, now)? {
            Acquired::Taken(model) => model,
            Acquired::Created { model, retired } => {
                if let Some(retired) = retired {
                    entry.contents.remove(&retired);
                }
                Model { generation: entry.create(), ..model }
            }
        };
        let contents = entry.contents.get_mut(&model.generation);
        contents.expect("each model has contents").tables.make(&claim.tables);
        let lease = model.lease(claim);
        *entry.models.slot_mut(claim.slot) = Some(model);
        Ok(lease)
    }

    /// Refuses tables that the active model of another projection has.
    fn check_tables(&self, claim: &Claim) -> Result<(), SinkError> {
        let others = self.entries.iter().filter(|(name, _)| **name != claim.projection);
        for (other, entry) in others {
            let active = entry.models.active.as_ref();
            let active = active.and_then(|active| entry.contents.get(&active.generation));
            let has = |name| active.is_some_and(|active| active.tables.has(name));
            if let Some(table) = claim.tables.iter().find(|table| has(table.name)) {
                let reason = format!("table `{}` is projection `{other}`'s", table.name);
                let projection = claim.projection.clone();
                return Err(SinkError::Unusable { projection, reason });
            }
        }
        Ok(())
    }

    pub(crate) fn renew(
        &mut self,
        lease: &Lease,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Vec<String>, SinkError> {
        let models = &mut self.entry(&lease.projection).models;
        let holder = models.renew(lease, renewal, now)?;
        models.leased_mut(lease)?.holder = holder;
        Ok(self.model(&lease.projection, lease.slot)?.due(renewal.limit))
    }

    pub(crate) fn release(&mut self, lease: &Lease) {
        if let Ok(model) = self.entry(&lease.projection).models.leased_mut(lease) {
            model.holder = None;
        }
    }

    pub(crate) fn report(
        &mut self,
        lease: &Lease,
        trouble: Option<&str>,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        self.entry(&lease.projection).models.leased(lease)?;
        let model = self.model(&lease.projection, lease.slot)?;
        model.trouble = trouble.map(|message| Trouble { message: message.to_owned(), at: now });
        Ok(())
    }

    pub(crate) fn commit(
        &mut self,
        lease: &Lease,
        batch: &Batch,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        let projection = &lease.projection;
        let Entry { models, contents, .. } = self.entry(projection);
        models.commit(lease, batch.slice, batch.from.position)?;
        let checkpoint = &mut models.leased_mut(lease)?.checkpoints[batch.slice as usize];
        let model = contents.get_mut(&lease.generation).expect("each model has contents");
        if !batch.unpark.iter().all(|id| model.waits(id)) {
            return Err(SinkError::ParkedChanged { projection: projection.clone() });
        }
        // the last thing that can fail, and then it has changed nothing
        match &batch.content {
            Content::Rows(changes) => {
                for change in changes {
                    match &change.value {
                        Some(value) => model.rows.insert(change.key.clone(), value.clone()),
                        None => model.rows.remove(&change.key),
                    };
                }
            }
            Content::Tables(changes) => {
                model.tables.apply(projection, changes)?;
            }
            _ => {
                let reason = "the store in memory does not know what to do with it".to_owned();
                return Err(SinkError::Unusable { projection: projection.clone(), reason });
            }
        }
        for id in &batch.unpark {
            model.parked.remove(&place(id));
        }
        for entry in &batch.park {
            model.parked.insert(place(&entry.id()), entry.clone());
        }
        *checkpoint = batch.to.clone();
        model.events += batch.events;
        model.committed_at = Some(now);
        model.trouble = None;
        Ok(())
    }

    pub(crate) fn switch(&mut self, lease: &Lease) -> Result<(), SinkError> {
        let Entry { models, contents, .. } = self.entry(&lease.projection);
        let switched = models.switch(lease)?;
        if let Some(retired) = switched.retired {
            contents.remove(&retired);
        }
        *models = Models { active: Some(switched.served), shadow: None };
        Ok(())
    }

    pub(crate) fn abandon(&mut self, projection: &str, now: Timestamp) -> Result<(), SinkError> {
        let entry = self.entry(projection);
        let retired = entry.models.abandon(projection, now)?;
        entry.contents.remove(&retired);
        entry.models.shadow = None;
        Ok(())
    }

    /// Ends the lease that appends have on the active model.
    pub(crate) fn end_inline(&mut self, projection: &str) -> Result<(), SinkError> {
        let models = &mut self.entry(projection).models;
        if let Some(released) = models.release_inline(projection)? {
            models.active = Some(released);
        }
        Ok(())
    }

    pub(crate) fn model(
        &mut self,
        projection: &str,
        slot: Slot,
    ) -> Result<&mut Contents, SinkError> {
        let model = self.entries.get_mut(projection).and_then(|entry| {
            let generation = entry.models.slot(slot)?.generation;
            entry.contents.get_mut(&generation)
        });
        model.ok_or_else(|| SinkError::NoModel { projection: projection.to_owned(), slot })
    }

    pub(crate) fn request_retry(
        &mut self,
        projection: &str,
        slot: Slot,
        key: &str,
    ) -> Result<(), SinkError> {
        let mut parked = self.model(projection, slot)?.parked.values_mut();
        let Some(first) = parked.find(|entry| entry.key == key && entry.is_waiting()) else {
            return Err(nothing_parked(projection, key));
        };
        first.state = ParkedState::Waiting { is_due: true };
        Ok(())
    }

    pub(crate) fn discard(
        &mut self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        let kept = self.model(projection, slot)?.parked.get_mut(&place(entry));
        let Some(kept) = kept.filter(|entry| entry.is_waiting()) else {
            return Err(nothing_parked(projection, &entry.key));
        };
        kept.state = ParkedState::Discarded { reason: reason.to_owned(), at: now };
        Ok(())
    }

    pub(crate) fn status(&self, wanted: Option<&str>, now: Timestamp) -> Vec<ProjectionStatus> {
        let entries = self.entries.iter();
        let entries = entries.filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
        let status = entries.map(|(name, entry)| ProjectionStatus {
            projection: name.clone(),
            active: entry.status(Slot::Active, now),
            shadow: entry.status(Slot::Shadow, now),
        });
        status.filter(|status| status.active.is_some() || status.shadow.is_some()).collect()
    }

    /// True if the active model has come to the position.
    pub(crate) fn has_reached(&self, projection: &str, position: Position) -> bool {
        let active = self.entries.get(projection).and_then(|entry| entry.models.active.as_ref());
        active.is_some_and(|model| {
            model.checkpoints.iter().all(|checkpoint| checkpoint.position >= position)
        })
    }
}

fn nothing_parked(projection: &str, key: &str) -> SinkError {
    SinkError::NothingParked { projection: projection.to_owned(), key: key.to_owned() }
}
