//! One order of all calls that explains every answer, or the proof that there is none.
//!
//! The log gives the order of the writes, so that the store went through known states: state `n` is
//! after the first `n` writes. Each answer is true in a known range of states. An order exists
//! exactly if, wherever one call must stand before another, it also began before the other ended.

use es_core::{
    AppendError, AppendRequest, Conflict, ExpectedVersion, IdempotencyKey, RecordedEvent, StreamId,
    StreamVersion,
};

use super::check::{Faults, Rule};
use super::history::{AppendCall, AppendOutcome, History, Span};
use super::writes::Writes;

/// States in which an answer is true: the first and the last, both included.
pub(super) type States = (usize, usize);

const ALWAYS: States = (0, usize::MAX);

fn both(a: States, b: States) -> States {
    (a.0.max(b.0), a.1.min(b.1))
}

/// A call that wrote nothing, and when its answer was true.
struct Observation {
    span: Span,
    states: States,
    rule: Rule,
    what: String,
}

pub(super) struct Order<'a> {
    pub(super) log: &'a [RecordedEvent],
    pub(super) writes: &'a Writes<'a>,
    observations: Vec<Observation>,
    faults: Vec<(Rule, String)>,
    /// For each place of the log, the highest number of a write up to it.
    pub(super) highest_up_to: Vec<usize>,
    /// For each place of the log, the lowest number of a write from it on.
    pub(super) lowest_from: Vec<usize>,
}

impl<'a> Order<'a> {
    pub(super) fn of(history: &'a History, writes: &'a Writes<'a>) -> Self {
        let by_place = &writes.by_place;
        let highest_up_to = by_place
            .iter()
            .scan(0, |highest, &number| {
                *highest = number.max(*highest);
                Some(*highest)
            })
            .collect();
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
        let mut order = Self {
            log: &history.log,
            writes,
            observations: Vec::new(),
            faults: Vec::new(),
            highest_up_to,
            lowest_from,
        };
        for call in &history.appends {
            order.see_append(call);
        }
        for call in &history.reads {
            order.see_read(call);
        }
        order
    }

    pub(super) fn fault(&mut self, rule: Rule, what: String) {
        self.faults.push((rule, what));
    }

    pub(super) fn observe(&mut self, span: Span, states: States, rule: Rule, what: String) {
        if states.0 > states.1 {
            self.fault(rule, format!("{what}, which was true at no time"));
        } else {
            self.observations.push(Observation { span, states, rule, what });
        }
    }

    /// The states in which the stream is at this version; `None` if it never was.
    pub(super) fn states_at(&self, stream: &StreamId, version: StreamVersion) -> Option<States> {
        let versions = self.writes.versions.get(stream).map_or(&[][..], Vec::as_slice);
        let after = versions.partition_point(|(reached, _)| *reached <= version);
        let last = match versions.get(after) {
            Some((_, number)) => number - 1,
            None => usize::MAX,
        };
        if version.is_empty() {
            return Some((0, last));
        }
        let (reached, number) = *versions.get(after.checked_sub(1)?)?;
        (reached == version).then_some((number, last))
    }

    /// The states in which an expectation is met; `None` if in none.
    fn states_of(&self, stream: &StreamId, expected: ExpectedVersion) -> Option<States> {
        match expected {
            ExpectedVersion::Any => Some(ALWAYS),
            ExpectedVersion::NoStream => self.states_at(stream, StreamVersion::EMPTY),
            ExpectedVersion::Exact(version) => self.states_at(stream, version),
            ExpectedVersion::StreamExists => {
                let (_, number) = self.writes.versions.get(stream)?.first()?;
                Some((*number, usize::MAX))
            }
        }
    }

    /// The states in which no stream of the request has its key recorded.
    fn states_without_key(&self, request: &AppendRequest) -> States {
        match request.idempotency_key() {
            Some(key) => {
                self.states_without(key, request.streams().iter().map(|part| &part.stream))
            }
            None => ALWAYS,
        }
    }

    fn states_without<'s>(
        &self,
        key: &IdempotencyKey,
        streams: impl Iterator<Item = &'s StreamId>,
    ) -> States {
        let numbers = streams.filter_map(|stream| self.writes.keys.get(&(stream, key)));
        (0, numbers.min().map_or(usize::MAX, |number| number - 1))
    }

    fn see_append(&mut self, call: &AppendCall) {
        match &call.outcome {
            AppendOutcome::Acknowledged(appended) if appended.repeated => {
                let told = appended.streams.first().and_then(|part| part.events.first());
                let number = told.and_then(|told| self.writes.of_event(told.event_id));
                let key = call.request.idempotency_key();
                let first = key.and_then(|key| {
                    let under = call.request.streams().first()?;
                    self.writes.keys.get(&(&under.stream, key)).copied()
                });
                match number {
                    Some(number) if first == Some(number) => {
                        if !self.writes.is_same(&call.request, number, self.log) {
                            let what =
                                format!("another request was answered as a repeat: {call:?}");
                            self.fault(Rule::KeysOnce, what);
                        }
                        let what = format!("{:?} was answered as a repeat", call.request);
                        self.observe(call.span, (number, usize::MAX), Rule::OneOrder, what);
                    }
                    _ => {
                        let what = format!("{call:?} was answered as the repeat of nothing");
                        self.fault(Rule::KeysOnce, what);
                    }
                }
            }
            AppendOutcome::Acknowledged(_) | AppendOutcome::Unknown => {}
            AppendOutcome::Refused(AppendError::Conflict(conflict)) => {
                self.see_conflict(call, conflict);
            }
            AppendOutcome::Refused(AppendError::DuplicateEvent { event_id }) => {
                let what = format!("event {event_id} was refused as used");
                match self.writes.of_event(*event_id) {
                    Some(number) => {
                        let unkeyed = self.states_without_key(&call.request);
                        let states = both((number, usize::MAX), unkeyed);
                        self.observe(call.span, states, Rule::TrueRefusals, what);
                    }
                    None => {
                        self.fault(Rule::TrueRefusals, format!("{what}, and is not in the log"))
                    }
                }
            }
            AppendOutcome::Refused(AppendError::KeyReused { key, stream, .. }) => {
                let what = format!("key `{key}` was refused as used on {stream}");
                match self.writes.keys.get(&(stream, key)).copied() {
                    Some(number) if self.writes.is_same(&call.request, number, self.log) => {
                        self.fault(Rule::KeysOnce, format!("{what} for the very same request"));
                    }
                    Some(number) => {
                        let before = call.request.streams().iter();
                        let before =
                            before.map(|part| &part.stream).take_while(|name| *name != stream);
                        let unkeyed = self.states_without(key, before);
                        let states = both((number, usize::MAX), unkeyed);
                        self.observe(call.span, states, Rule::TrueRefusals, what);
                    }
                    None => self.fault(Rule::TrueRefusals, format!("{what}, and was not")),
                }
            }
            // says nothing about the state of the log
            AppendOutcome::Refused(_) => {}
        }
    }

    fn see_conflict(&mut self, call: &AppendCall, conflict: &Conflict) {
        let what = conflict.to_string();
        let mut states = self.states_without_key(&call.request);
        for part in call.request.streams() {
            if part.stream == conflict.stream {
                if part.expected != conflict.expected || part.expected.accepts(conflict.actual) {
                    self.fault(Rule::TrueRefusals, format!("{what}: that is no reason to refuse"));
                    return;
                }
                return match self.states_at(&part.stream, conflict.actual) {
                    Some(at) => {
                        self.observe(call.span, both(states, at), Rule::TrueRefusals, what);
                    }
                    None => self.fault(Rule::TrueRefusals, format!("{what}: it never was there")),
                };
            }
            match self.states_of(&part.stream, part.expected) {
                Some(met) => states = both(states, met),
                None => {
                    let first = &part.stream;
                    let what = format!("{what}: {first} stands first and was never as expected");
                    self.fault(Rule::TrueRefusals, what);
                    return;
                }
            }
        }
        self.fault(Rule::TrueRefusals, format!("{what}: the request does not name the stream"));
    }

    pub(super) fn check(mut self, faults: &mut Faults) {
        for (rule, what) in self.faults.drain(..) {
            faults.add(rule, what);
        }
        let list = &self.writes.list;
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
        for seen in &self.observations {
            let (low, high) = (seen.states.0.min(list.len()), seen.states.1.min(list.len()));
            let (latest, write) = began[low];
            if low > 0 && latest > seen.span.deadline() {
                let request = &list[write].request;
                let what = format!("{}, before {request:?} had begun", seen.what);
                faults.add(seen.rule, what);
            }
            let (earliest, write) = ended[high];
            if earliest < seen.span.began {
                let request = &list[write].request;
                let what = format!("{}, after {request:?} was acknowledged", seen.what);
                faults.add(seen.rule, what);
            }
        }
        self.check_pairs(faults);
    }

    /// Nobody sees an older state after somebody saw a newer one.
    fn check_pairs(&self, faults: &mut Faults) {
        let mut by_beginning: Vec<_> = self.observations.iter().collect();
        by_beginning.sort_by_key(|seen| seen.span.began);
        let mut by_end = by_beginning.clone();
        by_end.sort_by_key(|seen| seen.span.deadline());
        let mut earlier = by_end.into_iter().peekable();
        let mut newest: Option<&Observation> = None;
        for seen in by_beginning {
            while let Some(other) = earlier.next_if(|other| other.span.deadline() < seen.span.began)
            {
                if newest.is_none_or(|newest| newest.states.0 < other.states.0) {
                    newest = Some(other);
                }
            }
            if let Some(newest) = newest.filter(|newest| newest.states.0 > seen.states.1) {
                let what = format!("{}, and after that: {}", newest.what, seen.what);
                faults.add(Rule::OneOrder, what);
            }
        }
    }
}
