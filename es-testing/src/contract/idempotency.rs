//! Appends that are sent again under the same key.

use es_core::backend::{
    AppendError, AppendRequest, Appended, KeyDifference, NewEvent, StreamId, Timestamp,
};
use es_core::event::{Metadata, MetadataField, Payload};
use futures_util::future::BoxFuture;

use super::parts::*;
use crate::fixture::Fixture;

/// Checks that an answer is the first result and that nothing was written for it.
async fn is_the_first(store: &Store, answer: Appended, first: &Appended, before: usize) {
    assert!(answer.repeated, "a repeat must be told to be one");
    assert_eq!(
        answer.streams, first.streams,
        "a repeat is answered with what the first append recorded"
    );
    let after = read_log(store).await.len();
    assert_eq!(after, before, "a repeat must write nothing");
}

fn reused(answer: Result<Appended, AppendError>, why: &str) -> (StreamId, KeyDifference) {
    match answer {
        Err(AppendError::KeyReused { stream, difference, .. }) => (stream, difference),
        Err(error) => panic!("{why}: the key was used for another request, but: {error}"),
        Ok(_) => panic!("{why}: the key was used for another request, but this was accepted"),
    }
}

pub(super) async fn a_repeat_returns_the_first_result(fixture: &dyn Fixture) {
    let store = fixture.store();
    append(&store, &stream("2"), NONE, vec![event(1)]).await;
    let single = AppendRequest::to(stream("1"), NONE, events(1..=3)).with_key(key("one"));
    let unit = AppendRequest::to(stream("2"), exactly(1), events(2..=3))
        .and(stream("3"), NONE, vec![event(4)])
        .with_key(key("several"));
    for request in [single, unit] {
        let first = accepted(&store, request.clone()).await;
        assert!(!first.repeated, "the first append under a key is no repeat");
        let before = read_log(&store).await.len();
        for _ in 0..2 {
            let again = accepted(&store, request.clone()).await;
            is_the_first(&store, again, &first, before).await;
        }
    }
}

pub(super) async fn a_repeat_is_answered_after_the_stream_moved_on(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, vec![event(1)]).await;
    let request = AppendRequest::to(account.clone(), exactly(1), events(2..=3)).with_key(key("k"));
    let first = accepted(&store, request.clone()).await;
    append(&store, &account, exactly(3), events(4..=5)).await;
    let before = read_log(&store).await.len();
    let again = accepted(&store, request).await;
    is_the_first(&store, again, &first, before).await;
}

pub(super) async fn racing_repeats_write_once(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    for round in 0..rounds(25, 500) {
        let expected = if round % 2 == 0 { exactly(round * 2) } else { ANY };
        let other = stream(&format!("other-{round}"));
        let calls = (0..4).map(|_| -> BoxFuture<'static, _> {
            let request =
                AppendRequest::to(account.clone(), expected, events(round * 2 + 1..=round * 2 + 2))
                    .and(other.clone(), NONE, vec![event(round)])
                    .with_key(key(&format!("round-{round}")));
            let store = store.clone();
            Box::pin(async move { accepted(&store, request).await })
        });
        let answers = together("racing repeats are answered", calls).await;
        let firsts = answers.iter().filter(|answer| !answer.repeated).count();
        assert_eq!(firsts, 1, "of racing repeats exactly one writes");
        for answer in &answers {
            assert_eq!(answer.streams, answers[0].streams, "all are told the same result");
        }
    }
    let written = numbers(&read(&store, &account).await);
    let once: Vec<u64> = (1..=written.len() as u64).collect();
    assert_eq!(written, once, "racing repeats write their events once, in order");
    assert_eq!(written.len() as u64, rounds(25, 500) * 2);
}

pub(super) async fn a_race_of_different_requests_has_one_winner(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    for round in 0..rounds(25, 500) {
        let calls = (0..4).map(|writer| -> BoxFuture<'static, _> {
            let event = vec![event(round * 4 + writer)];
            let request = AppendRequest::to(account.clone(), ANY, event)
                .with_key(key(&format!("round-{round}")));
            let store = store.clone();
            Box::pin(async move { store.append(request).await })
        });
        let answers = together("a race under one key is answered", calls).await;
        let mut winners = 0;
        for answer in answers {
            if answer.is_ok() {
                winners += 1;
            } else {
                reused(answer, "another request won the key");
            }
        }
        assert_eq!(winners, 1, "of different requests under one key exactly one is written");
    }
}

pub(super) async fn another_content_is_refused(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let request = |events| AppendRequest::to(account.clone(), ANY, events).with_key(key("k"));
    accepted(&store, request(events(1..=2))).await;
    let before = read_log(&store).await;
    let cases = [
        (
            "another payload",
            events(1..=1).into_iter().chain([event(3)]).collect(),
            KeyDifference::Payload,
        ),
        ("another order", vec![event(2), event(1)], KeyDifference::Payload),
        ("fewer events", vec![event(1)], KeyDifference::EventCount),
        ("more events", events(1..=3), KeyDifference::EventCount),
        (
            "another type",
            vec![event(1), typed_event("amount_paid_out", 2)],
            KeyDifference::EventType,
        ),
    ];
    for (what, events, expected) in cases {
        let (named, difference) = reused(store.append(request(events)).await, what);
        assert_eq!(named, account, "{what}: the refusal names the stream of the key");
        assert_eq!(difference, expected, "{what}: the refusal names the difference");
        assert_eq!(read_log(&store).await, before, "{what}: nothing may be written");
    }
}

pub(super) async fn contents_are_compared_to_the_last_digit(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let cases = [
        ("18446744073709551616", "18446744073709551617", "184467440737095516.160e2"),
        (
            "100000000000000000000000001",
            "100000000000000000000000002",
            "1.00000000000000000000000001e26",
        ),
        ("0.12345678901234567890", "0.12345678901234567891", "12345678901234567890e-20"),
        ("9007199254740993", "9007199254740992", "9007199254740993.0"),
    ];
    for (number, other, same) in cases {
        let request = |text: &str| {
            let payload = Payload::parse(format!(r#"{{"b":[{text}],"aa":1}}"#));
            let payload = payload.expect("the scenario's text is JSON");
            let events = vec![NewEvent::new(new_id(), "amount_paid_in", payload)];
            AppendRequest::to(account.clone(), ANY, events).with_key(key(number))
        };
        let first = accepted(&store, request(number)).await;
        let before = read_log(&store).await.len();
        let (_, difference) = reused(store.append(request(other)).await, other);
        assert_eq!(difference, KeyDifference::Payload, "{number} is not {other}");
        is_the_first(&store, accepted(&store, request(same)).await, &first, before).await;
    }
}

pub(super) async fn other_streams_are_refused(fixture: &dyn Fixture) {
    let store = fixture.store();
    let (a, b, c) = (stream("a"), stream("b"), stream("c"));
    let to = |names: &[&StreamId]| {
        let request = AppendRequest::to(names[0].clone(), ANY, vec![event(1)]);
        names[1..]
            .iter()
            .fold(request, |request, name| request.and((*name).clone(), ANY, vec![event(1)]))
            .with_key(key("k"))
    };
    accepted(&store, to(&[&a, &b])).await;
    let before = read_log(&store).await;
    let cases: [(&[&StreamId], _); 5] =
        [(&[&a], &a), (&[&b], &b), (&[&a, &c], &a), (&[&c, &b], &b), (&[&a, &b, &c], &a)];
    for (streams, under) in cases {
        let (named, difference) = reused(
            store.append(to(streams)).await,
            &format!("a request for {streams:?} under the key of one for [a, b]"),
        );
        assert_eq!(difference, KeyDifference::Streams, "{streams:?}");
        assert_eq!(named, *under, "{streams:?}: the refusal names where the key was found");
        assert_eq!(read_log(&store).await, before, "{streams:?}: nothing may be written");
    }
}

pub(super) async fn ids_and_metadata_do_not_count(fixture: &dyn Fixture) {
    const ATTEMPT: MetadataField<u32> = MetadataField::new("attempt");
    let (store, account) = (fixture.store(), stream("1"));
    let with = |text: &str, metadata: Metadata| {
        let payload = es_core::event::Payload::parse(text.to_owned()).expect("the text is JSON");
        let event = NewEvent::new(new_id(), "amount_paid_in", payload).with_metadata(metadata);
        AppendRequest::to(account.clone(), NONE, vec![event]).with_key(key("k"))
    };
    let metadata = Metadata::new().with(MetadataField::new("tenant"), "a").with(ATTEMPT, 0);
    let first = accepted(&store, with(r#"{"number":1,"of":[1,2]}"#, metadata.clone())).await;
    fixture.let_pass(std::time::Duration::from_secs(60));
    let repeats = [
        ("the same text", r#"{"number":1,"of":[1,2]}"#, metadata.clone()),
        ("another order of keys", r#"{ "of": [1, 2], "number": 1 }"#, metadata.clone()),
        ("other metadata", r#"{"number":1,"of":[1,2]}"#, metadata.with(ATTEMPT, 1)),
        ("no metadata", r#"{"number":1,"of":[1,2]}"#, Metadata::new()),
    ];
    for (what, text, metadata) in repeats {
        match store.append(with(text, metadata)).await {
            Ok(again) => is_the_first(&store, again, &first, 1).await,
            Err(error) => panic!("a repeat with new ids and {what} was refused: {error}"),
        }
    }
    let import = with(r#"{"number":1,"of":[1,2]}"#, Metadata::new());
    let again = accepted(&store, import.recorded_at(Timestamp::EPOCH)).await;
    is_the_first(&store, again, &first, 1).await;
    let kept = read(&store, &account).await;
    assert_eq!(
        kept[0].metadata.get(ATTEMPT),
        Some(0),
        "a repeat must not change the metadata of the first append"
    );
}

pub(super) async fn the_order_of_streams_does_not_count(fixture: &dyn Fixture) {
    let (store, a, b) = (fixture.store(), stream("a"), stream("b"));
    let request = |first: &StreamId, second: &StreamId| {
        let number = |stream: &StreamId| if *stream == a { 1 } else { 2 };
        AppendRequest::to(first.clone(), NONE, vec![event(number(first))])
            .and(second.clone(), NONE, vec![event(number(second))])
            .with_key(key("k"))
    };
    let mut first = accepted(&store, request(&a, &b)).await;
    let again = accepted(&store, request(&b, &a)).await;
    first.streams.reverse();
    is_the_first(&store, again, &first, 2).await;
}

pub(super) async fn a_refused_append_records_no_key(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let used = event(1);
    append(&store, &account, NONE, vec![used.clone()]).await;
    let to = |expected, events| AppendRequest::to(account.clone(), expected, events);
    let answer = store.append(to(NONE, vec![event(7)]).with_key(key("stale"))).await;
    conflict(answer, "the stream exists");
    let answer = store.append(to(ANY, vec![used]).with_key(key("duplicate"))).await;
    assert!(matches!(answer, Err(AppendError::DuplicateEvent { .. })), "{answer:?}");
    let nothing = store.append(to(ANY, Vec::new()).with_key(key("invalid"))).await;
    assert!(matches!(nothing, Err(AppendError::Invalid(_))), "{nothing:?}");
    for (at, text) in ["stale", "duplicate", "invalid"].into_iter().enumerate() {
        let found = find_append(&store, &account, text).await;
        assert_eq!(found, None, "the key of a refused append must not be recorded");
        let request = to(exactly(at as u64 + 1), vec![event(2 + at as u64)]).with_key(key(text));
        let appended = accepted(&store, request).await;
        assert!(!appended.repeated, "a refused append is not repeated but made now");
    }
    holds(&store, &account, &[1, 2, 3, 4], "each request was written under its key").await;
}

pub(super) async fn a_key_belongs_to_its_streams(fixture: &dyn Fixture) {
    let store = fixture.store();
    for (id, number) in [("1", 1), ("2", 2), ("3", 1)] {
        let request = AppendRequest::to(stream(id), NONE, vec![event(number)]).with_key(key("k"));
        let appended = accepted(&store, request).await;
        assert!(!appended.repeated, "the same key on another stream is another key");
        holds(&store, &stream(id), &[number], "the append was written").await;
    }
    let unit = AppendRequest::to(stream("4"), NONE, vec![event(1)])
        .and(stream("5"), NONE, vec![event(1)])
        .with_key(key("k"));
    let appended = accepted(&store, unit).await;
    assert!(!appended.repeated, "the same key on other streams is another key");
}

pub(super) async fn a_recorded_append_is_found(fixture: &dyn Fixture) {
    let (store, a, b) = (fixture.store(), stream("a"), stream("b"));
    append(&store, &a, NONE, vec![event(1)]).await;
    let unit = AppendRequest::to(b.clone(), NONE, events(1..=2))
        .and(a.clone(), exactly(1), vec![event(2)])
        .with_key(key("k"));
    let first = accepted(&store, unit).await;
    append(&store, &a, exactly(2), vec![event(3)]).await;
    for account in [&a, &b] {
        let Some(found) = find_append(&store, account, "k").await else {
            panic!("the append under key k is not found under {account}");
        };
        assert!(found.repeated, "what is found is told as a repeat");
        assert_eq!(
            found.streams, first.streams,
            "what is found under {account} is the whole first result, in the order of its request"
        );
    }
    for (account, text) in [(&a, "other"), (&stream("c"), "k"), (&typed_stream("audit", "a"), "k")]
    {
        let found = find_append(&store, account, text).await;
        assert_eq!(found, None, "nobody appended to {account} under key {text}");
    }
}

async fn find_append(store: &Store, account: &StreamId, text: &str) -> Option<Appended> {
    match store.find_append(account, &key(text)).await {
        Ok(found) => found,
        Err(error) => panic!("looking for key {text} under {account} failed: {error}"),
    }
}
