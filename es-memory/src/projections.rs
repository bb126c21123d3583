//! The models of projections and the rules of committing, without any locking.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use es_core::projection::{
    Batch, Checkpoint, Claim, Content, Definition, GenerationStatus, Holder, Lease, Parked,
    ParkedId, ParkedState, ProjectionStatus, Renewal, SinkError, Slot, Trouble,
};
use es_core::{BoxError, Payload, Position, RecordedEvent, Timestamp};

/// The rows of one model, by key.
pub type Rows = BTreeMap<String, Payload>;

/// What a handler does with events.
type HandlerFn = dyn Fn(&mut Rows, &[RecordedEvent]) -> Result<(), BoxError> + Send + Sync;

/// A function that takes events into the rows of a model; see
/// [`MemoryStore::handle`](crate::MemoryStore::handle).
#[derive(Clone)]
pub(crate) struct Handler(pub(crate) Arc<HandlerFn>);

impl Handler {
    /// Calls it; a panic of it is a failure.
    pub(crate) fn call(&self, rows: &mut Rows, events: &[RecordedEvent]) -> Result<(), BoxError> {
        catch_unwind(AssertUnwindSafe(|| self.0(rows, events))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
            Err(format!("the handler panicked: {text}").into())
        })
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// All projections of a store.
#[derive(Debug, Default)]
pub(crate) struct Projections {
    entries: BTreeMap<String, Entry>,
    pub(crate) handlers: HashMap<String, Handler>,
    /// The projections that are kept within the append, and their leases.
    pub(crate) inline: Vec<(Definition, Lease)>,
}

/// One projection.
#[derive(Debug, Default)]
struct Entry {
    generations: u64,
    active: Option<Model>,
    shadow: Option<Model>,
}

/// One model.
#[derive(Debug)]
pub(crate) struct Model {
    generation: u64,
    fingerprint: String,
    epoch: u64,
    lease: Option<Holder>,
    checkpoints: Vec<Checkpoint>,
    pub(crate) rows: Rows,
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
    fn slot(&mut self, slot: Slot) -> &mut Option<Model> {
        match slot {
            Slot::Active => &mut self.active,
            Slot::Shadow => &mut self.shadow,
        }
    }

    fn create(&mut self, claim: &Claim) {
        self.generations += 1;
        let slices = match claim.slot {
            Slot::Active => 1,
            Slot::Shadow => claim.slices.max(1) as usize,
        };
        let discarded = self.active.iter().flat_map(|active| &active.parked);
        let discarded = discarded.filter(|(_, entry)| !entry.is_waiting());
        let model = Model {
            generation: self.generations,
            fingerprint: claim.fingerprint.clone(),
            epoch: 0,
            lease: None,
            checkpoints: vec![Checkpoint::START; slices],
            rows: Rows::new(),
            parked: discarded.map(|(place, entry)| (place.clone(), entry.clone())).collect(),
            events: 0,
            committed_at: None,
            trouble: None,
        };
        *self.slot(claim.slot) = Some(model);
    }
}

impl Model {
    /// Who has the lease now.
    fn holder(&self, now: Timestamp) -> Option<&Holder> {
        self.lease.as_ref().filter(|holder| holder.has_lease(now))
    }

    /// Ends the lease if this holder has it.
    pub(crate) fn end_lease_of(&mut self, holder: &str) {
        if self.lease.as_ref().is_some_and(|lease| lease.name == holder) {
            self.lease = None;
            self.epoch += 1;
        }
    }

    fn status(&self, now: Timestamp) -> GenerationStatus {
        let waiting = self.parked.values().filter(|entry| entry.is_waiting()).count() as u64;
        GenerationStatus {
            generation: self.generation,
            fingerprint: self.fingerprint.clone(),
            checkpoints: self.checkpoints.clone(),
            holder: self.holder(now).cloned(),
            events: self.events,
            committed_at: self.committed_at,
            waiting,
            discarded: self.parked.len() as u64 - waiting,
            trouble: self.trouble.clone(),
        }
    }

    /// The keys of which the first waiting entry is due.
    pub(crate) fn due(&self) -> Vec<String> {
        let mut first: BTreeMap<&str, bool> = BTreeMap::new();
        for entry in self.parked.values() {
            if let ParkedState::Waiting { is_due } = entry.state {
                first.entry(&entry.key).or_insert(is_due);
            }
        }
        let due = first.into_iter().filter(|(_, is_due)| *is_due);
        due.map(|(key, _)| key.to_owned()).collect()
    }

    fn waits(&self, id: &ParkedId) -> bool {
        self.parked.get(&place(id)).is_some_and(Parked::is_waiting)
    }
}

impl Projections {
    pub(crate) fn acquire(&mut self, claim: &Claim, now: Timestamp) -> Result<Lease, SinkError> {
        let entry = self.entries.entry(claim.projection.clone()).or_default();
        if let Some(model) = entry.slot(claim.slot) {
            let other = model.holder(now).filter(|holder| holder.name != claim.holder);
            if let Some(holder) = other {
                return Err(held(&claim.projection, claim.slot, holder));
            }
            if model.fingerprint != claim.fingerprint {
                if claim.slot == Slot::Active {
                    return Err(SinkError::Changed {
                        projection: claim.projection.clone(),
                        stored: model.fingerprint.clone(),
                        offered: claim.fingerprint.clone(),
                    });
                }
                entry.create(claim);
            }
        } else {
            entry.create(claim);
        }
        let model = entry.slot(claim.slot).as_mut().expect("it was there or was created");
        model.epoch += 1;
        let expires_at = now.plus(claim.lasts_for());
        model.lease = Some(Holder { name: claim.holder.clone(), expires_at, rate: None });
        Ok(Lease {
            projection: claim.projection.clone(),
            slot: claim.slot,
            generation: model.generation,
            epoch: model.epoch,
            checkpoints: model.checkpoints.clone(),
        })
    }

    /// The model that the lease is for.
    fn leased(&mut self, lease: &Lease) -> Result<&mut Model, SinkError> {
        let lost = || SinkError::LeaseLost { projection: lease.projection.clone() };
        let entry = self.entries.get_mut(&lease.projection).ok_or_else(lost)?;
        let model = entry.slot(lease.slot).as_mut().ok_or_else(lost)?;
        let is_held = model.generation == lease.generation && model.epoch == lease.epoch;
        if is_held { Ok(model) } else { Err(lost()) }
    }

    pub(crate) fn renew(
        &mut self,
        lease: &Lease,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<Vec<String>, SinkError> {
        let model = self.leased(lease)?;
        if let Some(holder) = &mut model.lease {
            holder.expires_at = now.plus(renewal.lasts_for());
            holder.rate = renewal.rate;
        }
        Ok(model.due())
    }

    pub(crate) fn release(&mut self, lease: &Lease) {
        if let Ok(model) = self.leased(lease) {
            model.lease = None;
        }
    }

    pub(crate) fn report(
        &mut self,
        lease: &Lease,
        trouble: Option<&str>,
        now: Timestamp,
    ) -> Result<(), SinkError> {
        let model = self.leased(lease)?;
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
        let handler = self.handlers.get(projection).cloned();
        let model = self.leased(lease)?;
        let slice = batch.slice as usize;
        let stands = model.checkpoints.get(slice).map(|checkpoint| checkpoint.position);
        if stands != Some(batch.from.position) {
            return Err(SinkError::LeaseLost { projection: projection.clone() });
        }
        if !batch.unpark.iter().all(|id| model.waits(id)) {
            return Err(SinkError::ParkedChanged { projection: projection.clone() });
        }
        // the last thing that can fail; it works on a copy
        match &batch.content {
            Content::Events(events) if !events.is_empty() => {
                let handler = handler
                    .ok_or_else(|| SinkError::NoHandler { projection: projection.clone() })?;
                let mut rows = model.rows.clone();
                handler.call(&mut rows, events).map_err(|error| SinkError::Handler {
                    projection: projection.clone(),
                    source: error.into(),
                })?;
                model.rows = rows;
            }
            Content::Events(_) => {}
            Content::Rows(changes) => {
                for change in changes {
                    match &change.value {
                        Some(value) => model.rows.insert(change.key.clone(), value.clone()),
                        None => model.rows.remove(&change.key),
                    };
                }
            }
        }
        for id in &batch.unpark {
            model.parked.remove(&place(id));
        }
        for entry in &batch.park {
            model.parked.insert(place(&entry.id()), entry.clone());
        }
        model.checkpoints[slice] = batch.to.clone();
        model.events += batch.events;
        model.committed_at = Some(now);
        model.trouble = None;
        Ok(())
    }

    pub(crate) fn switch(&mut self, lease: &Lease) -> Result<(), SinkError> {
        let lost = || SinkError::LeaseLost { projection: lease.projection.clone() };
        self.leased(lease)?;
        let entry = self.entries.get_mut(&lease.projection).ok_or_else(lost)?;
        let shadow = entry.shadow.as_ref().ok_or_else(lost)?;
        let active = entry.active.iter().flat_map(|active| &active.checkpoints);
        let places = shadow.checkpoints.iter().chain(active).map(|checkpoint| checkpoint.position);
        let foremost = places.fold(Position::START, Position::merge);
        if let Some(behind) = shadow.checkpoints.iter().find(|slice| slice.position < foremost) {
            return Err(SinkError::NotCaughtUp {
                projection: lease.projection.clone(),
                shadow: behind.position,
                active: foremost,
            });
        }
        let mut model = entry.shadow.take().ok_or_else(lost)?;
        model.checkpoints.truncate(1);
        model.lease = None;
        entry.active = Some(model);
        Ok(())
    }

    pub(crate) fn abandon(&mut self, projection: &str, now: Timestamp) -> Result<(), SinkError> {
        let shadow = self.model(projection, Slot::Shadow)?;
        if let Some(holder) = shadow.holder(now) {
            return Err(held(projection, Slot::Shadow, holder));
        }
        if let Some(entry) = self.entries.get_mut(projection) {
            entry.shadow = None;
        }
        Ok(())
    }

    pub(crate) fn model(&mut self, projection: &str, slot: Slot) -> Result<&mut Model, SinkError> {
        let model = self.entries.get_mut(projection).and_then(|entry| entry.slot(slot).as_mut());
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
        let entries = self.entries.iter().filter(|(name, entry)| {
            wanted.is_none_or(|wanted| wanted == *name)
                && (entry.active.is_some() || entry.shadow.is_some())
        });
        let status = entries.map(|(name, entry)| ProjectionStatus {
            projection: name.clone(),
            active: entry.active.as_ref().map(|model| model.status(now)),
            shadow: entry.shadow.as_ref().map(|model| model.status(now)),
        });
        status.collect()
    }

    /// True if the active model has come to the position.
    pub(crate) fn has_reached(&self, projection: &str, position: Position) -> bool {
        let active = self.entries.get(projection).and_then(|entry| entry.active.as_ref());
        active.is_some_and(|model| {
            model.checkpoints.iter().all(|checkpoint| checkpoint.position >= position)
        })
    }
}

fn held(projection: &str, slot: Slot, holder: &Holder) -> SinkError {
    let (projection, expires_at) = (projection.to_owned(), holder.expires_at);
    let holder = holder.name.clone();
    match slot {
        Slot::Active => SinkError::Held { projection, holder, expires_at },
        Slot::Shadow => SinkError::RebuildRunning { projection, holder, expires_at },
    }
}

fn nothing_parked(projection: &str, key: &str) -> SinkError {
    SinkError::NothingParked { projection: projection.to_owned(), key: key.to_owned() }
}
