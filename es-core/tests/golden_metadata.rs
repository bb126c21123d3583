//! What metadata are stored as, document by document. The files are what the program wrote when they
//! came here, and never change: only how this test builds metadata does.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use es_core::event::{EventVersion, Metadata, MetadataField, Payload};

/// Integers of a domain, which a stored value does not have to be.
const FIVE: [&str; 5] =
    ["conversation_id", "actor_id", "execution_order", "duration_ms", "retry_count"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/metadata")
}

fn golden(name: &str) -> String {
    fs::read_to_string(folder().join(name).with_extension("json")).unwrap().trim_end().to_owned()
}

/// The form that every store gives back.
fn stored(metadata: &Metadata) -> String {
    Payload::of(metadata).unwrap().canonical().unwrap().to_string()
}

/// Metadata with these documents under these names.
fn of(fields: &[(&str, &str)]) -> Metadata {
    let mut metadata = Metadata::new();
    for (name, text) in fields {
        metadata.set_document(name, Payload::parse((*text).to_owned()).unwrap());
    }
    metadata
}

fn each(text: &str) -> Metadata {
    of(&FIVE.map(|name| (name, text)))
}

fn integers(
    [conversation_id, actor_id, execution_order]: [i64; 3],
    duration_ms: u64,
    retry_count: u32,
) -> Metadata {
    Metadata::new()
        .with(MetadataField::new("conversation_id"), conversation_id)
        .with(MetadataField::new("actor_id"), actor_id)
        .with(MetadataField::new("execution_order"), execution_order)
        .with(MetadataField::new("duration_ms"), duration_ms)
        .with(MetadataField::new("retry_count"), retry_count)
}

fn specification() -> Metadata {
    let mut metadata = integers([9184, 74, 2], 245, 0);
    metadata.causation_id = "0193a1d4-0000-7000-8000-000000000001".parse().ok();
    metadata.correlation_id = Some("workflow_3001_posting_12345".to_owned());
    metadata.event_version = Some(EventVersion::new(1));
    metadata
}

/// Filled from others: what is there stays, whether it fits or not.
fn filled() -> Metadata {
    let mut metadata = of(&[("actor_id", r#""x""#), ("mine", r#""a""#)]);
    metadata.fill_from(&of(&[
        ("actor_id", "7"),
        ("conversation_id", "1"),
        ("mine", r#""b""#),
        ("x", "3"),
    ]));
    metadata
}

fn built() -> Vec<(&'static str, Metadata)> {
    let mut versioned = Metadata::new();
    versioned.event_version = Some(EventVersion { major: 2, minor: 1 });
    vec![
        ("nothing", Metadata::new()),
        ("specification", specification()),
        ("largest", integers([i64::MAX; 3], u64::MAX, u32::MAX)),
        ("smallest", integers([i64::MIN; 3], 0, 0)),
        (
            "too_large",
            of(&[
                ("conversation_id", "9223372036854775808"),
                ("actor_id", "-9223372036854775809"),
                ("execution_order", "1e19"),
                ("duration_ms", "18446744073709551616"),
                ("retry_count", "4294967296"),
            ]),
        ),
        ("negative", each("-1")),
        ("fractions", each("0.5")),
        ("floats", each("5.0")),
        ("booleans", each("true")),
        ("texts", each(r#""5""#)),
        ("arrays", each("[1, null]")),
        ("objects", each(r#"{"x":"y"}"#)),
        ("nulls", of(&[("mine", "1"), ("actor_id", "7"), ("actor_id", "null"), ("x", "null")])),
        ("version_with_minor", versioned),
        ("version_as_number", of(&[("event_version", "4")])),
        (
            "standard_that_does_not_fit",
            of(&[("causation_id", "5"), ("correlation_id", "7"), ("event_version", r#""draft""#)]),
        ),
        (
            "free",
            of(&[
                ("mid", "-0"),
                ("long", r#""\u00df""#),
                ("a", r#""\u0041""#),
                ("b", "true"),
                ("c", "-1"),
                ("d", "1.50"),
                ("e", "[1,null]"),
                ("f", r#"{ "x": "y" }"#),
                ("g", "1e2"),
                ("h", "18446744073709551617"),
            ]),
        ),
        (
            "escapes",
            of(&[
                ("correlation_id", r#""\u0022q\u0022 \\ \u00e9\/\u000a\u0001\ud83d\ude00""#),
                ("Straße", r#""ü""#),
            ]),
        ),
        ("filled", filled()),
    ]
}

#[test]
fn what_is_built_is_stored_as_it_ever_was_and_read_as_it_is_built() {
    let built = built();
    for (name, metadata) in &built {
        let golden = golden(name);
        assert_eq!(stored(metadata), golden, "{name}");
        let read: Metadata = Payload::parse(golden.clone()).unwrap().decode().unwrap();
        assert_eq!(stored(&read), golden, "{name}");
        assert_eq!(read, *metadata, "{name}");
    }
    let named: BTreeSet<_> = built.iter().map(|(name, _)| format!("{name}.json")).collect();
    let files = fs::read_dir(folder()).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(named, files, "each document (left) has its file (right)");
}
