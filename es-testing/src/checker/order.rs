//! What each answer tells of the writes before it and after it.
//!
//! Each write is known by its number, each answer by the writes that it comes after and those that
//! it comes before. Whether that fits together with when the calls began and ended is judged by
//! [`serial`](super::serial) or [`overlapping`](super::overlapping).

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, StreamId};
use es_core::event::RecordedEvent;
use es_core::execution::{Conflict, IdempotencyKey, StreamVersion};

use super::check::{Faults, Rule};
use super::history::{AppendCall, AppendOutcome, History, Span, WriteOrder};
use super::writes::Writes;
use super::{overlapping, serial};

/// When an answer is true, by the numbers of writes.
#[derive(Debug, Clone, Default)]
pub(super) struct Between {
    /// All of these are written.
    pub(super) after: Vec<usize>,
    /// None of these is.
    pub(super) before: Vec<usize>,
}

impl Between {
    pub(super) fn after(number: usize) -> Self {
        Self { after: vec![number], before: Vec::new() }
    }

    pub(super) fn before(number: usize) -> Self {
        Self { after: Vec::new(), before: vec![number] }
    }

    fn and(mut self, other: Self) -> Self {
        self.after.extend(other.after);
        self.before.extend(other.before);
        self
    }
}

/// What an answer tells.
#[derive(Debug)]
pub(super) enum Told {
    /// Of single writes.
    Writes(Between),
    /// Of the log.
    Log {
        /// So many events, from the start on, are there.
        seen: usize,
        /// So many events are all that the log shows; `None` if nothing is said of that.
        end: Option<usize>,
    },
}

/// An answer to a call that wrote nothing.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) span: Span,
    pub(super) told: Told,
    pub(super) rule: Rule,
    pub(super) what: String,
}

pub(super) struct Order<'a> {
    pub(super) history: &'a History,
    pub(super) log: &'a [RecordedEvent],
    pub(super) writes: &'a Writes<'a>,
    pub(super) answers: Vec<Answer>,
    faults: Vec<(Rule, String)>,
}

impl<'a> Order<'a> {
    pub(super) fn of(history: &'a History, writes: &'a Writes<'a>) -> Self {
        let mut order =
            Self { history, log: &history.log, writes, answers: Vec::new(), faults: Vec::new() };
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

    pub(super) fn observe(&mut self, span: Span, between: Between, rule: Rule, what: String) {
        self.answers.push(Answer { span, told: Told::Writes(between), rule, what });
    }

    /// When the stream is at this version; `None` if it never was.
    pub(super) fn at(&self, stream: &StreamId, version: StreamVersion) -> Option<Between> {
        let versions = self.writes.versions.get(stream).map_or(&[][..], Vec::as_slice);
        let after = versions.partition_point(|(reached, _)| *reached <= version);
        let until = match versions.get(after) {
            Some((_, number)) => Between::before(*number),
            None => Between::default(),
        };
        if version.is_empty() {
            return Some(until);
        }
        let (reached, number) = *versions.get(after.checked_sub(1)?)?;
        (reached == version).then(|| Between::after(number).and(until))
    }

    /// When an expectation is met; `None` if never.
    fn met(&self, stream: &StreamId, expected: ExpectedVersion) -> Option<Between> {
        match expected {
            ExpectedVersion::Any => Some(Between::default()),
            ExpectedVersion::NoStream => self.at(stream, StreamVersion::EMPTY),
            ExpectedVersion::Exact(version) => self.at(stream, version),
            ExpectedVersion::StreamExists => {
                let (_, number) = self.writes.versions.get(stream)?.first()?;
                Some(Between::after(*number))
            }
        }
    }

    /// When no stream of the request has its key recorded.
    fn unkeyed(&self, request: &AppendRequest) -> Between {
        match request.idempotency_key() {
            Some(key) => self.unrecorded(key, request.streams().iter().map(|part| &part.stream)),
            None => Between::default(),
        }
    }

    fn unrecorded<'s>(
        &self,
        key: &IdempotencyKey,
        streams: impl Iterator<Item = &'s StreamId>,
    ) -> Between {
        let numbers = streams.filter_map(|stream| self.writes.keys.get(&(stream, key)));
        Between { after: Vec::new(), before: numbers.copied().collect() }
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
                        self.observe(call.span, Between::after(number), Rule::OneOrder, what);
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
                        let used = Between::after(number).and(self.unkeyed(&call.request));
                        self.observe(call.span, used, Rule::TrueRefusals, what);
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
                        let used = Between::after(number).and(self.unrecorded(key, before));
                        self.observe(call.span, used, Rule::TrueRefusals, what);
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
        let mut between = self.unkeyed(&call.request);
        for part in call.request.streams() {
            if part.stream == conflict.stream {
                if part.expected != conflict.expected || part.expected.accepts(conflict.actual) {
                    self.fault(Rule::TrueRefusals, format!("{what}: that is no reason to refuse"));
                    return;
                }
                return match self.at(&part.stream, conflict.actual) {
                    Some(at) => {
                        self.observe(call.span, between.and(at), Rule::TrueRefusals, what);
                    }
                    None => self.fault(Rule::TrueRefusals, format!("{what}: it never was there")),
                };
            }
            match self.met(&part.stream, part.expected) {
                Some(met) => between = between.and(met),
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
        match self.history.write_order {
            WriteOrder::Serial => serial::check(&self, faults),
            WriteOrder::Overlapping => overlapping::check(&self, faults),
        }
    }
}
