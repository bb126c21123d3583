//! What stores may do whose writers overlap, and what they may not.

use es_core::ExpectedVersion;
use es_core::backend::{LogPage, Position, ReadLog};
use es_core::execution::{Conflict, StreamVersion};
use es_testing::checker::{Rule, Seen, WriteOrder};

use super::made::{Made, answer, event, exactly, key, span, stream, to};

const ANY: ExpectedVersion = ExpectedVersion::Any;
const NONE: ExpectedVersion = ExpectedVersion::NoStream;

/// A history of overlapping writers with this log.
fn overlapping(events: &[(&str, u64)]) -> Made {
    let mut made = Made::with_log(events);
    made.0.write_order = WriteOrder::Overlapping;
    made
}

/// Right where writers overlap, and wrong where they do not.
#[track_caller]
fn is_right_only_overlapping(mut made: Made) {
    made.is_right();
    made.0.write_order = WriteOrder::Serial;
    assert!(made.0.check().is_err(), "the strict judgement must refuse this");
}

/// `b` at 20 and `a` at 10, which was under way from 0 to 50.
fn slow_and_fast() -> Made {
    overlapping(&[("a", 1), ("b", 2)])
        .written(span(0, 50), to("a", NONE, &[1]))
        .written(span(10, 12), to("b", NONE, &[2]))
}

#[test]
fn commits_may_come_in_another_order_than_positions() {
    is_right_only_overlapping(slow_and_fast().read(span(20, 21), "b", 1).read(
        span(22, 23),
        "a",
        0,
    ));
    // once one reader has seen it, all have to
    let seen = |first, second| {
        slow_and_fast().read(span(20, 21), "a", first).read(span(22, 23), "a", second)
    };
    seen(0, 1).is_right();
    seen(1, 0).breaks(Rule::OneOrder);
}

#[test]
fn a_stream_read_sees_what_was_acknowledged_and_nothing_from_the_future() {
    slow_and_fast().read(span(20, 21), "b", 0).breaks(Rule::OneOrder);
    slow_and_fast().read(span(60, 61), "a", 0).breaks(Rule::OneOrder);
    slow_and_fast().read(span(8, 9), "b", 1).breaks(Rule::OneOrder);
    let found = |began, ended, found: bool| {
        let request = to("a", NONE, &[1]).with_key(key("k"));
        let made = overlapping(&[("a", 1)]).written(span(5, 8), request.clone());
        let first = answer(&request, &made.0.log, true);
        made.saw(span(began, ended), Seen::Append(stream("a"), key("k"), found.then_some(first)))
    };
    found(6, 7, true).is_right();
    found(6, 7, false).is_right();
    found(1, 2, true).breaks(Rule::OneOrder);
    found(9, 10, false).breaks(Rule::OneOrder);
}

#[test]
fn positions_follow_what_was_to_be_seen_before() {
    let turned = |first, second| {
        overlapping(&[("b", 2), ("a", 1)])
            .written(first, to("a", NONE, &[1]))
            .written(second, to("b", NONE, &[2]))
    };
    turned(span(0, 1), span(2, 3)).breaks(Rule::OneOrder);
    turned(span(0, 2), span(1, 3)).is_right();
    // what somebody saw was there, acknowledged or not
    let unknown = || {
        overlapping(&[("b", 2), ("a", 1)])
            .unknown(0, to("a", NONE, &[1]))
            .written(span(5, 6), to("b", NONE, &[2]))
    };
    unknown().is_right();
    unknown().read(span(2, 3), "a", 1).breaks(Rule::OneOrder);
    unknown().read(span(2, 7), "a", 1).is_right();
    let stream_order = overlapping(&[("a", 2), ("a", 1)])
        .written(span(0, 1), to("a", ANY, &[1]))
        .written(span(2, 3), to("a", ANY, &[2]));
    stream_order.breaks(Rule::OneOrder);
}

#[test]
fn a_unit_is_written_at_one_moment() {
    let unit = || {
        let request = to("a", NONE, &[1]).and(stream("b"), NONE, vec![event(2)]);
        overlapping(&[("a", 1), ("b", 2)]).written(span(0, 9), request)
    };
    unit().read(span(1, 2), "a", 1).read(span(3, 4), "b", 1).is_right();
    unit().read(span(1, 2), "a", 0).read(span(3, 4), "b", 1).is_right();
    unit().read(span(1, 3), "a", 1).read(span(2, 4), "b", 0).is_right();
    unit().read(span(1, 2), "a", 1).read(span(3, 4), "b", 0).breaks(Rule::OneOrder);
    unit().read(span(1, 2), "b", 1).read(span(3, 4), "a", 0).breaks(Rule::OneOrder);
    let batch = || overlapping(&[("a", 1), ("a", 2)]).written(span(0, 9), to("a", NONE, &[1, 2]));
    batch().read(span(1, 2), "a", 1).breaks(Rule::NoParts);
}

#[test]
fn units_stand_in_the_same_order_in_each_stream() {
    let made = |order| {
        let unit =
            |ids: [u64; 2]| to("a", ANY, &ids[..1]).and(stream("b"), ANY, vec![event(ids[1])]);
        let mut made = Made::with_log(&[("a", 1), ("b", 4), ("b", 2), ("a", 3)])
            .written(span(0, 9), unit([1, 2]))
            .written(span(0, 9), unit([3, 4]));
        made.0.write_order = order;
        made
    };
    made(WriteOrder::Overlapping).breaks(Rule::OneOrder);
    made(WriteOrder::Serial).breaks(Rule::OneOrder);
}

#[test]
fn the_events_of_an_append_need_not_be_neighbours() {
    let made = || {
        let unit = to("a", NONE, &[1]).and(stream("b"), NONE, vec![event(3)]);
        overlapping(&[("b", 3), ("c", 2), ("a", 1)])
            .written(span(0, 9), unit)
            .written(span(0, 9), to("c", NONE, &[2]))
    };
    made().read(span(1, 2), "c", 1).read(span(3, 4), "a", 0).is_right();
    made().read(span(1, 2), "a", 1).read(span(3, 4), "c", 0).is_right();
    // and the log may end between them
    made().read_log(span(3, 4), 2).is_right();
    made().saw(span(3, 4), Seen::End(Position::from_sequence(20))).is_right();
}

#[test]
fn the_log_shows_nothing_above_what_may_still_come() {
    slow_and_fast().read_log(span(20, 21), 0).is_right();
    slow_and_fast().read_log(span(20, 21), 2).is_right();
    // a reader of the stream shows that it had not come yet
    slow_and_fast().read_log(span(20, 21), 2).read(span(22, 23), "a", 0).breaks(Rule::OneOrder);
    slow_and_fast().read(span(22, 23), "a", 0).read_log(span(24, 25), 2).is_right();
    // nor had it begun
    let late = overlapping(&[("a", 1), ("b", 2)])
        .written(span(30, 50), to("a", NONE, &[1]))
        .written(span(10, 40), to("b", NONE, &[2]));
    late.read_log(span(20, 21), 2).breaks(Rule::OneOrder);
    let mut skipped = slow_and_fast().read_log(span(20, 21), 2);
    if let Seen::Log(_, page) = &mut skipped.0.reads[0].seen {
        page.events.remove(0);
    }
    skipped.breaks(Rule::TruePages);
}

#[test]
fn the_log_is_held_back_only_by_what_is_under_way() {
    // by the slow append, until it ends
    is_right_only_overlapping(slow_and_fast().read_log(span(48, 49), 0));
    slow_and_fast().read_log(span(51, 52), 0).breaks(Rule::FreshLog);
    slow_and_fast().saw(span(51, 52), Seen::End(Position::START)).breaks(Rule::FreshLog);
    slow_and_fast().read_log(span(51, 52), 2).is_right();
    // also by one that is refused, but by none that has an unknown outcome and began later
    let conflict =
        || Conflict { stream: stream("a"), expected: exactly(7), actual: StreamVersion::EMPTY };
    let refused = |began, ended| {
        overlapping(&[("b", 2)]).written(span(10, 12), to("b", NONE, &[2])).refused(
            span(began, ended),
            to("a", exactly(7), &[9]),
            conflict(),
        )
    };
    refused(11, 30).read_log(span(20, 21), 0).is_right();
    refused(11, 19).read_log(span(20, 21), 0).breaks(Rule::FreshLog);
    let unknown = |began| {
        overlapping(&[("b", 2)])
            .written(span(10, 12), to("b", NONE, &[2]))
            .unknown(began, to("a", NONE, &[9]))
    };
    unknown(11).read_log(span(90, 91), 0).is_right();
    unknown(95).read_log(span(90, 91), 0).breaks(Rule::FreshLog);
}

#[test]
fn a_later_append_holds_back_nothing_that_was_looked_at() {
    let later = || {
        overlapping(&[("b", 2)])
            .written(span(10, 12), to("b", NONE, &[2]))
            .unknown(30, to("a", NONE, &[9]))
    };
    // nobody had looked at the log since the acknowledgement
    later().read_log(span(40, 41), 0).is_right();
    later().read_log(span(11, 13), 0).read_log(span(40, 41), 0).is_right();
    // the first look sees it, and from then on all do
    later().read_log(span(20, 21), 1).read_log(span(40, 41), 0).breaks(Rule::FreshLog);
    later().read_log(span(20, 31), 1).read_log(span(40, 41), 0).is_right();
}

#[test]
fn who_reads_beyond_the_end_is_told_nothing() {
    let beyond = |next: u64| {
        let after = Position::from_sequence(next);
        let page = LogPage::new(Vec::new(), after, None, true);
        slow_and_fast().saw(span(20, 21), Seen::Log(ReadLog::after(after), page))
    };
    beyond(20).read(span(22, 23), "a", 0).is_right();
}

#[test]
fn a_conflict_was_true_at_some_moment() {
    let stale = |began, ended, actual| {
        let conflict = Conflict {
            stream: stream("a"),
            expected: exactly(7),
            actual: StreamVersion::new(actual),
        };
        slow_and_fast().refused(span(began, ended), to("a", exactly(7), &[9]), conflict)
    };
    stale(20, 21, 0).is_right();
    stale(20, 21, 1).is_right();
    stale(60, 61, 1).is_right();
    stale(60, 61, 0).breaks(Rule::TrueRefusals);
    stale(20, 21, 2).breaks(Rule::TrueRefusals);
    stale(20, 21, 1).read(span(22, 23), "a", 0).breaks(Rule::TrueRefusals);
    // the first stream had moved on together with the one that is named
    let unit = to("a", NONE, &[1]).and(stream("b"), NONE, vec![event(2)]);
    let conflict = Conflict { stream: stream("b"), expected: NONE, actual: StreamVersion::new(1) };
    let never = overlapping(&[("a", 1), ("b", 2)]).written(span(0, 9), unit).refused(
        span(1, 8),
        to("a", exactly(0), &[8]).and(stream("b"), NONE, vec![event(9)]),
        conflict,
    );
    never.breaks(Rule::TrueRefusals);
}
