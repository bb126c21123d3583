//! A key that nobody reads by accident.

use std::fmt;

use hyper::header::{HeaderValue, InvalidHeaderValue};

/// What is shown in place of a key.
const SHOWN: &str = "***";

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

    /// The text without the key, which an endpoint may repeat in its answer as it is or in JSON.
    pub(super) fn remove_from(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        let quoted = serde_json::Value::from(self.0.as_str()).to_string();
        text.replace(&self.0, SHOWN).replace(&quoted[1..quoted.len() - 1], SHOWN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}
