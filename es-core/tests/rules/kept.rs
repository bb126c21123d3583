//! Models as a backend keeps them, and steps that are made by chance.

use std::time::Duration;

use es_core::backend::rules::{Acquired, Model, Models};
use es_core::backend::{Checkpoint, Claim, Lease, Position, Renewal, SinkError, Slot, Timestamp};
use proptest::prelude::*;

pub(crate) const SLOTS: [Slot; 2] = [Slot::Active, Slot::Shadow];
const HOLDERS: [&str; 3] = ["one", "two", Claim::APPENDS];

/// One call. Leases are those that were given so far, counted back from the last.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Acquire {
        slot: Slot,
        code: u8,
        holder: usize,
        slices: u32,
        seconds: u64,
    },
    /// Moves a slice from where it stands, or from elsewhere.
    Commit {
        back: usize,
        slice: u32,
        further: u64,
        strays: bool,
    },
    /// Brings all slices of the newest shadow to where the foremost of all stands.
    Fill,
    Renew {
        back: usize,
        seconds: u64,
    },
    Release {
        back: usize,
    },
    Switch {
        of_shadow: bool,
        back: usize,
    },
    Abandon,
    ReleaseInline,
    Wait {
        seconds: u64,
    },
    SetBack {
        seconds: u64,
    },
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(5), Just(30), Just(900), Just(86_400)]
}

fn slot() -> impl Strategy<Value = Slot> {
    prop_oneof![Just(Slot::Active), Just(Slot::Shadow)]
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let back = || 0_usize..6;
    let claim = (slot(), 1_u8..=2, 0..HOLDERS.len(), 0_u32..=3, seconds());
    let step = prop_oneof![
        8 => claim.prop_map(|(slot, code, holder, slices, seconds)| {
            Step::Acquire { slot, code, holder, slices, seconds }
        }),
        6 => (back(), 0_u32..4, 0_u64..3, prop::bool::weighted(0.2)).prop_map(
            |(back, slice, further, strays)| Step::Commit { back, slice, further, strays }
        ),
        3 => Just(Step::Fill),
        2 => (back(), seconds()).prop_map(|(back, seconds)| Step::Renew { back, seconds }),
        2 => back().prop_map(|back| Step::Release { back }),
        4 => (prop::bool::weighted(0.7), back())
            .prop_map(|(of_shadow, back)| Step::Switch { of_shadow, back }),
        2 => Just(Step::Abandon),
        1 => Just(Step::ReleaseInline),
        2 => seconds().prop_map(|seconds| Step::Wait { seconds }),
        1 => seconds().prop_map(|seconds| Step::SetBack { seconds }),
    ];
    proptest::collection::vec(step, 1..60)
}

pub(crate) fn place(number: u64) -> Checkpoint {
    Checkpoint { position: Position::from_sequence(number), event: None }
}

/// Models as a backend keeps them, and all leases that it ever gave, with their holders.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) models: Models,
    newest_generation: u64,
    pub(crate) now: Timestamp,
    pub(crate) leases: Vec<(String, Lease)>,
}

impl Kept {
    /// With an active model, which somebody has.
    pub(crate) fn started() -> Self {
        let now = Timestamp::from_micros(1_763_546_400_000_000);
        let models = Models::default();
        let mut kept = Self { models, newest_generation: 0, now, leases: Vec::new() };
        let seconds = 30;
        let claim = Step::Acquire { slot: Slot::Active, code: 1, holder: 0, slices: 1, seconds };
        kept.step(&claim).unwrap();
        kept
    }

    pub(crate) fn step(&mut self, step: &Step) -> Result<(), SinkError> {
        match *step {
            Step::Acquire { slot, code, holder, slices, seconds } => {
                let (fingerprint, time) = (format!("orders v{code}"), Duration::from_secs(seconds));
                let claim = Claim::new("orders", fingerprint, slot, HOLDERS[holder], time);
                self.acquire(&claim.slices(slices))
            }
            Step::Commit { back, slice, further, strays } => {
                let lease = self.lease(back);
                let model = self.models.slot(lease.slot);
                let here = model.and_then(|model| model.checkpoints.get(slice as usize));
                let here = here.map_or(0, |checkpoint| checkpoint.position.to_sequence());
                self.commit(&lease, slice, here + u64::from(strays), here + further)
            }
            Step::Fill => {
                let foremost = self.foremost();
                let Some(lease) = self.lease_of_shadow() else { return Ok(()) };
                let places = self.models.leased(&lease)?.checkpoints.clone();
                for (slice, from) in (0..).zip(places) {
                    self.commit(&lease, slice, from.position.to_sequence(), foremost)?;
                }
                Ok(())
            }
            Step::Renew { back, seconds } => {
                let (lease, renewal) = (self.lease(back), Duration::from_secs(seconds));
                let holder = self.models.renew(&lease, &Renewal::lasting(renewal), self.now)?;
                self.models.leased_mut(&lease)?.holder = holder;
                Ok(())
            }
            Step::Release { back } => {
                let lease = self.lease(back);
                self.models.leased_mut(&lease)?.holder = None;
                Ok(())
            }
            Step::Switch { of_shadow, back } => {
                let of_shadow = self.lease_of_shadow().filter(|_| of_shadow);
                let lease = of_shadow.unwrap_or_else(|| self.lease(back));
                let switched = self.models.switch(&lease)?;
                self.models = Models { active: Some(switched.served), shadow: None };
                Ok(())
            }
            Step::Abandon => {
                self.models.abandon("orders", self.now)?;
                self.models.shadow = None;
                Ok(())
            }
            Step::ReleaseInline => {
                if let Some(released) = self.models.release_inline("orders")? {
                    self.models.active = Some(released);
                }
                Ok(())
            }
            Step::Wait { seconds } => {
                self.now = self.now.plus(Duration::from_secs(seconds));
                Ok(())
            }
            Step::SetBack { seconds } => {
                let micros = i64::try_from(seconds * 1_000_000).unwrap();
                self.now = Timestamp::from_micros(self.now.as_micros() - micros);
                Ok(())
            }
        }
    }

    pub(crate) fn acquire(&mut self, claim: &Claim) -> Result<(), SinkError> {
        let model = match self.models.acquire(claim, self.now)? {
            Acquired::Taken(model) => model,
            Acquired::Created { model, .. } => {
                self.newest_generation += 1;
                Model { generation: self.newest_generation, ..model }
            }
        };
        self.leases.push((claim.holder.clone(), model.lease(claim)));
        *self.models.slot_mut(claim.slot) = Some(model);
        Ok(())
    }

    pub(crate) fn commit(
        &mut self,
        lease: &Lease,
        slice: u32,
        from: u64,
        to: u64,
    ) -> Result<(), SinkError> {
        self.models.commit(lease, slice, Position::from_sequence(from))?;
        self.models.leased_mut(lease)?.checkpoints[slice as usize] = place(to);
        Ok(())
    }

    pub(crate) fn lease(&self, back: usize) -> Lease {
        self.leases.iter().rev().cycle().nth(back).unwrap().1.clone()
    }

    fn lease_of_shadow(&self) -> Option<Lease> {
        let mut leases = self.leases.iter().rev().map(|(_, lease)| lease);
        leases.find(|lease| lease.slot == Slot::Shadow).cloned()
    }

    fn foremost(&self) -> u64 {
        let models = SLOTS.iter().filter_map(|slot| self.models.slot(*slot));
        let places = models.flat_map(|model| &model.checkpoints);
        places.map(|checkpoint| checkpoint.position.to_sequence()).max().unwrap_or(0)
    }

    /// True if the lease still writes some slice of its model.
    pub(crate) fn commits(&self, lease: &Lease) -> bool {
        let Some(model) = self.models.slot(lease.slot) else { return false };
        let mut slices = (0..).zip(&model.checkpoints);
        slices.any(|(slice, at)| self.models.commit(lease, slice, at.position).is_ok())
    }
}
