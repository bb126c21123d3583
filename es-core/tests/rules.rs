//! The rules of leases, shadows and switches, whatever is asked of them in whatever order.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

#[path = "rules/kept.rs"]
mod kept;

use std::collections::BTreeSet;
use std::time::Duration;

use es_core::backend::rules::{Acquired, Model, Models};
use es_core::backend::{Checkpoint, Claim, Lease, Position, Renewal, SinkError, Slot};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use kept::{Kept, SLOTS, Step, place, steps};

/// Runs the steps; `check` is told what was before each one and what is after it.
fn play(
    steps: &[Step],
    mut check: impl FnMut(&Kept, &Kept) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut kept = Kept::started();
    for step in steps {
        let before = kept.clone();
        // a refusal is an answer like any other
        let _ = kept.step(step);
        check(&before, &kept)?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_epoch_never_falls(steps in steps()) {
        play(&steps, |before, after| {
            for was in SLOTS.iter().filter_map(|slot| before.models.slot(*slot)) {
                for is in SLOTS.iter().filter_map(|slot| after.models.slot(*slot)) {
                    let is_same = was.generation == is.generation;
                    prop_assert!(!is_same || was.epoch <= is.epoch, "{was:?} became {is:?}");
                }
            }
            for (_, given) in &after.leases[before.leases.len()..] {
                let mut earlier = before.leases.iter().map(|(_, lease)| lease);
                let repeated = earlier.find(|lease| {
                    lease.generation == given.generation && lease.epoch >= given.epoch
                });
                prop_assert_eq!(repeated, None, "{:?} is not newer", given);
            }
            Ok(())
        })?;
    }

    #[test]
    fn two_holders_never_both_pass_commit(steps in steps()) {
        play(&steps, |_, kept| {
            for slot in SLOTS {
                let leases = kept.leases.iter().filter(|(_, lease)| lease.slot == slot);
                let writers: Vec<_> = leases.filter(|(_, lease)| kept.commits(lease)).collect();
                prop_assert!(writers.len() <= 1, "{writers:?} all write");
                // and whoever keeps others out is the one
                if let Some(holder) = kept.models.slot(slot).and_then(|it| it.held_by(kept.now)) {
                    let names: Vec<_> = writers.iter().map(|(name, _)| name).collect();
                    prop_assert_eq!(names, [&holder.name]);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_switch_never_goes_back(steps in steps()) {
        play(&steps, |before, after| {
            let (was, is) = (before.models.active.as_ref(), after.models.active.as_ref());
            let (was, is) = (was.unwrap(), is.unwrap());
            let number = |model: &Model| model.checkpoints[0].position.to_sequence();
            prop_assert!(number(was) <= number(is));
            if was.generation == is.generation {
                return Ok(());
            }
            let shadow = before.models.shadow.as_ref().unwrap();
            prop_assert_eq!((is.generation, is.epoch), (shadow.generation, shadow.epoch));
            prop_assert!(is.generation > was.generation);
            prop_assert!(shadow.checkpoints.iter().all(|slice| *slice == is.checkpoints[0]));
            prop_assert_eq!((is.checkpoints.len(), &is.holder), (1, &None));
            prop_assert_eq!(&after.models.shadow, &None);
            Ok(())
        })?;
    }

    #[test]
    fn what_acquire_answers_commit_accepts(steps in steps()) {
        play(&steps, |before, after| {
            for (holder, lease) in &after.leases[before.leases.len()..] {
                let slices = u32::try_from(lease.checkpoints.len()).unwrap();
                prop_assert!(slices > 0 && (slices == 1 || lease.slot == Slot::Shadow));
                for (slice, at) in (0..).zip(&lease.checkpoints) {
                    let elsewhere = Position::from_sequence(at.position.to_sequence() + 1);
                    prop_assert!(after.models.commit(lease, slice, at.position).is_ok());
                    prop_assert!(after.models.commit(lease, slice, elsewhere).is_err());
                }
                prop_assert!(after.models.commit(lease, slices, Position::START).is_err());
                let renewal = Renewal::lasting(Duration::from_secs(30));
                let renewed = after.models.renew(lease, &renewal, after.now).unwrap().unwrap();
                prop_assert_eq!(&renewed.name, holder);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_retired_or_abandoned_model_is_nobodys(steps in steps()) {
        play(&steps, |before, after| {
            let models = SLOTS.iter().filter_map(|slot| after.models.slot(*slot));
            let live: Vec<u64> = models.map(|model| model.generation).collect();
            for (_, lease) in &after.leases {
                if live.contains(&lease.generation) {
                    continue;
                }
                let renewal = Renewal::lasting(Duration::from_secs(30));
                prop_assert!(!after.commits(lease));
                prop_assert!(after.models.leased(lease).is_err());
                prop_assert!(after.models.renew(lease, &renewal, after.now).is_err());
                prop_assert!(after.models.switch(lease).is_err());
            }
            // and nobody takes away a shadow that another one has
            let shadow = before.models.shadow.as_ref();
            if let Some(shadow) = shadow
                && let Some(holder) = shadow.held_by(before.now)
                && !live.contains(&shadow.generation)
            {
                let (claimant, lease) = after.leases.last().unwrap();
                prop_assert_eq!((claimant, lease.slot), (&holder.name, Slot::Shadow));
                prop_assert_eq!(after.leases.len(), before.leases.len() + 1);
            }
            Ok(())
        })?;
    }
}

/// The first word of what `Debug` shows.
fn word(shown: &str) -> String {
    shown.chars().take_while(|char| char.is_alphanumeric()).collect()
}

#[test]
fn steps_by_chance_meet_every_answer() {
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeSet::new();
    for _ in 0..256 {
        let mut kept = Kept::started();
        for step in steps().new_tree(&mut runner).unwrap().current() {
            met.insert(match kept.step(&step) {
                Ok(()) => word(&format!("{step:?}")),
                Err(refusal) => word(&format!("{refusal:?}")),
            });
        }
    }
    let calls = ["Acquire", "Commit", "Fill", "Renew", "Release", "Switch", "Abandon"];
    let refusals = ["Held", "RebuildRunning", "LeaseLost", "Changed", "NotCaughtUp", "NoModel"];
    for answer in calls.iter().chain(&refusals) {
        assert!(met.contains(*answer), "no steps were answered with {answer}: {met:?}");
    }
}

/// A claim of 30 seconds; of the shadow in three slices.
fn claim(slot: Slot, holder: &str) -> Claim {
    Claim::new("orders", "orders v1", slot, holder, Duration::from_secs(30)).slices(3)
}

/// An active model at 5 and a shadow at these places, with their leases.
fn with_shadow(places: [u64; 3]) -> (Kept, Lease, Lease) {
    let mut kept = Kept::started();
    let active = kept.lease(0);
    kept.commit(&active, 0, 0, 5).unwrap();
    kept.acquire(&claim(Slot::Shadow, "two")).unwrap();
    let shadow = kept.lease(0);
    for (slice, to) in (0..).zip(places) {
        kept.commit(&shadow, slice, 0, to).unwrap();
    }
    (kept, active, shadow)
}

#[test]
fn a_switch_names_the_slice_that_is_furthest_behind_and_the_foremost_place() {
    for (places, expected) in [([4, 3, 5], (3, 5)), ([7, 6, 8], (6, 8)), ([4, 4, 4], (4, 5))] {
        let (kept, _, lease) = with_shadow(places);
        let Err(SinkError::NotCaughtUp { shadow, active, .. }) = kept.models.switch(&lease) else {
            panic!("{places:?} have not caught up");
        };
        assert_eq!((shadow.to_sequence(), active.to_sequence()), expected);
    }
}

#[test]
fn only_the_lease_of_the_shadow_switches_to_it() {
    let (kept, active, shadow) = with_shadow([6, 6, 6]);
    let refused = kept.models.switch(&active);
    assert!(matches!(refused, Err(SinkError::LeaseLost { .. })), "{refused:?}");
    let switched = kept.models.switch(&shadow).unwrap();
    assert_eq!(switched.served.generation, shadow.generation);
    assert_eq!(switched.served.checkpoints, [place(6)]);
    assert_eq!(switched.retired, Some(active.generation));
}

#[test]
fn a_shadow_of_other_code_is_replaced_by_one_in_the_slices_of_the_claim() {
    let (kept, _, shadow) = with_shadow([1, 2, 3]);
    let mut other = claim(Slot::Shadow, "two").slices(0);
    other.fingerprint = "orders v2".to_owned();
    let Ok(Acquired::Created { model, retired }) = kept.models.acquire(&other, kept.now) else {
        panic!("its own holder may replace it");
    };
    assert_eq!(retired, Some(shadow.generation));
    assert_eq!((model.epoch, model.checkpoints.as_slice()), (1, &[Checkpoint::START] as &[_]));
}

#[test]
fn what_was_released_is_renewed_for_nobody() {
    let mut kept = Kept::started();
    let lease = kept.lease(0);
    kept.step(&Step::Release { back: 0 }).unwrap();
    let renewal = Renewal::lasting(Duration::from_secs(30));
    assert_eq!(kept.models.renew(&lease, &renewal, kept.now).unwrap(), None);
    // it still commits until somebody takes it
    kept.commit(&lease, 0, 0, 1).unwrap();
    kept.acquire(&claim(Slot::Active, "two")).unwrap();
    assert!(kept.commit(&lease, 0, 1, 2).is_err());
}

#[test]
fn only_the_lease_of_the_appends_is_released_from_them() {
    let mut kept = Kept::started();
    assert_eq!(kept.models.release_inline("orders").unwrap(), None);
    kept.step(&Step::Release { back: 0 }).unwrap();
    kept.acquire(&claim(Slot::Active, Claim::APPENDS)).unwrap();
    let lease = kept.lease(0);
    let released = kept.models.release_inline("orders").unwrap().unwrap();
    assert_eq!((released.epoch, &released.holder), (lease.epoch + 1, &None));
    kept.models.active = Some(released);
    assert!(kept.commit(&lease, 0, 0, 1).is_err(), "an append that is under way takes nothing");
    let none = Models::default().release_inline("orders");
    assert!(matches!(none, Err(SinkError::NoModel { slot: Slot::Active, .. })), "{none:?}");
}
