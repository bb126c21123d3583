//! The fields of a form: what is asked for, and an answer made of texts.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Number, Value};
use turing_domain::JsonSchema;

/// A field that a form asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormField {
    /// Its name.
    pub name: String,
    /// What it may be, in words; none if the form does not say.
    pub what: Option<String>,
    /// Whether an answer without it is refused.
    pub is_required: bool,
    /// What it is about, as the form describes it.
    pub description: Option<String>,
}

/// A field that cannot be what it was said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// It was given twice.
    #[error("field `{name}` is given twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// The form has no such field.
    #[error("the form has no field `{name}`; it has {}", listed(known))]
    Unknown {
        /// Its name.
        name: String,
        /// The fields that there are.
        known: Vec<String>,
    },
    /// The text is none of the values that it may have.
    #[error("field `{name}` is {what}, not `{text}`")]
    Value {
        /// Its name.
        name: String,
        /// What it may be.
        what: String,
        /// What was given.
        text: String,
    },
}

fn listed(names: &[String]) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

/// What is asked where there is no form.
static NOTHING: Value = Value::Null;

/// So many references and alternatives within one another are followed; a schema may refer to itself.
const DEEPEST: usize = 8;

/// The schema that is referred to within its form, if one is.
fn resolved<'a>(form: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
        match pointer.and_then(|pointer| form.pointer(pointer)) {
            Some(meant) => schema = meant,
            None => break,
        }
    }
    schema
}

/// The types that a schema names, itself or by its alternatives; none if it may be anything.
struct Types<'a>(Vec<&'a str>);

impl<'a> Types<'a> {
    fn of(form: &'a Value, schema: &'a Value) -> Self {
        Self(types(form, schema, DEEPEST))
    }
}

fn types<'a>(form: &'a Value, schema: &'a Value, deepest: usize) -> Vec<&'a str> {
    let Some(deepest) = deepest.checked_sub(1) else { return Vec::new() };
    let schema = resolved(form, schema);
    match schema.get("type") {
        Some(Value::String(one)) => return vec![one.as_str()],
        Some(Value::Array(some)) => return some.iter().filter_map(Value::as_str).collect(),
        _ => {}
    }
    let parts = |name: &str| schema.get(name).and_then(Value::as_array);
    let types_of = |part: &'a Value| types(form, part, deepest);
    if let Some(all) = parts("allOf") {
        return all.iter().map(types_of).find(|types| !types.is_empty()).unwrap_or_default();
    }
    let alternatives = parts("anyOf").or_else(|| parts("oneOf")).into_iter().flatten();
    let alternatives: Vec<_> = alternatives.map(types_of).collect();
    match alternatives.iter().any(Vec::is_empty) {
        true => Vec::new(),
        false => alternatives.concat(),
    }
}

impl fmt::Display for Types<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self
            .0
            .iter()
            .map(|name| match *name {
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "true or false",
                "string" => "a text",
                "array" => "a list in JSON",
                "object" => "an object in JSON",
                other => other,
            })
            .collect();
        f.write_str(&words.join(" or "))
    }
}

/// The values that a schema names one by one.
fn choices(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(all)), _) => Some(all.iter().collect()),
        (_, Some(one)) => Some(vec![one]),
        _ => None,
    }
}

/// What a field may be, in words.
fn words(form: &Value, schema: &Value) -> Option<String> {
    let schema = resolved(form, schema);
    if let Some(choices) = choices(schema) {
        let shown = choices.iter().map(|choice| match choice {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let shown: Vec<_> = shown.collect();
        return Some(match shown.len() {
            1 => shown.join(""),
            _ => format!("one of {}", shown.join(", ")),
        });
    }
    let types = Types::of(form, schema);
    (!types.0.is_empty()).then(|| types.to_string())
}

fn properties(form: &JsonSchema) -> Option<&Map<String, Value>> {
    form.document().get("properties")?.as_object()
}

/// The fields that a form asks for, if it is one of an object.
pub fn fields_of(form: &JsonSchema) -> Vec<FormField> {
    let required = form.document().get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
    let fields = properties(form).into_iter().flatten().map(|(name, schema)| FormField {
        name: name.clone(),
        what: words(form.document(), schema),
        is_required: is_required(name),
        description: schema.get("description").and_then(Value::as_str).map(str::to_owned),
    });
    fields.collect()
}

/// An object of fields that were given as texts, each as the form asks for it.
///
/// # Errors
///
/// [`FieldError`] names the field.
pub fn from_fields(
    form: Option<&JsonSchema>,
    fields: &[(String, String)],
) -> Result<Value, FieldError> {
    let known = form.and_then(properties);
    let document = form.map_or(&NOTHING, JsonSchema::document);
    // of what a name must match the form itself judges
    let others = match document.get("patternProperties") {
        Some(_) => None,
        None => document.get("additionalProperties"),
    };
    let is_closed = others == Some(&Value::Bool(false));
    let mut object = Map::new();
    for (name, text) in fields {
        let schema = known.and_then(|known| known.get(name)).or(others);
        if is_closed && known.is_none_or(|known| !known.contains_key(name)) {
            let known = known.into_iter().flatten().map(|(name, _)| name.clone()).collect();
            return Err(FieldError::Unknown { name: name.clone(), known });
        }
        let value = match schema {
            Some(schema) => typed(document, schema, text).ok_or_else(|| FieldError::Value {
                name: name.clone(),
                what: words(document, schema).unwrap_or_default(),
                text: text.clone(),
            })?,
            None => Value::String(text.clone()),
        };
        if object.insert(name.clone(), value).is_some() {
            return Err(FieldError::Twice { name: name.clone() });
        }
    }
    Ok(Value::Object(object))
}

/// The value that a text stands for.
fn typed(form: &Value, schema: &Value, text: &str) -> Option<Value> {
    let schema = resolved(form, schema);
    if let Some(choices) = choices(schema) {
        let as_json = serde_json::from_str::<Value>(text).ok();
        let is_meant =
            |choice: &&&Value| choice.as_str() == Some(text) || as_json.as_ref() == Some(**choice);
        return choices.iter().find(is_meant).map(|choice| (*choice).clone());
    }
    let Types(types) = Types::of(form, schema);
    if types.is_empty() {
        return Some(Value::String(text.to_owned()));
    }
    // a text may be anything, so it comes last
    let mut others = types.iter().filter(|name| **name != "string");
    others
        .find_map(|name| of_type(name, text))
        .or_else(|| types.contains(&"string").then(|| Value::String(text.to_owned())))
}

fn of_type(name: &str, text: &str) -> Option<Value> {
    let json = || serde_json::from_str::<Value>(text).ok();
    match name {
        "integer" => serde_json::from_str::<Number>(text)
            .ok()
            .filter(|number| number.is_i64() || number.is_u64())
            .map(Value::Number),
        "number" => serde_json::from_str::<Number>(text).ok().map(Value::Number),
        "boolean" => text.parse().ok().map(Value::Bool),
        "null" => json().filter(Value::is_null),
        "array" => json().filter(Value::is_array),
        "object" => json().filter(Value::is_object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(document: Value) -> JsonSchema {
        serde_json::from_value(document).unwrap()
    }

    fn given(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn review() -> JsonSchema {
        form(json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["verdict"],
            "properties": {
                "verdict": {"enum": ["pass", "fail", 3]},
                "score": {"type": "integer", "description": "0 to 9"},
                "weight": {"type": ["number", "null"]},
                "urgent": {"type": "boolean"},
                "note": {"type": "string"},
                "tags": {"type": "array"},
            },
        }))
    }

    #[test]
    fn values_are_of_the_types_that_the_form_asks_for() {
        let fields = given(&[
            ("verdict", "pass"),
            ("score", "7"),
            ("weight", "0.5"),
            ("urgent", "true"),
            ("note", "7"),
            ("tags", "[1]"),
        ]);
        let expected = json!({
            "verdict": "pass", "score": 7, "weight": 0.5, "urgent": true, "note": "7", "tags": [1],
        });
        assert_eq!(from_fields(Some(&review()), &fields), Ok(expected));
        let odd = given(&[("verdict", "3"), ("weight", "null")]);
        let expected = json!({"verdict": 3, "weight": null});
        assert_eq!(from_fields(Some(&review()), &odd), Ok(expected));
        assert_eq!(from_fields(None, &given(&[("a", "1")])), Ok(json!({"a": "1"})));
    }

    #[test]
    fn what_a_field_cannot_be_is_told_with_its_name() {
        let told = |fields: &[(&str, &str)]| {
            from_fields(Some(&review()), &given(fields)).unwrap_err().to_string()
        };
        let score = "field `score` is a whole number, not `7.5`";
        assert_eq!(told(&[("score", "7.5")]), score);
        let verdict = "field `verdict` is one of pass, fail, 3, not `perhaps`";
        assert_eq!(told(&[("verdict", "perhaps")]), verdict);
        assert_eq!(told(&[("note", "a"), ("note", "b")]), "field `note` is given twice");
        let unknown = told(&[("vedict", "pass")]);
        assert!(unknown.starts_with("the form has no field `vedict`; it has "), "{unknown}");
    }

    #[test]
    fn references_and_alternatives_say_what_a_value_may_be() {
        let review = form(json!({
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "$defs": {
                "grade": {"type": "integer"},
                "verdict": {"enum": ["pass", "fail"]},
                "round": {"anyOf": [{"$ref": "#/$defs/round"}]},
            },
            "properties": {
                "grade": {"$ref": "#/$defs/grade"},
                "verdict": {"$ref": "#/$defs/verdict"},
                "either": {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/grade"}]},
                "part": {"allOf": [{"minimum": 1}, {"$ref": "#/$defs/grade"}]},
                "round": {"$ref": "#/$defs/round"},
                "any": {"oneOf": [{"type": "integer"}, {"minLength": 1}]},
            },
        }));
        let fields = given(&[
            ("grade", "7"),
            ("verdict", "pass"),
            ("either", "8"),
            ("part", "9"),
            ("round", "1"),
            ("any", "2"),
            ("more", "3"),
        ]);
        let expected = json!({
            "grade": 7, "verdict": "pass", "either": 8, "part": 9, "round": "1", "any": "2", "more": 3,
        });
        assert_eq!(from_fields(Some(&review), &fields), Ok(expected));
        let told = from_fields(Some(&review), &given(&[("either", "perhaps")])).unwrap_err();
        let either = "field `either` is true or false or a whole number, not `perhaps`";
        assert_eq!(told.to_string(), either);
        let told = fields_of(&review).into_iter().find(|field| field.name == "verdict").unwrap();
        assert_eq!(told.what.as_deref(), Some("one of pass, fail"));
    }

    #[test]
    fn a_field_may_be_one_whose_name_fits_a_pattern() {
        let closed = form(json!({
            "additionalProperties": false,
            "patternProperties": {"^x_": {"type": "string"}},
        }));
        assert_eq!(from_fields(Some(&closed), &given(&[("x_a", "5")])), Ok(json!({"x_a": "5"})));
    }

    #[test]
    fn a_form_tells_its_fields() {
        let fields = fields_of(&review());
        let score = fields.iter().find(|field| field.name == "score").unwrap();
        assert_eq!(score.what.as_deref(), Some("a whole number"));
        assert_eq!(score.description.as_deref(), Some("0 to 9"));
        assert!(!score.is_required);
        assert!(fields.iter().any(|field| field.name == "verdict" && field.is_required));
        assert_eq!(fields_of(&form(json!({"type": "string"}))), []);
    }
}
