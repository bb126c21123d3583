//! Pauses that somebody asked for.

use super::*;
use crate::pause::Pause;

fn pause(seconds: u64, until: Option<u64>) -> Pause {
    Pause::new("anna", "the machine moves", at(seconds), until.map(at))
}

fn paused(pause: &Pause) -> ActorEvent {
    ActorEvent::ActorPaused {
        by: pause.by.clone().into(),
        because: pause.because.clone().into(),
        paused_at: pause.since.into(),
        until: pause.until.into(),
    }
}

fn pause_ended() -> ActorEvent {
    ActorEvent::ActorPauseEnded { by: "ben".to_owned().into() }
}

#[test]
fn an_actor_is_paused_once_for_the_same_reason_and_end() {
    let endless = pause(10, None);
    let decided = given::<ActorBreaker>([])
        .when(|breaker| Ok::<_, Infallible>(breaker.pause_calls(&endless)))
        .then([paused(&endless)])
        .then_again_nothing();
    assert_eq!(decided.state().pause(), Some(&endless));
    let bounded = pause(20, Some(60));
    given::<ActorBreaker>([paused(&endless)])
        .when(|breaker| Ok::<_, Infallible>(breaker.pause_calls(&bounded)))
        .then([paused(&bounded)]);
}

#[test]
fn a_pause_is_ended_once() {
    let end = |breaker: &ActorBreaker| Ok::<_, Infallible>(breaker.end_pause("ben"));
    let decided = given::<ActorBreaker>([paused(&pause(10, None))])
        .when(end)
        .then([pause_ended()])
        .then_again_nothing();
    assert_eq!(decided.state().pause(), None);
    given::<ActorBreaker>([]).when(end).then_nothing();
}

/// What closes a breaker.
type Closing = fn(&ActorBreaker) -> Result<Vec<ActorEvent>, Infallible>;

#[test]
fn neither_the_breaker_nor_a_call_ends_a_pause() {
    let pause = pause(10, None);
    let mut history = open();
    history.extend([half_opened(600), paused(&pause)]);
    let closing: [Closing; 2] = [succeed, |breaker| Ok(breaker.reset())];
    for decide in closing {
        let decided = given::<ActorBreaker>(history.clone())
            .when(decide)
            .then([ActorEvent::CircuitBreakerClosed])
            .then_again_nothing();
        assert_eq!(decided.state().pause(), Some(&pause));
        assert!(decided.state().is_clean());
    }
    // what it had before counts on
    given::<ActorBreaker>([vec![failed(); 4], vec![paused(&pause)]].concat())
        .when(fail(0))
        .then([failed(), opened(5, 300)]);
}
