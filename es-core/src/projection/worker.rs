//! Takes events into one slice of a model.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::envelope::{EventId, RecordedEvent};
use crate::environment::{Environment, breathe};
use crate::payload::Payload;
use crate::position::Position;
use crate::store::EventStore;

use super::definition::Kind;
use super::fold::{Fold, unkeyed};
use super::{
    Batch, BatchLimit, Checkpoint, Content, Definition, Lease, ListParked, ModelRow, Parked,
    ParkedState, ProjectionSink, RowChange, SinkError, Slot, StopCause,
};

mod condense;
mod gather;
mod group;
mod poison;
mod retry;
mod tables;

use condense::Condensed;
use gather::Gathered;
use group::Group;
pub(super) use poison::{Parking, Poison};

/// The holder of a lease, at work on one slice.
pub(super) struct Worker {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) sink: Arc<dyn ProjectionSink>,
    pub(super) environment: Environment,
    pub(super) definition: Definition,
    pub(super) limit: BatchLimit,
    pub(super) lease: Lease,
    pub(super) slice: u32,
    pub(super) checkpoint: Checkpoint,
    pub(super) parking: Parking,
    /// What was folded and is not committed yet.
    gathered: Option<Gathered>,
    /// The same of changes of tables.
    condensed: Option<Condensed>,
    /// Up to here each page is folded by itself: something in it wants care.
    careful_until: Position,
    /// Counts what the sink answers, for who watches whether it does.
    pub(super) answers: Arc<AtomicU64>,
    /// How many events were dealt with since the lease was taken.
    pub(super) done: u64,
    /// The keys under which events wait.
    parked: HashSet<String>,
    /// The keys under which something was parked that is due if it is the first of its key.
    may_be_due: BTreeSet<String>,
    /// The events that were given up, by key.
    discarded: HashSet<(EventId, String)>,
}

impl Worker {
    /// A worker that knows what is parked.
    pub(super) async fn new(
        store: Arc<dyn EventStore>,
        sink: Arc<dyn ProjectionSink>,
        environment: Environment,
        definition: Definition,
        lease: Lease,
        slice: u32,
    ) -> Result<Self, SinkError> {
        let mut worker = Self {
            checkpoint: lease.checkpoints.get(slice as usize).cloned().unwrap_or_default(),
            store,
            sink,
            environment,
            definition,
            limit: BatchLimit::default(),
            lease,
            slice,
            parking: Parking::Never,
            gathered: None,
            condensed: None,
            careful_until: Position::START,
            answers: Arc::default(),
            done: 0,
            parked: HashSet::new(),
            may_be_due: BTreeSet::new(),
            discarded: HashSet::new(),
        };
        let mut list = ListParked::default();
        loop {
            let name = worker.definition.name();
            let page = worker.sink.parked(name, worker.lease.slot, &list).await?;
            let Some(last) = page.last() else {
                return Ok(worker);
            };
            list.after = Some(last.id());
            for entry in page {
                if entry.is_waiting() {
                    worker.parked.insert(entry.key);
                } else {
                    worker.discarded.insert((entry.event.event_id, entry.key));
                }
            }
        }
    }

    /// Refuses to go on with a log that is not the one that the checkpoint is of.
    pub(super) async fn check_log(&self) -> Result<(), StopCause> {
        if let Some(mark) = &self.checkpoint.event {
            self.recorded(mark).await?;
        }
        Ok(())
    }

    /// Clears what cannot be so any more.
    pub(super) async fn forget_passed_trouble(&self) -> Result<(), SinkError> {
        forget_passed_trouble(&*self.sink, &self.lease).await
    }

    /// Takes the events, which are all that the projection selects from where it stands up to `to`.
    ///
    /// What was taken before a failure is committed, and the checkpoint says so. Else they are
    /// committed when enough has come together, and at once if `is_last`. Afterwards the worker may
    /// stand before `to`, if something needs more care: then it wants the events again.
    pub(super) async fn advance(
        &mut self,
        events: &[&RecordedEvent],
        to: &Checkpoint,
        is_last: bool,
    ) -> Result<(), StopCause> {
        let kind = self.definition.kind.clone();
        if self.checkpoint.position < self.careful_until {
            return self.advance_carefully(&kind, events, to).await;
        }
        let has_tables = matches!(kind, Kind::Tables(_));
        let may_condense = has_tables && self.may_condense(is_last).await?;
        match kind {
            Kind::Fold(fold) => self.gather(fold, events, to, is_last).await,
            Kind::Tables(project) if may_condense => {
                self.condense(project, events, to, is_last).await
            }
            kind => self.advance_carefully(&kind, events, to).await,
        }
    }

    /// Takes and commits the events by themselves, and finds out which of them cannot be taken.
    async fn advance_carefully(
        &mut self,
        kind: &Kind,
        events: &[&RecordedEvent],
        to: &Checkpoint,
    ) -> Result<(), StopCause> {
        let mut events = events;
        loop {
            let (mut rest, refused) = Group::of(events, |event| self.keys(kind, event));
            let taken = rest.len();
            while !rest.is_empty() {
                let later = match kind {
                    Kind::Fold(_) => rest.split_off(&self.limit, |_| false).0,
                    // the keys are no rows, and each change may be a round trip
                    Kind::Tables(_) => {
                        let events = self.limit.events.min(Condensed::ALONE);
                        rest.split_off(&BatchLimit { events, ..self.limit }, |_| true).0
                    }
                };
                let end = match rest.last() {
                    Some(last) if !later.is_empty() || refused.is_some() => Checkpoint::at(last),
                    _ => to.clone(),
                };
                match kind {
                    Kind::Fold(fold) => self.fold(&**fold, &rest, &end).await?,
                    Kind::Tables(project) => self.project(&**project, rest, &end).await?,
                }
                rest = later;
            }
            let Some(poison) = refused else {
                return self.move_to(to).await;
            };
            let (event, later) = (events[taken], &events[taken + 1..]);
            let Some(attempts) = self.parking.attempts(event) else {
                return Err(poison.into());
            };
            let end = if later.is_empty() { to.clone() } else { Checkpoint::at(event) };
            let mut batch = Batch::moving(self.slice, self.checkpoint.clone(), end);
            batch.events = 1;
            batch.park.push(self.parked(&poison, attempts));
            self.commit(batch).await?;
            events = later;
        }
    }

    /// The keys of an event; that of its stream if it waits behind one of which the keys could not be
    /// told, and none if it was given up.
    fn keys(&self, kind: &Kind, event: &RecordedEvent) -> Result<Vec<String>, Poison> {
        if !self.parked.is_empty() || !self.discarded.is_empty() {
            let unkeyed = unkeyed(event);
            if self.is_discarded(event, &unkeyed) {
                return Ok(Vec::new());
            }
            if self.parked.contains(&unkeyed) {
                return Ok(vec![unkeyed]);
            }
        }
        kind.keys(event).map_err(|error| Poison::new(event, &unkeyed(event), &*error))
    }

    /// Moves the checkpoint only.
    async fn move_to(&mut self, to: &Checkpoint) -> Result<(), StopCause> {
        if self.checkpoint != *to {
            let batch = Batch::moving(self.slice, self.checkpoint.clone(), to.clone());
            self.commit(batch).await?;
        }
        Ok(())
    }

    async fn fold(
        &mut self,
        fold: &dyn Fold,
        group: &Group<'_>,
        to: &Checkpoint,
    ) -> Result<(), StopCause> {
        let by_key = group.by_key();
        let keys = by_key.into_keys().filter(|key| !self.parked.contains(*key));
        let keys: Vec<_> = keys.cloned().collect();
        let rows = self.rows(&keys).await?;
        match self.plan(fold, group, &rows) {
            Ok(plan) => self.commit(plan.batch(self, group, to)).await?,
            Err(poison) => {
                let before = group.before(&poison.event);
                let batch = match before.last() {
                    // what stands before the first failure does not fail
                    Some(last) => {
                        let plan = self.plan(fold, &before, &rows)?;
                        plan.batch(self, &before, &Checkpoint::at(last))
                    }
                    // whoever was overtaken has read rows of a later place, and must not be believed
                    None => {
                        let here = self.checkpoint.clone();
                        Batch::moving(self.slice, here.clone(), here)
                    }
                };
                self.commit(batch).await?;
                return Err(poison.into());
            }
        }
        Ok(())
    }

    async fn rows(&self, keys: &[String]) -> Result<HashMap<String, Payload>, SinkError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self.sink.load(self.definition.name(), self.lease.slot, keys).await?;
        self.answered();
        Ok(rows.into_iter().map(|ModelRow { key, value }| (key, value)).collect())
    }

    /// What is to be committed for the events, or the first of them that cannot be taken and is not
    /// to be parked.
    fn plan(
        &self,
        fold: &dyn Fold,
        group: &Group<'_>,
        rows: &HashMap<String, Payload>,
    ) -> Result<Plan, Poison> {
        let mut plan = Plan::default();
        let mut first: Option<Poison> = None;
        for (key, events) in group.by_key() {
            let is_wanted = |event: &&&RecordedEvent| !self.is_discarded(event, key);
            let events: Vec<_> = events.iter().filter(is_wanted).copied().collect();
            let mut left = events.iter();
            if !self.parked.contains(key) {
                let row = rows.get(key);
                let folded = fold.fold(key, row, &events);
                if folded.row.as_ref().map(Payload::as_str) != row.map(Payload::as_str) {
                    plan.rows.push(RowChange { key: key.clone(), value: folded.row });
                }
                let Some((index, error)) = folded.failed else { continue };
                left = events[index..].iter();
                let Some(event) = left.next() else { continue };
                let poison = Poison::new(event, key, &*error);
                match self.parking.attempts(event) {
                    Some(attempts) => plan.park.push(self.parked(&poison, attempts)),
                    None if first.as_ref().is_none_or(|first| poison.is_before(first)) => {
                        first = Some(poison);
                    }
                    None => {}
                }
            }
            plan.park.extend(left.map(|event| self.waiting(event, key)));
        }
        first.map_or(Ok(plan), Err)
    }

    fn is_discarded(&self, event: &RecordedEvent, key: &str) -> bool {
        !self.discarded.is_empty() && self.discarded.contains(&(event.event_id, key.to_owned()))
    }

    /// The entry for an event that failed.
    fn parked(&self, poison: &Poison, attempts: u32) -> Parked {
        Parked {
            event: poison.event.clone(),
            key: poison.key.clone(),
            reason: poison.reason.clone(),
            attempts,
            parked_at: self.environment.clock.now(),
            state: ParkedState::Waiting { is_due: false },
        }
    }

    /// The entry for an event that was not tried, because another one of its key waits.
    fn waiting(&self, event: &RecordedEvent, key: &str) -> Parked {
        Parked {
            event: event.into(),
            key: key.to_owned(),
            reason: "waits behind an earlier event of its key".to_owned(),
            attempts: 0,
            parked_at: self.environment.clock.now(),
            state: ParkedState::Waiting { is_due: true },
        }
    }

    fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), SinkError> {
        breathe().await;
        let committed = self.sink.commit(&self.lease, &batch).await;
        self.answered();
        committed?;
        self.done += batch.events;
        self.checkpoint = batch.to;
        let is_due = ParkedState::Waiting { is_due: true };
        let due = batch.park.iter().filter(|entry| entry.state == is_due);
        self.may_be_due.extend(due.map(|entry| entry.key.clone()));
        self.parked.extend(batch.park.into_iter().map(|entry| entry.key));
        Ok(())
    }
}

/// What the events of a group come to.
#[derive(Default)]
struct Plan {
    rows: Vec<RowChange>,
    park: Vec<Parked>,
}

impl Plan {
    fn batch(self, worker: &Worker, group: &Group<'_>, to: &Checkpoint) -> Batch {
        let mut batch = Batch::moving(worker.slice, worker.checkpoint.clone(), to.clone());
        batch.events = group.len() as u64;
        batch.content = Content::Rows(self.rows);
        batch.park = self.park;
        batch
    }
}

/// Clears, of the model of a lease, what cannot be so any more: whoever has the lease has reached the
/// store, and knows the log.
pub(crate) async fn forget_passed_trouble(
    sink: &dyn ProjectionSink,
    lease: &Lease,
) -> Result<(), SinkError> {
    let status = sink.status(Some(&lease.projection)).await?.into_iter().next();
    let model = status.and_then(|status| match lease.slot {
        Slot::Active => status.active,
        Slot::Shadow => status.shadow,
    });
    let trouble = model.and_then(|model| model.trouble);
    if trouble.is_some_and(|trouble| trouble.has_passed()) {
        sink.report(lease, None).await?;
    }
    Ok(())
}

/// For how long an end waits for a store that does not answer: a lease that is not given back
/// expires.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// An error and its causes in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
