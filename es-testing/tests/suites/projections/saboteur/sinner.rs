//! The sins, each where it is committed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Definition, Lease, ListParked, ModelRow, Position, Renewal,
    Renewed, RowChange, SinkError, Slot, StoreError, StoreErrorKind, TableRead,
};
use es_core::environment::Clock;
use es_core::layer::SinkLayer;
use es_core::projection::{Holder, ParkedId, ProjectionStatus, SqlValue, TableSchema};
use es_testing::ManualClock;
use tokio::task::yield_now;

use super::{Keeper, Sin, Sink};

mod bends;

use bends::rounded;

/// A healthy sink and one sin.
pub(super) struct Sinner {
    inner: Sink,
    keeper: Keeper,
    clock: ManualClock,
    sin: Sin,
    /// True in the first acquisition after a reopening.
    is_reopened: AtomicBool,
    is_switching: AtomicBool,
    memory: Mutex<Memory>,
}

/// What some sins need to remember.
#[derive(Default)]
struct Memory {
    leases: HashMap<(String, Slot), Lease>,
    first_epochs: HashMap<u64, u64>,
    expires: HashMap<(u64, u64), es_core::backend::Timestamp>,
    holders: HashMap<String, Holder>,
    /// The last rate that was told of each projection.
    rates: HashMap<String, Option<f64>>,
}

impl Sinner {
    pub(super) fn new(keeper: Keeper, clock: ManualClock, is_reopened: bool) -> Self {
        Self {
            inner: keeper.sink.clone(),
            sin: keeper.sin,
            keeper,
            clock,
            is_reopened: AtomicBool::new(is_reopened),
            is_switching: AtomicBool::new(false),
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self, slot: Slot) -> Slot {
        if self.sin == Sin::LoadsOtherSlots { Slot::Active } else { slot }
    }
}

#[async_trait]
impl SinkLayer for Sinner {
    fn inner(&self) -> &Sink {
        &self.inner
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        if let Some(refusal) = self.believed(claim) {
            return Err(refusal);
        }
        let begun = self.begin(claim).await?;
        let mut lease = match self.inner.acquire(&begun).await {
            Ok(lease) => lease,
            Err(refusal) => match self.bent(claim, &refusal).await {
                Some(bent) => self.inner.acquire(&bent).await?,
                None => return Err(refusal),
            },
        };
        {
            let mut memory = self.memory();
            memory.leases.insert((lease.projection.clone(), lease.slot), lease.clone());
            let lasts_for = match self.sin {
                Sin::LeasesForAnyTime => claim.time_to_live,
                _ => claim.lasts_for(),
            };
            let expires_at = self.clock.now().plus(lasts_for);
            memory.expires.insert((lease.generation, lease.epoch), expires_at);
            let holder = Holder { name: claim.holder.clone(), expires_at, rate: None };
            memory.holders.insert(lease.projection.clone(), holder);
            if self.sin == Sin::KeepsTheEpoch {
                lease.epoch = *memory.first_epochs.entry(lease.generation).or_insert(lease.epoch);
            }
        }
        match self.sin {
            Sin::BeginsLate if lease.epoch == 1 && lease.slot == Slot::Active => {
                self.feign(&lease, Position::from_sequence(1)).await?;
                lease.checkpoints = self.checkpoints(&lease.projection, lease.slot).await?;
            }
            Sin::ForgetsDecisions if lease.slot == Slot::Shadow => self.discarded(&lease).await?,
            Sin::SharesTheModelWithTheShadow if lease.slot == Slot::Shadow => {
                let rows = self.inner.rows(&lease.projection, Slot::Active, None, 1_000).await;
                let rows = rows.unwrap_or_default().into_iter();
                let rows = rows.map(|row| RowChange { key: row.key, value: Some(row.value) });
                let here = lease.checkpoints[0].clone();
                let batch = Batch::moving(0, here.clone(), here);
                self.inner.commit(&lease, &batch.content(Content::Rows(rows.collect()))).await?;
            }
            Sin::ForgetsOnReopening if self.is_reopened.load(Ordering::SeqCst) => {
                lease.checkpoints.fill(Checkpoint::START);
            }
            _ => {}
        }
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        let lease = if self.sin == Sin::KeepsTheEpoch { self.newest(lease) } else { lease.clone() };
        let expires_at = self.clock.now().plus(renewal.lasts_for());
        let mut told = *renewal;
        match self.sin {
            Sin::ForgetsRenewals => told.time_to_live = Duration::ZERO,
            Sin::ForgetsTheRate => told.rate = None,
            Sin::TellsAllAtOnce => told.limit = usize::MAX,
            Sin::KeepsOldRates => {
                let mut memory = self.memory();
                let last = memory.rates.entry(lease.projection.clone()).or_default();
                *last = told.rate.or(*last);
                told.rate = *last;
            }
            _ => {}
        }
        let mut renewed = self.inner.renew(&lease, &told).await?;
        self.memory().expires.insert((lease.generation, lease.epoch), expires_at);
        match self.sin {
            Sin::IsNeverDue => renewed.due.clear(),
            Sin::IsAlwaysDue => {
                let list = ListParked { waiting_only: true, ..ListParked::default() };
                let parked = self.inner.parked(&lease.projection, lease.slot, &list).await?;
                renewed.due = parked.into_iter().map(|entry| entry.key).collect();
                renewed.due.sort_unstable();
                renewed.due.dedup();
            }
            _ => {}
        }
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), SinkError> {
        if self.sin == Sin::NeverLetsGo {
            return Ok(());
        }
        let lease = if self.sin == Sin::KeepsTheEpoch { self.newest(lease) } else { lease.clone() };
        self.inner.release(&lease).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        match self.sin {
            Sin::ReportsNothing => Ok(()),
            Sin::KeepsOldTrouble if trouble.is_none() => Ok(()),
            Sin::ReportsAfterALostLease => self.inner.report(&self.newest(lease), trouble).await,
            _ => self.inner.report(lease, trouble).await,
        }
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        let lease = match self.sin {
            Sin::CommitsAfterALostLease | Sin::KeepsTheEpoch => self.newest(lease),
            Sin::CommitsToTheOldModel => {
                let newest = self.newest(lease);
                // the old lease writes to whatever is active now
                if newest.generation == lease.generation { lease.clone() } else { newest }
            }
            _ => lease.clone(),
        };
        if self.sin == Sin::LosesExpiredLeases {
            let expires = self.memory().expires.get(&(lease.generation, lease.epoch)).copied();
            if expires.is_some_and(|expires| expires <= self.clock.now()) {
                return Err(SinkError::LeaseLost { projection: lease.projection });
            }
        }
        match (self.sin, &batch.content) {
            (Sin::MovesTheCheckpointBeforeTheModel | Sin::MovesTheModelBeforeTheCheckpoint, _)
            | (Sin::CarriesOutAfterTheCommit, Content::Tables(_)) => {
                return self.halved(&lease, batch).await;
            }
            (Sin::WritesIntoTheActiveGeneration, Content::Tables(_)) => {
                return self.misplaced(&lease, batch).await;
            }
            _ => {}
        }
        let batch = self.twisted(&lease, batch).await?;
        match self.inner.commit(&lease, &batch).await {
            Err(SinkError::Refused { source, .. }) if self.sin == Sin::DiesOfARefusedChange => {
                panic!("{source}")
            }
            Err(refusal) => self.wrong_after(&lease, &batch, refusal).await,
            Ok(()) => Ok(()),
        }
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        match (self.sin, self.inner.switch(lease).await) {
            (
                Sin::SwitchesTooEarly | Sin::SwitchesWhileSlicesDiffer,
                Err(SinkError::NotCaughtUp { shadow, active, .. }),
            ) => {
                let slices = self.checkpoints(&lease.projection, lease.slot).await?;
                let do_differ = slices.iter().any(|slice| slice.position != shadow);
                if (self.sin == Sin::SwitchesWhileSlicesDiffer) != do_differ {
                    let projection = lease.projection.clone();
                    return Err(SinkError::NotCaughtUp { projection, shadow, active });
                }
                self.feign(lease, active).await?;
                self.inner.switch(lease).await
            }
            (Sin::SwitchesInTwoSteps, Ok(())) => {
                self.is_switching.store(true, Ordering::SeqCst);
                for _ in 0..4 {
                    yield_now().await;
                }
                self.is_switching.store(false, Ordering::SeqCst);
                Ok(())
            }
            (Sin::CommitsToTheOldModel, Ok(())) => {
                // a lease of its own on the new active model, for who has the old one
                let active = self.active(&lease.projection).await?;
                let newest = self.passing(lease, active, "nobody").await?;
                self.memory().leases.insert((lease.projection.clone(), Slot::Active), newest);
                Ok(())
            }
            (Sin::LosesTheModelAtASwitch, Ok(())) => {
                let active = self.active(&lease.projection).await?;
                if active.as_ref().is_some_and(|active| active.holder.is_some()) {
                    let lost = self.passing(lease, active, Claim::APPENDS).await?;
                    self.inner.release(&lost).await?;
                }
                Ok(())
            }
            (_, answer) => answer,
        }
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        if self.sin == Sin::AbandonsNothing {
            return Ok(());
        }
        match self.inner.abandon(projection).await {
            Err(SinkError::RebuildRunning { .. }) if self.sin == Sin::AbandonsWhatIsHeld => {
                let key = (projection.to_owned(), Slot::Shadow);
                let lease = self.memory().leases.get(&key).cloned();
                if let Some(lease) = lease {
                    self.inner.release(&lease).await?;
                }
                self.inner.abandon(projection).await
            }
            answer => answer,
        }
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        if self.keeper.keep(&definition).await? {
            self.inner.keep_inline(definition).await?;
        }
        Ok(())
    }

    async fn release_inline(&self, projection: &str) -> Result<(), SinkError> {
        if self.sin == Sin::KeepsForEver {
            return Ok(());
        }
        let released = self.inner.release_inline(projection).await;
        let key = (projection.to_owned(), Slot::Active);
        let lease = self.memory().leases.get(&key).cloned();
        if let Some(lease) = lease.filter(|_| self.sin == Sin::ReleasesAnybody) {
            self.inner.release(&lease).await?;
        }
        released
    }

    async fn load(
        &self,
        projection: &str,
        slot: Slot,
        keys: &[String],
    ) -> Result<Vec<ModelRow>, SinkError> {
        let rows = self.inner.load(projection, self.shared(slot), keys).await?;
        self.checked(rows)
    }

    async fn rows(
        &self,
        projection: &str,
        slot: Slot,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ModelRow>, SinkError> {
        if self.is_switching.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        if self.sin == Sin::MixesProjections {
            let all = self.inner.status(None).await?;
            let first = all.first().map_or(projection, |status| &status.projection);
            return self.inner.rows(first, slot, after, limit).await;
        }
        if self.sin != Sin::ListsByLength {
            let mut rows = self.inner.rows(projection, slot, after, limit).await?;
            if self.sin == Sin::RoundsNumbers {
                rows.iter_mut().for_each(|row| row.value = rounded(&row.value));
            }
            return self.checked(rows);
        }
        let mut rows = self.inner.rows(projection, slot, None, 1_000_000).await?;
        let order = |key: &str| (key.len(), key.to_owned());
        rows.sort_by_key(|row| order(&row.key));
        rows.retain(|row| after.is_none_or(|after| order(&row.key) > order(after)));
        rows.truncate(limit.max(1));
        Ok(rows)
    }

    async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let slot = self.shared(slot);
        let rows = self.inner.table_rows(projection, slot, table, read).await?;
        Ok(self.seen(projection, slot, rows))
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        let reason = if self.sin == Sin::ForgetsWhy { "" } else { reason };
        self.inner.discard(projection, slot, entry, reason).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        let mut all = self.inner.status(projection).await?;
        for status in &mut all {
            if let Some(active) = &mut status.active {
                match self.sin {
                    Sin::CountsNothing => active.events = 0,
                    Sin::KeepsOldRates => {
                        let old = self.memory().rates.get(&status.projection).copied().flatten();
                        if let Some(holder) = &mut active.holder {
                            holder.rate = holder.rate.or(old);
                        }
                    }
                    Sin::ShowsExpiredHolders if active.holder.is_none() => {
                        active.holder = self.memory().holders.get(&status.projection).cloned();
                    }
                    _ => {}
                }
            }
        }
        Ok(all)
    }

    async fn wait_reached(&self, projection: &str, position: Position) -> Result<(), SinkError> {
        match self.sin {
            Sin::WakesTooEarly => Ok(()),
            Sin::WakesNobody => {
                let slices = self.checkpoints(projection, Slot::Active).await?;
                if slices.first().is_some_and(|slice| slice.position >= position) {
                    return Ok(());
                }
                std::future::pending::<()>().await;
                Err(StoreError::new(StoreErrorKind::Closed, "never woken").into())
            }
            _ => self.inner.wait_reached(projection, position).await,
        }
    }
}
