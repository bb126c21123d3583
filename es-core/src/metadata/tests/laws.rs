//! Fields are the same where they stand in an object and taken apart, whatever stands there.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const NAMES: &[&str] = &[
    "a",
    "b",
    "bb",
    "",
    "é",
    "tenant",
    "request_id",
    "\\u0061",
    "b\\ud800",
    "causation_id",
    "correlation_id",
    "event_version",
    "$serde_json::private::RawValue",
];

const SPACES: &[&str] = &["", " ", "\n"];

const VALUES: &[&str] = &[
    "null",
    "true",
    "7",
    "-0",
    "1e2",
    "1.50",
    "18446744073709551617",
    "1e400",
    "\"x\"",
    "\"\\u00e9\\n\"",
    "\"\\ud800\"",
    "\"2.1\"",
    "\"0193a1d4-0000-7000-8000-000000000001\"",
    "[]",
    r#"{"b":1,"a":[2]}"#,
    r#"{"a":1,"a":[1e0]}"#,
    r#"[ {"x" : null} ]"#,
    r#"{"$serde_json::private::Number":"1"}"#,
];

fn object() -> impl Strategy<Value = String> {
    let field = (select(NAMES), select(VALUES), select(SPACES));
    prop::collection::vec(field, 0..7).prop_map(|fields| {
        let fields = fields
            .iter()
            .map(|(name, value, space)| format!("{space}\"{name}\"{space}:{space}{value}{space}"));
        format!("{{{}}}", Vec::from_iter(fields).join(","))
    })
}

type Read = (Option<String>, bool, Option<Result<Value, String>>);

fn field(metadata: &Metadata, name: &str) -> Read {
    let value = metadata.decode(name);
    let value = value.map(|read| read.map_err(|error: serde_json::Error| error.to_string()));
    (stored(metadata, name), metadata.has(name), value)
}

fn check(text: &str) {
    let metadata = Metadata::parse(text).unwrap();
    let taken_apart: Metadata = serde_json::from_str(text).unwrap();
    let names = taken_apart.documents().map(|(name, _)| name);
    for name in names.chain(NAMES.iter().copied()) {
        assert_eq!(field(&metadata, name), field(&taken_apart, name), "{text}: {name}");
    }
    assert_eq!(metadata, taken_apart, "{text}");
    assert_eq!(text_of(&metadata), text_of(&taken_apart), "{text}");
    // as the whole text is read, though only fields are looked at; a string may be spelt otherwise
    let read = Metadata::from_stored(text).unwrap();
    let whole = Metadata::parse(&crate::canonical::stored(text)).unwrap();
    assert_eq!(read, whole, "{text}");
    let (read, whole) = (text_of(&read), text_of(&whole));
    assert!(crate::canonical::same_json(&read, &whole), "{text}: {read} and {whole}");
}

proptest! {
    #[test]
    fn each_field_is_the_same_where_it_stands_and_taken_apart(text in object()) {
        check(&text);
    }
}

#[test]
fn fields_of_any_number_are_read() {
    for count in [31, 32, 33, 34, 1_000] {
        let fields = (0..count).map(|number| format!(r#""n{number}":{number}"#));
        let text = format!("{{{}}}", Vec::from_iter(fields).join(","));
        check(&text);
        let metadata = Metadata::parse(&text).unwrap();
        let last = format!("n{}", count - 1);
        assert_eq!(stored(&metadata, &last), Some((count - 1).to_string()));
        assert_eq!(metadata.documents().count(), count);
    }
}

#[test]
fn what_others_wrote_is_read_as_every_store_reads_it() {
    for (text, expected) in [
        (r#"{ "n" : 1e2 , "s" : "\u0041" }"#, r#"{"n":100,"s":"A"}"#),
        (r#"{ "n" : 100, "s" : "\u0041" }"#, r#"{"n":100,"s":"\u0041"}"#),
        (r#"{"n":[{"x":1,"x":2}],"a":-0}"#, r#"{"a":0,"n":[{"x":2}]}"#),
        (r#"{"n":1,"n":1e0,"event_version":2e0}"#, r#"{"event_version":"2.0","n":1}"#),
        (r#"{"causation_id":1e0,"n":null}"#, r#"{"causation_id":1}"#),
    ] {
        assert_eq!(text_of(&Metadata::from_stored(text).unwrap()), expected, "{text}");
    }
    for odd in ["", "5", "[]", "{", "{} 1"] {
        assert!(Metadata::from_stored(odd).is_err(), "{odd}");
    }
}
