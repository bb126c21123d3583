//! What differs between two JSON values.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::canonical::pointer_token;
use crate::limits::Limits;
use crate::payload::{Parts, Payload};

/// One place at which two JSON values differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The place as a JSON pointer (RFC 6901), such as `/outputs/9184`; empty for the whole value.
    pub path: String,
    /// What stands there in the old value; `None` if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Payload>,
    /// What stands there in the new value; `None` if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Payload>,
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
/// so an element that is put in front moves all others. Numbers are compared by value, to the last
/// digit: `1` and `1.0` do not differ. Two documents without differences are the same JSON value.
/// What is nested deeper than any store takes is one place.
///
/// ```
/// use es_core::event::Payload;
/// use es_core::execution::differences;
///
/// let old = Payload::parse(r#"{"open":[1,2],"wei":18446744073709551616}"#.to_owned())?;
/// let new = Payload::parse(r#"{"open":[1],"wei":18446744073709551617}"#.to_owned())?;
/// let told: Vec<_> = differences(&old, &new).iter().map(ToString::to_string).collect();
/// assert_eq!(told, ["/open/1: 2 -> -", "/wei: 18446744073709551616 -> 18446744073709551617"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn differences(old: &Payload, new: &Payload) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut String::new(), Limits::default().depth, Some(old), Some(new), &mut found);
    found
}

/// Compares what stands at a place, and what is at most `depth` levels below it.
fn compare(
    path: &mut String,
    depth: usize,
    old: Option<&Payload>,
    new: Option<&Payload>,
    found: &mut Vec<Difference>,
) {
    let (Some(a), Some(b)) = (old, new) else {
        let (path, old, new) = (path.clone(), old.cloned(), new.cloned());
        return found.push(Difference { path, old, new });
    };
    if a.same_json(b) {
        return;
    }
    let within = |path: &mut String, token: &str, old, new, found: &mut _| {
        let length = path.len();
        path.push('/');
        path.push_str(token);
        compare(path, depth - 1, old, new, found);
        path.truncate(length);
    };
    match (a.parts(), b.parts()) {
        (Parts::Object(old), Parts::Object(new)) if depth > 0 => {
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                within(path, &pointer_token(key), old.get(key), new.get(key), found);
            }
        }
        (Parts::Array(old), Parts::Array(new)) if depth > 0 => {
            for index in 0..old.len().max(new.len()) {
                within(path, &index.to_string(), old.get(index), new.get(index), found);
            }
        }
        _ => {
            let (path, old, new) = (path.clone(), old.cloned(), new.cloned());
            found.push(Difference { path, old, new });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(old: &Value, new: &Value) -> Vec<Difference> {
        differences(&old.clone().into(), &new.clone().into())
    }

    fn told(old: &Value, new: &Value) -> Vec<String> {
        found(old, new).iter().map(ToString::to_string).collect()
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
        assert_eq!(found(&value, &value.clone()), []);
        let whole = found(&json!(1), &json!("1"));
        assert_eq!((whole.len(), whole[0].path.as_str()), (1, ""));
        assert_eq!(
            told(&json!(9_007_199_254_740_993_u64), &json!(9_007_199_254_740_992_u64)).len(),
            1
        );
    }

    #[test]
    fn numbers_of_any_length_differ_at_their_place_and_by_their_digits() {
        let parse = |text: &str| Payload::parse(text.to_owned()).unwrap();
        let cases = [
            ("18446744073709551616", "18446744073709551617"),
            ("0.12345678901234567890", "0.12345678901234567891"),
            ("1e400", "1e401"),
            ("-1e400", "1e400"),
        ];
        for (a, b) in cases {
            let document = |number: &str| parse(&format!(r#"{{"same":{a},"x":[{number}]}}"#));
            let found = differences(&document(a), &document(b));
            let told: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(told, [format!("/x/0: {a} -> {b}")]);
        }
        assert_eq!(differences(&parse("[1e400,1.50]"), &parse("[10e399,1.5]")), []);
    }

    #[test]
    fn what_no_store_takes_is_compared_without_harm() {
        let parse = |text: &str| Payload::parse(text.to_owned()).unwrap();
        let deep = |inner: &str| parse(&("[".repeat(50_000) + inner + &"]".repeat(50_000)));
        assert_eq!(differences(&deep("1"), &deep("1.0")), []);
        assert_eq!(differences(&deep("1"), &deep("2")).len(), 1);
        let half = |number| parse(&format!(r#"{{"\ud800":{number}}}"#));
        assert_eq!(differences(&half(1), &half(2))[0].path, "");
        let gone = Payload::unreadable("nothing is there");
        assert_eq!(differences(&gone, &parse("null")).len(), 1);
    }

    #[test]
    fn paths_are_json_pointers_whatever_the_keys_are() {
        let (old, new) =
            (json!({"a/b~c": {"": 1}, "": {"0": 1}}), json!({"a/b~c": {"": 2}, "": {"0": 2}}));
        for difference in found(&old, &new) {
            let at = |value: &Value| value.pointer(&difference.path).cloned().map(Payload::from);
            assert_eq!((at(&old), at(&new)), (difference.old.clone(), difference.new.clone()));
        }
        assert_eq!(told(&old, &new), ["//0: 1 -> 2", "/a~1b~0c/: 1 -> 2"]);
    }
}
