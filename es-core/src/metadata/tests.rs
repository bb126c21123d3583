//! What metadata are read as, and compared as.

use serde::Deserialize;
use serde_json::Value;

use super::*;

fn read(text: &str) -> Metadata {
    serde_json::from_str(text).unwrap()
}

const SPECIFICATION: &str = r#"{
    "conversation_id": 9184, "actor_id": 74, "execution_order": 2, "duration_ms": 245,
    "retry_count": 0, "causation_id": "0193a1d4-0000-7000-8000-000000000001",
    "correlation_id": "workflow_3001_posting_12345", "event_version": "1.0"
}"#;

#[test]
fn the_specifications_example_is_typed_and_round_trips() {
    let metadata: Metadata = serde_json::from_str(SPECIFICATION).unwrap();
    assert_eq!(metadata.conversation_id, Some(9184));
    assert_eq!(metadata.event_version, Some(EventVersion::new(1)));
    assert!(metadata.extra.is_empty());
    let again: Value = serde_json::to_value(&metadata).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(SPECIFICATION).unwrap());
}

#[test]
fn what_does_not_fit_is_kept_by_name() {
    let text = r#"{"conversation_id":"x","duration_ms":-1,"event_version":"new","mine":[1]}"#;
    let metadata: Metadata = serde_json::from_str(text).unwrap();
    assert_eq!((metadata.conversation_id, metadata.duration_ms), (None, None));
    assert_eq!(metadata.get::<Value>("conversation_id"), Some(Value::from("x")));
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
            let metadata: Metadata = serde_json::from_str(&text).unwrap();
            assert_eq!(metadata.actor_id, Some(1));
            assert_eq!(metadata.conversation_id, None);
            assert_eq!(metadata.get("z"), Some(2));
            let kept = &metadata.extra[name];
            assert_eq!(kept.as_str(), odd, "{name}");
            let again = serde_json::to_string(&metadata).unwrap();
            assert!(again.contains(&format!(r#""{name}":{odd}"#)), "{again}");
        }
    }
    for key in ["$serde_json::private::RawValue", "$serde_json::private::Number"] {
        let metadata: Metadata = serde_json::from_str(&format!(r#"{{"{key}":5}}"#)).unwrap();
        assert_eq!(metadata.get(key), Some(5));
    }
    let half: Metadata = serde_json::from_str(r#"{"a\ud800":1,"actor_id":2}"#).unwrap();
    assert_eq!((half.actor_id, half.extra.len()), (Some(2), 1));
}

#[test]
fn null_metadata_and_null_fields_are_absent() {
    assert_eq!(serde_json::from_str::<Metadata>("null").unwrap(), Metadata::default());
    let metadata: Metadata = serde_json::from_str(r#"{"actor_id":null,"x":null}"#).unwrap();
    assert_eq!(metadata, Metadata::default());
}

#[test]
fn every_kind_of_value_is_kept_and_of_two_fields_of_one_name_the_last() {
    let text = r#"{
        "a": "\u0041", "b": true, "c": -1, "d": 1.5, "e": [1, null], "f": {"x": "y"},
        "g": 18446744073709551615, "correlation_id": "\"q\"", "causation_id": 5
    }"#;
    let metadata: Metadata = serde_json::from_str(text).unwrap();
    assert_eq!(metadata.correlation_id.as_deref(), Some("\"q\""));
    let again: Value = serde_json::to_value(&metadata).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
    assert_eq!(again, serde_json::to_value(Metadata::deserialize(&again).unwrap()).unwrap());

    let id = "0193a1d4-0000-7000-8000-000000000001";
    let twice = format!(r#"{{"causation_id": 5, "causation_id": "{id}"}}"#);
    let metadata: Metadata = serde_json::from_str(&twice).unwrap();
    assert_eq!((metadata.causation_id, metadata.extra.len()), (id.parse().ok(), 0));
    let twice = format!(r#"{{"causation_id": "{id}", "causation_id": "x"}}"#);
    let metadata: Metadata = serde_json::from_str(&twice).unwrap();
    assert_eq!((metadata.causation_id, metadata.extra.len()), (None, 1));
}

#[test]
fn versions_are_read_from_text_and_numbers() {
    let read = |json: &str| {
        serde_json::from_str::<Metadata>(&format!(r#"{{"event_version":{json}}}"#)).unwrap()
    };
    assert_eq!(read("\"2.1\"").event_version, Some(EventVersion { major: 2, minor: 1 }));
    assert_eq!(read("\"3\"").schema_version(), 3);
    assert_eq!(read("4").schema_version(), 4);
    for bad in ["\"+1.0\"", "\"1.x\"", "\"\"", "1.5", "-1"] {
        assert_eq!(read(bad).event_version, None, "{bad}");
    }
}

#[test]
fn a_name_has_one_value() {
    let mut metadata = Metadata::new().with("event_version", "draft").with("actor_id", "x");
    metadata.fill_from(&Metadata::new().with("actor_id", 7));
    assert_eq!(metadata.actor_id, None, "what stands there is kept, although it does not fit");
    metadata.event_version = Some(EventVersion::new(2));
    let text = serde_json::to_string(&metadata).unwrap();
    assert_eq!(text, r#"{"event_version":"2.0","actor_id":"x"}"#);
    assert_eq!(serde_json::from_str::<Metadata>(&text).unwrap(), metadata);
    let mut other = Metadata::new();
    other.event_version = Some(EventVersion::new(2));
    other.fill_from(&Metadata::new().with("event_version", "draft"));
    assert_eq!(serde_json::to_string(&other).unwrap(), r#"{"event_version":"2.0"}"#);
}

#[test]
fn filling_keeps_what_is_there() {
    let mut metadata = Metadata::new().with("actor_id", 1).with("mine", "a");
    metadata.fill_from(&Metadata::new().with("actor_id", 2).with("mine", "b").with("x", 3));
    assert_eq!(metadata, Metadata::new().with("actor_id", 1).with("mine", "a").with("x", 3));
}

#[test]
fn numbers_are_read_by_their_value_and_kept_to_the_last_digit() {
    // as a program writes it, as it wrote it, and as a database that keeps values gives it back
    for text in ["1e17", "100000000000000000", "10.00E+16"] {
        let metadata = read(&format!(
            r#"{{"conversation_id":{text},"actor_id":-{text},"duration_ms":{text}}}"#
        ));
        let expected = 100_000_000_000_000_000;
        assert_eq!(metadata.conversation_id, Some(expected), "{text}");
        assert_eq!(metadata.actor_id, Some(-expected), "{text}");
        assert_eq!(metadata.duration_ms, Some(expected.unsigned_abs()), "{text}");
        assert!(metadata.extra.is_empty());
    }
    assert_eq!(Metadata::new().with("conversation_id", 1e17), read(r#"{"conversation_id":1e17}"#));
    for text in ["0.5", "5.0", "1e19", "-1e400", "9223372036854775808", "true", "\"5\""] {
        let metadata = read(&format!(r#"{{"conversation_id":{text},"n":{text}}}"#));
        assert_eq!(metadata.conversation_id, None, "{text}");
        assert_eq!(metadata.document("n").unwrap().as_str(), text);
    }
    let (a, b) = (r#"{"n":18446744073709551616}"#, r#"{"n":18446744073709551617}"#);
    assert_ne!(read(a), read(b));
    assert_eq!(read(b).get::<u128>("n"), Some((1 << 64) + 1));
}

#[test]
fn equality_knows_no_order_of_fields() {
    let a = Metadata::new().with("a", 1).with("b", "x").with("actor_id", 2);
    let b = Metadata::new().with("actor_id", 2).with("b", "x").with("a", 1.0);
    assert_eq!(a, b);
    assert_eq!(read(r#"{"x":{"b":1,"a":[1e2]}}"#), read(r#"{"x":{"a":[100.0],"b":1}}"#));
    assert_ne!(a, b.with("c", 0));
}
