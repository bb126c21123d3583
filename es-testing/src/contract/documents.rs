//! Documents by chance: names, numbers, texts, depths, orders of keys, repeated keys.

use fastrand::Rng;

/// The keys that serde_json takes for its own.
const RESERVED: [&str; 2] = ["$serde_json::private::RawValue", "$serde_json::private::Number"];
/// Few, so that they are repeated, of several lengths and in several spellings.
const KEYS: [&str; 10] =
    ["", "a", "b", "aa", "\\u0061", "é", "type", "data", "\\ud83d\\ude00", "$serde_json::private"];
const TEXTS: [&str; 16] = [
    "x",
    " ",
    "Straße",
    "\\n",
    "\\u00e9",
    "\\u2028",
    "\u{2028}",
    "\\\"",
    "\\\\",
    "\\/",
    "\\ud83d\\ude00",
    "\u{1f600}",
    "\\u001f",
    "\\u007f",
    "'; --",
    "{\\\"a\\\":1}",
];
/// What no store takes.
const ODD: [&str; 3] = ["\\u0000", "\\ud800", "\\udc00x"];

/// The text of one document. Some are such that no store takes them.
pub(crate) fn document(rng: &mut Rng) -> String {
    let mut out = String::new();
    let depth = if rng.u8(..) < 3 { rng.usize(50..130) } else { 0 };
    let mut ends = Vec::with_capacity(depth);
    for _ in 0..depth {
        let is_array = rng.bool();
        out.push_str(if is_array { "[" } else { "{\"a\":" });
        ends.push(if is_array { ']' } else { '}' });
    }
    value(rng, &mut out, 4);
    out.extend(ends.into_iter().rev());
    out
}

fn value(rng: &mut Rng, out: &mut String, depth: usize) {
    let space = [" ", "\n", "", "", ""][rng.usize(..5)];
    out.push_str(space);
    match rng.u8(..if depth == 0 { 7 } else { 12 }) {
        0 => out.push_str(["null", "true", "false"][rng.usize(..3)]),
        1..=4 => number(rng, out),
        5 | 6 => text(rng, out),
        7 | 8 => {
            out.push('[');
            for index in 0..rng.usize(..4) {
                out.push_str(if index > 0 { "," } else { "" });
                value(rng, out, depth - 1);
            }
            out.push(']');
        }
        _ => {
            out.push('{');
            for index in 0..rng.usize(..5) {
                out.push_str(if index > 0 { "," } else { "" });
                let key =
                    if rng.u8(..) == 0 { RESERVED[rng.usize(..2)] } else { KEYS[rng.usize(..10)] };
                out.push_str(&format!("\"{key}\"{space}:"));
                value(rng, out, depth - 1);
            }
            out.push('}');
        }
    }
    out.push_str(space);
}

fn number(rng: &mut Rng, out: &mut String) {
    let digits =
        |rng: &mut Rng, count: usize| -> String { (0..count).map(|_| rng.digit(10)).collect() };
    if rng.bool() {
        out.push('-');
    }
    let most = if rng.u8(..) == 0 { 1_200 } else { 30 };
    if rng.u8(..4) == 0 {
        out.push('0');
    } else {
        out.push(char::from(b'0' + rng.u8(1..10)));
        let count = rng.usize(..most);
        out.push_str(&digits(rng, count));
    }
    if rng.bool() {
        let count = rng.usize(1..most);
        out.push('.');
        out.push_str(&digits(rng, count));
    }
    if rng.u8(..3) == 0 {
        let most = if rng.u8(..16) == 0 { 500 } else { 40 };
        let (letter, sign) = (["e", "E"][rng.usize(..2)], ["", "+", "-"][rng.usize(..3)]);
        out.push_str(&format!("{letter}{sign}{}", rng.u32(..most)));
    }
}

/// The text of one string, in quotation marks. Some are such that no store takes them.
pub(crate) fn text(rng: &mut Rng, out: &mut String) {
    out.push('"');
    for _ in 0..rng.usize(..6) {
        out.push_str(TEXTS[rng.usize(..16)]);
    }
    match rng.u8(..) {
        0 | 1 => out.push_str(ODD[rng.usize(..3)]),
        2 => out.push_str(RESERVED[rng.usize(..2)]),
        _ => {}
    }
    out.push('"');
}
