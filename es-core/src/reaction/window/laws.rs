//! What a window promises, whatever is answered, fails, is asked for, or is lost, in whatever order.

use proptest::prelude::*;

use super::world::{Step, World};

fn any_step() -> impl Strategy<Value = Step> {
    let end = (0_usize..64, prop::bool::weighted(0.6));
    prop_oneof![
        4 => (1_usize..6).prop_map(Step::Read),
        6 => (1_usize..4).prop_map(Step::Start),
        10 => end.prop_map(|(which, is_well)| Step::End(which, is_well)),
        3 => (0_u64..30).prop_map(Step::Wait),
        6 => Just(Step::Commit),
        3 => Just(Step::Renew),
        4 => Just(Step::List),
        3 => (0_usize..4).prop_map(Step::Retry),
        2 => (0_usize..64).prop_map(Step::Discard),
        1 => (0_usize..64).prop_map(Step::Forget),
        2 => prop::bool::weighted(0.3).prop_map(Step::Away),
        1 => Just(Step::Stop),
        1 => any::<bool>().prop_map(Step::Lose),
        1 => Just(Step::Stray),
    ]
}

/// How many events are held: so few that it matters, or more than there are.
fn any_bound() -> impl Strategy<Value = usize> {
    prop_oneof![2_usize..10, Just(1_000)]
}

proptest! {
    #[test]
    fn every_event_is_given_in_its_order_and_nothing_is_passed_before_it_is_settled(
        streams in prop::collection::vec(0_usize..4, 1..40),
        concurrency in 1_usize..4,
        retries in 0_u32..3,
        ahead in any_bound(),
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let mut world = World::new(&streams, concurrency, retries, ahead);
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.mend();
    }

    #[test]
    fn what_was_not_committed_before_a_cut_is_given_again(
        streams in prop::collection::vec(0_usize..4, 1..40),
        concurrency in 1_usize..4,
        retries in 0_u32..3,
        ahead in any_bound(),
        steps in prop::collection::vec(any_step(), 0..100),
        arrives in any::<bool>(),
    ) {
        let mut world = World::new(&streams, concurrency, retries, ahead);
        for step in steps {
            world.step(step);
        }
        world.step(Step::Lose(arrives));
        world.settle();
    }
}
