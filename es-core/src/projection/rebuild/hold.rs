//! The lease on the shadow: taken, renewed and given back.

use crate::environment::within;

use super::super::worker::{GRACE, Worker};
use super::super::{Claim, Lease, Renewal, SinkError, Slot};
use super::slice::Slice;
use super::{Held, Rebuild, RebuildError};

impl Rebuild {
    pub(super) async fn acquire(&self) -> Result<Held, RebuildError> {
        self.definition.check()?;
        let sink = self.sink()?;
        self.check_no_reaction().await?;
        let is_by_stream = self.definition.is_by_stream();
        let slices = if is_by_stream { self.slices } else { 1 };
        let claim = Claim { slices, ..self.claim(Slot::Shadow, self.definition.fingerprint()) };
        let mut lease = sink.acquire(&claim).await?;
        if !is_by_stream && lease.checkpoints.len() > 1 {
            // begun by code that could be sliced: its slices would overwrite each other's rows
            sink.release(&lease).await?;
            sink.abandon(self.definition.name()).await?;
            lease = sink.acquire(&claim).await?;
        }
        if self.is_elsewhere(&lease).await? {
            // what was filled from another log is worth nothing: that is why there is a rebuild
            sink.release(&lease).await?;
            sink.abandon(self.definition.name()).await?;
            lease = sink.acquire(&claim).await?;
        }
        let status = sink.status(Some(self.definition.name())).await?.into_iter().next();
        let shadow = status.and_then(|status| status.shadow);
        self.watch.begin(shadow.map_or(0, |shadow| shadow.events));
        let count = lease.checkpoints.len() as u32;
        let mut slices = Vec::with_capacity(lease.checkpoints.len());
        for number in 0..count {
            let mut worker = Worker::new(
                self.store.event_store().clone(),
                sink.clone(),
                self.environment.clone(),
                self.definition.clone(),
                lease.clone(),
                number,
            )
            .await?;
            worker.limit = self.limit;
            worker.check_log().await.map_err(|halt| self.stopped(halt))?;
            worker.forget_passed_trouble().await?;
            slices.push(Slice::new(worker, count));
        }
        Ok(Held { lease, slices })
    }

    /// Refuses what has the name of a reaction: it would become the active model, and the reaction
    /// would begin anew.
    pub(super) async fn check_no_reaction(&self) -> Result<(), SinkError> {
        let status = self.sink()?.status(Some(self.definition.name())).await?.into_iter().next();
        let Some(active) = status.and_then(|status| status.active) else { return Ok(()) };
        let what = "no rebuild repeats it; under another name it begins anew";
        self.definition.check_projection(&active.fingerprint, what)
    }

    /// True if a slice of the shadow is of another history than the log.
    async fn is_elsewhere(&self, lease: &Lease) -> Result<bool, RebuildError> {
        for checkpoint in &lease.checkpoints {
            if self.is_of_other_history(checkpoint).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn claim(&self, slot: Slot, fingerprint: &str) -> Claim {
        Claim {
            projection: self.definition.name().to_owned(),
            fingerprint: fingerprint.to_owned(),
            slot,
            slices: 1,
            holder: self.holder.clone(),
            time_to_live: self.time_to_live,
            tables: self.definition.tables(),
        }
    }

    /// Renews the lease until that fails for as long as the lease lasts, or for good.
    pub(super) async fn renewals(&self, lease: &Lease) -> SinkError {
        let sink = match self.sink() {
            Ok(sink) => sink,
            Err(error) => return error,
        };
        let renewal = Renewal::lasting(self.time_to_live);
        let runtime = &self.environment.runtime;
        let (mut renewed_at, mut failures) = (runtime.now(), 0);
        let mut pause = self.time_to_live / 3;
        loop {
            runtime.sleep(pause).await;
            match sink.renew(lease, &renewal).await {
                Ok(_) => {
                    (renewed_at, failures, pause) = (runtime.now(), 0, self.time_to_live / 3);
                }
                Err(error)
                    if (error.is_transient() || error.is_outcome_unknown())
                        && runtime.since(renewed_at) < self.time_to_live =>
                {
                    failures += 1;
                    pause = self.backoff.delay(failures, self.environment.jitter.fraction());
                }
                Err(error) => return error,
            }
        }
    }

    /// Says why it goes no further, and gives the lease back.
    pub(super) async fn given_up(&self, lease: &Lease, error: &RebuildError) {
        let told = async {
            if let (RebuildError::Stopped { cause, .. }, Ok(sink)) = (error, self.sink()) {
                // the error is answered anyhow
                let _ = sink.report(lease, Some(&cause.told())).await;
            }
            self.release_lease(lease).await;
        };
        // as for a release
        within(&*self.environment.runtime, self.time_to_live.min(GRACE), told).await;
    }

    pub(super) async fn release_lease(&self, lease: &Lease) {
        let Ok(sink) = self.sink() else { return };
        // a lease that is not given back expires
        let released = sink.release(lease);
        within(&*self.environment.runtime, self.time_to_live.min(GRACE), released).await;
    }
}
