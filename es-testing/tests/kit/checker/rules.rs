//! For each rule a history that keeps it narrowly and one that breaks it.

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, KeyDifference, Position, ReadLog, ReadStream, StoreError,
    StoreErrorKind,
};
use es_core::event::EventFilter;
use es_core::execution::{Conflict, StreamVersion};
use es_testing::checker::{AppendOutcome, Follower, Rule, Seen};

use super::made::{Made, answer, event, exactly, id, key, span, stream, to};

const ANY: ExpectedVersion = ExpectedVersion::Any;
const NONE: ExpectedVersion = ExpectedVersion::NoStream;

fn conflict(name: &str, expected: ExpectedVersion, actual: u64) -> Conflict {
    Conflict { stream: stream(name), expected, actual: StreamVersion::new(actual) }
}

#[test]
fn a_plain_history_is_right_and_counted() {
    let made = Made::with_log(&[("a", 1), ("b", 2), ("a", 3), ("a", 4)])
        .written(span(0, 1), to("a", NONE, &[1]))
        .written(span(2, 5), to("b", NONE, &[2]))
        .written(span(3, 4), to("a", exactly(1), &[3, 4]))
        .refused(span(6, 7), to("a", exactly(1), &[5]), conflict("a", exactly(1), 3))
        .unknown(8, to("c", NONE, &[6]))
        .read(span(9, 10), "a", 3)
        .read_log(span(11, 12), 4);
    made.is_right();
    let summary = made.0.check().unwrap();
    assert_eq!((summary.acknowledged, summary.refused, summary.unknown), (3, 1, 1));
    assert_eq!((summary.reads, summary.events), (2, 4));
}

#[test]
fn what_was_acknowledged_is_there_once() {
    let lost = Made::with_log(&[("a", 1)])
        .written(span(0, 1), to("a", NONE, &[1]))
        .written(span(2, 3), to("b", NONE, &[2]));
    lost.breaks(Rule::AcknowledgedOnce);
    let torn = Made::with_log(&[("a", 1)]).written(span(0, 1), to("a", NONE, &[1, 2]));
    torn.breaks(Rule::AcknowledgedOnce);
    let twice = Made::with_log(&[("a", 1)])
        .written(span(0, 1), to("a", ANY, &[1]))
        .written(span(2, 3), to("a", ANY, &[1]));
    twice.breaks(Rule::AcknowledgedOnce);
    let mut doubled =
        Made::with_log(&[("a", 1), ("a", 1)]).written(span(0, 1), to("a", NONE, &[1]));
    let found = doubled.0.check().unwrap_err();
    assert_eq!(found.0[0].rule, Rule::AcknowledgedOnce, "{found}");
    doubled.0.log.pop();
    doubled.is_right();
}

#[test]
fn what_was_refused_is_not_there() {
    let made = Made::with_log(&[("a", 1), ("a", 2)])
        .written(span(0, 1), to("a", NONE, &[1]))
        .refused(span(2, 3), to("a", NONE, &[2]), conflict("a", NONE, 1));
    made.breaks(Rule::RefusedNever);
    let full = StoreError::new(StoreErrorKind::Full, "no room");
    let made = Made::with_log(&[("a", 1)]).refused(span(0, 1), to("a", NONE, &[1]), full);
    made.breaks(Rule::RefusedNever);
}

#[test]
fn what_is_unknown_is_there_whole_or_not_at_all() {
    let log = [("a", 1), ("b", 2), ("b", 3)];
    let unit = || to("a", NONE, &[1]).and(stream("b"), NONE, vec![event(2), event(3)]);
    Made::with_log(&log).unknown(0, unit()).is_right();
    Made::with_log(&[]).unknown(0, unit()).is_right();
    Made::with_log(&log[..2]).unknown(0, unit()).breaks(Rule::UnknownWhole);
    Made::with_log(&log[..1]).unknown(0, unit()).breaks(Rule::UnknownWhole);
    // it may still be written long after the caller went away
    let later = Made::with_log(&[("b", 9), ("a", 1), ("b", 2), ("b", 3)])
        .unknown(0, to("a", NONE, &[1]).and(stream("b"), ANY, vec![event(2), event(3)]))
        .written(span(5, 6), to("b", NONE, &[9]));
    later.is_right();
    let lost = StoreError::new(StoreErrorKind::OutcomeUnknown, "the answer was lost");
    let outcome = AppendOutcome::from(Err(AppendError::Store(lost)));
    let told = Made::with_log(&log).append(span(0, 1), unit(), outcome);
    told.is_right();
}

#[test]
fn a_retry_of_an_unknown_append_is_explained() {
    // with the same ids and without a key, the retry finds the ids used
    let used = || AppendError::DuplicateEvent { event_id: id(1) };
    let retried = || {
        Made::with_log(&[("a", 1)]).unknown(0, to("a", ANY, &[1])).refused(
            span(1, 2),
            to("a", ANY, &[1]),
            used(),
        )
    };
    retried().is_right();
    let never = Made::with_log(&[]).refused(span(1, 2), to("a", ANY, &[1]), used());
    never.breaks(Rule::TrueRefusals);
    // or the retry is the one that writes
    let second = Made::with_log(&[("a", 1)])
        .unknown(0, to("a", NONE, &[1]))
        .written(span(1, 2), to("a", NONE, &[1]));
    second.is_right();
}

#[test]
fn nothing_else_is_in_the_log() {
    Made::with_log(&[("a", 1)]).breaks(Rule::NothingElse);
    let mut changed = Made::with_log(&[("a", 1)]).written(span(0, 1), to("a", NONE, &[1]));
    changed.0.log[0].event_type = "something_else".into();
    changed.breaks(Rule::NothingElse);
    let elsewhere = Made::with_log(&[("b", 1)]).unknown(0, to("a", NONE, &[1]));
    elsewhere.breaks(Rule::NothingElse);
}

#[test]
fn answers_are_true() {
    let made = Made::with_log(&[("a", 1), ("a", 2)]);
    let request = to("a", NONE, &[1, 2]);
    let right = answer(&request, &made.0.log, false);
    let mut version = right.clone();
    version.streams[0].events[1].version = StreamVersion::new(3);
    let mut position = right.clone();
    position.streams[0].events[0].position = Position::from_sequence(11);
    let mut order = right.clone();
    order.streams[0].events.reverse();
    let mut fewer = right.clone();
    fewer.streams[0].events.pop();
    for wrong in [version, position, order, fewer] {
        let outcome = AppendOutcome::Acknowledged(wrong);
        let made = Made::with_log(&[("a", 1), ("a", 2)]);
        made.append(span(0, 1), request.clone(), outcome).breaks(Rule::TrueAnswers);
    }
}

#[test]
fn a_batch_stands_together_in_its_stream() {
    let apart = Made::with_log(&[("a", 1), ("a", 9), ("a", 2)])
        .written(span(0, 5), to("a", ANY, &[1, 2]))
        .written(span(0, 5), to("a", ANY, &[9]));
    let found = apart.0.check().unwrap_err();
    assert_eq!(found.0[0].rule, Rule::BatchesTogether, "{found}");
    let turned = Made::with_log(&[("a", 2), ("a", 1)]).written(span(0, 5), to("a", ANY, &[1, 2]));
    turned.breaks(Rule::BatchesTogether);
    // another stream's events may stand between
    let between = Made::with_log(&[("a", 1), ("b", 9), ("a", 2)])
        .written(span(0, 5), to("a", ANY, &[1, 2]))
        .written(span(0, 5), to("b", ANY, &[9]));
    between.is_right();
}

#[test]
fn versions_are_dense_and_positions_follow_them() {
    let written = || {
        Made::with_log(&[("a", 1), ("a", 2), ("b", 3)])
            .unknown(0, to("a", ANY, &[1]))
            .unknown(0, to("a", ANY, &[2]))
            .unknown(0, to("b", ANY, &[3]))
    };
    written().is_right();
    let mut gap = written();
    gap.0.log[1].version = StreamVersion::new(3);
    gap.breaks(Rule::DenseVersions);
    let mut zero = written();
    zero.0.log[2].version = StreamVersion::EMPTY;
    assert!(zero.0.check().is_err());
    let mut same_position = written();
    same_position.0.log[1].position = same_position.0.log[0].position;
    same_position.breaks(Rule::LogOrder);
    let mut turned = written();
    turned.0.log[0].version = StreamVersion::new(2);
    turned.0.log[1].version = StreamVersion::new(1);
    let found = turned.0.check().unwrap_err();
    assert!(found.0.iter().any(|violation| violation.rule == Rule::LogOrder), "{found}");
}

#[test]
fn what_was_written_met_its_expectation() {
    for (expected, is_right) in [
        (ANY, true),
        (exactly(1), true),
        (ExpectedVersion::StreamExists, true),
        (exactly(0), false),
        (exactly(2), false),
        (NONE, false),
    ] {
        let made = Made::with_log(&[("a", 1), ("a", 2)])
            .written(span(0, 1), to("a", NONE, &[1]))
            .written(span(2, 3), to("a", expected, &[2]));
        if is_right {
            made.is_right();
        } else {
            made.breaks(Rule::Expectations);
        }
    }
}

#[test]
fn under_one_key_is_written_once() {
    let keyed = |ids: &[u64]| to("a", ANY, ids).with_key(key("k"));
    let first = || Made::with_log(&[("a", 1)]).written(span(2, 3), keyed(&[1]));
    let repeat = |made: &Made| AppendOutcome::Acknowledged(answer(&keyed(&[1]), &made.0.log, true));
    let made = first();
    let outcome = repeat(&made);
    made.append(span(4, 5), keyed(&[5]), outcome).is_right();
    let made = first();
    let outcome = repeat(&made);
    made.append(span(0, 1), keyed(&[5]), outcome).breaks(Rule::OneOrder);
    let twice = Made::with_log(&[("a", 1), ("a", 2)])
        .written(span(0, 1), keyed(&[1]))
        .written(span(2, 3), keyed(&[2]));
    twice.breaks(Rule::KeysOnce);
    // a repeat of nothing, and one of another content
    let made = Made::with_log(&[("a", 1)]).written(span(0, 1), to("a", ANY, &[1]));
    let outcome = repeat(&made);
    made.append(span(2, 3), keyed(&[5]), outcome).breaks(Rule::KeysOnce);
    let made = first();
    let mut told = answer(&keyed(&[1]), &made.0.log, true);
    let once = told.streams[0].events[0];
    told.streams[0].events.push(once);
    let outcome = AppendOutcome::Acknowledged(told);
    made.append(span(4, 5), keyed(&[5, 6]), outcome).breaks(Rule::KeysOnce);
    // refused as another request, rightly and wrongly
    let reused = || AppendError::KeyReused {
        key: key("k"),
        stream: stream("a"),
        difference: KeyDifference::EventCount,
    };
    first().refused(span(4, 5), keyed(&[5, 6]), reused()).is_right();
    first().refused(span(4, 5), keyed(&[5]), reused()).breaks(Rule::KeysOnce);
    first().refused(span(0, 1), keyed(&[5, 6]), reused()).breaks(Rule::TrueRefusals);
    // the first stream of the request under which the key is recorded is named
    let both = || {
        let request = to("a", ANY, &[1]).and(stream("b"), ANY, vec![event(2)]);
        Made::with_log(&[("a", 1), ("b", 2)]).written(span(2, 3), request.with_key(key("k")))
    };
    let under = |name: &str| AppendError::KeyReused {
        key: key("k"),
        stream: stream(name),
        difference: KeyDifference::EventCount,
    };
    let other = || {
        let request = to("a", ANY, &[5, 6]).and(stream("b"), ANY, vec![event(7)]);
        request.with_key(key("k"))
    };
    both().refused(span(4, 5), other(), under("a")).is_right();
    both().refused(span(4, 5), other(), under("b")).breaks(Rule::TrueRefusals);
    // a key is looked at before the expectation
    let stale = conflict("a", exactly(7), 1);
    let late = to("a", exactly(7), &[5]).with_key(key("k"));
    first().refused(span(4, 5), late, stale).breaks(Rule::TrueRefusals);
}

#[test]
fn a_page_is_a_part_of_the_log() {
    let written = || {
        Made::with_log(&[("a", 1), ("b", 2), ("a", 3)])
            .written(span(0, 1), to("a", NONE, &[1]))
            .written(span(2, 3), to("b", NONE, &[2]))
            .written(span(4, 5), to("a", exactly(1), &[3]))
    };
    let mut short = written().read(span(6, 7), "a", 2);
    short.is_right();
    if let Seen::Stream(_, page) = &mut short.0.reads[0].seen {
        page.events.pop();
    }
    short.breaks(Rule::TruePages);
    let mut backwards = written().read(span(6, 7), "a", 2);
    if let Seen::Stream(read, page) = &mut backwards.0.reads[0].seen {
        *read = ReadStream::new(stream("a")).backwards();
        page.events.reverse();
    }
    backwards.is_right();
    if let Seen::Stream(_, page) = &mut backwards.0.reads[0].seen {
        page.events.reverse();
    }
    backwards.breaks(Rule::TruePages);
    let mut gap = written().read_log(span(6, 7), 3);
    gap.is_right();
    if let Seen::Log(_, page) = &mut gap.0.reads[0].seen {
        page.events.remove(1);
    }
    gap.breaks(Rule::TruePages);
    if let Seen::Log(read, _) = &mut gap.0.reads[0].seen {
        *read = ReadLog::from_start();
        read.filter = EventFilter::all().stored_aggregate_type("audit");
    }
    gap.breaks(Rule::TruePages);
    let between = Position::from_sequence(15);
    written().saw(span(6, 7), Seen::End(between)).breaks(Rule::TruePages);
}

#[test]
fn no_reader_sees_a_part() {
    let batch =
        || Made::with_log(&[("a", 1), ("a", 2)]).written(span(0, 9), to("a", NONE, &[1, 2]));
    batch().read(span(1, 2), "a", 0).read(span(3, 4), "a", 2).is_right();
    batch().read(span(1, 2), "a", 1).breaks(Rule::NoParts);
    let unit = || {
        let request = to("a", NONE, &[1]).and(stream("b"), NONE, vec![event(2)]);
        Made::with_log(&[("a", 1), ("b", 2)]).written(span(0, 9), request)
    };
    unit().read_log(span(1, 2), 0).read_log(span(3, 4), 2).is_right();
    unit().read_log(span(1, 2), 1).breaks(Rule::NoParts);
    unit().read(span(1, 2), "a", 1).read(span(3, 4), "b", 1).is_right();
    unit().read(span(1, 2), "a", 1).read(span(3, 4), "b", 0).breaks(Rule::OneOrder);
    let end = Seen::End(Position::from_sequence(10));
    unit().saw(span(1, 2), end).breaks(Rule::NoParts);
}

#[test]
fn appends_stand_in_the_order_in_which_they_were_made() {
    let turned = |first, second| {
        Made::with_log(&[("b", 2), ("a", 1)])
            .written(first, to("a", NONE, &[1]))
            .written(second, to("b", NONE, &[2]))
    };
    turned(span(0, 1), span(2, 3)).breaks(Rule::OneOrder);
    turned(span(0, 2), span(1, 3)).is_right();
    let unknown = Made::with_log(&[("b", 2), ("a", 1)])
        .written(span(0, 1), to("a", NONE, &[1]))
        .unknown(2, to("b", NONE, &[2]));
    unknown.breaks(Rule::OneOrder);
}

#[test]
fn an_append_may_lie_around_another_in_the_log() {
    let around = |unit, single| {
        let request = to("a", NONE, &[1]).and(stream("b"), ANY, vec![event(3)]);
        Made::with_log(&[("a", 1), ("c", 2), ("b", 3)])
            .written(unit, request)
            .written(single, to("c", NONE, &[2]))
    };
    around(span(0, 3), span(1, 2)).is_right();
    around(span(1, 2), span(0, 3)).is_right();
}

#[test]
fn readers_see_what_was_acknowledged_and_nothing_from_the_future() {
    let written = || Made::with_log(&[("a", 1)]).written(span(2, 5), to("a", NONE, &[1]));
    written().read(span(0, 1), "a", 0).read(span(6, 7), "a", 1).is_right();
    written().read(span(3, 4), "a", 0).is_right();
    written().read(span(3, 4), "a", 1).is_right();
    written().read(span(0, 1), "a", 1).breaks(Rule::OneOrder);
    written().read(span(6, 7), "a", 0).breaks(Rule::OneOrder);
    written().read_log(span(6, 7), 0).breaks(Rule::OneOrder);
    written().saw(span(6, 7), Seen::End(Position::START)).breaks(Rule::OneOrder);
    // while it is written, one reader sees it; a later one must see it too
    let later =
        |first, second| written().read(span(2, 3), "a", first).read(span(4, 5), "a", second);
    later(0, 1).is_right();
    later(1, 1).is_right();
    later(1, 0).breaks(Rule::OneOrder);
}

#[test]
fn what_is_recorded_under_a_key_is_found() {
    let request = || to("a", NONE, &[1]).with_key(key("k"));
    let written = || Made::with_log(&[("a", 1)]).written(span(2, 5), request());
    let seen = |found: bool| {
        let first = answer(&request(), &written().0.log, true);
        Seen::Append(stream("a"), key("k"), found.then_some(first))
    };
    written().saw(span(0, 1), seen(false)).saw(span(6, 7), seen(true)).is_right();
    written().saw(span(0, 1), seen(true)).breaks(Rule::OneOrder);
    written().saw(span(6, 7), seen(false)).breaks(Rule::OneOrder);
    let elsewhere = |found: Seen| match found {
        Seen::Append(_, key, found) => Seen::Append(stream("b"), key, found),
        other => other,
    };
    written().saw(span(6, 7), elsewhere(seen(false))).is_right();
    written().saw(span(6, 7), elsewhere(seen(true))).breaks(Rule::TrueAnswers);
}

#[test]
fn a_conflict_was_true_at_some_moment_of_the_call() {
    let written = || {
        Made::with_log(&[("a", 1), ("a", 2), ("a", 3)])
            .written(span(10, 20), to("a", NONE, &[1]))
            .written(span(30, 40), to("a", exactly(1), &[2, 3]))
    };
    let stale = |began, ended, expected, actual| {
        let request = to("a", expected, &[9]);
        written().refused(span(began, ended), request, conflict("a", expected, actual))
    };
    stale(11, 19, NONE, 1).is_right();
    stale(21, 22, NONE, 1).is_right();
    stale(31, 39, NONE, 1).is_right();
    stale(31, 39, NONE, 3).is_right();
    stale(0, 9, exactly(5), 0).is_right();
    stale(0, 9, NONE, 1).breaks(Rule::TrueRefusals);
    stale(21, 22, NONE, 3).breaks(Rule::TrueRefusals);
    stale(41, 42, NONE, 1).breaks(Rule::TrueRefusals);
    stale(41, 42, exactly(1), 2).breaks(Rule::TrueRefusals);
    stale(41, 42, exactly(3), 3).breaks(Rule::TrueRefusals);
    stale(41, 42, ANY, 3).breaks(Rule::TrueRefusals);
    let request = to("a", exactly(1), &[9]);
    let other = conflict("b", NONE, 1);
    written().refused(span(41, 42), request, other).breaks(Rule::TrueRefusals);
}

#[test]
fn a_conflict_names_the_first_stream_that_is_not_as_expected() {
    let written = || {
        Made::with_log(&[("a", 1), ("b", 2)])
            .written(span(0, 1), to("a", NONE, &[1]))
            .written(span(2, 3), to("b", NONE, &[2]))
    };
    let request = || to("a", NONE, &[8]).and(stream("b"), NONE, vec![event(9)]);
    let first = conflict("a", NONE, 1);
    written().refused(span(4, 5), request(), first).is_right();
    let second = conflict("b", NONE, 1);
    written().refused(span(4, 5), request(), second).breaks(Rule::TrueRefusals);
    let request =
        to("c", ExpectedVersion::StreamExists, &[8]).and(stream("b"), NONE, vec![event(9)]);
    let second = conflict("b", NONE, 1);
    written().refused(span(4, 5), request, second).breaks(Rule::TrueRefusals);
}

#[test]
fn followers_see_every_event_once_in_order() {
    let followed = |picked: &[usize], to_the_end| {
        let request = AppendRequest::to(stream("a"), NONE, vec![event(1), event(2), event(3)]);
        let mut made = Made::with_log(&[("a", 1), ("a", 2), ("a", 3)]).written(span(0, 1), request);
        made.0.followers.push(Follower {
            name: "the follower".to_owned(),
            after: Position::START,
            filter: EventFilter::all(),
            seen: picked.iter().map(|&place| made.0.log[place].clone()).collect(),
            to_the_end,
        });
        made
    };
    followed(&[0, 1, 2], true).is_right();
    followed(&[0, 1], false).is_right();
    followed(&[0, 1], true).breaks(Rule::Followers);
    followed(&[0, 2], false).breaks(Rule::Followers);
    followed(&[0, 1, 1, 2], true).breaks(Rule::Followers);
    followed(&[1, 0, 2], true).breaks(Rule::Followers);
    followed(&[0, 1, 2, 2], true).breaks(Rule::Followers);
    let mut filtered = followed(&[], true);
    filtered.0.followers[0].filter = EventFilter::all().stored_aggregate_type("audit");
    filtered.is_right();
    let mut later = followed(&[2], true);
    later.0.followers[0].after = Position::from_sequence(20);
    later.is_right();
}
