//! What a JSON document must look like, as the author of a workflow wrote it.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A JSON schema (draft 2020-12), written as a TOML table or as the text of a JSON object.
///
/// It is a document here. Whether it is a schema is for those to say who validate by it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct JsonSchema(Value);

impl JsonSchema {
    /// The schema as JSON: an object.
    pub fn document(&self) -> &Value {
        &self.0
    }
}

impl<'de> Deserialize<'de> for JsonSchema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = match Value::deserialize(deserializer)? {
            Value::String(text) => serde_json::from_str(&text)
                .map_err(|error| D::Error::custom(format!("the schema is no JSON: {error}")))?,
            written => written,
        };
        match document {
            Value::Object(_) => Ok(Self(document)),
            _ => Err(D::Error::custom("a schema is a table, or the text of a JSON object")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Written {
        schema: JsonSchema,
    }

    fn read(text: &str) -> Result<Value, String> {
        let written = toml::from_str::<Written>(text);
        written.map(|it| it.schema.document().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_table_and_a_text_are_the_same_schema() {
        let expected = json!({"type": "object", "required": ["grade"],
            "properties": {"grade": {"type": "integer", "maximum": 5}}});
        let table = "[schema]\ntype = \"object\"\nrequired = [\"grade\"]\n\
                     [schema.properties.grade]\ntype = \"integer\"\nmaximum = 5\n";
        assert_eq!(read(table), Ok(expected.clone()));
        assert_eq!(read(&format!("schema = '{expected}'\n")), Ok(expected));
    }

    #[test]
    fn what_is_no_object_is_no_schema() {
        for other in ["true", "3", "[1]", "'[1]'", "'true'"] {
            let error = read(&format!("schema = {other}\n")).unwrap_err();
            assert!(error.contains("a table, or the text of a JSON object"), "{error}");
        }
        let error = read("schema = '{'\n").unwrap_err();
        assert!(error.contains("the schema is no JSON: "), "{error}");
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let schema = JsonSchema(json!({"minimum": 0.1, "enum": [1, "a", null]}));
        let text = serde_json::to_string(&schema).unwrap();
        assert_eq!(serde_json::from_str::<JsonSchema>(&text).unwrap(), schema);
    }
}
