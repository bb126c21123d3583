//! Whether a document is as a JSON schema asks for.

use std::fmt;

use serde_json::Value;
use turing_domain::JsonSchema;

/// A schema that is ready to be asked.
#[derive(Debug)]
pub struct Validator;

/// What is no schema.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(String);

/// Where a document is not as the schema asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The place in the document, as a JSON pointer.
    pub pointer: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.pointer, self.what)
    }
}

#[allow(clippy::todo, unused_variables, reason = "a stand-in")]
impl Validator {
    /// Reads a schema.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] if it is none.
    pub fn new(schema: &JsonSchema) -> Result<Self, SchemaError> {
        todo!()
    }

    /// Looks at a document.
    ///
    /// # Errors
    ///
    /// The first [`Mismatch`].
    pub fn check(&self, document: &Value) -> Result<(), Mismatch> {
        todo!()
    }
}
