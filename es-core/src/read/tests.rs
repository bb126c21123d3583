//! Bounds of pages, and what follows one.

use super::*;
use crate::envelope::EventId;
use crate::metadata::Metadata;
use crate::payload::Payload;

fn event(version: StreamVersion, payload: Payload, metadata: Metadata) -> RecordedEvent {
    let position = Position::from_sequence(version.as_u64().clamp(1, 9));
    let (event_id, stream) = (EventId::stand_in(position), "posting/1".parse().unwrap());
    let (event_type, recorded_at) = ("x".into(), Timestamp::EPOCH);
    RecordedEvent {
        event_id,
        stream,
        version,
        position,
        event_type,
        payload,
        metadata,
        recorded_at,
    }
}

#[test]
fn what_stands_beside_the_payloads_counts_too() {
    let text = format!(r#"{{"note":"{}"}}"#, "x".repeat(100));
    let read = Metadata::parse(&text).unwrap();
    let mut taken_apart = read.clone();
    taken_apart.set_document("more", Payload::parse("1".to_owned()).unwrap());
    for metadata in [read, taken_apart] {
        let mut page = PageBuilder::new(PageLimit::events(9).bytes(250));
        while page.admits(2) {
            let payload = Payload::parse("{}".to_owned()).unwrap();
            page.push(event(StreamVersion::FIRST, payload, metadata.clone()));
        }
        assert_eq!(page.into_events().len(), 3, "the third goes beyond");
    }
}

#[test]
fn events_of_a_page_share_their_names() {
    let mut page = PageBuilder::new(PageLimit::default());
    for number in 1..=4_u64 {
        let name = ["a", "b"][usize::from(number % 2 == 0)];
        let payload = Payload::parse("{}".to_owned()).unwrap();
        let mut event = event(StreamVersion::new(number), payload, Metadata::default());
        event.stream = page.stream_id("posting", "1").unwrap();
        event.event_type = page.event_name(name);
        page.push(event);
    }
    assert_eq!(page.stream_id("posting", "2").unwrap().to_string(), "posting/2");
    assert_eq!(page.stream_id("order", "1").unwrap().to_string(), "order/1");
    assert!(page.stream_id("Posting", "1").is_err());
    assert_eq!(page.event_name("c"), "c");
    let events = page.into_events();
    let place = |event: &RecordedEvent| {
        (event.stream.aggregate_id().as_ptr(), event.event_type.as_str().as_ptr())
    };
    for (one, next) in events.iter().zip(&events[2..]) {
        assert_eq!(place(one), place(next));
        assert_eq!(one.event_type, next.event_type);
    }
    assert_eq!((&events[0].event_type, &events[1].event_type), (&"a".into(), &"b".into()));
}

#[test]
fn nothing_follows_a_version_that_somebody_wrote_beyond_either_end() {
    let stream: StreamId = "posting/1".parse().unwrap();
    let page = |version: StreamVersion| {
        let payload = Payload::unreadable("aggregate_version cannot be read");
        let events = vec![event(version, payload, Metadata::default())];
        StreamPage { events, stream_version: version, has_more: true }
    };
    let forwards = ReadStream::new(stream.clone());
    let backwards = forwards.clone().backwards();
    assert_eq!(backwards.after(&page(StreamVersion::EMPTY)), None);
    assert_eq!(forwards.after(&page(StreamVersion::MAX)), None);
    let next = backwards.after(&page(StreamVersion::new(3))).map(|next| next.to);
    assert_eq!(next, Some(StreamVersion::new(2)));
    let next = forwards.after(&page(StreamVersion::EMPTY)).map(|next| next.from);
    assert_eq!(next, Some(StreamVersion::FIRST));
}
