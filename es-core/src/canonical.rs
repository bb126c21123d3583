//! The canonical form of a JSON text: the one that every backend may give back.
//!
//! A database that keeps values and not texts (PostgreSQL's `jsonb`) gives back keys in its own
//! order, numbers as decimals, of two members of one name the last, and no white space. Whatever
//! must be readable later is brought into that form before it is judged, on every backend.

mod decimal;

use std::borrow::Cow;

use crate::content::ContentProblem;
use crate::limits::Limits;

pub(crate) use decimal::{Decimal, integer};

/// Two texts that are the same JSON value: numbers by their value, members in any order.
pub(crate) fn same_json(a: &str, b: &str) -> bool {
    a == b || normal(a, Elements::InOrder) == normal(b, Elements::InOrder)
}

/// As [`same_json`], with the elements of arrays in any order, too: a set without an order is
/// written in another one each time.
pub(crate) fn same_elements(a: &str, b: &str) -> bool {
    a == b || normal(a, Elements::Sorted) == normal(b, Elements::Sorted)
}

/// The canonical form of a text that is JSON: keys by length, then by their bytes; of two members
/// of one name the last; numbers written out, zero without a sign; the shortest escapes; no white
/// space.
///
/// # Errors
///
/// When a number makes it longer than `max_bytes`.
pub(crate) fn canonical(text: &str, max_bytes: usize) -> Result<String, ContentProblem> {
    Writer::new(text, Numbers::Plain { max_bytes }).written()
}

/// A text that is the same for all texts of one JSON value.
fn normal(text: &str, elements: Elements) -> String {
    let written = Writer::new(text, Numbers::Normal { elements }).written();
    written.unwrap_or_else(|_| text.to_owned())
}

#[derive(Clone, Copy)]
enum Numbers {
    /// Written out as decimals, with the zeros behind the point.
    Plain { max_bytes: usize },
    /// Every value in one spelling.
    Normal { elements: Elements },
}

/// What becomes of the elements of arrays.
#[derive(Clone, Copy, PartialEq)]
enum Elements {
    InOrder,
    Sorted,
}

/// One pass over a text, without recursion.
struct Writer<'a> {
    text: &'a str,
    at: usize,
    numbers: Numbers,
    out: String,
    open: Vec<Open>,
    /// The members of all open objects, and the elements of arrays that are to be sorted; those of
    /// the innermost last.
    members: Vec<Member<'a>>,
    is_key_next: bool,
}

/// An object or array that was begun.
struct Open {
    is_object: bool,
    /// Where its text begins, behind the bracket.
    start: usize,
    /// Its first one in `members`.
    first: usize,
}

struct Member<'a> {
    key: Cow<'a, str>,
    /// Where its text begins in what was written.
    start: usize,
}

impl<'a> Writer<'a> {
    fn new(text: &'a str, numbers: Numbers) -> Self {
        let out = String::with_capacity(text.len());
        let (open, members) = (Vec::new(), Vec::new());
        Self { text, at: 0, numbers, out, open, members, is_key_next: false }
    }

    fn written(mut self) -> Result<String, ContentProblem> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                b'{' | b'[' => self.begin(byte == b'{'),
                b'}' | b']' => self.end(byte),
                b',' => {
                    self.out.push(',');
                    self.at += 1;
                    self.element();
                }
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => {
                    // `:`, `true`, `false`, `null`
                    let rest = &bytes[self.at..];
                    let length = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
                    let next = self.at + length.max(1);
                    self.out.push_str(self.text.get(self.at..next).unwrap_or_default());
                    self.at = next;
                }
            }
        }
        Ok(self.out)
    }

    fn begin(&mut self, is_object: bool) {
        self.out.push(if is_object { '{' } else { '[' });
        self.at += 1;
        let (start, first) = (self.out.len(), self.members.len());
        self.open.push(Open { is_object, start, first });
        self.element();
    }

    /// What follows is a key or an element of an array.
    fn element(&mut self) {
        self.is_key_next = self.open.last().is_some_and(|open| open.is_object);
        let is_sorted = matches!(self.numbers, Numbers::Normal { elements: Elements::Sorted });
        if is_sorted && !self.is_key_next && !self.open.is_empty() {
            self.members.push(Member { key: Cow::Borrowed(""), start: self.out.len() });
        }
    }

    fn end(&mut self, bracket: u8) {
        if let Some(open) = self.open.pop() {
            self.sort(&open);
            self.members.truncate(open.first);
        }
        self.out.push(char::from(bracket));
        self.at += 1;
        self.is_key_next = false;
    }

    /// Brings the members of what ends here into their order, each name once.
    fn sort(&mut self, open: &Open) {
        let members = &self.members[open.first..];
        let is_sorted = members.windows(2).all(|pair| {
            let (a, b) = (&pair[0].key, &pair[1].key);
            (a.len(), a) < (b.len(), b)
        });
        if is_sorted {
            return;
        }
        let ends = members.iter().skip(1).map(|next| next.start - 1).chain([self.out.len()]);
        let mut parts: Vec<_> = members
            .iter()
            .zip(ends)
            .map(|(member, end)| (member.key.len(), &member.key, &self.out[member.start..end]))
            .collect();
        if open.is_object {
            parts.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        } else {
            parts.sort_by(|a, b| a.2.cmp(b.2));
        }
        let mut sorted = String::with_capacity(self.out.len() - open.start);
        for (index, (_, key, part)) in parts.iter().enumerate() {
            // the sorting is stable: the last of a name is the last that was written
            let is_repeated = parts.get(index + 1).is_some_and(|(_, next, _)| next == key);
            if is_repeated && open.is_object {
                continue;
            }
            if !sorted.is_empty() {
                sorted.push(',');
            }
            sorted.push_str(part);
        }
        self.out.truncate(open.start);
        self.out.push_str(&sorted);
    }

    fn string(&mut self) -> Result<(), ContentProblem> {
        let start = self.at + 1;
        self.at = string_end(self.text, self.at);
        let raw = self.text.get(start..self.at - 1).unwrap_or_default();
        let has_escape = raw.contains('\\');
        let written_at = self.out.len();
        self.out.push('"');
        let string = if has_escape { unescaped(raw) } else { None };
        let key = match string {
            Some(string) => {
                for part in string.split_inclusive(needs_escape) {
                    write_escaped(part, &mut self.out);
                }
                Cow::Owned(string)
            }
            None if has_escape && matches!(self.numbers, Numbers::Plain { .. }) => {
                return Err(ContentProblem::LoneSurrogate { at: start - 1 });
            }
            None => {
                self.out.push_str(raw);
                Cow::Borrowed(raw)
            }
        };
        self.out.push('"');
        if std::mem::take(&mut self.is_key_next) {
            self.members.push(Member { key, start: written_at });
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ContentProblem> {
        let text = number_at(self.text, self.at);
        match self.numbers {
            Numbers::Normal { .. } => Decimal::of(text).write_normal(&mut self.out),
            // nearly all numbers: digits without an exponent, and not zero
            Numbers::Plain { .. } if !text.starts_with("-0") && !text.contains(['e', 'E']) => {
                self.out.push_str(text);
            }
            Numbers::Plain { max_bytes } => {
                let number = Decimal::of(text);
                let Some(bytes) = number.plain_bytes().filter(|bytes| *bytes <= max_bytes) else {
                    let (at, limit) = (self.at, Limits::EXPONENT);
                    return Err(ContentProblem::HugeNumber { at, limit });
                };
                let bytes = self.out.len() + bytes;
                if bytes > max_bytes {
                    return Err(ContentProblem::TooLarge { bytes, limit: max_bytes });
                }
                number.write_plain(&mut self.out);
            }
        }
        self.at += text.len().max(1);
        Ok(())
    }
}

/// The byte after the end of the string that opens at `open`.
pub(crate) fn string_end(text: &str, open: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = open + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at + 1
}

/// The number that begins at `at`.
pub(crate) fn number_at(text: &str, at: usize) -> &str {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    let length = text.as_bytes()[at..].iter().take_while(|byte| is_part(byte)).count();
    &text[at..at + length]
}

/// The text of a JSON string without its escapes; `None` if one is half of a surrogate pair, which
/// is no character.
pub(crate) fn unescaped(raw: &str) -> Option<String> {
    let mut string = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        string.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut taken = 2;
        match rest.as_bytes().get(1) {
            Some(b'b') => string.push('\u{8}'),
            Some(b'f') => string.push('\u{c}'),
            Some(b'n') => string.push('\n'),
            Some(b'r') => string.push('\r'),
            Some(b't') => string.push('\t'),
            Some(b'u') => {
                let low = unit(rest, 6);
                taken = 6;
                match unit(rest, 0) {
                    Some(high @ 0xD800..=0xDBFF) if matches!(low, Some(0xDC00..=0xDFFF)) => {
                        let low = low.unwrap_or_default();
                        let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                        string.extend(char::from_u32(code));
                        taken = 12;
                    }
                    code => string.push(char::from_u32(code?)?),
                }
            }
            Some(other) if other.is_ascii() => string.push(char::from(*other)),
            _ => taken = 1,
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    string.push_str(rest);
    Some(string)
}

/// The code unit of the escape `\uXXXX` at `at`, if there is one.
pub(crate) fn unit(text: &str, at: usize) -> Option<u32> {
    let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u32::from_str_radix(hex, 16).ok()
}

fn needs_escape(c: char) -> bool {
    c < ' ' || c == '"' || c == '\\'
}

/// Appends a text of which at most the last character needs an escape.
fn write_escaped(part: &str, out: &mut String) {
    let Some(last) = part.chars().next_back().filter(|last| needs_escape(*last)) else {
        return out.push_str(part);
    };
    out.push_str(&part[..part.len() - 1]);
    match last {
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '"' | '\\' => out.extend(['\\', last]),
        control => out.push_str(&format!("\\u{:04x}", u32::from(control))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        super::canonical(text, 1_000_000).unwrap()
    }

    #[test]
    fn the_canonical_form_is_what_jsonb_gives_back() {
        let cases = [
            (r#" { "type" : "h", "data" : [ 1 , 2 ] } "#, r#"{"data":[1,2],"type":"h"}"#),
            (r#"{"bb":1,"a":2,"b":3,"":4}"#, r#"{"":4,"a":2,"b":3,"bb":1}"#),
            (r#"{"é":1,"zz":2,"abc":3,"z":4}"#, r#"{"z":4,"zz":2,"é":1,"abc":3}"#),
            (r#"{"a":1,"b":{"x":1,"x":[2]},"a":{"c":3}}"#, r#"{"a":{"c":3},"b":{"x":[2]}}"#),
            (r#"{"\u0061":1,"a":2}"#, r#"{"a":2}"#),
            (r#"[1e2,1.50,-0,-0.0,1E-3]"#, r#"[100,1.50,0,0.0,0.001]"#),
            (
                r#""\u0041\/\u00e9\ud83d\ude00\n\u001f\u0008\"\\\u007f""#,
                "\"A/é😀\\n\\u001f\\b\\\"\\\\\u{7f}\"",
            ),
            (r#"{"a":[{},[],{"b":null,"a":true}]}"#, r#"{"a":[{},[],{"a":true,"b":null}]}"#),
            ("null", "null"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
            assert_eq!(canonical(expected), expected);
            assert!(same_json(text, expected));
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

    #[test]
    fn halves_of_pairs_and_garbage_do_no_harm() {
        assert!(same_json(r#"["\ud800"]"#, r#"[ "\ud800" ]"#));
        assert!(!same_json(r#"["\ud800"]"#, r#"["\\ud800"]"#));
        let half = super::canonical(r#"["\ud800"]"#, 100);
        assert_eq!(half, Err(ContentProblem::LoneSurrogate { at: 1 }));
        assert!(!same_json(r#"["\ud800"]"#, r#"["\ud801"]"#));
        for garbage in ["", "\"", "\"\\", "{\"", "}}]", ",", "é", "[1,\u{e9}", "-", "\"\\u12é4\""]
        {
            let _ = super::canonical(garbage, 100);
        }
    }
}
