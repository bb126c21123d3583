//! What differs between two JSON values.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::canonical::same_value;

/// One place at which two JSON values differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The place as a JSON pointer (RFC 6901), such as `/outputs/9184`; empty for the whole value.
    pub path: String,
    /// What stands there in the old value; `None` if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What stands there in the new value; `None` if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

impl fmt::Display for Difference {
    /// `path: old -> new`, with `-` where there is nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "(all)" } else { &self.path };
        write!(f, "{path}: ")?;
        match &self.old {
            Some(old) => write!(f, "{old} -> ")?,
            None => f.write_str("- -> ")?,
        }
        match &self.new {
            Some(new) => write!(f, "{new}"),
            None => f.write_str("-"),
        }
    }
}

/// Every place at which `new` differs from `old`, as deep as possible.
///
/// Objects are compared key by key, in the order of the keys; arrays element by element, by index,
/// so an element that is put in front moves all others. Numbers are compared by value: `1` and `1.0`
/// do not differ. Two values without differences are the same JSON value.
///
/// ```
/// use es_core::differences;
/// use serde_json::json;
///
/// let (old, new) = (json!({"open": [1, 2], "paid": 0}), json!({"open": [1], "paid": 5}));
/// let told: Vec<_> = differences(&old, &new).iter().map(ToString::to_string).collect();
/// assert_eq!(told, ["/open/1: 2 -> -", "/paid: 0 -> 5"]);
/// ```
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut String::new(), Some(old), Some(new), &mut found);
    found
}

fn compare(
    path: &mut String,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in keys(old, new) {
                within(path, &escaped(key), |path| {
                    compare(path, old.get(key), new.get(key), found);
                });
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                within(path, &index.to_string(), |path| {
                    compare(path, old.get(index), new.get(index), found);
                });
            }
        }
        (Some(a), Some(b)) if same_value(a, b) => {}
        (None, None) => {}
        (old, new) => {
            let (path, old, new) = (path.clone(), old.cloned(), new.cloned());
            found.push(Difference { path, old, new });
        }
    }
}

/// The keys of both, in order, each once.
fn keys<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn within(path: &mut String, token: &str, compare: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(token);
    compare(path);
    path.truncate(length);
}

/// A key as a token of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(old: &Value, new: &Value) -> Vec<String> {
        differences(old, new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_kind_of_change_is_told_at_its_place() {
        let old = json!({"same": [1, {"x": null}], "gone": 1, "list": [1, 2, 3], "kind": {"a": 1}});
        let new = json!({"same": [1.0, {"x": null}], "came": null, "list": [1, 5], "kind": [1]});
        assert_eq!(
            told(&old, &new),
            [
                "/came: - -> null",
                "/gone: 1 -> -",
                "/kind: {\"a\":1} -> [1]",
                "/list/1: 2 -> 5",
                "/list/2: 3 -> -",
            ]
        );
    }

    #[test]
    fn nothing_is_told_of_the_same_value_and_the_root_has_the_empty_path() {
        let value = json!({"a": [{"b": 9_007_199_254_740_993_u64}]});
        assert_eq!(differences(&value, &value.clone()), []);
        let whole = differences(&json!(1), &json!("1"));
        assert_eq!((whole.len(), whole[0].path.as_str()), (1, ""));
        assert_eq!(
            told(&json!(9_007_199_254_740_993_u64), &json!(9_007_199_254_740_992_u64)).len(),
            1
        );
    }

    #[test]
    fn paths_are_json_pointers_whatever_the_keys_are() {
        let (old, new) =
            (json!({"a/b~c": {"": 1}, "": {"0": 1}}), json!({"a/b~c": {"": 2}, "": {"0": 2}}));
        for difference in differences(&old, &new) {
            assert_eq!(old.pointer(&difference.path), difference.old.as_ref(), "{difference}");
            assert_eq!(new.pointer(&difference.path), difference.new.as_ref(), "{difference}");
        }
        assert_eq!(told(&old, &new), ["//0: 1 -> 2", "/a~1b~0c/: 1 -> 2"]);
    }
}
