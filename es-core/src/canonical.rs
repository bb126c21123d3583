//! The canonical form of a JSON text: the one that every backend may give back.
//!
//! A database that keeps values and not texts (PostgreSQL's `jsonb`) gives back keys in its own
//! order, numbers as decimals, of two members of one name the last, and no white space of the
//! writer's. Whatever must be readable later is brought into a form that such a database does not
//! change, on every backend, before it is judged.

mod decimal;
mod elements;
mod strings;
mod writer;

use std::borrow::Cow;

use crate::content::ContentProblem;
use writer::{Form, Writer};

pub(crate) use decimal::{Decimal, integer};
pub(crate) use strings::{number_at, pointer_token, string_end, unescaped, unit};

/// Two texts that are the same JSON value: numbers by their value, members in any order.
pub(crate) fn same_json(a: &str, b: &str) -> bool {
    a == b || normal(a) == normal(b)
}

/// As [`same_json`], with the elements of arrays in any order, too: a set without an order is
/// written in another one each time.
pub(crate) fn same_elements(a: &str, b: &str) -> bool {
    a == b || {
        let (a, b) = (normal(a), normal(b));
        a == b || elements::same(&a, &b)
    }
}

/// The canonical form of a text that is JSON: keys by length, then by their bytes; numbers written
/// out, those with a fraction or an exponent with a point; zero without a sign; the shortest
/// escapes; no white space.
///
/// # Errors
///
/// When a number makes it longer than `max_bytes`, a member is repeated, or a string has half of a
/// surrogate pair.
pub(crate) fn canonical(text: &str, max_bytes: usize) -> Result<Cow<'_, str>, ContentProblem> {
    match is_canonical(text) {
        true => Ok(Cow::Borrowed(text)),
        false => Writer::new(text, Form::Canonical { max_bytes }).written(),
    }
}

/// What every store reads in a text that anybody may have written: numbers as a decimal database
/// type writes them, and of two members of one name the last. A text in which that changes nothing
/// is answered as it is.
pub(crate) fn stored(text: &str) -> Cow<'_, str> {
    // a string is read as it is, however it is spelt
    if text.starts_with('"') || is_canonical(text) {
        return Cow::Borrowed(text);
    }
    Writer::new(text, Form::Stored).written().unwrap_or(Cow::Borrowed(text))
}

/// True if every store reads a text as it is.
pub(crate) fn is_stored(text: &str) -> bool {
    matches!(stored(text), Cow::Borrowed(_))
}

/// A text that is the same for all texts of one JSON value.
fn normal(text: &str) -> Cow<'_, str> {
    Writer::new(text, Form::Normal).written().unwrap_or(Cow::Borrowed(text))
}

/// True if a text is in the canonical form; one with an escape in a key, or with `\u`, is not looked at.
pub(crate) fn is_canonical(text: &str) -> bool {
    let bytes = text.as_bytes();
    // the last key of the innermost object, if no array is within it, and of those around it
    let (mut last, mut around) = (None::<&[u8]>, Vec::new());
    let (mut at, mut is_key_next) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let Some(length) = canonical_string(&bytes[at..]) else { return false };
                let string = &bytes[at..at + length];
                if std::mem::take(&mut is_key_next) {
                    let is_first = bytes[at - 2] == b'{';
                    let is_later = |last: &[u8]| (last.len(), last) < (length, string);
                    if !(is_first || last.is_some_and(is_later)) || string.contains(&b'\\') {
                        return false;
                    }
                    last = Some(string);
                }
                at += length + 1;
            }
            b'{' | b'[' => {
                // around the outermost is nothing, and most texts have one level
                if at > 1 {
                    around.push(last);
                }
                is_key_next = byte == b'{';
                last = is_key_next.then_some(b"".as_slice());
            }
            b'}' | b']' => {
                last = around.pop().flatten();
                is_key_next = false;
            }
            b',' => is_key_next = last.is_some(),
            b' ' | b'\t' | b'\n' | b'\r' => return false,
            b'-' | b'0'..=b'9' => {
                let number = number_at(text, at - 1);
                if !decimal::is_plain(number) {
                    return false;
                }
                at += number.len() - 1;
            }
            _ => {}
        }
    }
    true
}

/// The length of the string that begins here, if its escapes are the shortest; not of one with `\u`.
fn canonical_string(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let rest = &bytes[length..];
        length += rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if bytes[length] == b'"' {
            return Some(length);
        }
        match bytes.get(length + 1)? {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => length += 2,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        super::canonical(text, 1_000_000).unwrap().into_owned()
    }

    #[test]
    fn the_canonical_form_is_what_jsonb_gives_back() {
        let cases = [
            (r#" { "type" : "h", "data" : [ 1 , 2 ] } "#, r#"{"data":[1,2],"type":"h"}"#),
            (r#"{"bb":1,"a":2,"b":3,"":4}"#, r#"{"":4,"a":2,"b":3,"bb":1}"#),
            (r#"{"é":1,"zz":2,"abc":3,"z":4}"#, r#"{"z":4,"zz":2,"é":1,"abc":3}"#),
            (r#"[1e2,1.50,-0,-0.0,1E-3,1e16]"#, r#"[100.0,1.50,0,0.0,0.001,10000000000000000.0]"#),
            (
                r#"{"b":{"d":1,"c":{"f":1,"e":2}},"a":0}"#,
                r#"{"a":0,"b":{"c":{"e":2,"f":1},"d":1}}"#,
            ),
            (r#"{"":1,"\u0061":2}"#, r#"{"":1,"a":2}"#),
            (
                r#""\u0041\/\u00e9\ud83d\ude00\n\u001f\u0008\"\\\u007f""#,
                "\"A/é😀\\n\\u001f\\b\\\"\\\\\u{7f}\"",
            ),
            (r#"{"a":[{},[],{"b":null,"a":true}]}"#, r#"{"a":[{},[],{"a":true,"b":null}]}"#),
            (r#"{"a\/":"\/","a":"\""}"#, r#"{"a":"\"","a/":"/"}"#),
            (r#"{"a\t":1,"ab":2,"\n":[{"b":1},2]}"#, r#"{"\n":[{"b":1},2],"a\t":1,"ab":2}"#),
            (
                r#"[[{"a":1}],{"b":[{"c":2},{}]},{"a":3,"b":4}]"#,
                r#"[[{"a":1}],{"b":[{"c":2},{}]},{"a":3,"b":4}]"#,
            ),
            ("null", "null"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
            assert_eq!(canonical(expected), expected);
            assert!(same_json(text, expected));
        }
    }

    #[test]
    fn what_was_written_in_the_form_is_seen_to_be_in_it() {
        let texts = [
            r#"{"a":"\"\\\b\f\n\r\t/é","b":[{"a":1,"b":[2,{"c":-3}]},{"a":0.10}],"aa":{"":null}}"#,
            r#"[[],{},[{}],{"b":[],"c":{}},"",true]"#,
            "1.50",
        ];
        for text in texts {
            assert!(is_canonical(text), "{text}");
            assert_eq!(
                Writer::new(text, Form::Canonical { max_bytes: 1_000 }).written().unwrap(),
                text
            );
        }
        let others = [
            r#"{"b":{"a":1},"a":2}"#,
            r#"[{"a":1,"a":2}]"#,
            r#"{"a":[1],"a":2}"#,
            r#"{"":1,"":2}"#,
            r#""\u0041""#,
            r#""\/""#,
            r#"{"a":1, "b":2}"#,
            "1e2",
            "-0",
        ];
        for text in others {
            assert!(!is_canonical(text), "{text}");
        }
    }

    #[test]
    fn sets_are_the_same_in_any_order_and_lists_are_not() {
        let (a, b) =
            (r#"{"s":[1,[],{"b":2,"a":[3,4]},1]}"#, r#"{"s":[{"a":[4,3],"b":2},1.0,1,[]]}"#);
        assert!(same_elements(a, b) && !same_json(a, b));
        for (a, b) in [("[1,1,2]", "[1,2]"), ("[1,1,2]", "[1,2,2]"), ("[[1],2]", "[1,[2]]")] {
            assert!(!same_elements(a, b), "{a} {b}");
        }
    }

    #[test]
    fn what_is_written_out_is_bounded() {
        assert!(matches!(
            super::canonical("[1e300,1e300]", 400),
            Err(ContentProblem::TooLarge { .. })
        ));
        assert!(matches!(
            super::canonical("1e99999999999999999999", 400),
            Err(ContentProblem::HugeNumber { .. })
        ));
        let deep = "[".repeat(300_000) + &"]".repeat(300_000);
        assert_eq!(canonical(&deep), deep);
    }

    /// 6 MB, of which each level was copied once for each level around it: 1,200 GB.
    #[test]
    fn each_byte_is_copied_once_however_deep_it_stands() {
        const DEPTH: usize = 400_000;
        let nested = |open: &str, close: &str| open.repeat(DEPTH) + "0" + &close.repeat(DEPTH);
        let text = nested(r#"{"b":1,"a":["#, "]}");
        let sorted = nested(r#"{"a":["#, r#"],"b":1}"#);
        assert_eq!(super::canonical(&text, usize::MAX).unwrap(), sorted);
        assert!(same_json(&text, &sorted));
        let (a, b) = (nested("[0,1,", "]"), nested("[1,", ",0]"));
        assert!(same_elements(&a, &b) && !same_json(&a, &b));
    }

    #[test]
    fn a_repeated_member_is_refused_with_its_place() {
        let cases = [
            (r#"{"a":1,"b":{"x":1,"x":[2]},"a":3}"#, "/b/x"),
            (r#"{"\u0061":1,"a":2}"#, "/a"),
            (r#"[0,{"a/b":[[1],{"b":0,"a~":1,"a~":1}]}]"#, "/1/a~1b/1/a~0"),
            (r#"{"":1,"":1}"#, "/"),
        ];
        for (text, place) in cases {
            let path = place.to_owned();
            assert_eq!(super::canonical(text, 100), Err(ContentProblem::RepeatedMember { path }));
        }
    }

    #[test]
    fn what_others_wrote_is_read_as_jsonb_gives_it_back() {
        let cases = [
            (r#"{"a":1,"b":{"x":1,"x":[2]},"a":{"c":3}}"#, r#"{"a":{"c":3},"b":{"x":[2]}}"#),
            (r#"{"\u0061":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"bb":1e0,"a":[-0,1E2,-0.0,1.50e1]}"#, r#"{"a":[0,100,0.0,15.0],"bb":1}"#),
            // as it is: nothing in it is read in another way
            (r#"{ "bb":1.0, "a":"\u00e9 1e2" }"#, r#"{ "bb":1.0, "a":"\u00e9 1e2" }"#),
            (r#"["\ud800",1e2000]"#, r#"["\ud800",1e2000]"#),
        ];
        for (text, expected) in cases {
            assert_eq!(stored(text).len(), expected.len(), "{text}");
            assert_eq!(stored(text), expected, "{text}");
            assert_eq!(stored(expected), expected);
        }
    }

    #[test]
    fn halves_of_pairs_and_garbage_do_no_harm() {
        assert!(same_json(r#"["\ud800"]"#, r#"[ "\ud800" ]"#));
        assert!(!same_json(r#"["\ud800"]"#, r#"["\\ud800"]"#));
        let half = super::canonical(r#"["\ud800"]"#, 100);
        assert_eq!(half, Err(ContentProblem::LoneSurrogate { at: 2 }));
        assert!(!same_json(r#"["\ud800"]"#, r#"["\ud801"]"#));
        for garbage in ["", "\"", "\"\\", "{\"", "}}]", ",", "é", "[1,\u{e9}", "-", "\"\\u12é4\""]
        {
            let _ = (super::canonical(garbage, 100), stored(garbage), same_elements(garbage, "é"));
        }
    }
}
