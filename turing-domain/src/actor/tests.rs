//! Decisions by example: given these events, when this is told, then these events or this refusal.

mod pauses;

use std::convert::Infallible;
use std::time::Duration;

use es_core::event::Timestamp;
use es_core::execution::fold;
use es_testing::spec::given;
use uuid::Uuid;

use super::*;
use crate::definition::BreakerPolicy;
use crate::ids::{ConversationId, RunId};
use crate::names::FailureType;
use crate::posting::Attempt;

const ATTEMPT: Attempt = Attempt {
    run_id: RunId(Uuid::from_u128(1)),
    conversation_id: ConversationId(9101),
    execution: 1,
    retries: 0,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::EPOCH.plus(Duration::from_secs(seconds))
}

fn failed() -> ActorEvent {
    ActorEvent::ActorCallFailed {
        failure_type: FailureType::Connection,
        conversation_id: ATTEMPT.conversation_id.into(),
        run_id: ATTEMPT.run_id.into(),
    }
}

fn opened(failure_count: u32, seconds: u64) -> ActorEvent {
    ActorEvent::CircuitBreakerOpened { failure_count, retry_at: at(seconds) }
}

fn half_opened(seconds: u64) -> ActorEvent {
    ActorEvent::CircuitBreakerHalfOpened { until: at(seconds) }
}

/// Five failures, the last of them at second 0.
fn open() -> Vec<ActorEvent> {
    let failures = std::iter::repeat_with(failed).take(5);
    failures.chain([opened(5, 300)]).collect()
}

fn fail(seconds: u64) -> impl Fn(&ActorBreaker) -> Result<Vec<ActorEvent>, Infallible> {
    let policy = BreakerPolicy::default();
    move |breaker| {
        Ok(breaker.record_failure(&policy, ATTEMPT, &FailureType::Connection, at(seconds)))
    }
}

fn succeed(breaker: &ActorBreaker) -> Result<Vec<ActorEvent>, Infallible> {
    Ok(breaker.record_success())
}

fn claim(seconds: u64) -> impl Fn(&ActorBreaker) -> Result<Vec<ActorEvent>, BreakerRejection> {
    move |breaker| breaker.let_one_through(&BreakerPolicy::default(), None, at(seconds))
}

#[test]
fn the_fifth_failure_in_a_row_opens_the_breaker() {
    given::<ActorBreaker>(vec![failed(); 3]).when(fail(0)).then([failed()]);
    let decided =
        given::<ActorBreaker>(vec![failed(); 4]).when(fail(0)).then([failed(), opened(5, 300)]);
    assert_eq!(decided.state(), fold(&open()));
    assert_eq!(ActorBreaker::opened(&open()), Some(5));
    assert_eq!(ActorBreaker::opened(&[failed()]), None);
}

#[test]
fn a_success_between_failures_forgets_them() {
    given::<ActorBreaker>(vec![failed(); 4])
        .when(succeed)
        .then([ActorEvent::ActorCallSucceeded])
        .then_again_nothing();
    let history = [vec![failed(); 4], vec![ActorEvent::ActorCallSucceeded], vec![failed(); 3]];
    given::<ActorBreaker>(history.concat()).when(fail(0)).then([failed()]);
}

#[test]
fn an_actor_that_never_fails_writes_nothing() {
    given::<ActorBreaker>([]).when(succeed).then_nothing();
    given::<ActorBreaker>([]).when(claim(0)).then_nothing();
    assert_eq!(ActorBreaker::default().status().until(), None);
}

#[test]
fn an_open_breaker_refuses_calls_for_its_time() {
    let breaker: ActorBreaker = fold(&open());
    assert_eq!(breaker.status().until(), Some(at(300)));
    given::<ActorBreaker>(open())
        .when(claim(299))
        .then_rejected(BreakerRejection::Open { until: at(300) });
}

#[test]
fn then_exactly_one_call_is_let_through() {
    let under_way = BreakerRejection::CallUnderWay { until: at(600) };
    given::<ActorBreaker>(open())
        .when(claim(300))
        .then([half_opened(600)])
        .then_again_rejected(under_way.clone());
    given::<ActorBreaker>(open())
        .when(claim(300))
        .another_writer_appends([half_opened(600)])
        .then_rejected(under_way);
}

#[test]
fn a_call_from_which_nobody_came_back_blocks_for_a_while_only() {
    let history = [open(), vec![half_opened(600)]].concat();
    given::<ActorBreaker>(history).when(claim(600)).then([half_opened(900)]);
}

#[test]
fn who_waited_out_a_time_by_another_clock_gets_the_call_and_records_the_time_it_is() {
    let day = 86_400;
    let waited_out = |status: BreakerStatus, seconds| {
        move |breaker: &ActorBreaker| {
            breaker.let_one_through(&BreakerPolicy::default(), Some(status), at(seconds))
        }
    };
    let ahead = BreakerStatus::Open { retry_at: at(day) };
    let mut history = vec![failed(), opened(5, day)];
    given::<ActorBreaker>(history.clone())
        .when(waited_out(ahead, 10))
        .then([half_opened(310)])
        .then_again_rejected(BreakerRejection::CallUnderWay { until: at(310) });
    // what was waited for is over, and another wait has begun
    history.push(half_opened(day));
    given::<ActorBreaker>(history.clone())
        .when(waited_out(ahead, 10))
        .then_rejected(BreakerRejection::CallUnderWay { until: at(day) });
    given::<ActorBreaker>(history)
        .when(waited_out(BreakerStatus::HalfOpen { until: at(day) }, 10))
        .then([half_opened(310)]);
}

#[test]
fn a_success_of_the_one_call_closes_the_breaker() {
    let history = [open(), vec![half_opened(600)]].concat();
    let decided = given::<ActorBreaker>(history)
        .when(succeed)
        .then([ActorEvent::CircuitBreakerClosed])
        .then_again_nothing();
    assert_eq!(decided.state(), ActorBreaker::default());
}

#[test]
fn a_failure_of_the_one_call_opens_the_breaker_again() {
    let history = [open(), vec![half_opened(600)]].concat();
    given::<ActorBreaker>(history).when(fail(310)).then([failed(), opened(6, 610)]);
}

#[test]
fn who_mended_the_cause_closes_the_breaker_whatever_its_state() {
    let reset = |breaker: &ActorBreaker| Ok::<_, Infallible>(breaker.reset());
    let half_open = [open(), vec![half_opened(600)]].concat();
    for history in [vec![failed()], open(), half_open] {
        let decided = given::<ActorBreaker>(history)
            .when(reset)
            .then([ActorEvent::CircuitBreakerClosed])
            .then_again_nothing();
        assert_eq!(decided.state(), ActorBreaker::default());
    }
    given::<ActorBreaker>([]).when(reset).then_nothing();
}

#[test]
fn calls_that_began_before_the_breaker_opened_change_nothing() {
    given::<ActorBreaker>(open()).when(fail(1)).then_nothing();
    given::<ActorBreaker>(open()).when(succeed).then_nothing();
}

#[test]
fn a_call_that_says_nothing_about_the_actor_is_given_back() {
    let back =
        |seconds| move |breaker: &ActorBreaker| Ok::<_, Infallible>(breaker.give_back(at(seconds)));
    let history = [open(), vec![half_opened(600)]].concat();
    let decided = given::<ActorBreaker>(history.clone())
        .when(back(320))
        .then([half_opened(320)])
        .then_again_nothing();
    assert_eq!(decided.state().status(), BreakerStatus::HalfOpen { until: at(320) });
    given::<ActorBreaker>(history).when(back(601)).then_nothing();
    given::<ActorBreaker>(open()).when(back(0)).then_nothing();
    given::<ActorBreaker>(vec![failed(); 4]).when(back(0)).then_nothing();
}
