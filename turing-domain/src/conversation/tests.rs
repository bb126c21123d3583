//! Decisions by example: given these events, when this is told, then these events or this refusal.

use std::convert::Infallible;
use std::time::Duration;

use es_testing::spec::given;
use uuid::Uuid;

use super::*;
use crate::ids::{ConversationId, RunId};

const ID: ConversationId = ConversationId(9101);

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn started(number: u128, wave: u32) -> ConversationEvent {
    ConversationEvent::ConversationStarted {
        run_id: run(number).into(),
        wave: wave.into(),
        posting_count: 20.into(),
        conversation_id: ID.into(),
    }
}

fn completion(number: u128, failed_count: u32) -> WaveCompletion {
    WaveCompletion {
        conversation_id: ID,
        run_id: run(number),
        processed_count: 20,
        failed_count,
        duration: Some(Duration::from_secs(1)),
    }
}

fn completed(number: u128, wave: u32) -> ConversationEvent {
    ConversationEvent::ConversationCompleted {
        run_id: run(number).into(),
        wave: wave.into(),
        processed_count: 20.into(),
        failed_count: 3.into(),
        conversation_id: ID.into(),
        duration_ms: 1000.into(),
    }
}

fn start(
    number: u128,
) -> impl Fn(&ConversationWaves) -> Result<Vec<ConversationEvent>, Infallible> {
    move |waves| Ok(waves.start_wave(ID, run(number), 20))
}

#[test]
fn a_wave_begins_once_and_goes_on_after_a_crash() {
    given::<ConversationWaves>([]).when(start(1)).then([started(1, 1)]).then_again_nothing();
}

#[test]
fn a_wave_may_do_more_than_stood_there_when_it_began() {
    let done = WaveCompletion { processed_count: 21, ..completion(1, 3) };
    given::<ConversationWaves>([started(1, 1)]).when(move |waves| waves.complete_wave(&done)).then(
        [ConversationEvent::ConversationCompleted {
            run_id: run(1).into(),
            wave: 1.into(),
            processed_count: 21.into(),
            failed_count: 3.into(),
            conversation_id: ID.into(),
            duration_ms: 1000.into(),
        }],
    );
}

#[test]
fn waves_are_numbered_over_all_runs() {
    given::<ConversationWaves>([started(1, 1), completed(1, 1)])
        .when(start(1))
        .then([started(1, 2)]);
    given::<ConversationWaves>([started(1, 1)]).when(start(2)).then([started(2, 2)]);
}

#[test]
fn the_open_wave_of_a_run_completes_once() {
    given::<ConversationWaves>([started(1, 1), started(2, 2)])
        .when(|waves| waves.complete_wave(&completion(1, 3)))
        .then([completed(1, 1)])
        .then_again_nothing();
}

#[test]
fn a_run_without_an_open_wave_completes_none() {
    given::<ConversationWaves>([started(2, 1)])
        .when(|waves| waves.complete_wave(&completion(1, 3)))
        .then_rejected(ConversationRejection::NoOpenWave { run_id: run(1) });
}

#[test]
fn no_more_postings_fail_than_were_executed() {
    given::<ConversationWaves>([started(1, 1)])
        .when(|waves| waves.complete_wave(&completion(1, 21)))
        .then_rejected(ConversationRejection::DoesNotAddUp {
            processed_count: 20,
            failed_count: 21,
        });
}
