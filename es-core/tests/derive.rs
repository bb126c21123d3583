//! What `#[derive(Event)]` and `#[derive(AggregateId)]` make of valid input.
#![deny(missing_docs, unused, clippy::all, clippy::pedantic)]

use es_core::event::{
    DecodeError, Decoded, EventType, EventVersion, Fields, Metadata, MetadataField, Payload,
    StoredEvent, assert_distinct_event_types,
};
use es_core::{AggregateId, Event};
use serde_json::{Value, json};

/// A payload of its own.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Address {
    street: String,
    number: u32,
}

/// Every shape and key.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum Shape {
    /// No fields.
    NothingHappened,
    /// Named fields, all in the payload.
    ScriptExecutionCompleted {
        /// The output.
        output: String,
        /// A field that may lack.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
        /// Another name in the payload.
        #[serde(rename = "type")]
        kind: Option<i64>,
    },
    /// A payload struct.
    AddressChanged(Address),
    /// Fields in the metadata.
    CallFailed {
        /// A field of a number.
        #[event(metadata)]
        request_id: i64,
        /// One that may lack.
        #[event(metadata)]
        session_id: Option<u64>,
        /// One under another name, with a default.
        #[event(metadata)]
        #[serde(rename = "labels", default)]
        tags: Vec<String>,
        /// A field named like a local of the generated code.
        metadata: String,
    },
    /// Only metadata.
    UserSeen {
        /// The user.
        #[event(metadata)]
        user_id: i64,
    },
    /// A name that is no past tense, and older ones.
    #[event(name = "posting_terminal", alias = "terminal", alias = "Posting-Ended")]
    ReachedTerminal {
        /// A raw identifier.
        r#final: i64,
    },
    /// A third version.
    #[event(version = 3, upcast(2 => rename_result), upcast(1 => upcasters::add_status))]
    ResultSaved {
        /// Since version 2.
        status: String,
        /// Named `out` until version 2.
        result: String,
    },
    /// An event without fields and with versions.
    #[event(version = 2, upcast(1 => drop_all))]
    CacheCleared,
}

assert_distinct_event_types!(Shape, hidden::LocalEvent);

mod upcasters {
    pub(super) fn add_status(payload: &mut es_core::event::Fields) {
        payload.insert("status", "SUCCESS");
    }
}

fn rename_result(payload: &mut Fields) {
    payload.rename("out", "result");
}

fn drop_all(payload: &mut Fields) {
    payload.clear();
}

mod hidden {
    /// Seen in this crate only.
    #[derive(es_core::Event, serde::Serialize, serde::Deserialize)]
    pub(crate) enum LocalEvent {
        /// It refers to itself and to a private type.
        TreeGrown { children: Vec<Self>, private: Private },
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    pub(crate) struct Private;
}

fn examples() -> Vec<(Shape, &'static str, Value, Value)> {
    vec![
        (Shape::NothingHappened, "nothing_happened", json!({}), json!({})),
        (
            Shape::ScriptExecutionCompleted { output: "Berlin".into(), notes: vec![], kind: None },
            "script_execution_completed",
            json!({"output": "Berlin", "type": null}),
            json!({}),
        ),
        (
            Shape::AddressChanged(Address { street: "Elbe".into(), number: 3 }),
            "address_changed",
            json!({"street": "Elbe", "number": 3}),
            json!({}),
        ),
        (
            Shape::CallFailed {
                request_id: 9184,
                session_id: Some(245),
                tags: vec!["a".into()],
                metadata: "in the payload".into(),
            },
            "call_failed",
            json!({"metadata": "in the payload"}),
            json!({"request_id": 9184, "session_id": 245, "labels": ["a"]}),
        ),
        (
            Shape::CallFailed {
                request_id: 9184,
                session_id: None,
                tags: vec![],
                metadata: String::new(),
            },
            "call_failed",
            json!({"metadata": ""}),
            json!({"request_id": 9184, "labels": []}),
        ),
        (Shape::UserSeen { user_id: 74 }, "user_seen", json!({}), json!({"user_id": 74})),
        (Shape::ReachedTerminal { r#final: 1 }, "posting_terminal", json!({"final": 1}), json!({})),
        (
            Shape::ResultSaved { status: "OK".into(), result: "r".into() },
            "result_saved",
            json!({"status": "OK", "result": "r"}),
            json!({}),
        ),
        (Shape::CacheCleared, "cache_cleared", json!({}), json!({})),
    ]
}

fn decode<E: Event>(
    name: &str,
    version: u32,
    payload: &str,
    metadata: &Metadata,
) -> Result<E, DecodeError> {
    let payload = Payload::parse(payload.to_owned()).expect("the test gives JSON");
    let stored = StoredEvent::new(name, version, payload.as_raw(), metadata);
    let Decoded::One(event) = E::decode(stored)? else {
        panic!("the derive makes one event of what is stored");
    };
    Ok(event)
}

fn metadata_of(document: &Value) -> Metadata {
    serde_json::from_str(&document.to_string()).expect("the test gives an object")
}

fn decode_shape(name: &str, version: u32, payload: &str) -> Result<Shape, DecodeError> {
    decode(name, version, payload, &Metadata::new())
}

#[test]
fn the_kinds_stand_in_the_order_of_the_source() {
    let kinds: Vec<_> = Shape::TYPES.iter().map(|kind| (kind.name, kind.schema_version)).collect();
    assert_eq!(
        kinds,
        [
            ("nothing_happened", 1),
            ("script_execution_completed", 1),
            ("address_changed", 1),
            ("call_failed", 1),
            ("user_seen", 1),
            ("posting_terminal", 1),
            ("result_saved", 3),
            ("cache_cleared", 2),
        ]
    );
    assert_eq!(Shape::TYPES[5].aliases, ["terminal", "Posting-Ended"]);
}

#[test]
fn every_shape_is_written_as_documented_and_comes_back() {
    for (event, name, payload, metadata) in examples() {
        let kind: &'static EventType = event.event_type();
        assert_eq!(kind.name, name);
        let mut written = Metadata::new();
        let encoded = event.encode(&mut written).unwrap();
        assert_eq!(encoded.decode::<Value>().unwrap(), payload, "{name}");
        assert_eq!(serde_json::to_value(&written).unwrap(), metadata, "{name}");
        let again = decode::<Shape>(name, kind.schema_version, encoded.as_str(), &written);
        assert_eq!(again.unwrap(), event);
    }
}

#[test]
fn encoding_leaves_other_metadata_alone() {
    let mut metadata = metadata_of(&json!({"mine": 1, "session_id": 7}));
    let event = Shape::CallFailed {
        request_id: 1,
        session_id: None,
        tags: vec![],
        metadata: String::new(),
    };
    event.encode(&mut metadata).unwrap();
    assert_eq!(metadata.get(MetadataField::<u8>::new("mine")), Some(1));
    assert_eq!(metadata.document("session_id"), None);
    assert_eq!(metadata.event_version, None::<EventVersion>);
}

#[test]
fn aliases_are_read_as_the_kind() {
    for name in ["posting_terminal", "terminal", "Posting-Ended"] {
        let event = decode_shape(name, 1, r#"{"final": 5}"#).unwrap();
        assert_eq!(event, Shape::ReachedTerminal { r#final: 5 });
    }
}

#[test]
fn older_versions_pass_every_upcaster_that_follows() {
    let saved = |status: &str| Shape::ResultSaved { status: status.into(), result: "r".into() };
    let read = |version, payload| decode_shape("result_saved", version, payload).unwrap();
    assert_eq!(read(1, r#"{"out":"r"}"#), saved("SUCCESS"));
    assert_eq!(read(2, r#"{"out":"r","status":"S2"}"#), saved("S2"));
    assert_eq!(read(3, r#"{"result":"r","status":"S3"}"#), saved("S3"));
    assert_eq!(decode_shape("cache_cleared", 1, "null").unwrap(), Shape::CacheCleared);
}

#[test]
fn unknown_payload_fields_are_ignored_and_defaults_fill_in() {
    let event = decode_shape("script_execution_completed", 1, r#"{"output":"x","new":[1]}"#);
    let expected =
        Shape::ScriptExecutionCompleted { output: "x".into(), notes: vec![], kind: None };
    assert_eq!(event.unwrap(), expected);
    for payload in ["{}", "null", r#"{"a":{"b":1}}"#] {
        assert_eq!(decode_shape("nothing_happened", 1, payload).unwrap(), Shape::NothingHappened);
    }
}

#[test]
fn an_unknown_type_lists_the_known_ones() {
    let error = decode_shape("nothing", 1, "{}").unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, DecodeError::UnknownType { .. }));
    assert!(text.contains("`nothing`") && text.contains("posting_terminal"), "{text}");
}

#[test]
fn versions_out_of_range_are_refused() {
    let future = decode_shape("result_saved", 4, "{}").unwrap_err();
    assert!(matches!(future, DecodeError::FutureVersion { stored: 4, known: 3, .. }));
    let zero = decode_shape("result_saved", 0, "{}").unwrap_err();
    assert!(matches!(zero, DecodeError::BadVersion { .. }));
}

#[test]
fn payloads_that_do_not_fit_are_refused_with_their_version() {
    let bad = [
        ("script_execution_completed", 1, r#"{"output":1}"#),
        ("script_execution_completed", 1, "{}"),
        ("script_execution_completed", 1, r#"["x",[],1]"#),
        ("nothing_happened", 1, "[]"),
        ("nothing_happened", 1, "0"),
        ("user_seen", 1, "[]"),
        ("address_changed", 1, r#"{"street":"x"}"#),
        ("result_saved", 1, "[]"),
        ("result_saved", 2, "{}"),
    ];
    for (name, version, payload) in bad {
        match decode_shape(name, version, payload) {
            Err(DecodeError::Payload { event_type, schema_version, .. }) => {
                assert_eq!((&*event_type, schema_version), (name, version));
            }
            other => {
                // the payload of `user_seen` is checked before its metadata
                panic!("{name} {payload}: {other:?}");
            }
        }
    }
}

#[test]
fn metadata_fields_that_do_not_fit_are_refused_by_name() {
    let payload = r#"{"metadata":""}"#;
    let absent = decode::<Shape>("call_failed", 1, payload, &Metadata::new()).unwrap_err();
    assert!(matches!(absent, DecodeError::Metadata { field: "request_id", .. }));
    let text = metadata_of(&json!({"request_id": 1, "session_id": "long"}));
    let wrong = decode::<Shape>("call_failed", 1, payload, &text).unwrap_err();
    assert!(matches!(wrong, DecodeError::Metadata { field: "session_id", .. }));
    let tags = metadata_of(&json!({"request_id": 1, "labels": 1}));
    let wrong = decode::<Shape>("call_failed", 1, payload, &tags).unwrap_err();
    assert!(matches!(wrong, DecodeError::Metadata { field: "labels", .. }));
}

#[test]
fn absent_metadata_fields_are_none_or_the_default() {
    let metadata = metadata_of(&json!({"request_id": 1}));
    let event = decode::<Shape>("call_failed", 1, r#"{"metadata":"m"}"#, &metadata).unwrap();
    let expected =
        Shape::CallFailed { request_id: 1, session_id: None, tags: vec![], metadata: "m".into() };
    assert_eq!(event, expected);
}

#[test]
fn an_enum_in_a_function_with_its_own_default_and_conversions_works() {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde prescribes it")]
    mod text {
        pub(super) fn serialize<S: serde::Serializer>(n: &u8, s: S) -> Result<S::Ok, S::Error> {
            s.collect_str(n)
        }

        pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u8, D::Error> {
            let text: String = serde::Deserialize::deserialize(d)?;
            text.parse().map_err(serde::de::Error::custom)
        }
    }

    fn is_default<T: Default + PartialEq>(value: &T) -> bool {
        *value == T::default()
    }

    fn seven() -> u8 {
        7
    }

    #[derive(Event, Debug, PartialEq)]
    enum Local {
        NumberChosen {
            #[serde(with = "text")]
            number: u8,
            #[serde(default, skip_serializing_if = "is_default")]
            other: u8,
            #[event(metadata)]
            #[serde(default = "seven")]
            weight: u8,
        },
        TextWritten(String),
    }

    let event = Local::NumberChosen { number: 3, other: 0, weight: 1 };
    let mut metadata = Metadata::new();
    let payload = event.encode(&mut metadata).unwrap();
    assert_eq!(payload.as_str(), r#"{"number":"3"}"#);
    assert_eq!(decode::<Local>("number_chosen", 1, payload.as_str(), &metadata).unwrap(), event);
    assert_eq!(
        decode::<Local>("number_chosen", 1, payload.as_str(), &Metadata::new()).unwrap(),
        Local::NumberChosen { number: 3, other: 0, weight: 7 }
    );
    let text = Local::TextWritten("x".to_owned());
    assert_eq!(text.encode(&mut metadata).unwrap().as_str(), r#""x""#);
    assert_eq!(decode::<Local>("text_written", 1, r#""x""#, &metadata).unwrap(), text);
}

#[test]
fn a_value_that_json_cannot_hold_is_an_error_that_names_the_event() {
    use std::collections::BTreeMap;

    #[derive(Event)]
    enum Keyed {
        MapSaved {
            map: BTreeMap<(u8, u8), u8>,
        },
        MapTagged {
            #[event(metadata)]
            map: BTreeMap<(u8, u8), u8>,
        },
    }

    let map = BTreeMap::from([((1, 2), 3)]);
    let saved = Keyed::MapSaved { map: map.clone() };
    let error = saved.encode(&mut Metadata::new()).unwrap_err();
    assert_eq!(error.event_type, "map_saved");
    let error = Keyed::MapTagged { map }.encode(&mut Metadata::new()).unwrap_err();
    assert_eq!(error.event_type, "map_tagged");
}

#[test]
fn a_newtype_id_has_the_text_of_what_is_inside() {
    #[derive(AggregateId, Debug, PartialEq)]
    struct PostingId(i64);

    #[derive(AggregateId, Debug, PartialEq)]
    struct Nested(PostingId);

    assert_eq!(PostingId(-7).to_text(), "-7");
    assert_eq!(PostingId::parse("-7").unwrap(), PostingId(-7));
    assert_eq!(Nested::parse("12").unwrap(), Nested(PostingId(12)));
    assert!(PostingId::parse("+7").is_err());
}
