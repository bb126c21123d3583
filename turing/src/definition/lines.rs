//! On which line of its text each part of a definition stands.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use turing_domain::{Place, Problem};

use super::Finding;

/// The lines of a text, to tell on which one a byte is.
#[derive(Debug, Clone)]
pub(crate) struct LineNumbers {
    /// Where each line but the first begins.
    starts: Vec<usize>,
    length: usize,
}

impl LineNumbers {
    pub(crate) fn of(text: &[u8]) -> Self {
        let feeds = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        Self { starts: feeds.map(|(at, _)| at + 1).collect(), length: text.len() }
    }

    /// The line of a byte, from 1. The end of the text is on its last line.
    pub(crate) fn line(&self, byte: usize) -> usize {
        let byte = byte.min(self.length.saturating_sub(1));
        self.starts.partition_point(|start| *start <= byte) + 1
    }

    /// The line of the first byte of a range, if there is one.
    pub(crate) fn of_span(&self, span: Option<Range<usize>>) -> usize {
        self.line(span.map_or(0, |span| span.start))
    }
}

/// The lines of a definition's parts.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    root: Part,
}

/// A value, and the values in it.
#[derive(Debug, Clone, Default)]
struct Part {
    line: usize,
    keys: BTreeMap<String, Part>,
    items: Vec<Part>,
}

impl Lines {
    pub(super) fn of(table: &Spanned<DeTable<'_>>, numbers: &LineNumbers) -> Self {
        let keys = keys_of(table.get_ref(), numbers);
        Self { root: Part { line: 1, keys, items: Vec::new() } }
    }

    /// The problem with the line of what it is about, or of the nearest part around that.
    pub(super) fn finding(&self, file: &str, problem: Problem) -> Finding {
        let part = self.part(problem.place, problem.index);
        let names = problem.setting.into_iter().flat_map(|setting| setting.split('.'));
        Finding::of_problem(file, part.within(names).line, problem)
    }

    /// The line of a part of the schema of the conversation at this index, as far as it is written
    /// down as a table; `pointer` is a JSON pointer within the schema.
    pub(super) fn of_schema(&self, index: usize, pointer: &str) -> usize {
        let conversation = self.root.within(["conversations"]).item(index);
        conversation.within(["schema"]).pointed(pointer).line
    }

    /// The same for the form of the actor at this index.
    pub(super) fn of_form(&self, index: usize, pointer: &str) -> usize {
        let actor = self.root.within(["actors"]).item(index);
        actor.within(["form"]).pointed(pointer).line
    }

    /// The line of a key of the actor at this index.
    pub(super) fn of_actor(&self, index: usize, setting: &str) -> usize {
        self.root.within(["actors"]).item(index).within([setting]).line
    }

    fn part(&self, place: Place, index: usize) -> &Part {
        let list = |name| self.root.within([name]).item(index);
        match place {
            Place::Workflow => self.root.within(["workflow"]),
            Place::Actor(_) => list("actors"),
            Place::Conversation(_) => list("conversations"),
            Place::Branch(_, number) => {
                let index = usize::try_from(number).unwrap_or(0).saturating_sub(1);
                list("conversations").within(["branches"]).item(index)
            }
        }
    }
}

impl Part {
    fn of(line: usize, value: &DeValue<'_>, numbers: &LineNumbers) -> Self {
        match value {
            DeValue::Table(table) => {
                Self { line, keys: keys_of(table, numbers), ..Self::default() }
            }
            DeValue::Array(values) => {
                let item = |value: &Spanned<DeValue<'_>>| {
                    Self::of(numbers.line(value.span().start), value.get_ref(), numbers)
                };
                Self { line, items: values.iter().map(item).collect(), ..Self::default() }
            }
            _ => Self { line, ..Self::default() },
        }
    }

    /// The part of this path, as far as it is written down.
    fn within<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> &Self {
        let mut part = self;
        for name in names {
            match part.keys.get(name) {
                Some(inner) => part = inner,
                None => break,
            }
        }
        part
    }

    /// The part that a JSON pointer leads to, as far as it is written down.
    fn pointed(&self, pointer: &str) -> &Self {
        let mut part = self;
        for name in pointer.split('/').skip(1) {
            let name = name.replace("~1", "/").replace("~0", "~");
            let inner = match name.parse() {
                Ok(place) if !part.items.is_empty() => part.item(place),
                _ => part.within([name.as_str()]),
            };
            if std::ptr::eq(inner, part) {
                break;
            }
            part = inner;
        }
        part
    }

    fn item(&self, index: usize) -> &Self {
        self.items.get(index).unwrap_or(self)
    }
}

fn keys_of(table: &DeTable<'_>, numbers: &LineNumbers) -> BTreeMap<String, Part> {
    let part = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.to_string(), Part::of(numbers.line(key.span().start), value.get_ref(), numbers))
    };
    table.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_line_that_exists() {
        for (text, expected) in
            [("", vec![1]), ("a", vec![1, 1]), ("a\n", vec![1, 1, 1]), ("\n\nb", vec![1, 2, 3, 3])]
        {
            let numbers = LineNumbers::of(text.as_bytes());
            let lines: Vec<_> = (0..=text.len()).map(|byte| numbers.line(byte)).collect();
            assert_eq!(lines, expected, "{text:?}");
        }
    }
}
