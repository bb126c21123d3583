//! Where writers overlap, the checker says of small random histories the same as a search through
//! all orders of commits.

use es_testing::checker::{Span, WriteOrder};

use super::brute_force::{Call, Model, Outcome, Part, What, deadline, history, parts, size, spoil};

/// True if some moments explain all answers and the log, in which these calls stand in this order.
fn is_explained(calls: &[Call], log: &[usize]) -> bool {
    let is_fresh = |(read, call): (usize, &Call)| match call.what {
        What::ReadLog(events) => {
            whole(calls, log, events).is_some_and(|whole| !is_stale(calls, &log[whole..], read))
        }
        _ => true,
    };
    calls.iter().enumerate().all(is_fresh)
        && search(calls, log, &mut vec![false; calls.len()], 0, &Model::default())
}

/// How many appends of the log have something among so many events; `None` if it has not so many.
fn shown(calls: &[Call], log: &[usize], events: usize) -> Option<usize> {
    (0..=log.len())
        .find(|&count| log[..count].iter().map(|&call| size(&calls[call])).sum::<usize>() >= events)
}

/// How many appends of the log have all of theirs among so many events.
fn whole(calls: &[Call], log: &[usize], events: usize) -> Option<usize> {
    let touched = shown(calls, log, events)?;
    let all: usize = log[..touched].iter().map(|&call| size(&calls[call])).sum();
    Some(if all > events { touched - 1 } else { touched })
}

/// True if a read must show one of these appends.
fn is_stale(calls: &[Call], hidden: &[usize], read: usize) -> bool {
    let began = calls[read].span.began;
    let hides = |look: &Call| {
        let is_held_back = calls.iter().any(|other| {
            matches!(other.what, What::Append { .. })
                && other.span.began <= deadline(look)
                && deadline(other) >= began
        });
        !is_held_back
    };
    hidden.iter().any(|&append| {
        let is_acknowledged =
            matches!(calls[append].what, What::Append { outcome: Outcome::Written, .. });
        is_acknowledged
            && calls.iter().enumerate().any(|(number, look)| {
                matches!(look.what, What::ReadLog(_))
                    && look.span.began > deadline(&calls[append])
                    && (number == read || deadline(look) < began)
                    && hides(look)
            })
    })
}

fn search(
    calls: &[Call],
    log: &[usize],
    done: &mut Vec<bool>,
    mut drawn: usize,
    model: &Model,
) -> bool {
    let first_end =
        (0..calls.len()).filter(|&call| !done[call]).map(|call| deadline(&calls[call])).min();
    let Some(first_end) = first_end else {
        return model.writes.len() == log.len();
    };
    // positions are drawn in the order of the log, and never too early
    while log.get(drawn).is_some_and(|&call| calls[call].span.began <= first_end) {
        drawn += 1;
    }
    for call in 0..calls.len() {
        if done[call] || calls[call].span.began > first_end {
            continue;
        }
        let mut next = model.clone();
        let is_true = match &calls[call].what {
            What::Read { stream, version } => model.versions[*stream] == *version,
            What::ReadLog(events) => shown(calls, log, *events)
                .is_some_and(|shown| log[..shown].iter().all(|call| model.writes.contains(call))),
            What::Find { stream, key, found } => model.keys.get(&(*stream, *key)) == found.as_ref(),
            What::Append { parts, key, outcome } => {
                let is_drawn = log[..drawn].contains(&call);
                match outcome {
                    Outcome::Unknown if !log.contains(&call) => true,
                    Outcome::Unknown | Outcome::Written => {
                        is_drawn
                            && next.append(call, parts, *key, calls) == Outcome::Written
                            && in_stream_order(calls, log, &next.writes, parts)
                    }
                    outcome => {
                        !log.contains(&call) && next.append(call, parts, *key, calls) == *outcome
                    }
                }
            }
        };
        if is_true {
            done[call] = true;
            let is_explained = search(calls, log, done, drawn, &next);
            done[call] = false;
            if is_explained {
                return true;
            }
        }
    }
    false
}

/// True if the writes to these streams so far are the first of them in the log.
fn in_stream_order(calls: &[Call], log: &[usize], writes: &[usize], parts: &[Part]) -> bool {
    parts.iter().all(|part| {
        let is_there = |call: &&usize| match &calls[**call].what {
            What::Append { parts, .. } => parts.iter().any(|other| other.stream == part.stream),
            _ => false,
        };
        let mut in_log = log.iter().filter(is_there);
        writes.iter().filter(is_there).all(|write| in_log.next() == Some(write))
    })
}

/// A history of a correct store: each append is under way for a while, draws its positions then and
/// is committed at its moment.
fn correct(rng: &mut fastrand::Rng) -> (Vec<Call>, Vec<usize>) {
    let count = rng.usize(2..=7);
    let moment = |call: usize| 100 * (call as u64 + 1);
    let kinds: Vec<u8> = (0..count).map(|_| rng.u8(..10)).collect();
    let is_append = |call: usize| kinds[call] > 4;
    // appends are slow and reads are quick, so that positions and commits differ in their order
    let spans: Vec<Span> = (0..count)
        .map(|call| {
            let (before, after) = if is_append(call) { (600, 150) } else { (120, 90) };
            Span {
                began: moment(call) - rng.u64(1..before).min(moment(call)),
                ended: Some(moment(call) + rng.u64(1..after)),
            }
        })
        .collect();
    let (mut model, mut calls) = (Model::default(), Vec::<Call>::new());
    // when each write drew, and when each stream was last written to
    let (mut draws, mut last): (Vec<(u64, usize)>, _) = (Vec::new(), [0; 2]);
    for call in 0..count {
        let now = moment(call);
        let what = match kinds[call] {
            0 | 1 => {
                let stream = rng.usize(..2);
                What::Read { stream, version: model.versions[stream] }
            }
            2 | 3 => {
                let open = (call + 1..count).filter(|&other| is_append(other));
                let bound = open.map(|other| spans[other].began).min().unwrap_or(u64::MAX);
                let shown = draws.iter().filter(|(draw, _)| *draw < bound);
                What::ReadLog(shown.map(|(_, write)| size(&calls[*write])).sum())
            }
            4 => {
                let (stream, key) = (rng.usize(..2), rng.u8(..2));
                What::Find { stream, key, found: model.keys.get(&(stream, key)).copied() }
            }
            _ => {
                let parts = parts(rng, &model);
                let key = (rng.u8(..3) == 0).then(|| rng.u8(..2));
                let is_lost = rng.u8(..6) == 0;
                let outcome = match is_lost && rng.bool() {
                    true => Outcome::Unknown,
                    false => model.append(call, &parts, key, &calls),
                };
                if outcome == Outcome::Written {
                    let free = parts.iter().map(|part| last[part.stream] + 1).max().unwrap_or(0);
                    draws.push((rng.u64(spans[call].began..=now).max(free), call));
                    for part in &parts {
                        last[part.stream] = now;
                    }
                }
                let outcome = if is_lost { Outcome::Unknown } else { outcome };
                What::Append { parts, key, outcome }
            }
        };
        calls.push(Call { span: spans[call], what });
    }
    draws.sort_unstable();
    (calls, draws.into_iter().map(|(_, call)| call).collect())
}

#[test]
fn the_checker_agrees_with_a_search_through_all_commits() {
    let base = es_testing::suite::seed();
    let (mut right, mut wrong, mut only_overlapping) = (0, 0, 0);
    for round in 0..20_000 {
        let seed = base.wrapping_add(round);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut calls, mut log) = correct(&mut rng);
        assert!(
            is_explained(&calls, &log),
            "the model explains itself; ES_SEED={seed}: {calls:?}, log {log:?}"
        );
        for _ in 0..rng.usize(..3) {
            spoil(&mut rng, &mut calls, &mut log);
        }
        let explained = is_explained(&calls, &log);
        let mut made = history(&calls, &log).0;
        let is_serial = made.check().is_ok();
        made.write_order = WriteOrder::Overlapping;
        match made.check() {
            Ok(_) => assert!(
                explained,
                "the checker passes what no moments explain; ES_SEED={seed}: {calls:?}, log {log:?}"
            ),
            Err(violations) => assert!(
                !explained,
                "the checker refuses what moments explain; ES_SEED={seed}: {violations}\n\
                 {calls:?}, log {log:?}"
            ),
        }
        assert!(explained || !is_serial, "what is right serially is right; ES_SEED={seed}");
        match explained {
            true => right += 1,
            false => wrong += 1,
        }
        only_overlapping += usize::from(explained && !is_serial);
    }
    assert!(
        right > 5_000 && wrong > 3_000 && only_overlapping > 300,
        "{right} right (of them {only_overlapping} not serially) and {wrong} wrong histories are \
         one-sided"
    );
}
