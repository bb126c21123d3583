//! What metadata are read as, and compared as.

mod laws;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use super::*;

// fields of a workflow system, as the specification shows them
const CONVERSATION_ID: MetadataField<i64> = MetadataField::new("conversation_id");
const ACTOR_ID: MetadataField<i64> = MetadataField::new("actor_id");
const DURATION_MS: MetadataField<u64> = MetadataField::new("duration_ms");
// fields of a shop
const TENANT: MetadataField<String> = MetadataField::new("tenant");
const REQUEST_ID: MetadataField<u32> = MetadataField::new("request_id");
const MEAN: MetadataField<f64> = MetadataField::new("mean");

/// The metadata of a text, which are the same by each way to read it.
fn read(text: &str) -> Metadata {
    let metadata = Metadata::parse(text).unwrap();
    // as texts, because some hold what no value is
    let by_serde: Metadata = serde_json::from_str(text).unwrap();
    assert_eq!(text_of(&metadata), text_of(&by_serde));
    metadata
}

fn text_of(metadata: &Metadata) -> String {
    serde_json::to_string(metadata).unwrap()
}

/// The text of a field as it is stored.
fn stored(metadata: &Metadata, name: &str) -> Option<String> {
    metadata.document(name).map(|document| document.to_string())
}

const SPECIFICATION: &str = r#"{
    "conversation_id": 9184, "actor_id": 74, "execution_order": 2, "duration_ms": 245,
    "retry_count": 0, "causation_id": "0193a1d4-0000-7000-8000-000000000001",
    "correlation_id": "workflow_3001_posting_12345", "event_version": "1.0"
}"#;

#[test]
fn the_specifications_example_is_typed_and_round_trips() {
    let metadata = read(SPECIFICATION);
    assert_eq!(metadata.get(CONVERSATION_ID), Some(9184));
    assert_eq!(metadata.event_version, Some(EventVersion::new(1)));
    let names: Vec<_> = metadata.documents().map(|(name, _)| name).collect();
    let own = ["actor_id", "conversation_id", "duration_ms", "execution_order", "retry_count"];
    assert_eq!(names, own);
    let again: Value = serde_json::to_value(&metadata).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(SPECIFICATION).unwrap());
}

#[test]
fn a_field_is_written_as_its_type_and_read_as_it() {
    let mut metadata = Metadata::new().with(TENANT, "acme".to_owned()).with(REQUEST_ID, 7);
    assert_eq!(text_of(&metadata), r#"{"request_id":7,"tenant":"acme"}"#);
    assert_eq!(metadata.get(TENANT).as_deref(), Some("acme"));
    metadata.set(REQUEST_ID, 8);
    assert_eq!(metadata.get(REQUEST_ID), Some(8));
    // what does not fit is as good as absent
    metadata.set_document("request_id", Value::from(-8));
    assert_eq!(metadata.get(REQUEST_ID), None);
    assert_eq!(stored(&metadata, "request_id").as_deref(), Some("-8"));
    let optional = MetadataField::<Option<u32>>::new("request_id");
    metadata.set(optional, None);
    assert_eq!((metadata.get(REQUEST_ID), metadata.get(optional)), (None, None));
    assert_eq!(text_of(&metadata), r#"{"tenant":"acme"}"#);
}

#[test]
fn what_is_no_json_is_kept_until_somebody_wants_to_write_it() {
    let metadata = Metadata::new().with(MEAN, f64::NAN);
    assert_eq!(metadata.get(MEAN), None);
    let (name, document) = metadata.documents().next().unwrap();
    assert!(document.unreadable_because().unwrap().contains("`mean` is no JSON (NaN"), "{name}");
    let error = serde_json::to_string(&metadata).unwrap_err().to_string();
    assert!(error.contains("the metadata field `mean`"), "{error}");
    let mut filled = Metadata::new();
    filled.fill_from(&metadata);
    assert_eq!(filled, metadata);
    assert_ne!(filled, Metadata::new());
    assert_eq!(filled.with(MEAN, 0.5), read(r#"{"mean":0.5}"#));
}

#[test]
fn what_does_not_fit_is_kept_by_name() {
    let text = r#"{"causation_id":"x","correlation_id":7,"event_version":"new","mine":[1]}"#;
    let metadata = read(text);
    assert_eq!((metadata.causation_id, metadata.correlation_id.as_ref()), (None, None));
    assert_eq!(metadata.event_version, None);
    assert_eq!(stored(&metadata, "causation_id").as_deref(), Some(r#""x""#));
    let again: Value = serde_json::to_value(&metadata).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn what_no_value_holds_costs_its_field_and_not_the_event() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let odd = [
        "1e400",
        r#"{"x":[-1e999]}"#,
        &deep,
        r#"{"$serde_json::private::RawValue":5}"#,
        r#"[{"$serde_json::private::RawValue":"{\"admin\":true}"}]"#,
        r#"{"\u0024serde_json::private::Number":"x"}"#,
        r#""\ud800""#,
    ];
    for odd in odd {
        for name in ["n", "conversation_id", "correlation_id", "event_version"] {
            let text = format!(r#"{{"actor_id":1,"{name}":5,"{name}":{odd},"z":2}}"#);
            let metadata = read(&text);
            assert_eq!(metadata.get(ACTOR_ID), Some(1));
            assert_eq!(metadata.get(CONVERSATION_ID), None);
            assert_eq!(stored(&metadata, "z").as_deref(), Some("2"));
            assert_eq!(stored(&metadata, name).as_deref(), Some(odd), "{name}");
            let again = text_of(&metadata);
            assert!(again.contains(&format!(r#""{name}":{odd}"#)), "{again}");
        }
    }
    for key in ["$serde_json::private::RawValue", "$serde_json::private::Number"] {
        let metadata = read(&format!(r#"{{"{key}":5}}"#));
        assert_eq!(stored(&metadata, key).as_deref(), Some("5"));
    }
    let half = read(r#"{"a\ud800":1,"actor_id":2}"#);
    assert_eq!((half.get(ACTOR_ID), half.documents().count()), (Some(2), 2));
}

#[test]
fn metadata_are_read_wherever_serde_finds_an_object() {
    #[derive(Deserialize)]
    struct Flat {
        #[serde(flatten)]
        metadata: Metadata,
    }
    /// Read by a visitor of its own.
    struct Around(Metadata);
    impl<'de> Deserialize<'de> for Around {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Object;
            impl<'de> Visitor<'de> for Object {
                type Value = Around;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Around, A::Error> {
                    Metadata::deserialize(MapAccessDeserializer::new(map)).map(Around)
                }
            }
            deserializer.deserialize_map(Object)
        }
    }
    for text in ["{}", SPECIFICATION, r#"{"$serde_json::private::RawValue":"{\"actor_id\":1}"}"#] {
        let Around(metadata) = serde_json::from_str(text).unwrap();
        assert_eq!(metadata, read(text), "{text}");
    }
    assert_eq!(serde_json::from_str::<Flat>("{}").unwrap().metadata, Metadata::default());
}

#[test]
fn what_is_appended_is_not_held_twice() {
    let text = r#"{"note":[1]}"#;
    let (mut metadata, shared) = (Metadata::parse(text).unwrap(), Metadata::parse(text).unwrap());
    assert_eq!(metadata.domain_bytes(), text.len());
    assert!(metadata.make_canonical());
    assert_eq!(metadata.domain_bytes(), "note".len() + "[1]".len());
    assert_eq!(text_of(&metadata), text);
    // others may read theirs by it
    assert!(shared.clone().make_canonical());
    assert_eq!(text_of(&shared), text);
}

#[test]
fn what_is_no_metadata_is_told_with_its_place() {
    let all = "{\"a\": {},\n\n \"b\": 5}";
    let error = serde_json::from_str::<BTreeMap<String, Metadata>>(all).unwrap_err();
    assert!(error.to_string().contains("a JSON object of metadata, or null"), "{error}");
    assert_eq!(error.line(), 3, "{error}");
}

#[test]
fn null_metadata_and_null_fields_are_absent() {
    assert_eq!(read("null"), Metadata::default());
    let metadata = read(r#"{"actor_id":null,"x":null}"#);
    assert_eq!(metadata, Metadata::default());
    let mut filled = metadata;
    filled.fill_from(&read(r#"{"actor_id":7}"#));
    assert_eq!(filled.get(ACTOR_ID), Some(7));
}

#[test]
fn what_an_event_decides_as_none_is_neither_stored_nor_filled() {
    let base = read(r#"{"tenant":"b","correlation_id":"c","mine":1}"#);
    let mut metadata = Metadata::new();
    for name in ["tenant", "correlation_id"] {
        metadata.set_none(name);
        assert!(metadata.has(name));
        assert_eq!(metadata.document(name), None);
    }
    assert_eq!(metadata, Metadata::new());
    metadata.fill_from(&base);
    assert_eq!(text_of(&metadata), r#"{"mine":1}"#);
    assert!(!metadata.into_canonical().has("tenant"));
}

#[test]
fn every_kind_of_value_is_kept_and_of_two_fields_of_one_name_the_last() {
    let text = r#"{
        "a": "\u0041", "b": true, "c": -1, "d": 1.5, "e": [1, null], "f": {"x": "y"},
        "g": 18446744073709551615, "correlation_id": "\"q\"", "causation_id": 5
    }"#;
    let metadata = read(text);
    assert_eq!(metadata.correlation_id.as_deref(), Some("\"q\""));
    let again: Value = serde_json::to_value(&metadata).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(again, serde_json::to_value(Metadata::deserialize(&again).unwrap()).unwrap());

    let id = "0193a1d4-0000-7000-8000-000000000001";
    let metadata = read(&format!(r#"{{"causation_id": 5, "causation_id": "{id}"}}"#));
    assert_eq!((metadata.causation_id, metadata.documents().count()), (id.parse().ok(), 0));
    let metadata = read(&format!(r#"{{"causation_id": "{id}", "causation_id": "x"}}"#));
    assert_eq!((metadata.causation_id, metadata.documents().count()), (None, 1));
    for (text, last) in [(r#"{"n":1,"n":2}"#, Some("2")), (r#"{"n":1,"n":null}"#, None)] {
        assert_eq!(stored(&read(text), "n").as_deref(), last);
    }
}

#[test]
fn fields_that_are_taken_apart_later_are_those_of_the_object() {
    for (text, expected) in [
        ("null", "{}"),
        (r#" {"z": 1 , "a" : {"b":2}} "#, r#"{"a":{"b":2},"z":1}"#),
        (
            r#"{"a":1,"a":null,"causation_id":5,"correlation_id":"c"}"#,
            r#"{"correlation_id":"c","causation_id":5}"#,
        ),
        (
            r#"{"event_version":"2.1","event_version":"x","b":[1e2]}"#,
            r#"{"b":[1e2],"event_version":"x"}"#,
        ),
        (r#"{"event_version":"x","event_version":3}"#, r#"{"event_version":"3.0"}"#),
    ] {
        let metadata = Metadata::parse(text).unwrap();
        let changed = metadata.clone().with(REQUEST_ID, 9);
        assert_eq!(text_of(&metadata), expected);
        assert_eq!((metadata.get(REQUEST_ID), changed.get(REQUEST_ID)), (None, Some(9)));
        // what is filled from it is its own, too
        let mut filled = Metadata::new();
        filled.fill_from(&metadata);
        assert_eq!(filled, metadata);
        filled.set(REQUEST_ID, 9);
        assert_eq!(
            (text_of(&filled), text_of(&metadata)),
            (text_of(&changed), expected.to_owned())
        );
    }
    for odd in ["", "5", "[]", "{", r#"{"a":}"#, "{} 1"] {
        assert!(Metadata::parse(odd).is_err(), "{odd}");
    }
}

#[test]
fn versions_are_read_from_text_and_numbers() {
    let read = |json: &str| read(&format!(r#"{{"event_version":{json}}}"#));
    assert_eq!(read("\"2.1\"").event_version, Some(EventVersion { major: 2, minor: 1 }));
    assert_eq!(read("\"3\"").schema_version(), 3);
    assert_eq!(read("4").schema_version(), 4);
    assert_eq!(read("4e0").schema_version(), 4);
    for bad in ["\"+1.0\"", "\"1.x\"", "\"\"", "1.5", "-1"] {
        assert_eq!(read(bad).event_version, None, "{bad}");
    }
}

#[test]
fn a_name_has_one_value() {
    let mut metadata = read(r#"{"event_version":"draft","causation_id":"x"}"#);
    metadata.fill_from(&read(r#"{"causation_id":"0193a1d4-0000-7000-8000-000000000001"}"#));
    assert_eq!(metadata.causation_id, None, "what stands there is kept, although it does not fit");
    metadata.event_version = Some(EventVersion::new(2));
    let text = text_of(&metadata);
    assert_eq!(text, r#"{"event_version":"2.0","causation_id":"x"}"#);
    assert_eq!(read(&text), metadata);
    let canonical = metadata.clone().into_canonical();
    assert_eq!((&canonical, canonical.extra.iter().count()), (&metadata, 1));
    let mut other = Metadata::new();
    other.event_version = Some(EventVersion::new(2));
    other.fill_from(&read(r#"{"event_version":"draft"}"#));
    assert_eq!(text_of(&other), r#"{"event_version":"2.0"}"#);
}

#[test]
fn filling_keeps_what_is_there() {
    let mut metadata = read(r#"{"tenant":"a","correlation_id":"c"}"#);
    metadata.fill_from(&read(r#"{"tenant":"b","correlation_id":"d","request_id":3}"#));
    assert_eq!(metadata, read(r#"{"tenant":"a","correlation_id":"c","request_id":3}"#));
}

#[test]
fn numbers_are_read_by_their_value_and_kept_to_the_last_digit() {
    // as a program writes it, as it wrote it, and as a database that keeps values gives it back
    for text in ["1e17", "100000000000000000", "10.00E+16"] {
        let metadata = read(&format!(
            r#"{{"conversation_id":{text},"actor_id":-{text},"duration_ms":{text},"n":{text}}}"#
        ));
        let expected = 100_000_000_000_000_000;
        assert_eq!(metadata.get(CONVERSATION_ID), Some(expected), "{text}");
        assert_eq!(metadata.get(ACTOR_ID), Some(-expected), "{text}");
        assert_eq!(metadata.get(DURATION_MS), Some(expected.unsigned_abs()), "{text}");
        assert_eq!(metadata.get(MetadataField::<i64>::new("n")), Some(expected), "{text}");
        assert_eq!(stored(&metadata, "n").as_deref(), Some(text));
    }
    for text in ["0.5", "5.0", "1e19", "-1e400", "9223372036854775808", "true", "\"5\""] {
        let metadata = read(&format!(r#"{{"conversation_id":{text},"n":{text}}}"#));
        assert_eq!(metadata.get(CONVERSATION_ID), None, "{text}");
        for name in ["conversation_id", "n"] {
            assert_eq!(stored(&metadata, name).as_deref(), Some(text));
        }
    }
    let (a, b) = (r#"{"n":18446744073709551616}"#, r#"{"n":18446744073709551617}"#);
    assert_ne!(read(a), read(b));
    assert_eq!(read(b).get(MetadataField::<u128>::new("n")), Some((1 << 64) + 1));
}

#[test]
fn equality_knows_no_order_of_fields() {
    let a = read(r#"{"a":1,"b":"x","actor_id":2}"#);
    let b = read(r#"{"actor_id":2,"b":"x","a":1.0}"#);
    assert_eq!(a, b);
    assert_eq!(read(r#"{"x":{"b":1,"a":[1e2]}}"#), read(r#"{"x":{"a":[100.0],"b":1}}"#));
    assert_ne!(a, b.with(REQUEST_ID, 0));
}
