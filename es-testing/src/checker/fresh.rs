//! How soon the log shows what was acknowledged, where writers overlap.
//!
//! An append that is under way may have drawn a low position, and holds back what stands above it.
//! A store learns of the appends under way when its log is read to the end; so an append can hold
//! back what was acknowledged before it began, but nothing that the store had looked at by then.

use super::check::{Faults, Rule};
use super::history::AppendOutcome;
use super::order::{Order, Told};

pub(super) fn check(order: &Order<'_>, faults: &mut Faults) {
    let under_way = UnderWay::of(order);
    let looks = Best::of(order.answers.iter().filter_map(|answer| match answer.told {
        Told::Log { end: Some(_), .. } => Some((answer.span.deadline(), answer.span.began)),
        _ => None,
    }));
    let list = &order.writes.list;
    let acknowledged = Best::of(list.iter().enumerate().filter_map(|(index, write)| {
        let (ended, last) = (write.span.ended?, write.places.last()?);
        Some((ended, (*last + 1, index)))
    }));
    for answer in &order.answers {
        let Told::Log { end: Some(end), .. } = answer.told else {
            continue;
        };
        let (began, ended) = (answer.span.began, answer.span.deadline());
        let oldest = under_way.oldest_at(began);
        // all that was acknowledged before this moment must be there
        let looked = if ended < oldest { Some(began) } else { looks.up_to(oldest.min(began)) };
        if let Some((place, index)) = looked.and_then(|looked| acknowledged.up_to(looked))
            && place > end
        {
            let request = &list[index].request;
            let what =
                format!("{}, and nothing held back {request:?}, long acknowledged", answer.what);
            faults.add(Rule::FreshLog, what);
        }
    }
}

/// When appends began, by when they ended.
struct UnderWay(Vec<(u64, u64)>);

impl UnderWay {
    fn of(order: &Order<'_>) -> Self {
        let mut calls: Vec<_> = order
            .history
            .appends
            .iter()
            .map(|call| match call.outcome {
                AppendOutcome::Unknown => (u64::MAX, call.span.began),
                _ => (call.span.deadline(), call.span.began),
            })
            .collect();
        calls.sort_unstable();
        for index in (1..calls.len()).rev() {
            calls[index - 1].1 = calls[index - 1].1.min(calls[index].1);
        }
        Self(calls)
    }

    /// When the oldest append began that had not ended at this moment.
    fn oldest_at(&self, moment: u64) -> u64 {
        let first = self.0.partition_point(|(ended, _)| *ended < moment);
        self.0.get(first).map_or(u64::MAX, |(_, began)| *began)
    }
}

/// The greatest value of all up to a moment.
struct Best<T>(Vec<(u64, T)>);

impl<T: Ord + Copy> Best<T> {
    fn of(values: impl Iterator<Item = (u64, T)>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        for index in 1..values.len() {
            values[index].1 = values[index].1.max(values[index - 1].1);
        }
        Self(values)
    }

    /// That of the moments before this one.
    fn up_to(&self, moment: u64) -> Option<T> {
        let after = self.0.partition_point(|(at, _)| *at < moment);
        Some(self.0[after.checked_sub(1)?].1)
    }
}
