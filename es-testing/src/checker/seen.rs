//! When what a reader saw is true.

use es_core::backend::{Direction, Position, ReadLog, ReadStream, StreamPage};
use es_core::event::RecordedEvent;
use es_core::execution::StreamVersion;

use super::check::Rule;
use super::history::{ReadCall, Seen, Span};
use super::order::{Answer, Between, Order, Told};

impl Order<'_> {
    pub(super) fn see_read(&mut self, call: &ReadCall) {
        match &call.seen {
            Seen::Stream(read, page) => self.see_stream(call.span, read, page),
            Seen::Log(read, page) => {
                let is_page = self.check_log_page(read, &page.events, page.next);
                if !is_page {
                    let what = format!("{read:?} was answered with other events than the log has");
                    self.fault(Rule::TruePages, what);
                    return;
                }
                let what = format!("a read of the log after {} reached {}", read.after, page.next);
                let reached = self.places_up_to(page.next);
                // at the start of the page the reader had seen nothing by this call
                let seen = if page.next == read.after { 0 } else { reached };
                let told = Told::Log { seen, end: page.at_end.then_some(reached) };
                self.answers.push(Answer { span: call.span, told, rule: Rule::OneOrder, what });
            }
            Seen::End(end) => {
                let is_event = self.log.binary_search_by(|event| compare(event.position, *end));
                if *end != Position::START && is_event.is_err() {
                    let what = format!("the log was said to end at {end}, where no event is");
                    self.fault(Rule::TruePages, what);
                    return;
                }
                let what = format!("the log was said to end at {end}");
                let seen = self.places_up_to(*end);
                let told = Told::Log { seen, end: Some(seen) };
                self.answers.push(Answer { span: call.span, told, rule: Rule::OneOrder, what });
            }
            Seen::Append(stream, key, found) => {
                let first = self.writes.keys.get(&(stream, key)).copied();
                let what = format!("key `{key}` was looked up under {stream}");
                match (found, first) {
                    (None, None) => {}
                    (None, Some(number)) => {
                        let what = format!("{what} and not found");
                        self.observe(call.span, Between::before(number), Rule::OneOrder, what);
                    }
                    (Some(_), None) => {
                        self.fault(
                            Rule::TrueAnswers,
                            format!("{what} and found, but not recorded"),
                        );
                    }
                    (Some(found), Some(number)) => {
                        let told = found.streams.first().and_then(|part| part.events.first());
                        let told = told.and_then(|told| self.writes.of_event(told.event_id));
                        let untrue = self.writes.untrue(found, self.log);
                        if let Some(untrue) = untrue {
                            self.fault(Rule::TrueAnswers, format!("{what}: {untrue}"));
                        } else if told != Some(number) {
                            let what = format!("{what} and another append was found: {found:?}");
                            self.fault(Rule::TrueAnswers, what);
                        }
                        let what = format!("{what} and found");
                        self.observe(call.span, Between::after(number), Rule::OneOrder, what);
                    }
                }
            }
        }
    }

    /// How many events of the log stand at or before a position.
    fn places_up_to(&self, position: Position) -> usize {
        self.log.partition_point(|event| event.position <= position)
    }

    /// True if a page has exactly the wanted events between its two places.
    fn check_log_page(&self, read: &ReadLog, events: &[RecordedEvent], next: Position) -> bool {
        let (from, to) = (self.places_up_to(read.after), self.places_up_to(next));
        let wanted = self.log[from..to.max(from)].iter();
        wanted.filter(|event| read.filter.accepts(event)).eq(events)
    }

    fn see_stream(&mut self, span: Span, read: &ReadStream, page: &StreamPage) {
        let stream = &read.stream;
        let version = page.stream_version;
        let what = format!("a reader saw {stream} at version {version}");
        let Some(between) = self.at(stream, version) else {
            self.fault(Rule::NoParts, format!("{what}, where no append left it"));
            return;
        };
        let number = |event: &&RecordedEvent| event.version;
        // the place in the log of each event is known from its position
        let is_recorded = |event: &RecordedEvent| {
            self.log
                .binary_search_by(|recorded| compare(recorded.position, event.position))
                .is_ok_and(|place| self.log[place] == *event && event.stream == *stream)
        };
        let (low, high) = (read.from.max(StreamVersion::FIRST), read.to.min(version));
        let events = page.events.iter();
        let mut expected = match read.direction {
            Direction::Forwards => low.as_u64(),
            Direction::Backwards => high.as_u64(),
        };
        // an upper bound in time cuts off the newest events, which come first backwards
        if let (Some(_), Direction::Backwards, Some(first)) =
            (read.until, read.direction, page.events.first())
        {
            expected = first.version.as_u64();
        }
        for event in events.clone() {
            let is_wanted = low <= number(&event) && number(&event) <= high;
            if event.version.as_u64() != expected || !is_wanted || !is_recorded(event) {
                self.fault(
                    Rule::TruePages,
                    format!("{what}, with {event:?} in a place not its own"),
                );
                return;
            }
            expected = match read.direction {
                Direction::Forwards => expected + 1,
                Direction::Backwards => expected - 1,
            };
        }
        let wanted = (high.as_u64() + 1).saturating_sub(low.as_u64());
        if !page.has_more && read.until.is_none() && events.len() as u64 != wanted {
            let what = format!("{what}, and {} of {wanted} events as all of them", events.len());
            self.fault(Rule::TruePages, what);
        }
        self.observe(span, between, Rule::OneOrder, what);
    }
}

fn compare(a: Position, b: Position) -> std::cmp::Ordering {
    a.partial_cmp(&b).expect("the positions of one log have an order")
}
