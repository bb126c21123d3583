//! A union keeps the laws that its members keep, and adds nothing of its own.

use es_core::Event;
use es_core::event::{
    DecodeError, Decoded, EncodeError, EventFilter, EventName, EventType, Fields, Metadata,
    Payload, StoredEvent,
};
use es_testing::laws::{self, LawViolation};
use proptest::prelude::*;

use super::{AccountEvent, any_event};

#[derive(Event, Debug, Clone, PartialEq)]
enum GradeEvent {
    #[event(version = 3, upcast(1 => in_points, 2 => in_points), alias = "mark_given")]
    GradeGiven {
        points: u8,
        #[event(metadata)]
        teacher: Option<String>,
    },
    GradeDropped,
}

fn in_points(payload: &mut Fields) {
    payload.rename("grade", "points");
}

#[derive(Event, Debug, Clone, PartialEq)]
#[event(union)]
enum SchoolEvent {
    Account(AccountEvent),
    Grade(GradeEvent),
}

fn any_grade() -> impl Strategy<Value = GradeEvent> {
    prop_oneof![
        (any::<u8>(), any::<Option<String>>())
            .prop_map(|(points, teacher)| GradeEvent::GradeGiven { points, teacher }),
        Just(GradeEvent::GradeDropped),
    ]
}

fn any_of_both() -> impl Strategy<Value = SchoolEvent> {
    prop_oneof![any_event().prop_map(SchoolEvent::from), any_grade().prop_map(SchoolEvent::from)]
}

#[test]
fn a_union_of_honest_events_keeps_the_laws() -> Result<(), LawViolation> {
    laws::events_round_trip(any_of_both())?;
    laws::kinds_are_distinct(any_of_both())?;
    laws::decode_never_panics(any_of_both())?;
    laws::every_kind_is_generated(any_of_both())
}

/// A payload of one of the kinds, or of none.
fn any_payload() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{}",
        "null",
        "[]",
        "7",
        r#"{"cents":1}"#,
        r#"{"cents":"1"}"#,
        r#"{"text":"a"}"#,
        r#"{"note":"a"}"#,
        r#"{"points":3}"#,
        r#"{"grade":3}"#,
        r#"{"points":300}"#,
    ])
}

fn any_name() -> impl Strategy<Value = &'static str> {
    let kinds = SchoolEvent::TYPES.iter().flat_map(EventType::names);
    prop::sample::select(kinds.chain(["school_closed", ""]).collect::<Vec<_>>())
}

fn written(event: &impl Event) -> Result<(EventType, Payload, Metadata), EncodeError> {
    let mut metadata = Metadata::new();
    let payload = event.encode(&mut metadata)?;
    Ok((*event.event_type(), payload, metadata))
}

fn told(read: Result<Decoded<SchoolEvent>, DecodeError>) -> Result<Decoded<SchoolEvent>, String> {
    read.map_err(|error| format!("{error:?}"))
}

proptest! {
    #[test]
    fn a_union_reads_exactly_what_its_members_read(
        name in any_name(), version in 0_u32..5, payload in any_payload(), grade in any_grade()
    ) {
        let (_, _, metadata) = written(&grade).unwrap();
        let payload = Payload::parse(payload.to_owned()).unwrap();
        let stored = StoredEvent::new(name, version, payload.as_raw(), &metadata);
        let account = AccountEvent::decode(stored).map(|read| read.map(SchoolEvent::Account));
        let grade = GradeEvent::decode(stored).map(|read| read.map(SchoolEvent::Grade));
        let expected = match account {
            Err(DecodeError::UnknownType { .. }) => grade,
            account => account,
        };
        let union = SchoolEvent::decode(stored);
        if let Err(DecodeError::UnknownType { .. }) = expected {
            let is_unknown = matches!(union, Err(DecodeError::UnknownType { .. }));
            prop_assert!(is_unknown, "{union:?}");
        } else {
            prop_assert_eq!(told(union), told(expected));
        }
    }

    #[test]
    fn a_union_writes_what_its_members_write(account in any_event(), grade in any_grade()) {
        let union = written(&SchoolEvent::from(account.clone())).unwrap();
        prop_assert_eq!(union, written(&account).unwrap());
        let union = written(&SchoolEvent::from(grade.clone())).unwrap();
        prop_assert_eq!(union, written(&grade).unwrap());
    }

    #[test]
    fn a_filter_of_a_union_selects_what_those_of_its_members_select(name in any_name()) {
        let selects = |filter: EventFilter| filter.event_types.contains(&EventName::from(name));
        let of_members = selects(EventFilter::of::<AccountEvent>())
            || selects(EventFilter::of::<GradeEvent>());
        prop_assert_eq!(selects(EventFilter::of::<SchoolEvent>()), of_members);
    }
}
