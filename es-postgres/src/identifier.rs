//! Names in the database that come from outside.

use std::fmt;
use std::str::FromStr;

/// The name of a schema, table or column: a lower-case letter or `_`, then lower-case letters, digits and
/// `_`, 40 bytes at most, so that names can be derived from it.
///
/// Such a name cannot change the meaning of a statement that it is put into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identifier(String);

/// A text that is no [`Identifier`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no name for a schema or table; use lower-case letters, digits and _, beginning \
     with no digit, at most {max} bytes", max = Identifier::BYTES
)]
pub struct InvalidIdentifier {
    text: String,
}

impl Identifier {
    /// The longest name, in bytes.
    pub const BYTES: usize = 40;

    /// The name, if it is one.
    ///
    /// # Errors
    ///
    /// [`InvalidIdentifier`] if the text breaks the rule.
    pub fn new(text: &str) -> Result<Self, InvalidIdentifier> {
        let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let is_valid = (1..=Self::BYTES).contains(&text.len())
            && text.bytes().all(is_part)
            && !text.starts_with(|c: char| c.is_ascii_digit())
            // the system keeps these for itself
            && !text.starts_with("pg_");
        if is_valid {
            return Ok(Self(text.to_owned()));
        }
        let text = text.chars().take(60).flat_map(char::escape_debug).collect();
        Err(InvalidIdentifier { text })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Identifier {
    type Err = InvalidIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_change_a_statement_are_refused() {
        for name in ["execution_events", "_e1", "select", &"x".repeat(40)] {
            assert_eq!(Identifier::new(name).unwrap().as_str(), name);
        }
        let hostile = [
            "",
            "1a",
            "A",
            "ä",
            "a b",
            "a\"b",
            "a;b",
            "a'b",
            "a.b",
            "a-b",
            "a\0",
            "a\n",
            "$a",
            "a--",
            "pg_catalog",
            "{schema}",
            "a\u{202e}",
            &"x".repeat(41),
        ];
        for name in hostile {
            let error = Identifier::new(name).unwrap_err().to_string();
            assert!(!error.contains('\0') && !error.contains('\n'), "{error}");
        }
    }
}
