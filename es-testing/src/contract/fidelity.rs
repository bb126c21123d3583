//! What is written comes back unchanged.

use std::time::Duration;

use es_core::backend::{
    AppendError, AppendRequest, Appended, InvalidRequest, NewEvent, ReadStream, Timestamp,
    check_json,
};
use es_core::environment::Clock;
use es_core::event::{EventId, EventVersion, Metadata, MetadataField, Payload, RecordedEvent};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::documents::document;
pub(super) use super::named::generated_names_come_back_or_are_refused;
use super::parts::*;
use crate::fixture::Fixture;

const CONVERSATION_ID: MetadataField<i64> = MetadataField::new("conversation_id");
const ACTOR_ID: MetadataField<i64> = MetadataField::new("actor_id");

/// Writes the events one by one and checks that each face returns them as they were.
async fn come_back(store: &Store, written: Vec<NewEvent>) {
    let account = stream("1");
    for event in &written {
        append(store, &account, ANY, vec![event.clone()]).await;
    }
    for found in [read(store, &account).await, read_log(store).await] {
        assert_eq!(found.len(), written.len(), "every event comes back");
        for (found, written) in found.iter().zip(&written) {
            assert_eq!(found.event_id, written.event_id, "the event id comes back");
            assert_eq!(found.event_type, written.event_type, "the event type comes back");
            assert!(
                found.payload.same_json(&written.payload),
                "the payload {} came back as {}",
                shortened(&written.payload),
                shortened(&found.payload)
            );
            assert_eq!(found.metadata, written.metadata, "the metadata comes back equal");
            same_form(found, written);
        }
    }
}

/// The text that every store gives back, but for the order of keys and white space.
fn form(document: &Payload) -> Payload {
    document.canonical().unwrap_or_else(|error| panic!("{}: {error}", shortened(document)))
}

/// Readers tell an integer from a float by its spelling.
fn same_form(found: &RecordedEvent, written: &NewEvent) {
    let metadata = |metadata| Payload::of(metadata).expect("metadata is JSON");
    is_form("payload", &found.payload, &form(&written.payload));
    is_form("metadata", &metadata(&found.metadata), &form(&metadata(&written.metadata)));
}

/// What is found is in this form as it stands, but for the order of keys and white space.
fn is_form(what: &str, found: &Payload, wanted: &Payload) {
    assert_eq!(form(found).as_str(), wanted.as_str(), "the {what} keeps its form");
    // how often each is there; of a large document this is asked without optimization, too
    let bytes = |document: &Payload| {
        let mut counts = [0_u32; 256];
        for byte in document.as_str().as_bytes() {
            counts[usize::from(*byte)] += 1;
        }
        b" \t\n\x0c\r".iter().for_each(|space| counts[usize::from(*space)] = 0);
        counts
    };
    let is_so = bytes(found) == bytes(wanted);
    assert!(is_so, "the {what} comes back in its form, and not as {}", shortened(found));
}

fn shortened(payload: &Payload) -> String {
    payload.as_str().chars().take(200).collect()
}

fn text_event(text: &str) -> NewEvent {
    let payload = Payload::parse(text.to_owned()).expect("the scenario's text is JSON");
    NewEvent::new(new_id(), "amount_paid_in", payload)
}

pub(super) async fn payloads_come_back_as_the_same_value(fixture: &dyn Fixture) {
    let texts = [
        "null",
        "true",
        "0",
        "-0.0",
        "\"\"",
        "[]",
        "{}",
        "\" leading and trailing \"",
        "9007199254740993",
        "-9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "1.7976931348623157e308",
        "2.2250738585072014e-308",
        "-1E-300",
        "100000000000000000000",
        r#""Straße \ud83d\ude00 \u00e9 e\u0301 \" \\ \/ \b\f\n\r\t \u007f \u2028 \u202e \ufeff""#,
        "\"Stra\u{df}e \u{1f600} $1 ' -- ; \\\\u0000 %s {} \"",
        r#"{"b":1,"a":[{"":null},[],{}],"a b":{"deep":{"deeper":[1,2.5,"3",false]}},"B":2,"é":3}"#,
        r#"[1,[2,[3,[4,[5,{"six":[7]}]]]]]"#,
        " { \"spaced\" :\t[ 1 , 2 ]\n} ",
        r#"{"null":null,"zero":0,"empty":"","false":false}"#,
        r#"{"by":1e2,"to":{"zz":-0,"z":[1e16,10000000000000000,1E2,-0.0,10e-1]}}"#,
        "[1.50,1e2,18446744073709551617,0.12345678901234567890,-1E-5]",
    ];
    come_back(&fixture.store(), texts.into_iter().map(text_event).collect()).await;
}

pub(super) async fn metadata_comes_back_equal(fixture: &dyn Fixture) {
    let cause: EventId = new_id();
    let mut full = Metadata::new()
        .with(CONVERSATION_ID, 9184)
        .with(ACTOR_ID, i64::MIN)
        .with(MetadataField::new("execution_order"), i64::MAX)
        .with(MetadataField::new("duration_ms"), u64::MAX)
        .with(MetadataField::new("retry_count"), u32::MAX);
    full.causation_id = Some(cause);
    full.correlation_id = Some("workflow_3001_posting_12345".to_owned());
    full.event_version = Some(EventVersion { major: 2, minor: 1 });
    let documents = |fields: Value| -> Metadata {
        let read = Payload::from(fields).decode();
        read.expect("the scenario's fields are an object")
    };
    let written = [
        Metadata::new(),
        full.clone(),
        full.with(MetadataField::new("tenant"), "Straße \u{1f600} \"'\\")
            .with(MetadataField::new("nested"), json!({"a": [1, null, {"b": 0.1}]})),
        documents(json!({"conversation_id": "not a number", "event_version": "new"})),
        documents(json!({"large": 9_007_199_254_740_993_u64, "correlation_id": ""})),
        documents(json!({"key with spaces, é and \"quotes\"": false})),
    ];
    let events = written.into_iter().map(|metadata| event(1).with_metadata(metadata));
    come_back(&fixture.store(), events.collect()).await;
}

/// A field is read by the value of its number, in whichever spelling it was written or is given back,
/// unless that has a point; each keeps every digit.
pub(super) async fn numbers_in_metadata_come_back_to_the_last_digit(fixture: &dyn Fixture) {
    let numbers = [
        "1e17",
        "100000000000000000",
        "100000000000000000.0",
        "10.00E+16",
        "18446744073709551616",
        "18446744073709551617",
        "0.12345678901234567890",
        "0.12345678901234567891",
        "-0.0",
        "1.50",
    ];
    let written = numbers.map(|number| {
        let text =
            format!(r#"{{"n":{number},"deep":[{{"n":{number}}}],"conversation_id":{number}}}"#);
        let metadata: Metadata = serde_json::from_str(&text).expect("the scenario's text is JSON");
        let typed = match number {
            "1e17" | "100000000000000000" | "10.00E+16" => Some(100_000_000_000_000_000),
            _ => None,
        };
        assert_eq!(metadata.get(CONVERSATION_ID), typed, "{number} is read by its value");
        event(1).with_metadata(metadata)
    });
    let by_value = Metadata::new()
        .with(MetadataField::new("actor_id"), 1e17)
        .with(MetadataField::new("n"), 1e17);
    let by_value = event(1).with_metadata(by_value);
    come_back(&fixture.store(), written.into_iter().chain([by_value]).collect()).await;
}

pub(super) async fn large_payloads_come_back(fixture: &dyn Fixture) {
    let most = fixture.limits().payload_bytes.min(fixture.limits().append_bytes);
    let written = [most / 16, most / 2, 300].map(|bytes| {
        // varied text, so that a cut or a repeated part shows
        let mut text = String::with_capacity(bytes);
        let mut line = 0;
        while text.len() + 30 < bytes {
            text.push_str(&format!("line {line} é; "));
            line += 1;
        }
        NewEvent::new(new_id(), "amount_paid_in", payload(&json!(text)))
    });
    come_back(&fixture.store(), written.to_vec()).await;
}

/// Generated documents as payload and in metadata: each comes back as the same value and makes a
/// repeat in another spelling the same request, or is refused as the limits say.
pub(super) async fn generated_documents_come_back_or_are_refused(fixture: &dyn Fixture) {
    const BATCH: usize = 100;
    let (store, limits, seed) = (fixture.store(), fixture.limits(), seed());
    let mut rng = fastrand::Rng::with_seed(seed);
    for batch in 0..rounds(5, 1_000) {
        let to = |events| AppendRequest::to(stream(&format!("{batch}")), ANY, events);
        let mut written = Vec::new();
        for _ in 0..BATCH.min(limits.events) {
            let text = document(&mut rng);
            let metadata = serde_json::from_str(&format!("{{\"x\":{text}}}"))
                .unwrap_or_else(|error| panic!("seed {seed}: metadata {text}: {error}"));
            let metadata: Metadata = metadata;
            let event = text_event(&text).with_metadata(metadata);
            let request = to(vec![event.clone()]);
            match request.check(&limits) {
                Ok(()) => written.push(event),
                Err(expected) => match store.append(request).await {
                    Err(AppendError::Invalid(found)) if found == expected => {}
                    other => panic!("seed {seed}: {text} is {expected}, but {other:?}"),
                },
            }
        }
        let all = |events: &[NewEvent]| to(events.to_vec()).with_key(key(&format!("{batch}")));
        while matches!(all(&written).check(&limits), Err(InvalidRequest::TooLarge { .. })) {
            written.pop();
        }
        let first = accepted(&store, all(&written)).await;
        let found = read(&store, &stream(&format!("{batch}"))).await;
        assert_eq!(found.len(), written.len(), "seed {seed}: every event comes back");
        let mut respelled = Vec::new();
        for (found, written) in found.iter().zip(&written) {
            let text = &written.payload;
            assert!(found.payload.same_json(text), "seed {seed}: {text} came as {}", found.payload);
            assert_eq!(found.metadata, written.metadata, "seed {seed}: metadata of {text}");
            same_form(found, written);
            let canonical = form(text);
            let bytes = canonical.as_str().len();
            let fits = |most| check_json(text.as_str(), most, limits.depth).is_ok();
            assert!(fits(bytes) && !fits(bytes - 1), "seed {seed}: {text} counts as it is stored");
            assert!(canonical.same_json(text), "seed {seed}: {text} is not {canonical}");
            respelled.push(NewEvent::new(new_id(), "amount_paid_in", canonical));
        }
        let again = accepted(&store, all(&respelled)).await;
        let ids = |answer: &es_core::backend::Appended| -> Vec<_> {
            let events = answer.streams.iter().flat_map(|part| &part.events);
            events.map(|receipt| receipt.event_id).collect()
        };
        assert_eq!(ids(&again), ids(&first), "seed {seed}: another spelling is the same request");
    }
}

pub(super) async fn recorded_at_is_the_store_clock(fixture: &dyn Fixture) {
    let (store, clock) = (fixture.store(), fixture.clock());
    let mut expected = Vec::new();
    let mut told = Vec::new();
    for step in 0..6_u64 {
        if step == 3 {
            clock.step_back(Duration::from_secs(3_600));
        } else {
            clock.step(Duration::from_micros(1_000_001 * step + 1));
        }
        let request = AppendRequest::to(stream("1"), ANY, events(1..=2)).and(
            stream("2"),
            ANY,
            vec![event(1)],
        );
        let appended = accepted(&store, request).await;
        expected.extend([clock.now(); 3]);
        told.extend(
            appended
                .streams
                .iter()
                .flat_map(|part| &part.events)
                .map(|receipt| receipt.recorded_at),
        );
    }
    assert_eq!(told, expected, "an answer tells the time of the store's clock, to the microsecond");
    let read: Vec<_> = read_log(&store).await.iter().map(|event| event.recorded_at).collect();
    assert_eq!(read, expected, "an event keeps the time at which it was written");
    clock.step(Duration::from_secs(86_400));
    let later: Vec<RecordedEvent> = read_log(&store).await;
    let read: Vec<_> = later.iter().map(|event| event.recorded_at).collect();
    assert_eq!(read, expected, "the time of an event does not change afterwards");
}

fn times(appended: &Appended) -> Vec<Timestamp> {
    let receipts = appended.streams.iter().flat_map(|part| &part.events);
    receipts.map(|receipt| receipt.recorded_at).collect()
}

/// What is imported has its own time, whatever is written beside it at the same moment.
pub(super) async fn an_import_keeps_its_time(fixture: &dyn Fixture) {
    let (store, now) = (fixture.store(), fixture.clock().now());
    let micros = |micros| Timestamp::from_micros(micros);
    let year = Duration::from_secs(31_557_600);
    // backwards in time, to before the epoch and to the first time of all, and up to this very moment
    let original = [
        micros(now.as_micros() - 1),
        micros(1_234_567_890_123_456),
        Timestamp::EPOCH,
        micros(-1),
        micros(i64::MIN),
        micros(i64::MIN).plus(year * 1_970),
        now,
    ];
    let account = stream("1");
    let mut expected = Vec::new();
    for (number, time) in (1..).zip(original) {
        let import = AppendRequest::to(account.clone(), exactly(2 * number - 2), events(1..=2))
            .and(stream(&format!("beside-{number}")), NONE, vec![event(1)])
            .with_key(key(&format!("import/{number}")))
            .recorded_at(time);
        let first = accepted(&store, import.clone()).await;
        assert_eq!(times(&first), [time; 3], "an answer tells the time that the import says");
        let again = accepted(&store, import.recorded_at(Timestamp::EPOCH)).await;
        assert!(again.repeated, "an import with its key is a repeat, at whichever time");
        assert_eq!(again.streams, first.streams, "a repeat is told what the first import recorded");
        expected.extend([time; 2]);
    }
    let written = read(&store, &account).await;
    let read_times: Vec<_> = written.iter().map(|event| event.recorded_at).collect();
    assert_eq!(read_times, expected, "an event keeps the time that its import says");
    let until = page(&store, &ReadStream::new(account).until(original[0])).await;
    assert_eq!(until.events, written[..12], "a past instant is one of the imported times");

    let calls = (0..60).map(|number| -> BoxFuture<'static, _> {
        let store = store.clone();
        let time = (number % 2 == 0).then(|| Timestamp::from_micros(number * 1_000_000));
        let to = stream(&format!("together-{number}"));
        Box::pin(async move {
            let request = AppendRequest::to(to, NONE, vec![event(1)]);
            let request = match time {
                Some(time) => request.recorded_at(time),
                None => request,
            };
            let told = times(&accepted(&store, request.clone()).await);
            let found = read(&store, &request.streams()[0].stream).await;
            (time.unwrap_or(now), told, found)
        })
    });
    for (time, told, found) in together("imports beside other appends are answered", calls).await {
        assert_eq!(told, [time], "an answer tells the time of its own request");
        let found: Vec<_> = found.iter().map(|event| event.recorded_at).collect();
        assert_eq!(found, [time], "an event has the time of its own request");
    }
}

pub(super) async fn a_time_ahead_is_refused(fixture: &dyn Fixture) {
    let (store, clock, account) = (fixture.store(), fixture.clock(), stream("1"));
    let now = clock.now();
    append(&store, &account, NONE, vec![event(1)]).await;
    let before = read_log(&store).await;
    let to = |original| {
        let request = AppendRequest::to(account.clone(), exactly(1), vec![event(2)])
            .and(stream("2"), NONE, vec![event(1)])
            .with_key(key("import"));
        request.recorded_at(original)
    };
    for ahead in [Duration::from_micros(1), Duration::from_secs(3_600)] {
        let original = now.plus(ahead);
        match store.append(to(original)).await {
            Err(AppendError::Invalid(refusal)) => {
                let expected = InvalidRequest::TimeAhead { original, now };
                assert_eq!(refusal, expected, "the refusal names both times");
            }
            Err(error) => panic!("a time ahead must be refused as such, but: {error}"),
            Ok(_) => panic!("an import of a time that is still to come was accepted"),
        }
        assert_eq!(read_log(&store).await, before, "a refused import writes nothing");
    }
    let original = clock.step(Duration::from_micros(1));
    let appended = accepted(&store, to(original)).await;
    assert!(!appended.repeated, "the key of a refused import is not recorded");
    assert_eq!(times(&appended), [original; 2], "what was ahead is past when the clock has moved");
}
