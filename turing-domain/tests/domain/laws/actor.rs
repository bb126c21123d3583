//! Events, commands and examples of an actor.

use std::time::Duration;

use es_core::event::Timestamp;
use proptest::prelude::*;
use turing_domain::{
    ActorBreaker, ActorEvent, Attempt, BreakerPolicy, BreakerRejection, FailureType, Pause,
};

use super::shared::{CONVERSATION, RUN, conversation_ids, noted, pauses, run_ids, texts};

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Claim(Timestamp),
    Fail(Timestamp),
    Succeed,
    GiveBack(Timestamp),
    Reset,
    Pause(Pause),
    EndPause,
}

pub(crate) fn decide(
    breaker: &ActorBreaker,
    command: &Command,
) -> Result<Vec<ActorEvent>, BreakerRejection> {
    let policy = BreakerPolicy::default();
    let (run_id, conversation_id) = (RUN, CONVERSATION);
    let attempt = Attempt { run_id, conversation_id, execution: 1, retries: 0 };
    match command {
        Command::Claim(now) => breaker.let_one_through(&policy, None, *now),
        Command::Fail(now) => {
            Ok(breaker.record_failure(&policy, attempt, &FailureType::Timeout, *now))
        }
        Command::Succeed => Ok(breaker.record_success()),
        Command::GiveBack(until) => Ok(breaker.give_back(*until)),
        Command::Reset => Ok(breaker.reset()),
        Command::Pause(pause) => Ok(breaker.pause_calls(pause)),
        Command::EndPause => Ok(breaker.end_pause("ben")),
    }
}

fn seconds() -> impl Strategy<Value = Timestamp> {
    (0..2_000_u64).prop_map(|seconds| Timestamp::EPOCH.plus(Duration::from_secs(seconds)))
}

pub(crate) fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        1 => seconds().prop_map(Command::Claim),
        5 => seconds().prop_map(Command::Fail),
        1 => Just(Command::Succeed),
        1 => seconds().prop_map(Command::GiveBack),
        1 => Just(Command::Reset),
        1 => pauses().prop_map(Command::Pause),
        1 => Just(Command::EndPause),
    ]
}

pub(crate) fn events() -> impl Strategy<Value = ActorEvent> {
    let failures = prop::sample::select(vec!["timeout", "cosmic_ray"]);
    prop_oneof![
        (failures, noted(conversation_ids()), noted(run_ids())).prop_map(
            |(failure_type, conversation_id, run_id)| ActorEvent::ActorCallFailed {
                failure_type: FailureType::from(failure_type),
                conversation_id,
                run_id,
            }
        ),
        Just(ActorEvent::ActorCallSucceeded),
        (any::<u32>(), seconds()).prop_map(|(failure_count, retry_at)| {
            ActorEvent::CircuitBreakerOpened { failure_count, retry_at }
        }),
        seconds().prop_map(|until| ActorEvent::CircuitBreakerHalfOpened { until }),
        Just(ActorEvent::CircuitBreakerClosed),
        (noted(texts()), noted(texts()), noted(seconds()), noted(seconds())).prop_map(
            |(by, because, paused_at, until)| ActorEvent::ActorPaused {
                by,
                because,
                paused_at,
                until,
            }
        ),
        noted(texts()).prop_map(|by| ActorEvent::ActorPauseEnded { by }),
    ]
}

pub(crate) fn examples() -> Vec<ActorEvent> {
    let at = Timestamp::EPOCH.plus(Duration::from_millis(1_763_546_400_500));
    vec![
        ActorEvent::ActorCallFailed {
            failure_type: FailureType::Connection,
            conversation_id: CONVERSATION.into(),
            run_id: RUN.into(),
        },
        ActorEvent::ActorCallSucceeded,
        ActorEvent::CircuitBreakerOpened { failure_count: 5, retry_at: at },
        ActorEvent::CircuitBreakerHalfOpened { until: at },
        ActorEvent::CircuitBreakerClosed,
        ActorEvent::ActorPaused {
            by: "anna".to_owned().into(),
            because: "the machine moves".to_owned().into(),
            paused_at: at.into(),
            until: at.plus(Duration::from_secs(7_200)).into(),
        },
        ActorEvent::ActorPauseEnded { by: "ben".to_owned().into() },
    ]
}
