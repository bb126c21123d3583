//! Waits while the wall clock is set: none is longer than its policy says, and none is too short.

mod hands;
mod scene;

use std::time::Duration;

use es_core::Repository;
use es_core::environment::Clock;
use es_core::event::{EventStoreExt, ReadLog};
use futures_util::TryStreamExt;
use hands::{Act, DAY, HOUR};
use scene::{COOLDOWN, Policy, Scene};
use turing_domain::{ActorBreaker, ActorEvent, ActorId, BreakerStatus, Pause};

const STEPS: [i64; 7] = [0, HOUR, -HOUR, DAY, -DAY, 1, -1];

/// A breaker that never opens.
const NEVER: u32 = 1_000;

fn seconds(lengths: &[Duration]) -> Vec<f64> {
    lengths.iter().map(Duration::as_secs_f64).collect()
}

#[tokio::test]
async fn a_clock_that_is_set_while_repeats_wait_changes_no_wait() {
    for step in STEPS {
        let scene = Scene::new(&[2], Policy { failures: NEVER, parallel: 1 });
        scene.hands.plan([(step, Act::Wake), (step, Act::Wake)]);
        scene.finish().await;
        assert_eq!(seconds(&scene.hands.slept()), [1.0, 2.0], "{step}");
        assert_eq!(scene.attempts().await, [0.0, 1.0, 3.0], "{step}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_while_a_breaker_is_open_changes_nothing() {
    for step in STEPS {
        let scene = Scene::new(&[1], Policy { failures: 1, parallel: 1 });
        // the repeat is due after a second, and the breaker's time is over after five
        scene.hands.plan([(step, Act::Wake), (step, Act::Wake)]);
        scene.finish().await;
        assert_eq!(seconds(&scene.hands.slept()), [1.0, 4.0], "{step}");
        assert_eq!(scene.attempts().await, [0.0, 5.0], "{step}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_while_nobody_runs_makes_no_wait_longer_than_its_policy() {
    for act in [Act::Stop, Act::Die] {
        // after half a second of the first wait, which is one second
        for (step, repeat, call) in [
            (0, 1.0, 5.0),
            (-HOUR, 0.5 + 4.0, 0.5 + 5.0),
            (-DAY, 0.5 + 4.0, 0.5 + 5.0),
            (DAY, 0.5, 0.5),
        ] {
            for (failures, again) in [(NEVER, repeat), (1, call)] {
                let scene = Scene::new(&[1], Policy { failures, parallel: 1 });
                scene.hands.plan([(0, act)]);
                scene.break_off().await;
                scene.hands.set(step);
                scene.finish().await;
                assert_eq!(scene.attempts().await, [0.0, again], "{act:?} {step} {failures}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_was_let_through_a_day_ahead_blocks_for_as_long_as_an_open_breaker() {
    let scene = Scene::new(&[0], Policy { failures: 1, parallel: 1 });
    let actors = Repository::<ActorBreaker>::new(scene.memory.clone());
    let ahead = scene.hands.now().plus(Duration::from_secs(86_400));
    let died = vec![
        ActorEvent::CircuitBreakerOpened { failure_count: 1, retry_at: ahead },
        ActorEvent::CircuitBreakerHalfOpened { until: ahead },
    ];
    actors.by_id(&ActorId(1)).decide(|_| died.clone()).await.unwrap();
    scene.finish().await;
    assert_eq!(seconds(&scene.hands.slept()), [5.0]);
    assert_eq!(scene.attempts().await, [5.0]);
    // the time that the next one blocks is told by the clock as it is
    let log: Vec<_> = scene.memory.log(ReadLog::from_start()).try_collect().await.unwrap();
    let mut claimed = log.iter().filter(|event| event.event_type == "circuit_breaker_half_opened");
    let claimed = claimed.next_back().unwrap().decode_one::<ActorEvent>().unwrap();
    let until = scene.hands.now().plus(COOLDOWN);
    assert_eq!(claimed, ActorEvent::CircuitBreakerHalfOpened { until });
    let breaker = actors.load(&ActorId(1)).await.unwrap().state;
    assert_eq!(breaker.status(), BreakerStatus::Closed);
}

/// A posting whose actor somebody has paused for four seconds.
async fn paused() -> Scene {
    let scene = Scene::new(&[0], Policy { failures: NEVER, parallel: 1 });
    let actors = Repository::<ActorBreaker>::new(scene.memory.clone());
    let now = scene.hands.now();
    let until = now.plus(Duration::from_secs(4));
    let pause = Pause::new("anna", "the machine moves", now, Some(until));
    actors.by_id(&ActorId(1)).decide(|actor| actor.pause_calls(&pause)).await.unwrap();
    scene
}

#[tokio::test]
async fn a_clock_that_is_set_makes_no_pause_longer_than_it_was_to_be() {
    for step in STEPS {
        let scene = paused().await;
        scene.hands.plan([(step, Act::Wake)]);
        scene.finish().await;
        assert_eq!(scene.attempts().await, [4.0], "{step}");
    }
    // before a process meets it the clock is all that there is
    for (step, waited) in [(0, 4.0), (-HOUR, 4.0), (-DAY, 4.0), (DAY, 0.0)] {
        let scene = paused().await;
        scene.hands.set(step);
        scene.finish().await;
        assert_eq!(scene.attempts().await, [waited], "{step}");
    }
}

#[tokio::test]
async fn lengths_of_time_are_those_of_the_timer() {
    let scene = Scene::new(&[2], Policy { failures: NEVER, parallel: 1 });
    scene.hands.plan([(-DAY, Act::Wake), (DAY, Act::Wake)]);
    let report = scene.finish().await;
    assert_eq!(report.elapsed, Duration::from_secs(3));
    assert_eq!(scene.recorded_duration().await, Some(3_000));
    // over two processes the wall clock tells, and never less than the last of them took
    for (step, recorded) in [(0, 3_000), (-DAY, 6_000)] {
        let scene = Scene::new(&[2], Policy { failures: NEVER, parallel: 1 });
        scene.hands.plan([(0, Act::Stop)]);
        scene.break_off().await;
        scene.hands.set(step);
        let report = scene.finish().await;
        assert_eq!(scene.recorded_duration().await, Some(recorded), "{step}");
        assert!(u128::from(recorded) >= report.elapsed.as_millis());
    }
}

/// Any failures, breakers and restarts while the clock is set by anything: each wait lasts exactly
/// as long as it must, and every run ends.
#[tokio::test]
async fn every_wait_is_as_long_as_it_must_be_campaign() {
    let is_full = std::env::var_os("ES_CAMPAIGN").is_some_and(|campaign| campaign == "full");
    let (mut waits, mut restarts) = (0, 0);
    for seed in 0..if is_full { 1_000 } else { 40 } {
        let mut chance = fastrand::Rng::with_seed(seed);
        let fails: Vec<_> = (0..chance.usize(1..=4)).map(|_| chance.u32(0..=4)).collect();
        let failures = if chance.bool() { NEVER } else { chance.u32(1..=3) };
        let scene = Scene::new(&fails, Policy { failures, parallel: chance.usize(1..=3) });
        let steps = [0, 1, -1, 1_000_000, -1_000_000, HOUR, -HOUR, DAY, -DAY];
        let plan: Vec<_> = (0..chance.usize(0..40))
            .map(|_| {
                let act = match chance.u32(0..8) {
                    0 => Act::Stop,
                    1 => Act::Die,
                    _ => Act::Wake,
                };
                (steps[chance.usize(..steps.len())], act)
            })
            .collect();
        scene.hands.plan(plan);
        while scene.go_on().await.is_none() {
            scene.hands.set(steps[chance.usize(..steps.len())]);
        }
        let told = format!("seed {seed}: {fails:?}, breaker at {failures}");
        scene.check_waits(failures == NEVER, &told).await;
        (waits, restarts) = (waits + scene.hands.slept().len(), restarts + scene.restarts());
    }
    println!("{waits} waits, {restarts} restarts");
    assert!(waits > 100 && restarts > 20, "{waits} waits, {restarts} restarts");
}
