//! Strings and numbers within a JSON text.

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

pub(super) fn needs_escape(c: char) -> bool {
    c < ' ' || c == '"' || c == '\\'
}

/// Appends a text of which at most the last character needs an escape.
pub(super) fn write_escaped(part: &str, out: &mut String) {
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

/// A key as a token of a JSON pointer.
pub(crate) fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
