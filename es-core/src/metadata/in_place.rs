//! Metadata read where they stand, in one pass.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::extra::{Extra, Places};
use super::{Metadata, STANDARD};

/// More fields than metadata have; the name of each is compared with each.
const MOST: usize = 32;

/// The metadata that a text is, and whether every store reads them as they stand there; `None` for a
/// text that is no object, and for an object with a name that has an escape or stands twice, or with too
/// many fields.
pub(super) fn read(text: &str) -> Option<(Metadata, bool)> {
    u32::try_from(text.len()).ok()?;
    let mut scan = Scan { text, at: 0, is_plain: true };
    let (mut metadata, mut is_set) = (Metadata::default(), [false; STANDARD.len()]);
    let mut places = Places::default();
    scan.expect(b'{')?;
    let mut is_open = scan.expect(b'}').is_none();
    while is_open {
        let name_at = scan.string()?;
        let name = text.get(name_at.clone())?;
        scan.expect(b':')?;
        let value_at = scan.value()?;
        let value = text.get(value_at.clone())?;
        let standard = STANDARD.iter().position(|standard| *standard == name);
        let is_odd = match standard {
            Some(at) => std::mem::replace(&mut is_set[at], true),
            None => places.len() == MOST || places.names(text).any(|other| other == name),
        };
        if is_odd {
            return None;
        }
        let is_typed = standard.is_some() && metadata.set_standard(name, value);
        if !is_typed && value != "null" {
            places.add(name_at, value_at);
        }
        is_open = scan.expect(b',').is_some();
        if !is_open {
            scan.expect(b'}')?;
        }
    }
    if scan.at < text.len() {
        return None;
    }
    metadata.extra = Extra::of_object(text, places);
    Some((metadata, scan.is_plain))
}

/// A place in a text that is looked at once, from the front.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// True as long as every value is spelt so that it is seen at once how it is read.
    is_plain: bool,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Passes white space.
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.rest().first() {
            self.at += 1;
        }
    }

    /// Passes this byte and the white space around it; `None` if it is another one.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space();
        if self.rest().first() != Some(&byte) {
            return None;
        }
        self.at += 1;
        self.space();
        Some(())
    }

    /// Passes a string and answers where its characters stand; not one with an escape.
    fn string(&mut self) -> Option<Range<usize>> {
        let string = self.rest().strip_prefix(b"\"")?;
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let length = string.iter().position(ends)?;
        if string[length] != b'"' {
            return None;
        }
        let start = self.at + 1;
        self.at = start + length + 1;
        Some(start..start + length)
    }

    /// Passes a value and answers where it stands.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let rest = self.rest();
        let length = match *rest.first()? {
            b'"' => self.string().map(|string| string.len() + 2),
            b'-' | b'0'..=b'9' => plain_number(rest),
            _ => ["true", "false", "null"]
                .into_iter()
                .find(|word| rest.starts_with(word.as_bytes()))
                .map(str::len),
        };
        let length = match length {
            Some(length) => length,
            None => {
                self.is_plain = false;
                let mut rest = serde_json::Deserializer::from_str(self.text.get(start..)?);
                // as text: what cannot be read costs its own field and not the event
                <&RawValue>::deserialize(&mut rest).ok()?.get().len()
            }
        };
        self.at = start + length;
        Some(start..self.at)
    }
}

/// The length of the number that begins here, if every store reads it as it stands.
fn plain_number(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = digits(sign);
    let is_zero = text.get(sign) == Some(&b'0');
    // zero has no sign, and no other number begins with it
    if whole == 0 || (is_zero && sign + whole > 1) {
        return None;
    }
    let end = sign + whole;
    let length = match text.get(end) {
        Some(b'.') => match digits(end + 1) {
            0 => return None,
            fraction => end + 1 + fraction,
        },
        _ => end,
    };
    (!matches!(text.get(length), Some(b'e' | b'E'))).then_some(length)
}
