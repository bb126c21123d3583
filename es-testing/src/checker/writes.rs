//! Which appends were written, in which order, and whether each was written as it must be.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use es_core::backend::{AppendRequest, Appended, EventReceipt, StreamId, same_request};
use es_core::event::{EventId, RecordedEvent};
use es_core::execution::{IdempotencyKey, StreamVersion};

use super::check::{Faults, Rule};
use super::history::{AppendCall, AppendOutcome, History, Span};

/// An append that is in the log.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) request: &'a AppendRequest,
    pub(super) span: Span,
    /// The places in the log of its events, in log order.
    pub(super) places: Vec<usize>,
    /// For each stream of the request, the places in the log of its events.
    parts: Vec<(&'a StreamId, Vec<usize>)>,
}

/// The appends that are in the log, in the order in which they took effect.
#[derive(Debug, Default)]
pub(super) struct Writes<'a> {
    pub(super) list: Vec<Write<'a>>,
    /// For each place of the log, the number (from 1) of its write; 0 if nobody wrote it.
    pub(super) by_place: Vec<usize>,
    /// For each stream, what its writes left: the version and the number of the write.
    pub(super) versions: HashMap<&'a StreamId, Vec<(StreamVersion, usize)>>,
    /// The number of the write that recorded a key under a stream.
    pub(super) keys: HashMap<(&'a StreamId, &'a IdempotencyKey), usize>,
    places: HashMap<EventId, usize>,
}

fn ids(request: &AppendRequest) -> impl Iterator<Item = EventId> + '_ {
    let events = request.streams().iter().flat_map(|part| &part.events);
    events.map(|event| event.event_id)
}

impl<'a> Writes<'a> {
    /// Finds the writes of a history and checks each on its own.
    pub(super) fn find(history: &'a History, faults: &mut Faults) -> Self {
        let mut writes = Self::default();
        writes.index(&history.log, faults);
        let owners = writes.owners(history, faults);
        for (call, places) in owners.into_iter().enumerate() {
            if !places.is_empty() {
                let write = whole(&history.appends[call], places, &history.log, faults);
                writes.list.push(write);
            }
        }
        writes.sort(&history.log, faults);
        writes.number(history.log.len());
        writes.check_streams(&history.log, faults);
        for call in &history.appends {
            if let AppendOutcome::Acknowledged(appended) = &call.outcome {
                writes.check_answer(call, appended, &history.log, faults);
            }
        }
        writes
    }

    fn index(&mut self, log: &'a [RecordedEvent], faults: &mut Faults) {
        let mut streams: HashMap<&StreamId, u64> = HashMap::new();
        for (place, event) in log.iter().enumerate() {
            if let Some(before) = self.places.insert(event.event_id, place) {
                faults.add(
                    Rule::AcknowledgedOnce,
                    format!(
                        "event {} stands twice in the log, at {} and {}",
                        event.event_id, log[before].position, event.position
                    ),
                );
            }
            if place > 0 && log[place - 1].position >= event.position {
                faults.add(
                    Rule::LogOrder,
                    format!("{} stands before {}", log[place - 1].position, event.position),
                );
            }
            let last = streams.entry(&event.stream).or_default();
            let version = event.version.as_u64();
            if version != *last + 1 {
                // a version that comes back later is there, but out of order
                let rule = if version <= *last { Rule::LogOrder } else { Rule::DenseVersions };
                let stream = &event.stream;
                faults.add(
                    rule,
                    format!("in the log, version {version} of {stream} follows version {last}"),
                );
            }
            *last = version;
        }
    }

    /// For each append, the places in the log that it wrote.
    fn owners(&self, history: &'a History, faults: &mut Faults) -> Vec<Vec<usize>> {
        let mut candidates: HashMap<EventId, Vec<usize>> = HashMap::new();
        for (call, append) in history.appends.iter().enumerate() {
            for id in ids(&append.request) {
                candidates.entry(id).or_default().push(call);
            }
        }
        let is_whole = |call: usize| {
            ids(&history.appends[call].request).all(|id| self.places.contains_key(&id))
        };
        let mut owners = vec![Vec::new(); history.appends.len()];
        for (place, event) in history.log.iter().enumerate() {
            let found = candidates.get(&event.event_id).map_or(&[][..], Vec::as_slice);
            let mut wrote = found.iter().copied().filter(|&call| {
                matches!(&history.appends[call].outcome,
                    AppendOutcome::Acknowledged(appended) if !appended.repeated)
            });
            let unknown = || {
                let is_unknown =
                    |&call: &usize| matches!(history.appends[call].outcome, AppendOutcome::Unknown);
                let mut unknown = found.iter().copied().filter(is_unknown).peekable();
                let first = unknown.peek().copied();
                unknown.find(|&call| is_whole(call)).or(first)
            };
            if let Some(owner) = wrote.next().or_else(unknown) {
                owners[owner].push(place);
                if wrote.next().is_some() {
                    faults.add(
                        Rule::AcknowledgedOnce,
                        format!("event {} was acknowledged to two appends", event.event_id),
                    );
                }
            } else if found.is_empty() {
                faults.add(
                    Rule::NothingElse,
                    format!("nobody appended event {} at {}", event.event_id, event.position),
                );
            } else {
                faults.add(
                    Rule::RefusedNever,
                    format!(
                        "event {} of an append that was refused or told to be a repeat is in the \
                         log at {}",
                        event.event_id, event.position
                    ),
                );
            }
        }
        owners
    }

    /// Sorts the writes: those of one stream as they stand in it, others by their last position.
    fn sort(&mut self, log: &[RecordedEvent], faults: &mut Faults) {
        // an append over several streams may lie around another in the log, so that positions alone
        // do not tell which came first
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); self.list.len()];
        let mut before = vec![0_usize; self.list.len()];
        let mut last: HashMap<&StreamId, usize> = HashMap::new();
        let mut at = vec![usize::MAX; log.len()];
        for (number, write) in self.list.iter().enumerate() {
            for &place in &write.places {
                at[place] = number;
            }
        }
        for (place, event) in log.iter().enumerate() {
            let number = at[place];
            if number == usize::MAX {
                continue;
            }
            if let Some(earlier) = last.insert(&event.stream, number)
                && earlier != number
            {
                next[earlier].push(number);
                before[number] += 1;
            }
        }
        let end = |number: usize| self.list[number].places.last().copied();
        let mut ready: BinaryHeap<_> = (0..self.list.len())
            .filter(|&number| before[number] == 0)
            .map(|number| Reverse((end(number), number)))
            .collect();
        let mut rank = vec![usize::MAX; self.list.len()];
        let mut count = 0;
        while let Some(Reverse((_, number))) = ready.pop() {
            rank[number] = count;
            count += 1;
            for &later in &next[number] {
                before[later] -= 1;
                if before[later] == 0 {
                    ready.push(Reverse((end(later), later)));
                }
            }
        }
        if let Some(number) = rank.iter().position(|rank| *rank == usize::MAX) {
            let request = self.list[number].request;
            let what =
                format!("each in another stream, writes stand before and behind {request:?}");
            faults.add(Rule::OneOrder, what);
        }
        let mut ranked: Vec<_> = rank.into_iter().zip(std::mem::take(&mut self.list)).collect();
        ranked.sort_by_key(|(rank, write)| (*rank, write.places.first().copied()));
        self.list = ranked.into_iter().map(|(_, write)| write).collect();
    }

    fn number(&mut self, places: usize) {
        self.by_place = vec![0; places];
        for (index, write) in self.list.iter().enumerate() {
            for &place in &write.places {
                self.by_place[place] = index + 1;
            }
        }
    }

    /// Follows each stream through its writes: expectations and keys.
    fn check_streams(&mut self, log: &[RecordedEvent], faults: &mut Faults) {
        for (index, write) in self.list.iter().enumerate() {
            for ((stream, places), part) in write.parts.iter().zip(write.request.streams()) {
                let (Some(&first), Some(&last)) = (places.first(), places.last()) else {
                    continue;
                };
                let found = StreamVersion::new(log[first].version.as_u64().saturating_sub(1));
                if !part.expected.accepts(found) {
                    faults.add(
                        Rule::Expectations,
                        format!(
                            "an append that expected {} was written to {stream} at version {found}",
                            part.expected
                        ),
                    );
                }
                let versions = self.versions.entry(stream).or_default();
                versions.push((log[last].version, index + 1));
                if let Some(key) = write.request.idempotency_key() {
                    let before = self.keys.insert((stream, key), index + 1);
                    if before.is_some() {
                        faults.add(
                            Rule::KeysOnce,
                            format!("key `{key}` was written under twice on {stream}"),
                        );
                    }
                }
            }
        }
    }

    fn check_answer(
        &self,
        call: &AppendCall,
        appended: &Appended,
        log: &[RecordedEvent],
        faults: &mut Faults,
    ) {
        let same_streams = appended.streams.len() == call.request.streams().len()
            && appended.streams.iter().zip(call.request.streams()).all(|(told, part)| {
                told.stream == part.stream && told.events.len() == part.events.len()
            });
        if !same_streams {
            faults.add(
                Rule::TrueAnswers,
                format!("{appended:?} does not answer the request {:?}", call.request),
            );
            return;
        }
        if !appended.repeated {
            for (told, id) in receipts(appended).zip(ids(&call.request)) {
                if told.event_id != id {
                    let what = format!("the answer names {} instead of event {id}", told.event_id);
                    faults.add(Rule::TrueAnswers, what);
                }
                if !self.places.contains_key(&id) {
                    let what = format!("event {id} was acknowledged and is not in the log");
                    faults.add(Rule::AcknowledgedOnce, what);
                }
            }
        }
        if let Some(what) = self.untrue(appended, log) {
            faults.add(Rule::TrueAnswers, what);
        }
    }

    /// What an answer tells that is not so in the log.
    pub(super) fn untrue(&self, appended: &Appended, log: &[RecordedEvent]) -> Option<String> {
        for part in &appended.streams {
            for told in &part.events {
                let found = self.places.get(&told.event_id).map(|&place| &log[place]);
                match found {
                    Some(event) if event.receipt() == *told && event.stream == part.stream => {}
                    Some(event) => {
                        let is = event.receipt();
                        return Some(format!("{told:?} was told and {is:?} is in the log"));
                    }
                    // reported as not acknowledged once
                    None if !appended.repeated => {}
                    None => return Some(format!("{told:?} was told and is not in the log")),
                }
            }
        }
        None
    }

    /// The number of the write in which an event stands.
    pub(super) fn of_event(&self, id: EventId) -> Option<usize> {
        self.places.get(&id).map(|&place| self.by_place[place]).filter(|&number| number > 0)
    }

    /// True if the request asks for what the write with this number wrote.
    pub(super) fn is_same(
        &self,
        request: &AppendRequest,
        number: usize,
        log: &[RecordedEvent],
    ) -> bool {
        let recorded: Vec<_> = self.list[number - 1]
            .parts
            .iter()
            .map(|(stream, places)| {
                let events = places.iter().map(|&place| log[place].clone()).collect();
                ((*stream).clone(), events)
            })
            .collect();
        same_request(request, &recorded).is_ok()
    }
}

fn receipts(appended: &Appended) -> impl Iterator<Item = &EventReceipt> {
    appended.streams.iter().flat_map(|part| &part.events)
}

/// Checks that an append is in the log whole, together and unchanged.
fn whole<'a>(
    call: &'a AppendCall,
    places: Vec<usize>,
    log: &[RecordedEvent],
    faults: &mut Faults,
) -> Write<'a> {
    let by_id: HashMap<EventId, usize> =
        places.iter().map(|&place| (log[place].event_id, place)).collect();
    let mut parts = Vec::new();
    for part in call.request.streams() {
        let mut mine = Vec::new();
        for event in &part.events {
            let Some(&place) = by_id.get(&event.event_id) else {
                if matches!(call.outcome, AppendOutcome::Unknown) {
                    faults.add(
                        Rule::UnknownWhole,
                        format!(
                            "of an append with unknown outcome event {} is missing, others are there",
                            event.event_id
                        ),
                    );
                }
                continue;
            };
            mine.push(place);
            let found = &log[place];
            let is_same = found.stream == part.stream
                && found.event_type == event.event_type
                && found.metadata == event.metadata
                && found.payload.same_json(&event.payload);
            if !is_same {
                let what = format!("{event:?} to {} is in the log as {found:?}", part.stream);
                faults.add(Rule::NothingElse, what);
            }
        }
        let version = |place: usize| log[place].version.as_u64();
        for pair in mine.windows(2) {
            if version(pair[1]) != version(pair[0]) + 1 {
                faults.add(
                    Rule::BatchesTogether,
                    format!(
                        "in one append to {}, version {} follows version {}",
                        part.stream,
                        version(pair[1]),
                        version(pair[0])
                    ),
                );
            }
        }
        parts.push((&part.stream, mine));
    }
    // an append without answer may have its effect at any time
    let span = match call.outcome {
        AppendOutcome::Unknown => Span { ended: None, ..call.span },
        _ => call.span,
    };
    Write { request: &call.request, span, places, parts }
}
