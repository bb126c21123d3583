//! What other programs write where something else belongs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Stands where a number belongs that a double may not hold.
pub(super) const NUMBER: &str = "#number";

pub(super) const NUMBERS: [&str; 12] = [
    "12345678901234567890123",
    "-0.12345678901234567890",
    "1.50",
    "1.0",
    "-0",
    "-0.00",
    "1e16",
    "1E+20",
    "1.50e-7",
    "18446744073709551617",
    "4.275906719757639e-39",
    "9007199254740993",
];

/// The JSON texts of all odd values, with each of the numbers in their places.
pub(crate) fn odd_texts() -> BTreeSet<String> {
    let place = format!("\"{NUMBER}\"");
    let values = odd_values().into_iter().map(|value| value.to_string());
    values.flat_map(|text| NUMBERS.map(|number| text.replace(&place, number))).collect()
}

/// What may stand where a conversation belongs.
pub(crate) fn odd_ids() -> Vec<Value> {
    vec![
        json!("3"),
        json!("0004"),
        json!("-2"),
        json!("-0"),
        json!(-1),
        json!(2_147_483_647),
        json!("2147483648"),
        json!(-2_147_483_648_i64),
        json!(-2_147_483_649_i64),
        json!(99_999_999_999_i64),
        json!(u64::MAX),
        json!(1.5),
        json!(2.0),
        json!(1e40),
        json!("+1"),
        json!(" 1"),
        json!("1\n"),
        json!("٣"),
        json!("x"),
        json!(""),
        json!("-"),
        json!(true),
        json!([1]),
        json!({"id": 1}),
        Value::Null,
    ]
}

/// What somebody put where a text or a value belongs.
pub(super) fn odd_values() -> Vec<Value> {
    vec![
        json!("a"),
        json!(""),
        json!("two\nlines \"quoted\" \u{7}\u{7f} größer"),
        json!(false),
        json!(-12),
        json!(0.5),
        json!(NUMBER),
        json!([NUMBER, {"n": NUMBER}]),
        json!(4.275_906_719_757_639e-39),
        json!([1, "x", null, {"b": [], "a": {}}]),
        json!({"z": 1, "aa": {"é": "ü", "e": "\u{1}"}, "b": [true]}),
        json!(null),
    ]
}

/// What may stand where an instant belongs.
pub(crate) fn odd_instants() -> Vec<Value> {
    vec![
        json!("2025-11-19t10:00:00z"),
        json!("2025-11-19 10:00:00.1234567891234+01:30"),
        json!("2025-11-19T10:00:00.9999999-23:59"),
        json!("2024-02-29T23:59:60Z"),
        json!("2025-02-29T00:00:00Z"),
        json!("0000-01-01T00:00:00+01:00"),
        json!("0000-02-29T00:00:00Z"),
        json!("9999-12-31T23:59:59.5-01:00"),
        json!("2025-11-19T10:00:00\u{2212}01:00"),
        json!("2025-13-01T00:00:00Z"),
        json!("2025-11-31T00:00:00Z"),
        json!("2025-11-00T00:00:00Z"),
        json!("2025-11-19T24:00:00Z"),
        json!("2025-11-19T10:60:00Z"),
        json!("2025-11-19T10:00:61Z"),
        json!("2025-11-19T10:00:00+24:00"),
        json!("2025-11-19T10:00:00+01:60"),
        json!("2025-11-19T10:00:00.Z"),
        json!("2025-11-19T10:00:00"),
        json!("2025-11-19"),
        json!("tomorrow"),
        json!(1_763_546_400),
        json!(null),
    ]
}
