//! The whole way, forward and back, while four programs write.

use es_testing::suite::rounds;

use crate::compare::assert_same;
use crate::scene::{OLD, Scene};
use crate::support::python::interpreter;
use crate::writers::{Ledgers, Writers};

#[test]
fn postings_move_over_with_each_phase_taken_back_while_four_programs_write_campaign() {
    // more than two batches of the import, with writes between them
    let scene = Scene::of(i32::try_from(rounds(1_100, 2_089)).unwrap());
    println!("ES_SEED={}", scene.seed);
    let python = interpreter(&scene.address());
    let writers = Writers::start(&scene, &python, Ledgers::default());
    // each phase is taken back once, and comes again
    scene.forward_to(1);
    scene.back_to(0);
    scene.forward_to(2);
    scene.back_to(1);
    scene.forward_to(3);
    scene.back_to(2);
    scene.forward_to(4);
    scene.back_to(3);
    scene.forward_to(5);
    scene.back_to(4);
    let ledgers = look(&scene, writers, "after each phase was taken back");
    ledgers.check_progress();
    println!("{}", ledgers.told());
    scene.forward_to(5);
    let states = scene.assert_projected("at the end");
    ledgers.check(&scene, &states);
    let (shown, _) = scene.block_on(scene.old_states(OLD));
    assert_same(&shown, &states, "the old name and the fold, at the end");
}

#[test]
fn several_phases_are_taken_back_at_once_while_four_programs_write_campaign() {
    let scene = Scene::of(i32::try_from(rounds(200, 2_089)).unwrap());
    println!("ES_SEED={}", scene.seed);
    let python = interpreter(&scene.address());
    let writers = Writers::start(&scene, &python, Ledgers::default());
    scene.forward_to(5);
    scene.back_to(1);
    scene.forward_to(4);
    let ledgers = look(&scene, writers, "after four phases were taken back at once");

    // what is written while the old table is out of use is written back to it
    let writers = Writers::start(&scene, &python, ledgers);
    scene.forward_to(5);
    let ledgers = writers.stop();
    let states = scene.assert_projected("when the old table is out of use");
    ledgers.check(&scene, &states);
    let (shown, _) = scene.block_on(scene.old_states(OLD));
    assert_same(&shown, &states, "the old name and the fold, when the old table is out of use");
    scene.back_to(4);
    let writers = Writers::start(&scene, &python, ledgers);
    scene.back_to(0);
    let ledgers = writers.stop();
    ledgers.check_progress();
    println!("{}", ledgers.told());
    // the old table stands alone, with all that was written since; new postings are the events' alone
    let mut states = scene.assert_projected("when there is no cutover any more");
    states.extend(scene.block_on(scene.old_states(OLD)).0);
    ledgers.check(&scene, &states);
}

/// Ends the writers, validates once more, and compares everything.
#[track_caller]
fn look(scene: &Scene, writers: Writers, when: &str) -> Ledgers {
    let ledgers = writers.stop();
    scene.cutover(&["validate"]).expect_code(0);
    assert_eq!(scene.open(), [""; 0], "{when}");
    scene.turing(&["validate"]).expect_code(0);
    let states = scene.assert_equal(scene.table(), when);
    scene.assert_counters(scene.table(), when);
    ledgers.check(scene, &states);
    let (shown, _) = scene.block_on(scene.old_states(OLD));
    assert_same(&shown, &states, &format!("the old name and the fold, {when}"));
    ledgers
}
