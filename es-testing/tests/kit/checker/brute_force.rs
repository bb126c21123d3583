//! On small random histories the checker says the same as a search through all orders.

use std::collections::HashMap;

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, KeyDifference, Position, StreamId};
use es_core::execution::{Conflict, StreamVersion};
use es_testing::checker::{AppendOutcome, Seen, Span};

use super::made::{Made, answer, event, exactly, key, stream};

const STREAMS: [&str; 2] = ["a", "b"];

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) span: Span,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Append {
        parts: Vec<Part>,
        key: Option<u8>,
        outcome: Outcome,
    },
    Read {
        stream: usize,
        version: u64,
    },
    /// A read of the whole log that saw this many events.
    ReadLog(usize),
    Find {
        stream: usize,
        key: u8,
        found: Option<usize>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    pub(crate) stream: usize,
    pub(crate) expected: ExpectedVersion,
    pub(crate) count: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Written,
    Unknown,
    /// Answered with what this call wrote.
    Repeat(usize),
    Conflict {
        stream: usize,
        actual: u64,
    },
    Reused {
        stream: usize,
    },
}

/// The store as it is specified, one call at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) versions: [u64; 2],
    pub(crate) keys: HashMap<(usize, u8), usize>,
    /// The calls that wrote, in order.
    pub(crate) writes: Vec<usize>,
}

impl Model {
    /// What an append is answered; writes if it is permitted.
    pub(crate) fn append(
        &mut self,
        call: usize,
        parts: &[Part],
        key: Option<u8>,
        calls: &[Call],
    ) -> Outcome {
        if let Some(key) = key {
            let recorded = |part: &Part| {
                let first = self.keys.get(&(part.stream, key))?;
                Some((part.stream, *first))
            };
            if let Some((stream, first)) = parts.iter().find_map(recorded) {
                return match same_content(parts, &calls[first].what) {
                    true => Outcome::Repeat(first),
                    false => Outcome::Reused { stream },
                };
            }
        }
        for part in parts {
            let actual = self.versions[part.stream];
            if !part.expected.accepts(StreamVersion::new(actual)) {
                return Outcome::Conflict { stream: part.stream, actual };
            }
        }
        for part in parts {
            self.versions[part.stream] += part.count;
            if let Some(key) = key {
                self.keys.insert((part.stream, key), call);
            }
        }
        self.writes.push(call);
        Outcome::Written
    }

    fn events(&self, calls: &[Call]) -> usize {
        self.writes.iter().map(|&call| size(&calls[call])).sum()
    }
}

/// What has an unknown outcome may have its effect long after it was answered.
pub(crate) fn deadline(call: &Call) -> u64 {
    match &call.what {
        What::Append { outcome: Outcome::Unknown, .. } => u64::MAX,
        _ => call.span.ended.unwrap_or(u64::MAX),
    }
}

pub(crate) fn size(call: &Call) -> usize {
    match &call.what {
        What::Append { parts, .. } => parts.iter().map(|part| part.count as usize).sum(),
        _ => 0,
    }
}

fn same_content(parts: &[Part], first: &What) -> bool {
    let What::Append { parts: first, .. } = first else {
        return false;
    };
    let content = |part: &Part| (part.stream, part.count);
    parts.len() == first.len()
        && parts.iter().all(|part| first.iter().any(|other| content(part) == content(other)))
}

/// True if some order of the calls explains all answers and the log, which these calls wrote.
fn is_explained(calls: &[Call], log: &[usize]) -> bool {
    search(calls, log, &mut vec![false; calls.len()], &Model::default())
}

fn search(calls: &[Call], log: &[usize], done: &mut Vec<bool>, model: &Model) -> bool {
    if done.iter().all(|done| *done) {
        return model.writes == log;
    }
    let first_end =
        (0..calls.len()).filter(|&call| !done[call]).map(|call| deadline(&calls[call])).min();
    for call in 0..calls.len() {
        // a call that began after another ended cannot stand before it
        if done[call] || Some(calls[call].span.began) > first_end {
            continue;
        }
        let mut next = model.clone();
        let is_true = match &calls[call].what {
            What::Read { stream, version } => model.versions[*stream] == *version,
            What::ReadLog(events) => model.events(calls) == *events,
            What::Find { stream, key, found } => model.keys.get(&(*stream, *key)) == found.as_ref(),
            What::Append { parts, key, outcome } => match outcome {
                // never done, or done now
                Outcome::Unknown if !log.contains(&call) => true,
                Outcome::Unknown => next.append(call, parts, *key, calls) == Outcome::Written,
                outcome => next.append(call, parts, *key, calls) == *outcome,
            },
        };
        if is_true && log.starts_with(&next.writes) {
            done[call] = true;
            let is_explained = search(calls, log, done, &next);
            done[call] = false;
            if is_explained {
                return true;
            }
        }
    }
    false
}

pub(crate) fn parts(rng: &mut fastrand::Rng, model: &Model) -> Vec<Part> {
    let mut streams = vec![0, 1];
    rng.shuffle(&mut streams);
    streams.truncate(1 + usize::from(rng.u8(..4) == 0));
    let part = |stream: usize| Part {
        stream,
        expected: match rng.u8(..6) {
            0 => ExpectedVersion::Any,
            1 => ExpectedVersion::NoStream,
            2 => ExpectedVersion::StreamExists,
            3 => exactly(rng.u64(..4)),
            _ => exactly(model.versions[stream]),
        },
        count: 1 + rng.u64(..2),
    };
    streams.into_iter().map(part).collect()
}

/// A history of a correct store: calls take effect one after the other, and overlap around that.
fn correct(rng: &mut fastrand::Rng) -> (Vec<Call>, Vec<usize>) {
    let mut model = Model::default();
    let mut calls: Vec<Call> = Vec::new();
    let count = rng.usize(1..=6);
    for call in 0..count {
        let moment = 100 * (call as u64 + 1);
        let span = Span {
            began: moment - rng.u64(1..250).min(moment),
            ended: Some(moment + rng.u64(1..250)),
        };
        let what = match rng.u8(..10) {
            0 | 1 => {
                let stream = rng.usize(..2);
                let version = model.versions[stream];
                What::Read { stream, version }
            }
            2 => What::ReadLog(model.events(&calls)),
            3 => {
                let (stream, key) = (rng.usize(..2), rng.u8(..2));
                let found = model.keys.get(&(stream, key)).copied();
                What::Find { stream, key, found }
            }
            _ => {
                let parts = parts(rng, &model);
                let key = (rng.u8(..3) == 0).then(|| rng.u8(..2));
                let is_lost = rng.u8(..6) == 0;
                let outcome = match is_lost && rng.bool() {
                    true => Outcome::Unknown,
                    false => model.append(call, &parts, key, &calls),
                };
                What::Append {
                    parts,
                    key,
                    outcome: if is_lost { Outcome::Unknown } else { outcome },
                }
            }
        };
        calls.push(Call { span, what });
    }
    (calls, model.writes)
}

/// Changes something, so that the history may be wrong.
pub(crate) fn spoil(rng: &mut fastrand::Rng, calls: &mut [Call], log: &mut Vec<usize>) {
    let (one, other) = (rng.usize(..calls.len()), rng.usize(..calls.len()));
    match rng.u8(..7) {
        0 => {
            let span = calls[one].span;
            calls[one].span = calls[other].span;
            calls[other].span = span;
        }
        1 => {
            let later = rng.u64(..300);
            calls[one].span.began += later;
            calls[one].span.ended = calls[one].span.ended.map(|ended| ended + later);
        }
        2 if log.len() > 1 => {
            let (a, b) = (rng.usize(..log.len()), rng.usize(..log.len()));
            log.swap(a, b);
        }
        3 if !log.is_empty() => {
            log.remove(rng.usize(..log.len()));
        }
        4 => {
            let is_append = matches!(calls[one].what, What::Append { .. });
            if is_append && !log.contains(&one) {
                log.insert(rng.usize(..=log.len()), one);
            }
        }
        _ => match &mut calls[one].what {
            What::Read { version, .. } => *version = rng.u64(..5),
            What::ReadLog(events) => *events = rng.usize(..6),
            What::Find { found, .. } => *found = None,
            What::Append { outcome, .. } => match outcome {
                Outcome::Conflict { actual, .. } => *actual = rng.u64(..4),
                Outcome::Unknown => *outcome = Outcome::Written,
                Outcome::Written => *outcome = Outcome::Unknown,
                Outcome::Repeat(_) | Outcome::Reused { .. } => {}
            },
        },
    }
}

fn request(call: usize, parts: &[Part], under: Option<u8>) -> AppendRequest {
    let mut number = call as u64 * 10;
    let mut events = |count: u64| -> Vec<_> {
        let first = number;
        number += count;
        (first..number).map(event).collect()
    };
    let first = &parts[0];
    let mut request =
        AppendRequest::to(stream(STREAMS[first.stream]), first.expected, events(first.count));
    for part in &parts[1..] {
        request = request.and(stream(STREAMS[part.stream]), part.expected, events(part.count));
    }
    match under {
        Some(under) => request.with_key(key(&under.to_string())),
        None => request,
    }
}

fn name(index: usize) -> StreamId {
    stream(STREAMS[index])
}

/// The history as the checker takes it.
pub(crate) fn history(calls: &[Call], log: &[usize]) -> Made {
    let requests: Vec<_> = calls
        .iter()
        .enumerate()
        .map(|(number, call)| match &call.what {
            What::Append { parts, key, .. } => Some(request(number, parts, *key)),
            _ => None,
        })
        .collect();
    let mut events = Vec::new();
    for request in log.iter().filter_map(|&call| requests[call].as_ref()) {
        for part in request.streams() {
            let known = STREAMS.iter().find(|name| part.stream.aggregate_id() == **name).unwrap();
            for event in &part.events {
                let number = event.event_id.as_uuid().as_u128() as u64;
                events.push((*known, number & 0xffff_ffff));
            }
        }
    }
    let mut made = Made::with_log(&events);
    for (call, request) in calls.iter().zip(&requests) {
        made = match (&call.what, request) {
            (What::Append { outcome, .. }, Some(request)) => {
                let outcome = match outcome {
                    Outcome::Unknown => AppendOutcome::Unknown,
                    Outcome::Written => {
                        AppendOutcome::Acknowledged(answer(request, &made.0.log, false))
                    }
                    Outcome::Repeat(first) => {
                        let first = requests[*first].as_ref().unwrap();
                        let mut told = answer(first, &made.0.log, true);
                        let place = |stream: &StreamId| {
                            request.streams().iter().position(|part| part.stream == *stream)
                        };
                        told.streams.sort_by_key(|part| place(&part.stream));
                        AppendOutcome::Acknowledged(told)
                    }
                    Outcome::Conflict { stream, actual } => {
                        let mine =
                            request.streams().iter().find(|part| part.stream == name(*stream));
                        AppendOutcome::Refused(AppendError::Conflict(Conflict {
                            stream: name(*stream),
                            expected: mine.unwrap().expected,
                            actual: StreamVersion::new(*actual),
                        }))
                    }
                    Outcome::Reused { stream } => AppendOutcome::Refused(AppendError::KeyReused {
                        key: request.idempotency_key().unwrap().clone(),
                        stream: name(*stream),
                        difference: KeyDifference::Payload,
                    }),
                };
                made.append(call.span, request.clone(), outcome)
            }
            (What::Read { stream, version }, _) => made.read(call.span, STREAMS[*stream], *version),
            (What::ReadLog(events), _) => {
                let end = events.checked_sub(1).and_then(|last| made.0.log.get(last));
                match end {
                    Some(_) => made.read_log(call.span, *events),
                    None if *events == 0 => made.read_log(call.span, 0),
                    // an end that the log never had
                    None => made.saw(call.span, Seen::End(Position::from_sequence(7))),
                }
            }
            (What::Find { stream, key: under, found }, _) => {
                let found =
                    found.map(|first| answer(requests[first].as_ref().unwrap(), &made.0.log, true));
                made.saw(call.span, Seen::Append(name(*stream), key(&under.to_string()), found))
            }
            (What::Append { .. }, None) => made,
        };
    }
    made
}

#[test]
fn the_checker_agrees_with_a_search_through_all_orders() {
    let base = es_testing::suite::seed();
    let (mut right, mut wrong) = (0, 0);
    for round in 0..20_000 {
        let seed = base.wrapping_add(round);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut calls, mut log) = correct(&mut rng);
        assert!(is_explained(&calls, &log), "the model explains itself; ES_SEED={seed}: {calls:?}");
        for _ in 0..rng.usize(..3) {
            spoil(&mut rng, &mut calls, &mut log);
        }
        let explained = is_explained(&calls, &log);
        match history(&calls, &log).0.check() {
            Ok(_) => assert!(
                explained,
                "the checker passes what no order explains; ES_SEED={seed}: {calls:?}, log {log:?}"
            ),
            Err(violations) => assert!(
                !explained,
                "the checker refuses what an order explains; ES_SEED={seed}: {violations}\n{calls:?}, \
                 log {log:?}"
            ),
        }
        if explained {
            right += 1;
        } else {
            wrong += 1;
        }
    }
    assert!(
        right > 5_000 && wrong > 3_000,
        "{right} right and {wrong} wrong histories are one-sided"
    );
}
