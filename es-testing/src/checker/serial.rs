//! One order of all calls that explains every answer, or the proof that there is none, where writes
//! take effect one after the other in the order of the log.
//!
//! The log gives the order of the writes, so that the store went through known states: state `n` is
//! after the first `n` writes. Each answer is true in a known range of states. An order exists
//! exactly if, wherever one call must stand before another, it also began before the other ended.

use super::check::{Faults, Rule};
use super::history::Span;
use super::order::{Answer, Order, Told};

/// A call that wrote nothing, and the first and the last state in which its answer was true.
struct Observation<'a> {
    span: Span,
    first: usize,
    last: usize,
    rule: Rule,
    what: &'a str,
}

pub(super) fn check(order: &Order<'_>, faults: &mut Faults) {
    let list = &order.writes.list;
    // the latest beginning among the first n writes, and the earliest end among the others
    let mut began = vec![(0, 0); list.len() + 1];
    let mut ended = vec![(u64::MAX, 0); list.len() + 1];
    for (index, write) in list.iter().enumerate() {
        began[index + 1] = began[index].max((write.span.began, index));
    }
    for (index, write) in list.iter().enumerate().rev() {
        ended[index] = ended[index + 1].min((write.span.deadline(), index));
    }
    for (index, write) in list.iter().enumerate() {
        let (latest, before) = began[index];
        if latest > write.span.deadline() {
            faults.add(
                Rule::OneOrder,
                format!(
                    "{:?} was acknowledged before {:?} began, and stands behind it in the log",
                    write.request, list[before].request
                ),
            );
        }
    }
    let observations = observations(order, faults);
    for seen in &observations {
        let (first, last) = (seen.first.min(list.len()), seen.last.min(list.len()));
        let (latest, write) = began[first];
        if first > 0 && latest > seen.span.deadline() {
            let request = &list[write].request;
            faults.add(seen.rule, format!("{}, before {request:?} had begun", seen.what));
        }
        let (earliest, write) = ended[last];
        if earliest < seen.span.began {
            let request = &list[write].request;
            faults.add(seen.rule, format!("{}, after {request:?} was acknowledged", seen.what));
        }
    }
    check_pairs(&observations, faults);
}

/// The answers that are true in some state; the others are faults.
fn observations<'a>(order: &'a Order<'_>, faults: &mut Faults) -> Vec<Observation<'a>> {
    let by_place = &order.writes.by_place;
    // for each place of the log, the highest number of a write up to it
    let highest_up_to: Vec<usize> = by_place
        .iter()
        .scan(0, |highest, &number| {
            *highest = number.max(*highest);
            Some(*highest)
        })
        .collect();
    // for each place of the log, the lowest number of a write from it on
    let mut lowest_from: Vec<usize> = by_place
        .iter()
        .rev()
        .scan(usize::MAX, |lowest, &number| {
            if number > 0 {
                *lowest = number.min(*lowest);
            }
            Some(*lowest)
        })
        .collect();
    lowest_from.reverse();
    let state_before = |number: Option<usize>| number.map_or(usize::MAX, |number| number - 1);
    let mut observations = Vec::with_capacity(order.answers.len());
    for Answer { span, told, rule, what } in &order.answers {
        let (first, last, rule) = match told {
            Told::Writes(between) => {
                let first = between.after.iter().copied().max().unwrap_or(0);
                (first, state_before(between.before.iter().copied().min()), *rule)
            }
            Told::Log { seen, end } => {
                let first = seen.checked_sub(1).map_or(0, |place| highest_up_to[place]);
                let after = end.and_then(|end| lowest_from.get(end)).copied();
                let last = state_before(after);
                (first, last, if first > last { Rule::NoParts } else { *rule })
            }
        };
        if first > last {
            faults.add(rule, format!("{what}, which was true at no time"));
        } else {
            observations.push(Observation { span: *span, first, last, rule, what });
        }
    }
    observations
}

/// Nobody sees an older state after somebody saw a newer one.
fn check_pairs(observations: &[Observation<'_>], faults: &mut Faults) {
    let mut by_beginning: Vec<_> = observations.iter().collect();
    by_beginning.sort_by_key(|seen| seen.span.began);
    let mut by_end = by_beginning.clone();
    by_end.sort_by_key(|seen| seen.span.deadline());
    let mut earlier = by_end.into_iter().peekable();
    let mut newest: Option<&Observation<'_>> = None;
    for seen in by_beginning {
        while let Some(other) = earlier.next_if(|other| other.span.deadline() < seen.span.began) {
            if newest.is_none_or(|newest| newest.first < other.first) {
                newest = Some(other);
            }
        }
        if let Some(newest) = newest.filter(|newest| newest.first > seen.last) {
            let what = format!("{}, and after that: {}", newest.what, seen.what);
            faults.add(Rule::OneOrder, what);
        }
    }
}
