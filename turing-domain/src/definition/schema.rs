//! JSON schemas as definitions write them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A JSON schema (draft 2020-12) written as a TOML table or as JSON text: the document only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonSchema(Value);

impl JsonSchema {
    /// The schema as a document.
    pub fn document(&self) -> &Value {
        &self.0
    }
}
