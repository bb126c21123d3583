//! One pass over a JSON text that writes it in another form.

use std::borrow::Cow;
use std::ops::Range;

use super::decimal::{Decimal, is_plain};
use super::strings::{
    needs_escape, number_at, pointer_token, string_end, unescaped, write_escaped,
};
use crate::content::{ContentProblem, check_string};
use crate::limits::Limits;

/// What becomes of numbers, and of members that are repeated.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Numbers are written out and keep their kind; each name stands once.
    Canonical { max_bytes: usize },
    /// Numbers as a decimal database type writes them; the last of a name counts.
    Stored,
    /// Every value in one spelling; the last of a name counts.
    Normal,
}

/// A pass over a text, without recursion. Members stay where they are at first: those of all objects
/// are brought into their order at the end, so that each byte is copied once.
pub(super) struct Writer<'a> {
    text: &'a str,
    at: usize,
    form: Form,
    out: String,
    open: Vec<Open>,
    /// The members of all open objects; those of the innermost last.
    members: Vec<Member<'a>>,
    unordered: Vec<Unordered>,
    is_key_next: bool,
    /// True once a number was written in another way, or a member was left out.
    is_changed: bool,
}

/// An object or array that was begun.
struct Open {
    is_object: bool,
    /// Where its bracket stands in what was written.
    start: usize,
    /// Its first one in `members`, if it is an object.
    first: usize,
    /// How many elements of it are behind.
    index: usize,
}

struct Member<'a> {
    key: Cow<'a, str>,
    /// Where its text begins in what was written.
    start: usize,
}

/// An object whose members stand in another order than theirs, in what was written.
struct Unordered {
    /// From its opening bracket to its closing one, which is not part of it.
    place: Range<usize>,
    /// The members in their order.
    members: Vec<Range<usize>>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(text: &'a str, form: Form) -> Self {
        Self {
            text,
            at: 0,
            form,
            out: String::with_capacity(text.len()),
            open: Vec::new(),
            members: Vec::new(),
            unordered: Vec::new(),
            is_key_next: false,
            is_changed: false,
        }
    }

    pub(super) fn written(mut self) -> Result<Cow<'a, str>, ContentProblem> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                b'{' | b'[' => self.begin(byte == b'{'),
                b'}' | b']' => self.end(byte)?,
                b',' => {
                    self.out.push(',');
                    self.at += 1;
                    let open = self.open.last_mut();
                    self.is_key_next = open.is_some_and(|open| {
                        open.index += 1;
                        open.is_object
                    });
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
        if matches!(self.form, Form::Stored) && !self.is_changed {
            return Ok(Cow::Borrowed(self.text));
        }
        Ok(Cow::Owned(match self.unordered.is_empty() {
            true => self.out,
            false => ordered(&self.out, self.unordered),
        }))
    }

    fn begin(&mut self, is_object: bool) {
        let (start, first) = (self.out.len(), self.members.len());
        self.open.push(Open { is_object, start, first, index: 0 });
        self.out.push(if is_object { '{' } else { '[' });
        self.at += 1;
        self.is_key_next = is_object;
    }

    fn end(&mut self, bracket: u8) -> Result<(), ContentProblem> {
        if let Some(open) = self.open.pop() {
            self.order(&open)?;
            self.members.truncate(open.first);
        }
        self.out.push(char::from(bracket));
        self.at += 1;
        self.is_key_next = false;
        Ok(())
    }

    /// Notes the order of the members of what ends here, each name once.
    fn order(&mut self, open: &Open) -> Result<(), ContentProblem> {
        let members = &self.members[open.first..];
        let is_ordered = members.windows(2).all(|pair| {
            let (a, b) = (&pair[0].key, &pair[1].key);
            (a.len(), a) < (b.len(), b)
        });
        if is_ordered {
            return Ok(());
        }
        let ends = members.iter().skip(1).map(|next| next.start - 1).chain([self.out.len()]);
        let mut parts: Vec<_> = members
            .iter()
            .zip(ends)
            .map(|(member, end)| (&member.key, member.start..end))
            .collect();
        parts.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        let repeated = parts.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some(pair) = repeated {
            if matches!(self.form, Form::Canonical { .. }) {
                return Err(ContentProblem::RepeatedMember { path: self.path(open, pair[0].0) });
            }
            self.is_changed = true;
        }
        // the sorting is stable: the last of a name is the last that was written
        let is_last =
            |index: usize| parts.get(index + 1).is_none_or(|next| next.0 != parts[index].0);
        let members = (0..parts.len()).filter(|index| is_last(*index));
        let members = members.map(|index| parts[index].1.clone()).collect();
        self.unordered.push(Unordered { place: open.start..self.out.len(), members });
        Ok(())
    }

    /// Where a member of the innermost object stands, as a JSON pointer.
    fn path(&self, innermost: &Open, key: &str) -> String {
        let mut path = String::new();
        let within = self.open.iter().skip(1).chain([innermost]);
        for (around, within) in self.open.iter().zip(within) {
            let token = match around.is_object {
                true => within.first.checked_sub(1).map(|at| pointer_token(&self.members[at].key)),
                false => Some(around.index.to_string()),
            };
            path.push('/');
            path.push_str(&token.unwrap_or_default());
        }
        path + "/" + &pointer_token(key)
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
            None if has_escape && matches!(self.form, Form::Canonical { .. }) => {
                check_string(self.text, start - 1)?;
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
        match self.form {
            Form::Normal => Decimal::of(text).write_normal(&mut self.out),
            // nearly all numbers
            _ if is_plain(text) => self.out.push_str(text),
            Form::Stored => {
                let number = Decimal::of(text);
                let start = self.out.len();
                // a longer one is nothing that any type reads, or zero
                match number.plain_bytes().is_some_and(|bytes| bytes <= Limits::NUMBER_BYTES) {
                    true => number.write_plain(&mut self.out),
                    false => self.out.push_str(text),
                }
                self.is_changed |= self.out[start..] != *text;
            }
            Form::Canonical { max_bytes } => {
                let number = Decimal::of(text);
                let Some(bytes) = number.plain_bytes().filter(|bytes| *bytes <= max_bytes) else {
                    let (at, limit) = (self.at, Limits::EXPONENT);
                    return Err(ContentProblem::HugeNumber { at, limit });
                };
                let bytes = self.out.len() + bytes;
                if bytes > max_bytes {
                    return Err(ContentProblem::TooLarge { bytes, limit: max_bytes });
                }
                number.write_canonical(&mut self.out);
            }
        }
        self.at += text.len().max(1);
        Ok(())
    }
}

/// The text with the members of these objects in their order.
fn ordered(text: &str, mut objects: Vec<Unordered>) -> String {
    objects.sort_unstable_by_key(|object| object.place.start);
    let mut out = String::with_capacity(text.len());
    // what is still to be copied, the next part last, and whether a comma stands before it
    let mut rest = vec![(0..text.len(), false)];
    while let Some((part, is_after_comma)) = rest.pop() {
        if is_after_comma {
            out.push(',');
        }
        let next = objects.partition_point(|object| object.place.start < part.start);
        let object = objects.get(next).filter(|object| object.place.end <= part.end);
        let Some(Unordered { place, members }) = object else {
            out.push_str(&text[part]);
            continue;
        };
        out.push_str(&text[part.start..=place.start]);
        rest.push((place.end..part.end, false));
        let members = members.iter().enumerate().rev();
        rest.extend(members.map(|(index, member)| (member.clone(), index > 0)));
    }
    out
}
