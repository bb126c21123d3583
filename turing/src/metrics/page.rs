//! The page of metrics: each name, what it means, and its series.

use std::time::Instant;

use turing_domain::{BreakerStatus, FailureType};

use super::board::{Board, Places};
use super::labels::{ActorLabel, Labels};
use super::lag::ModelLag;
use super::text::{Kind, Page};

use Kind::{Counter, Gauge};

/// What an attempt came to that did not fail.
const COMPLETED: &str = "completed";

/// All of them, at this moment.
pub(super) fn page(labels: &Labels, board: &Board, lags: &[ModelLag], now: Instant) -> String {
    let mut page = Page::default();
    of_program(&mut page, labels, board);
    of_attempts(&mut page, labels, board);
    of_actors(&mut page, labels, board, now);
    of_positions(&mut page, labels, &board.places(labels, now));
    of_postings(&mut page, board);
    of_store(&mut page, board, lags);
    page.into_text()
}

fn of_program(page: &mut Page, labels: &Labels, board: &Board) {
    page.family(Gauge, "turing_build_info", "The program's version; always 1.")
        .value(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family(Gauge, "turing_workflow_info", "The workflow that the call runs; always 1.")
        .value(&[("workflow", labels.workflow.as_str())], 1);
    let help = "1 while a run is in progress in this process, or else 0.";
    page.family(Gauge, "turing_run_in_progress", help).value(&[], u8::from(board.is_running));
}

fn of_attempts(page: &mut Page, labels: &Labels, board: &Board) {
    let help =
        "Attempts whose result is recorded, by what they came to: completed, or a failure type.";
    let mut family = page.family(Counter, "turing_attempts_total", help);
    for (number, ActorLabel { name, kind, .. }) in labels.actors.iter().enumerate() {
        let completed = board.attempts.get(&(number, None)).copied().unwrap_or_default();
        let failed = board.attempts.iter().filter_map(|((actor, failure), count)| {
            (*actor == number).then_some((failure.as_ref().map(FailureType::as_str)?, *count))
        });
        for (outcome, count) in [(COMPLETED, completed)].into_iter().chain(failed) {
            let told = [("actor", name.as_str()), ("kind", *kind), ("outcome", outcome)];
            family.value(&told, count);
        }
    }
    let help = "For how long actors worked on attempts.";
    let mut family = page.family(Kind::Histogram, "turing_attempt_duration_seconds", help);
    for (number, histogram) in &board.durations {
        let ActorLabel { name, kind, .. } = &labels.actors[*number];
        family.histogram(&[("actor", name.as_str()), ("kind", *kind)], histogram);
    }
    let help =
        "Tokens that endpoints counted, by the model that was asked: of inputs, and of answers.";
    let mut family = page.family(Counter, "turing_llm_tokens_total", help);
    for (model, [input, output]) in &board.tokens {
        family.value(&[("direction", "input"), ("model", model.as_str())], input);
        family.value(&[("direction", "output"), ("model", model.as_str())], output);
    }
}

/// What may be said of the breakers of actors, from the best to the worst.
const STATES: [&str; 3] = ["closed", "half_open", "open"];

fn state_of(status: BreakerStatus) -> usize {
    match status {
        BreakerStatus::Closed => 0,
        BreakerStatus::HalfOpen { .. } => 1,
        BreakerStatus::Open { .. } => 2,
    }
}

fn of_actors(page: &mut Page, labels: &Labels, board: &Board, now: Instant) {
    let seen = |label: &ActorLabel| {
        let actors = label.ids.iter().filter_map(|actor| board.actors.get(actor));
        actors.copied().collect::<Vec<_>>()
    };
    let help = "The circuit breakers of actors: 1 for the state that each is in, or else 0.";
    let mut family = page.family(Gauge, "turing_circuit_breaker_state", help);
    for label in &labels.actors {
        let worst = seen(label).iter().map(|actor| state_of(actor.breaker)).max();
        let Some(worst) = worst else { continue };
        for (number, state) in STATES.into_iter().enumerate() {
            let is_it = u8::from(number == worst);
            family.value(&[("actor", label.name.as_str()), ("state", state)], is_it);
        }
    }
    let help =
        "For how long an actor gets no call any more, because its endpoint asked for a pause.";
    let mut family = page.family(Gauge, "turing_pause_left_seconds", help);
    for label in &labels.actors {
        let seen = seen(label);
        let left = seen.iter().map(|actor| {
            let until = actor.paused_until.unwrap_or(now);
            until.saturating_duration_since(now)
        });
        let Some(left) = left.max() else { continue };
        let told = [("actor", label.name.as_str()), ("endpoint", label.endpoint.as_str())];
        // a label that says nothing is none
        let told = if label.endpoint.is_empty() { &told[..1] } else { &told[..] };
        family.value(told, left.as_secs_f64());
    }
}

fn of_positions(page: &mut Page, labels: &Labels, places: &[Places]) {
    let by_actor = || labels.actors.iter().map(|label| label.name.as_str()).zip(places);
    let help = "Open positions of postings that can be attempted as soon as there is room.";
    let mut family = page.family(Gauge, "turing_positions_ready", help);
    for (actor, places) in by_actor() {
        family.value(&[("actor", actor)], places.ready);
    }
    let help = "Open positions of postings that cannot be attempted now, by what they wait for.";
    let mut family = page.family(Gauge, "turing_positions_waiting", help);
    for (actor, places) in by_actor() {
        for (reason, count) in [
            ("breaker", places.breaker),
            ("pause", places.pause),
            ("paused", places.paused),
            ("person", places.person),
            ("retry", places.repeat),
            ("store", places.store),
        ] {
            family.value(&[("actor", actor), ("reason", reason)], count);
        }
    }
    let help = "Open positions of postings at which an attempt is in progress.";
    let mut family = page.family(Gauge, "turing_positions_in_progress", help);
    for (actor, places) in by_actor() {
        family.value(&[("actor", actor)], places.in_progress);
    }
    let help = "For how long a posting has stood that waits for no repeat and is not attempted, whatever \
                holds it up; 0 if there is none.";
    let mut family = page.family(Gauge, "turing_oldest_ready_age_seconds", help);
    for (actor, places) in by_actor() {
        family.value(&[("actor", actor)], places.oldest.as_secs_f64());
    }
}

fn of_postings(page: &mut Page, board: &Board) {
    let ended: u64 = board.ended.values().sum();
    let open = (board.postings as u64).saturating_sub(ended);
    let help = "Postings of the run that have not ended.";
    page.family(Gauge, "turing_postings_open", help).value(&[], open);
    let help = "Postings that have ended in the run, in this process or before, by reason.";
    let mut family = page.family(Counter, "turing_postings_ended_total", help);
    for (reason, count) in &board.ended {
        family.value(&[("reason", reason.as_str())], count);
    }
}

fn of_store(page: &mut Page, board: &Board, lags: &[ModelLag]) {
    let help = "Events that this process has recorded for the run.";
    page.family(Counter, "turing_events_appended_total", help).value(&[], board.events);
    let help = "1 while the store is away, or else 0.";
    page.family(Gauge, "turing_store_away", help).value(&[], u8::from(board.is_away));
    let help = "How often the store was away.";
    page.family(Counter, "turing_store_absences_total", help).value(&[], board.absences);
    let help = "Events that a read model has not taken; counting ends at about 10000.";
    let mut family = page.family(Gauge, "turing_read_model_lag_events", help);
    for ModelLag { model, events, .. } in lags {
        family.value(&[("model", model.as_str())], events);
    }
    let help = "How long ago the first event was recorded that a read model has not taken.";
    let mut family = page.family(Gauge, "turing_read_model_lag_seconds", help);
    for ModelLag { model, time, .. } in lags {
        family.value(&[("model", model.as_str())], time.as_secs_f64());
    }
}
