//! Which call fails, and how.

use std::collections::HashMap;

use es_core::backend::{AppendRequest, StoreError, StoreErrorKind};

use super::{Call, Gate};

#[derive(Debug, Default)]
pub(super) struct Plan {
    made: HashMap<Call, u64>,
    faults: Vec<(Call, u64, Fault)>,
    /// What every call of a kind fails with.
    outages: HashMap<Call, StoreErrorKind>,
    /// What every call fails with.
    outage: Option<StoreErrorKind>,
    /// How often calls fail that nothing is planned for.
    chance: Option<(fastrand::Rng, f64)>,
}

#[derive(Debug)]
pub(super) enum Fault {
    Fails(StoreErrorKind),
    LosesTheAnswer,
    IsDelayed(Gate),
    IsOvertaken(AppendRequest),
}

impl Call {
    fn writes(self) -> bool {
        use Call::*;
        match self {
            Append | SaveSnapshot | DeleteSnapshots | PruneSnapshots | Acquire | Renew
            | Release | Report | Commit | Switch | Abandon | KeepInline | ReleaseInline
            | RequestRetry | Discard => true,
            FindAppend | ReadStream | ReadLog | EndOfLog | WaitPast | LatestSnapshot
            | ListSnapshots | LatestWithTail | Load | Rows | Parked | Status | WaitReached
            | Blocker => false,
        }
    }
}

impl Plan {
    pub(super) fn seeded(seed: u64, rate: f64) -> Self {
        Self { chance: Some((fastrand::Rng::with_seed(seed), rate)), ..Self::default() }
    }

    pub(super) fn calls(&self, call: Call) -> u64 {
        self.made.get(&call).copied().unwrap_or(0)
    }

    #[track_caller]
    pub(super) fn add(&mut self, call: Call, nth: u64, fault: Fault) {
        assert!(nth > 0, "calls are counted from 1, so nothing befalls {call:?} number 0");
        let nth = self.calls(call) + nth;
        self.faults.push((call, nth, fault));
    }

    /// The calls that something is planned for, and that were not made yet.
    pub(super) fn left(&self) -> Vec<Call> {
        self.faults.iter().map(|(call, ..)| *call).collect()
    }

    pub(super) fn fail_each(&mut self, call: Call, kind: Option<StoreErrorKind>) {
        match kind {
            Some(kind) => drop(self.outages.insert(call, kind)),
            None => drop(self.outages.remove(&call)),
        }
    }

    pub(super) fn fail_all(&mut self, kind: Option<StoreErrorKind>) {
        self.outage = kind;
    }

    /// Counts a call, and tells what is to become of it.
    pub(super) fn next(&mut self, call: Call) -> Option<Fault> {
        let made = self.made.entry(call).or_default();
        *made += 1;
        let nth = *made;
        let planned = self.faults.iter().position(|(of, at, _)| (*of, *at) == (call, nth));
        let planned = planned.map(|place| self.faults.remove(place).2);
        let outage = self.outage.or_else(|| self.outages.get(&call).copied());
        outage.map(Fault::Fails).or(planned).or_else(|| self.drawn(call))
    }

    fn drawn(&mut self, call: Call) -> Option<Fault> {
        let (chance, rate) = self.chance.as_mut()?;
        let fails = chance.f64() < *rate;
        fails.then(|| match call.writes() && chance.bool() {
            true => Fault::LosesTheAnswer,
            false => Fault::Fails(StoreErrorKind::Unavailable),
        })
    }
}

pub(super) fn planned(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "this failure was planned by the test")
}

/// The answer of a call that this befalls.
pub(super) async fn befallen<T, E: From<StoreError>>(
    fault: Option<Fault>,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match fault {
        // who overtakes has done so by now
        None | Some(Fault::IsOvertaken(_)) => answer.await,
        Some(Fault::Fails(kind)) => Err(planned(kind).into()),
        Some(Fault::LosesTheAnswer) => {
            // a refusal is an answer too, and as lost
            drop(answer.await);
            Err(planned(StoreErrorKind::OutcomeUnknown).into())
        }
        Some(Fault::IsDelayed(gate)) => {
            gate.opened().await;
            answer.await
        }
    }
}
