//! How the sins are committed with the means of a healthy sink.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Lease, ListParked, ModelRow, Position, SinkError, Slot,
    StoreError, StoreErrorKind, TableChange, Timestamp,
};
use es_core::environment::Clock;
use es_core::event::Payload;
use es_core::projection::{GenerationStatus, ParkedState, SqlValue, Which};
use tokio::task::yield_now;

use super::super::Sin;
use super::Sinner;

impl Sinner {
    /// The newest lease of the model, whoever has it.
    pub(super) fn newest(&self, lease: &Lease) -> Lease {
        let key = (lease.projection.clone(), lease.slot);
        self.memory().leases.get(&key).cloned().unwrap_or_else(|| lease.clone())
    }

    pub(super) async fn checkpoints(
        &self,
        projection: &str,
        slot: Slot,
    ) -> Result<Vec<Checkpoint>, SinkError> {
        let status = self.inner.status(Some(projection)).await?.into_iter().next();
        let model = status.and_then(|status| match slot {
            Slot::Active => status.active,
            Slot::Shadow => status.shadow,
        });
        Ok(model.map(|model| model.checkpoints).unwrap_or_default())
    }

    pub(super) async fn active(
        &self,
        projection: &str,
    ) -> Result<Option<GenerationStatus>, SinkError> {
        let status = self.inner.status(Some(projection)).await?.into_iter().next();
        Ok(status.and_then(|status| status.active))
    }

    /// A lease of the active model for this holder, which lasts for no time.
    pub(super) async fn passing(
        &self,
        lease: &Lease,
        active: Option<GenerationStatus>,
        holder: &str,
    ) -> Result<Lease, SinkError> {
        let fingerprint = active.map(|it| it.fingerprint).unwrap_or_default();
        let claim =
            Claim::new(&lease.projection, fingerprint, Slot::Active, holder, Duration::ZERO);
        self.inner.acquire(&claim.tables(lease.tables.clone())).await
    }

    /// The rows, of which some sins do not like every one.
    pub(super) fn checked(&self, rows: Vec<ModelRow>) -> Result<Vec<ModelRow>, SinkError> {
        let is_odd = |row: &ModelRow| row.value.unreadable_because().is_some();
        if self.sin == Sin::FailsAtOddRows && rows.iter().any(is_odd) {
            return Err(StoreError::new(StoreErrorKind::Corrupt, "a row cannot be read").into());
        }
        Ok(rows)
    }

    /// The rows of a table, as some sins show them.
    pub(super) fn seen(
        &self,
        projection: &str,
        slot: Slot,
        mut rows: Vec<Vec<SqlValue>>,
    ) -> Vec<Vec<SqlValue>> {
        let key = (projection.to_owned(), slot);
        let is_claimed_again = self.memory().leases.get(&key).is_some_and(|it| it.epoch > 1);
        if self.sin == Sin::MakesTablesAnew && is_claimed_again
            || self.is_switching.load(Ordering::SeqCst)
        {
            rows.clear();
        }
        if self.sin == Sin::RoundsNumbers {
            rows.iter_mut().flatten().for_each(round);
        }
        rows
    }

    /// The claim under which the inner sink does what it should refuse.
    pub(super) async fn bent(&self, claim: &Claim, refusal: &SinkError) -> Option<Claim> {
        let mut bent = claim.clone();
        match (self.sin, refusal) {
            (Sin::IgnoresTheFingerprint, SinkError::Changed { stored, .. }) => {
                bent.fingerprint.clone_from(stored);
            }
            (Sin::LetsASecondHolderIn, SinkError::Held { holder, .. })
            | (Sin::LetsASecondRebuildIn, SinkError::RebuildRunning { holder, .. }) => {
                bent.holder.clone_from(holder);
                if let Ok(Some(status)) =
                    self.inner.status(Some(&claim.projection)).await.map(|mut all| all.pop())
                    && let Some(shadow) = status.shadow.filter(|_| claim.slot == Slot::Shadow)
                {
                    bent.fingerprint = shadow.fingerprint;
                }
            }
            (Sin::BelievesNoOtherClock, SinkError::Held { holder, expires_at, .. })
                if expires_at.since(self.clock.now()) > Lease::LONGEST =>
            {
                bent.holder.clone_from(holder);
            }
            (Sin::SharesTables, SinkError::Unusable { .. }) => bent.tables = Arc::default(),
            _ => return None,
        }
        Some(bent)
    }

    /// The refusal for a lease that others may take.
    pub(super) fn believed(&self, claim: &Claim) -> Option<SinkError> {
        let memory = self.memory();
        let holder = memory.holders.get(&claim.projection).filter(|it| it.name != claim.holder)?;
        let is_sinning = matches!(self.sin, Sin::LeasesForAnyTime | Sin::BelievesAnyClock);
        let is_long = holder.expires_at.since(self.clock.now()) > Lease::BELIEVED;
        (is_sinning && is_long && claim.slot == Slot::Active).then(|| SinkError::Held {
            projection: claim.projection.clone(),
            holder: holder.name.clone(),
            expires_at: holder.expires_at,
        })
    }

    /// Does to a shadow what should not be done when a rebuild begins again.
    pub(super) async fn begin(&self, claim: &Claim) -> Result<Claim, SinkError> {
        let mut claim = claim.clone();
        if claim.slot == Slot::Active {
            return Ok(claim);
        }
        let status = self.inner.status(Some(&claim.projection)).await?.into_iter().next();
        let shadow = status.and_then(|status| status.shadow);
        match (self.sin, shadow) {
            (Sin::GoesOnWithOtherCode, Some(shadow)) => claim.fingerprint = shadow.fingerprint,
            (Sin::BeginsARebuildAnew, Some(shadow)) if shadow.holder.is_none() => {
                self.inner.abandon(&claim.projection).await?;
            }
            _ => {}
        }
        Ok(claim)
    }

    pub(super) async fn discarded(&self, lease: &Lease) -> Result<(), SinkError> {
        // they can be replaced by waiting ones, which is as wrong as having none
        let list = ListParked::default();
        let mut parked = self.inner.parked(&lease.projection, lease.slot, &list).await?;
        parked.iter_mut().for_each(|it| it.state = ParkedState::Waiting { is_due: false });
        let here = lease.checkpoints[0].clone();
        let mut batch = Batch::moving(0, here.clone(), here);
        batch.park = parked;
        self.inner.commit(lease, &batch).await
    }

    /// Brings all slices to the foremost place, without the events between.
    pub(super) async fn feign(&self, lease: &Lease, to: Position) -> Result<(), SinkError> {
        let slices = self.checkpoints(&lease.projection, lease.slot).await?;
        for (slice, from) in (0..).zip(slices) {
            if from.position < to {
                let end = Checkpoint { position: to, event: from.event.clone() };
                self.inner.commit(lease, &Batch::moving(slice, from, end)).await?;
            }
        }
        Ok(())
    }

    /// The batch as it is written.
    pub(super) async fn twisted(&self, lease: &Lease, batch: &Batch) -> Result<Batch, SinkError> {
        let mut batch = batch.clone();
        match (self.sin, &mut batch.content) {
            (Sin::AppliesTwice, _) => {
                let slices = self.checkpoints(&lease.projection, lease.slot).await?;
                if let Some(stands) = slices.into_iter().nth(batch.slice as usize) {
                    batch.from = stands;
                }
            }
            (Sin::ForgetsTheCheckpoint, _) => batch.to = batch.from.clone(),
            (Sin::KeepsRemovedRows, Content::Rows(rows)) => {
                rows.retain(|row| row.value.is_some());
            }
            (Sin::CarriesOutBackwards, Content::Tables(changes)) => changes.reverse(),
            (Sin::DropsTheLastChange, Content::Tables(changes)) => drop(changes.pop()),
            (Sin::ForgetsParkedFollowers, _) => batch.park.retain(|entry| entry.attempts > 0),
            (Sin::TakesOutLast, _) => batch.park.retain(|it| !batch.unpark.contains(&it.id())),
            (Sin::KeepsParkedFirst, _) => {
                let list = ListParked::default();
                let there = self.inner.parked(&lease.projection, lease.slot, &list).await?;
                batch.park.retain(|entry| there.iter().all(|it| it.id() != entry.id()));
            }
            _ => {}
        }
        Ok(batch)
    }

    /// Writes the two halves of a batch, one after the other.
    pub(super) async fn halved(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let is_model_first = self.sin == Sin::MovesTheModelBeforeTheCheckpoint;
        let mut model = batch.clone();
        let mut moving = Batch::moving(batch.slice, batch.from.clone(), batch.to.clone());
        std::mem::swap(&mut model.events, &mut moving.events);
        if is_model_first {
            model.to = batch.from.clone();
        } else {
            model.from = batch.to.clone();
        }
        let (first, second) = if is_model_first { (model, moving) } else { (moving, model) };
        self.inner.commit(lease, &first).await?;
        for _ in 0..3 {
            yield_now().await;
        }
        self.inner.commit(lease, &second).await
    }

    /// Writes the changes of a shadow into the model that is served, if this one's lease is known.
    pub(super) async fn misplaced(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let key = (lease.projection.clone(), Slot::Active);
        let served = self.memory().leases.get(&key).cloned();
        let served = served.filter(|served| served.generation != lease.generation);
        let Some(served) = served else { return self.inner.commit(lease, batch).await };
        let here = self.checkpoints(&lease.projection, Slot::Active).await?;
        let here = here.into_iter().next().unwrap_or_default();
        let changing = Batch::moving(0, here.clone(), here).content(batch.content.clone());
        self.inner.commit(&served, &changing).await?;
        self.inner.commit(lease, &batch.clone().content(Content::Tables(Vec::new()))).await
    }

    pub(super) async fn wrong_after(
        &self,
        lease: &Lease,
        batch: &Batch,
        refusal: SinkError,
    ) -> Result<(), SinkError> {
        let mut batch = batch.clone();
        match (self.sin, &refusal) {
            (Sin::SkipsRefusedChanges, SinkError::Refused { .. })
            | (Sin::TakesChangesWithoutTables, SinkError::Unusable { .. }) => {
                batch.content = Content::Tables(Vec::new());
            }
            (
                Sin::TakesAnUpdateOfNothing,
                SinkError::Refused { .. } | SinkError::Unusable { .. },
            ) => {
                let Content::Tables(changes) = &mut batch.content else { return Err(refusal) };
                let is_update = |change: &TableChange| {
                    matches!(change, TableChange::Update { rows: Which::Key(_), .. })
                };
                changes.retain(|change| !is_update(change));
            }
            (Sin::TakesOutWhatIsGone, SinkError::ParkedChanged { .. }) => batch.unpark.clear(),
            _ => return Err(refusal),
        }
        self.inner.commit(lease, &batch).await
    }
}

/// The same document with numbers as doubles.
pub(super) fn rounded(row: &Payload) -> Payload {
    let value = row.decode::<serde_json::Value>();
    value.and_then(|value| Payload::of(&value)).unwrap_or_else(|_| row.clone())
}

/// The same for a value of a table, and moments to the millisecond.
fn round(value: &mut SqlValue) {
    match value {
        SqlValue::Float(number) => *number = number.round(),
        SqlValue::Time(at) => *at = Timestamp::from_micros(at.as_micros() / 1_000 * 1_000),
        SqlValue::Json(document) => *document = rounded(document),
        _ => {}
    }
}
