//! Folding more than a page of the log into one commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::envelope::RecordedEvent;
use crate::environment::breathe;
use crate::error::BoxError;
use crate::payload::Payload;
use crate::position::Position;

use super::super::definition::Kind;
use super::super::fold::{Fold, OpenRows};
use super::super::{Batch, BatchLimit, Checkpoint, Content, SinkError, StopCause};
use super::Worker;
use super::condense::Condensed;
use super::group::Group;

/// What was folded since the last commit. Its rows stay open over commits, so that they need not be
/// loaded again: nobody else writes them as long as the lease holds.
pub(super) struct Gathered {
    rows: Box<dyn OpenRows>,
    /// True as long as no row of the model is missing here: there was none when the slice began.
    is_whole: bool,
    events: usize,
    /// Up to where.
    to: Checkpoint,
    /// When it began.
    since: Instant,
}

impl Gathered {
    /// How many events are folded before others have a turn, such as who reads the next page.
    pub(super) const CHUNK: usize = 256;

    /// After this time what was gathered is committed, full or not.
    pub(super) const PATIENCE: Duration = Duration::from_secs(2);

    fn new(rows: Box<dyn OpenRows>, is_whole: bool, to: Checkpoint, since: Instant) -> Self {
        Self { rows, is_whole, events: 0, to, since }
    }

    fn is_full(&self, limit: &BatchLimit) -> bool {
        let (rows, bytes) = (self.rows.len(), self.rows.bytes());
        self.events >= limit.events || bytes >= limit.bytes || rows >= limit.rows
    }

    /// How much more may be taken at once.
    fn room(&self, limit: &BatchLimit) -> BatchLimit {
        BatchLimit {
            events: limit.events.saturating_sub(self.events).min(Self::CHUNK),
            bytes: limit.bytes.saturating_sub(self.rows.bytes()),
            rows: limit.rows.saturating_sub(self.rows.len()),
        }
    }

    fn add(
        &mut self,
        keys: Vec<String>,
        mut stored: HashMap<String, Payload>,
    ) -> Result<(), BoxError> {
        for key in keys {
            let row = stored.remove(&key);
            self.rows.add(key, row)?;
        }
        Ok(())
    }

    fn take(&mut self, group: &Group<'_>) -> Result<(), BoxError> {
        for (event, keys) in group.iter() {
            for key in keys {
                self.rows.apply(key, event)?;
            }
        }
        self.events += group.len();
        Ok(())
    }
}

/// Why events were not gathered.
pub(super) enum Trouble {
    /// One of them cannot be taken as it is: who folds them by themselves finds out what is to be
    /// done.
    NeedsCare,
    Halt(StopCause),
}

impl From<BoxError> for Trouble {
    fn from(_: BoxError) -> Self {
        Self::NeedsCare
    }
}

impl From<SinkError> for Trouble {
    fn from(error: SinkError) -> Self {
        Self::Halt(error.into())
    }
}

impl Worker {
    /// Where it stands, with what it has not committed yet.
    pub(in super::super) fn reached(&self) -> &Checkpoint {
        let gathered = self.gathered.as_ref().map(|gathered| &gathered.to);
        let condensed = self.condensed.as_ref().map(Condensed::to);
        gathered.or(condensed).unwrap_or(&self.checkpoint)
    }

    /// True if nothing is gathered.
    pub(in super::super) fn is_committed(&self) -> bool {
        self.reached().position == self.checkpoint.position
    }

    /// Commits what was gathered. What cannot be committed wants the events again.
    pub(in super::super) async fn flush(&mut self) -> Result<(), StopCause> {
        let reached = self.reached().position;
        match self.commit_all().await {
            Ok(()) => Ok(()),
            Err(Trouble::NeedsCare) => {
                self.careful_until = reached;
                Ok(())
            }
            Err(Trouble::Halt(halt)) => Err(halt),
        }
    }

    /// Takes events together with those before them. Where that fails, they are folded by themselves:
    /// at once, or when they come again.
    pub(super) async fn gather(
        &mut self,
        fold: Arc<dyn Fold>,
        events: &[&RecordedEvent],
        to: &Checkpoint,
        is_last: bool,
    ) -> Result<(), StopCause> {
        let from = self.reached().position;
        match self.try_gather(&fold, events, to, is_last).await {
            Ok(()) => Ok(()),
            Err(trouble) => self.care(trouble, &Kind::Fold(fold), from, events, to).await,
        }
    }

    /// Takes events by themselves that could not be taken together with others; before them the worker
    /// stood at `from`. What had been gathered there and is lost is wanted again first.
    pub(super) async fn care(
        &mut self,
        trouble: Trouble,
        kind: &Kind,
        from: Position,
        events: &[&RecordedEvent],
        to: &Checkpoint,
    ) -> Result<(), StopCause> {
        if let Trouble::Halt(halt) = trouble {
            return Err(halt);
        }
        self.careful_until = to.position;
        let here = self.checkpoint.position;
        if here < from {
            return Ok(());
        }
        let done = events.partition_point(|event| event.position <= here);
        self.advance_carefully(kind, &events[done..], to).await
    }

    /// What was gathered is lost if this fails, or if the future is dropped: then the worker stands
    /// at its checkpoint.
    async fn try_gather(
        &mut self,
        fold: &Arc<dyn Fold>,
        events: &[&RecordedEvent],
        to: &Checkpoint,
        is_last: bool,
    ) -> Result<(), Trouble> {
        let kind = Kind::Fold(fold.clone());
        let (mut rest, refused) = Group::of(events, |event| self.keys(&kind, event));
        if refused.is_some() || rest.iter().any(|(event, keys)| self.is_special(event, keys)) {
            // what came before is well
            self.commit_all().await?;
            return Err(Trouble::NeedsCare);
        }
        let gathered = self.gathered.take();
        let mut gathered = gathered.unwrap_or_else(|| {
            let (rows, here) = (fold.clone().open_rows(), self.checkpoint.clone());
            let is_whole = here == Checkpoint::START;
            Gathered::new(rows, is_whole, here, self.environment.runtime.now())
        });
        while !rest.is_empty() {
            breathe().await;
            let room = gathered.room(&self.limit);
            let (later, keys) = rest.split_off(&room, |key| gathered.rows.has(key));
            let stored = match gathered.is_whole {
                true => HashMap::new(),
                false => self.rows(&keys).await?,
            };
            gathered.add(keys, stored)?;
            gathered.take(&rest)?;
            gathered.to = match rest.last() {
                Some(last) if !later.is_empty() => Checkpoint::at(last),
                _ => to.clone(),
            };
            if gathered.is_full(&self.limit) {
                gathered = self.commit_gathered(gathered).await?;
            }
            rest = later;
        }
        gathered.to = to.clone();
        let took = self.environment.runtime.since(gathered.since);
        if is_last || took >= Gathered::PATIENCE {
            gathered = self.commit_gathered(gathered).await?;
        }
        // who waits for new events needs no memory for it
        self.gathered = (!is_last).then_some(gathered);
        Ok(())
    }

    /// True if the event concerns what is parked or discarded.
    pub(super) fn is_special(&self, event: &RecordedEvent, keys: &[String]) -> bool {
        keys.iter().any(|key| self.parked.contains(key) || self.is_discarded(event, key))
    }

    pub(super) async fn commit_all(&mut self) -> Result<(), Trouble> {
        if let Some(gathered) = self.gathered.take() {
            self.commit_gathered(gathered).await?;
        }
        if let Some(condensed) = self.condensed.take() {
            self.commit_condensed(condensed).await?;
        }
        Ok(())
    }

    /// Commits, and answers the rows to go on with.
    async fn commit_gathered(&mut self, mut gathered: Gathered) -> Result<Gathered, Trouble> {
        if gathered.to != self.checkpoint {
            let mut batch = Batch::moving(self.slice, self.checkpoint.clone(), gathered.to.clone());
            batch.events = gathered.events as u64;
            batch.content = Content::Rows(gathered.rows.changes());
            self.commit(batch).await?;
        }
        let Gathered { mut rows, mut is_whole, to, .. } = gathered;
        // what is kept leaves room for what is to be written next
        if rows.len() >= self.limit.rows || rows.bytes() >= self.limit.bytes / 2 {
            rows.clear();
            is_whole = false;
        }
        Ok(Gathered::new(rows, is_whole, to, self.environment.runtime.now()))
    }
}
