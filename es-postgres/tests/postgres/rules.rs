//! The migrated functions judge leases, shadows and switches as the rules of es-core do.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use es_core::backend::rules::{Acquired, Model, Models};
use es_core::backend::{
    Batch, Checkpoint, Claim, Lease, Position, ProjectionSink, Renewal, SinkError, Slot,
};
use es_core::environment::Clock;
use es_core::projection::GenerationStatus;
use es_postgres::{IdType, PostgresConfig};
use es_testing::ManualClock;
use es_testing::projections::ProjectionFixture;
use es_testing::suite::{rounds, seed};
use fastrand::Rng;

use crate::support::database;
use crate::support::projections::Projected;

const PROJECTION: &str = "judged twice";
const SLOTS: [Slot; 2] = [Slot::Active, Slot::Shadow];
/// In seconds: none, a usual lease, one that is longer than any that is believed, and a day.
const TIMES: [u64; 4] = [0, 30, 16 * 60, 86_400];

fn place(number: u64) -> Checkpoint {
    Checkpoint { position: Position::from_sequence(number), event: None }
}

fn number(checkpoint: &Checkpoint) -> u64 {
    checkpoint.position.to_sequence()
}

/// The server's models, and those that the rules make of the same calls.
struct Both {
    sink: Arc<dyn ProjectionSink>,
    clock: ManualClock,
    models: Models,
    newest_generation: u64,
    /// All that were ever given, lost ones included.
    leases: Vec<Lease>,
    /// What was answered so far.
    met: BTreeSet<String>,
    rng: Rng,
}

impl Both {
    /// Compares the answers, and answers that of the rules.
    fn judged<T: Debug>(
        &mut self,
        call: &str,
        found: Result<T, SinkError>,
        expected: Result<T, SinkError>,
    ) -> Option<T> {
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{call} in {:?}", self.models);
        let met = match &expected {
            Ok(_) => call.to_owned(),
            Err(refusal) => {
                let shown = format!("{refusal:?}");
                shown.chars().take_while(|char| char.is_alphanumeric()).collect()
            }
        };
        self.met.insert(met);
        expected.ok()
    }

    async fn acquire(&mut self, claim: &Claim) {
        let found = self.sink.acquire(claim).await;
        let given = found.as_ref().map_or(0, |lease| lease.generation);
        let mut call = "take";
        let acquired = self.models.acquire(claim, self.clock.now());
        let acquired = acquired.map(|acquired| match acquired {
            Acquired::Taken(model) => model,
            Acquired::Created { model, retired } => {
                call = if retired.is_some() { "replace" } else { "create" };
                assert!(given > self.newest_generation, "{given} is no new generation");
                self.newest_generation = given;
                Model { generation: given, ..model }
            }
        });
        let lease = acquired.as_ref().map(|model| model.lease(claim)).map_err(SinkError::clone);
        if let Some(lease) = self.judged(call, found, lease) {
            self.leases.push(lease);
            *self.models.slot_mut(claim.slot) = acquired.ok();
        }
    }

    async fn commit(&mut self, lease: &Lease, slice: u32, from: u64, to: u64) {
        let batch = Batch::moving(slice, place(from), place(to));
        let found = self.sink.commit(lease, &batch).await;
        let expected = self.models.commit(lease, slice, batch.from.position);
        if self.judged("commit", found, expected).is_some() {
            self.models.leased_mut(lease).unwrap().checkpoints[slice as usize] = batch.to;
        }
    }

    /// Brings all slices of a model to where the foremost of all stands.
    async fn fill(&mut self, lease: &Lease) {
        let models = SLOTS.iter().filter_map(|slot| self.models.slot(*slot));
        let foremost = models.flat_map(|model| &model.checkpoints).map(number).max();
        let slices = self.models.slot(lease.slot).map(|model| model.checkpoints.clone());
        for (slice, from) in (0..).zip(slices.unwrap_or_default()) {
            self.commit(lease, slice, number(&from), foremost.unwrap_or(0)).await;
        }
    }

    async fn renew(&mut self, lease: &Lease, renewal: Renewal) {
        let found = self.sink.renew(lease, &renewal).await.map(drop);
        let holder = self.models.renew(lease, &renewal, self.clock.now());
        let expected = holder.as_ref().map(|_| ()).map_err(SinkError::clone);
        if self.judged("renew", found, expected).is_some() {
            self.models.leased_mut(lease).unwrap().holder = holder.unwrap();
        }
    }

    async fn release(&mut self, lease: &Lease) {
        self.sink.release(lease).await.unwrap();
        if let Ok(model) = self.models.leased_mut(lease) {
            model.holder = None;
        }
    }

    async fn switch(&mut self, lease: &Lease) {
        let found = self.sink.switch(lease).await;
        let switched = self.models.switch(lease);
        let expected = switched.as_ref().map(|_| ()).map_err(SinkError::clone);
        if self.judged("switch", found, expected).is_some() {
            self.models = Models { active: Some(switched.unwrap().served), shadow: None };
        }
    }

    async fn abandon(&mut self) {
        let found = self.sink.abandon(PROJECTION).await;
        let expected = self.models.abandon(PROJECTION, self.clock.now()).map(drop);
        if self.judged("abandon", found, expected).is_some() {
            self.models.shadow = None;
        }
    }

    async fn release_inline(&mut self) {
        let found = self.sink.release_inline(PROJECTION).await;
        let released = self.models.release_inline(PROJECTION);
        let expected = released.as_ref().map(|_| ()).map_err(SinkError::clone);
        if self.judged("release_inline", found, expected).is_some()
            && let Some(released) = released.unwrap()
        {
            self.models.active = Some(released);
        }
    }

    /// The server has the models that the rules have.
    async fn compare(&self) {
        let now = self.clock.now();
        let status = self.sink.status(Some(PROJECTION)).await.unwrap().pop();
        let (active, shadow) = status.map_or((None, None), |it| (it.active, it.shadow));
        for (slot, found) in SLOTS.into_iter().zip([active, shadow]) {
            let found = found.map(|status: GenerationStatus| {
                (status.generation, status.fingerprint, status.checkpoints, status.holder)
            });
            let expected = self.models.slot(slot).cloned().map(|model| {
                let holder = model.held_by(now).cloned();
                (model.generation, model.fingerprint, model.checkpoints, holder)
            });
            assert_eq!(found, expected, "the {slot} model at {now}");
        }
    }

    fn claim(&mut self) -> Claim {
        let slot = SLOTS[self.rng.usize(0..2)];
        let holder = ["one", "two", Claim::APPENDS][self.rng.usize(0..3)];
        let fingerprint = format!("judged twice v{}", self.rng.u32(1..3));
        let slices = self.rng.u32(0..4);
        Claim::new(PROJECTION, fingerprint, slot, holder, self.time()).slices(slices)
    }

    fn time(&mut self) -> Duration {
        Duration::from_secs(TIMES[self.rng.usize(0..TIMES.len())])
    }

    /// One that was given: mostly one of the last.
    fn lease(&mut self) -> Lease {
        let most = if self.rng.u32(0..4) == 0 { self.leases.len() } else { 4 };
        let back = self.rng.usize(0..most.min(self.leases.len()));
        self.leases[self.leases.len() - 1 - back].clone()
    }

    /// The newest that was given for a shadow.
    fn lease_of_shadow(&mut self) -> Lease {
        let of_shadow = self.leases.iter().rev().find(|lease| lease.slot == Slot::Shadow).cloned();
        of_shadow.unwrap_or_else(|| self.lease())
    }

    async fn step(&mut self) {
        match self.rng.u32(0..22) {
            0..6 => {
                let claim = self.claim();
                self.acquire(&claim).await;
            }
            6..10 => {
                let (lease, slice) = (self.lease(), self.rng.u32(0..4));
                let model = self.models.slot(lease.slot);
                let here = model.and_then(|model| model.checkpoints.get(slice as usize));
                let here = here.map_or(0, number);
                let strays = u64::from(self.rng.u32(0..5) == 0);
                let to = here + strays + self.rng.u64(0..3);
                self.commit(&lease, slice, here + strays, to).await;
            }
            10 | 11 => {
                let lease = self.lease_of_shadow();
                self.fill(&lease).await;
                if self.rng.bool() {
                    self.switch(&lease).await;
                }
            }
            12 | 13 => {
                let rate = self.rng.bool().then_some(12.5);
                let (lease, time_to_live) = (self.lease(), self.time());
                self.renew(&lease, Renewal { rate, ..Renewal::lasting(time_to_live) }).await;
            }
            14 => {
                let lease = self.lease();
                self.release(&lease).await;
            }
            15..18 => {
                let lease = if self.rng.bool() { self.lease_of_shadow() } else { self.lease() };
                self.switch(&lease).await;
            }
            18 | 19 => {
                if self.rng.bool() {
                    let lease = self.lease_of_shadow();
                    self.release(&lease).await;
                }
                self.abandon().await;
            }
            20 => self.release_inline().await,
            _ => {
                let time = self.time();
                match self.rng.bool() {
                    true => self.clock.step(time),
                    false => self.clock.step_back(time),
                };
            }
        }
        self.compare().await;
    }
}

#[tokio::test]
async fn one_sequence_is_answered_by_the_functions_as_by_the_rules() {
    let seed = seed();
    println!("ES_SEED={seed}");
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options());
    let server = Projected::open(database, config, ()).await;
    let mut both = Both {
        sink: server.sink(),
        clock: server.manual_clock().unwrap(),
        models: Models::default(),
        newest_generation: 0,
        leases: Vec::new(),
        met: BTreeSet::new(),
        rng: Rng::with_seed(seed),
    };
    both.abandon().await;
    both.release_inline().await;
    let mut claim = both.claim();
    claim.slot = Slot::Active;
    both.acquire(&claim).await;
    for _ in 0..rounds(1_000, 20_000) {
        both.step().await;
    }
    let calls = ["create", "take", "replace", "commit", "renew", "switch", "abandon"];
    let refusals = ["Held", "RebuildRunning", "LeaseLost", "Changed", "NotCaughtUp", "NoModel"];
    for answer in calls.iter().chain(&refusals) {
        assert!(both.met.contains(*answer), "nothing was answered with {answer}: {:?}", both.met);
    }
}
