//! What strings and keys may contain.

use memchr::memchr2;
use serde_json::Value;

use super::ContentProblem;
use crate::canonical::{pointer_token, string_end, unescaped, unit};

/// The keys by which serde_json marks values that are no objects.
const RESERVED: [&str; 2] = ["$serde_json::private::RawValue", "$serde_json::private::Number"];

/// Refuses the string from `open` to `end` if it is a key that serde_json takes for its own mark.
pub(super) fn check_key(text: &str, open: usize, end: usize) -> Result<(), ContentProblem> {
    // nearly every string is neither long enough nor begins so
    let may_be =
        end - open >= RESERVED[1].len() && matches!(text.as_bytes()[open + 1], b'$' | b'\\');
    if !may_be {
        return Ok(());
    }
    let is_key = text
        .get(end..)
        .unwrap_or_default()
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with(':');
    let string = text.get(open + 1..end - 1).and_then(unescaped);
    match is_key && string.is_some_and(|key| RESERVED.contains(&key.as_str())) {
        true => Err(ContentProblem::ReservedKey { at: open }),
        false => Ok(()),
    }
}

/// True if serde_json would take an object in `text` for a value of its own.
pub(crate) fn has_reserved_key(text: &str) -> bool {
    // nearly every text has neither the sign that the names begin with nor an escape
    if memchr2(b'$', b'\\', text.as_bytes()).is_none() {
        return false;
    }
    // nor the name, nor escapes that could spell it
    if !text.contains("$serde_json::private::") && !text.contains("\\u") {
        return false;
    }
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find('"')) {
        let open = at + open;
        at = string_end(text, open);
        if check_key(text, open, at).is_err() {
            return true;
        }
    }
    false
}

/// Checks the string that opens at `open` and answers the byte after its end, and how many bytes
/// shorter it is with the shortest escapes.
pub(crate) fn check_string(text: &str, open: usize) -> Result<(usize, usize), ContentProblem> {
    let bytes = text.as_bytes();
    let (mut at, mut saved) = (open + 1, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Ok((at + 1, saved)),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => match unit(text, at) {
                Some(0) => {
                    return Err(ContentProblem::NulCharacter { path: nul_path(text) });
                }
                Some(0xD800..=0xDBFF) if matches!(unit(text, at + 6), Some(0xDC00..=0xDFFF)) => {
                    // four bytes instead of two escapes
                    saved += 8;
                    at += 12;
                }
                Some(0xD800..=0xDFFF) => return Err(ContentProblem::LoneSurrogate { at }),
                code => {
                    saved += match code.and_then(char::from_u32) {
                        Some('\u{8}' | '\u{c}' | '\n' | '\r' | '\t' | '"' | '\\') => 4,
                        Some(other) if other >= ' ' => 6 - other.len_utf8(),
                        _ => 0,
                    };
                    at += 6;
                }
            },
            b'\\' => {
                saved += usize::from(bytes.get(at + 1) == Some(&b'/'));
                at += 2;
            }
            _ => at += 1,
        }
    }
    Ok((at, saved))
}

/// The JSON pointer of the first string or key with U+0000.
fn nul_path(text: &str) -> String {
    fn find(value: &Value, path: &mut String) -> bool {
        let length = path.len();
        let found = match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().enumerate().any(|(index, item)| {
                path.truncate(length);
                path.push_str(&format!("/{index}"));
                find(item, path)
            }),
            Value::Object(fields) => fields.iter().any(|(key, item)| {
                path.truncate(length);
                path.push('/');
                path.push_str(&pointer_token(key).replace('\0', "\\u0000"));
                key.contains('\0') || find(item, path)
            }),
            _ => false,
        };
        if !found {
            path.truncate(length);
        }
        found
    }
    let mut path = String::new();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        find(&value, &mut path);
    }
    if path.is_empty() { "/".to_owned() } else { path }
}
