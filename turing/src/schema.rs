//! Whether a JSON document fits a schema.

use std::fmt;

use jsonschema::Draft;
use serde_json::Value;
use turing_domain::JsonSchema;

/// A schema that documents are held to.
///
/// It is read as of draft 2020-12, with the formats that the draft names checked, too. What it refers
/// to must stand in it: nothing is read from files, and nobody is asked over a network.
#[derive(Debug)]
pub struct Validator {
    inner: jsonschema::Validator,
}

/// Why a document is no schema.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaError {
    /// The part of the schema that is wrong, as a JSON pointer; empty for the whole.
    pub pointer: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(f, &self.pointer, &self.what)
    }
}

impl std::error::Error for SchemaError {}

/// Where a document does not fit, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The part of the document, as a JSON pointer; empty for the whole.
    pub pointer: String,
    /// What is wrong there; what stands there is not repeated.
    pub what: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell(f, &self.pointer, &self.what)
    }
}

impl std::error::Error for Mismatch {}

fn tell(f: &mut fmt::Formatter<'_>, pointer: &str, what: &str) -> fmt::Result {
    match pointer {
        "" => write!(f, "at the root: {what}"),
        pointer => write!(f, "at {pointer}: {what}"),
    }
}

impl Validator {
    /// Reads a schema.
    ///
    /// # Errors
    ///
    /// When it is none, or refers to something outside of itself.
    pub fn new(schema: &JsonSchema) -> Result<Self, SchemaError> {
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        let options = options.offline().should_validate_formats(true);
        match options.build(schema.document()) {
            Ok(inner) => Ok(Self { inner }),
            Err(error) => Err(SchemaError {
                pointer: error.instance_path().as_str().to_owned(),
                what: error.to_string(),
            }),
        }
    }

    /// Holds a document to the schema.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit.
    pub fn check(&self, document: &Value) -> Result<(), Mismatch> {
        self.inner.validate(document).map_err(|error| Mismatch {
            pointer: error.instance_path().as_str().to_owned(),
            what: error.masked().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(document: &Value) -> JsonSchema {
        serde_json::from_value(document.clone()).unwrap()
    }

    fn mismatch(document: &Value, of: &Value) -> Option<Mismatch> {
        Validator::new(&schema(of)).unwrap().check(document).err()
    }

    #[test]
    fn a_document_that_fits_is_fine_and_another_is_told_by_its_place() {
        let graded = json!({"type": "object", "required": ["verdict"], "properties": {
            "verdict": {"enum": ["pass", "fail"]},
            "marks": {"type": "array", "items": {"$ref": "#/$defs/mark"}}},
            "$defs": {"mark": {"type": "integer", "maximum": 5}}});
        assert_eq!(mismatch(&json!({"verdict": "pass", "marks": [1, 5]}), &graded), None);
        let wrong = mismatch(&json!({"verdict": "perhaps so"}), &graded).unwrap();
        assert_eq!(wrong.pointer, "/verdict");
        assert!(wrong.to_string().starts_with("at /verdict: "), "{wrong}");
        assert!(!wrong.to_string().contains("perhaps so"), "{wrong}");
        let wrong = mismatch(&json!({"verdict": "pass", "marks": [1, 6]}), &graded).unwrap();
        assert_eq!(wrong.pointer, "/marks/1");
        let wrong = mismatch(&json!([]), &graded).unwrap();
        assert!(wrong.to_string().starts_with("at the root: "), "{wrong}");
    }

    #[test]
    fn formats_count() {
        let date = json!({"type": "string", "format": "date"});
        assert_eq!(mismatch(&json!("2026-11-30"), &date), None);
        assert!(mismatch(&json!("yesterday"), &date).is_some());
    }

    #[test]
    fn what_is_no_schema_is_told_by_its_place() {
        let wrong = schema(&json!({"type": "object", "properties": {"a": {"type": "strng"}}}));
        let error = Validator::new(&wrong).unwrap_err();
        assert_eq!(error.pointer, "/properties/a/type");
        assert!(error.to_string().contains("/properties/a/type"), "{error}");
    }

    #[test]
    fn nothing_outside_of_a_schema_is_looked_at() {
        for outside in ["https://localhost:1/schema.json", "file:///etc/passwd", "other.json"] {
            let refers = schema(&json!({"$ref": outside}));
            assert!(Validator::new(&refers).is_err(), "{outside}");
        }
    }
}
