//! Two JSON values that have the same elements in any order.

use std::collections::HashMap;

use super::strings::string_end;

/// True if two texts in the normal form are the same but for the order of elements in arrays.
pub(super) fn same(a: &str, b: &str) -> bool {
    let mut known = Known::default();
    match (known.number(a), known.number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Numbers for values: the same for two that are the same.
#[derive(Default)]
struct Known<'a> {
    scalars: HashMap<&'a str, usize>,
    /// By the numbers of the parts: those of an array in their own order.
    parts: HashMap<(bool, Vec<usize>), usize>,
}

impl<'a> Known<'a> {
    /// The number of a value; `None` if the text is no JSON.
    fn number(&mut self, text: &'a str) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut open = vec![(false, Vec::new())];
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let start = at;
            at += 1;
            // no scalar has the number of an object or array
            let count = self.scalars.len() + self.parts.len();
            let number = match byte {
                b',' | b':' => continue,
                b'{' | b'[' => {
                    open.push((byte == b'{', Vec::new()));
                    continue;
                }
                b'}' | b']' => {
                    let (is_object, mut parts) = open.pop()?;
                    if !is_object {
                        parts.sort_unstable();
                    }
                    *self.parts.entry((is_object, parts)).or_insert(count)
                }
                _ => {
                    at = match byte {
                        b'"' => string_end(text, start),
                        _ => {
                            let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}');
                            let end = bytes[at..].iter().position(is_end);
                            end.map_or(bytes.len(), |end| at + end)
                        }
                    };
                    *self.scalars.entry(text.get(start..at)?).or_insert(count)
                }
            };
            open.last_mut()?.1.push(number);
        }
        let (_, whole) = open.pop()?;
        whole.first().copied().filter(|_| open.is_empty() && whole.len() == 1)
    }
}
