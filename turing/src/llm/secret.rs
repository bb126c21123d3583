//! A key that nobody reads by accident.

use std::fmt;

use hyper::header::{HeaderValue, InvalidHeaderValue};

/// What is shown in place of a key.
const SHOWN: &str = "***";

/// How much of a key tells nothing of it, in bytes: many begin with the name of who gave them.
const TELLS_NOTHING: usize = 7;

/// The key of an endpoint.
///
/// It is shown as `***`, and no error or event holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a key, without the white space around it that a file or a shell may have added.
    pub fn new(key: &str) -> Self {
        Self(key.trim().to_owned())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the endpoint is shown.
    pub(super) fn to_header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The text without the key, which an endpoint may repeat in its answer as it is or in JSON, and
    /// break off there.
    pub(super) fn remove_from(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        let quoted = serde_json::Value::from(self.0.as_str()).to_string();
        let text = text.replace(&self.0, SHOWN).replace(&quoted[1..quoted.len() - 1], SHOWN);
        match self.begun_at_the_end_of(&text) {
            Some(before) => format!("{before}{SHOWN}"),
            None => text,
        }
    }

    /// What stands before the beginning of the key that the text ends with, if it ends so.
    fn begun_at_the_end_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        let lengths = self.0.char_indices().map(|(length, _)| length);
        let mut telling = lengths.filter(|length| *length > TELLS_NOTHING).rev();
        telling.find_map(|length| text.strip_suffix(&self.0[..length]))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}
