//! Input templates: text with `{name}` placeholders.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text in which `{name}` stands for a value.
///
/// A placeholder is a brace, a name of ASCII letters, digits and `_` that does not begin with a
/// digit, and a brace. All other braces are text, so that a prompt may show JSON. There is no
/// escape: `{{name}}` is a placeholder between two braces.
///
/// ```
/// # use turing_domain::Template;
/// let template = Template::new(r#"Answer as {"city": …} for {job_description}"#);
/// assert_eq!(template.placeholders().collect::<Vec<_>>(), ["job_description"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(String),
}

impl Template {
    /// Reads a template; every text is one.
    pub fn new(source: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(brace) = rest.find('{') {
            let (before, from_brace) = rest.split_at(brace);
            text.push_str(before);
            match placeholder_at(from_brace) {
                Some(name) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Placeholder(name.to_owned()));
                    rest = &from_brace[1..][name.len()..][1..];
                }
                None => {
                    text.push('{');
                    rest = &from_brace[1..];
                }
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Self { parts }
    }

    /// The names of the placeholders in their order, repeats included.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with every placeholder replaced by what `value_of` answers for its name.
    ///
    /// Values are put in as they are: a placeholder inside a value stays text.
    ///
    /// # Errors
    ///
    /// [`Unresolved`] names every placeholder that has no value.
    pub fn render<'a>(
        &self,
        value_of: impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Result<String, Unresolved> {
        let mut rendered = String::new();
        let mut names: Vec<String> = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Placeholder(name) => match value_of(name) {
                    Some(value) => rendered.push_str(&value),
                    None if names.contains(name) => {}
                    None => names.push(name.clone()),
                },
            }
        }
        match names.is_empty() {
            true => Ok(rendered),
            false => Err(Unresolved { names, unread: Vec::new() }),
        }
    }
}

/// The name of the placeholder that `text` begins with.
fn placeholder_at(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?;
    let name = &inside[..inside.find('}')?];
    let mut bytes = name.bytes();
    let first = bytes.next()?;
    let is_name = (first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some(name)
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Placeholder(name) => write!(f, "{{{name}}}"),
        })
    }
}

impl From<&str> for Template {
    fn from(source: &str) -> Self {
        Self::new(source)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&Cow::<'de, str>::deserialize(deserializer)?))
    }
}

/// Placeholders that have no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing fills {}{}", shown(names), told(unread))]
pub struct Unresolved {
    /// The names, each once, in their order.
    pub names: Vec<String>,
    /// Where nothing could be looked for, and why, each in words.
    pub unread: Vec<String>,
}

fn shown(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("{{{name}}}")).collect();
    names.join(", ")
}

fn told(unread: &[String]) -> String {
    unread.iter().map(|reason| format!("; {reason}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, Unresolved> {
        Template::new(source).render(|name| match name {
            "job_description" => Some("Baker {posting_id}".into()),
            "posting_id" => Some("12345".into()),
            _ => None,
        })
    }

    #[test]
    fn placeholders_are_replaced() {
        assert_eq!(render("{posting_id}: {posting_id}!").unwrap(), "12345: 12345!");
    }

    #[test]
    fn a_placeholder_inside_a_value_stays_text() {
        assert_eq!(render("{job_description}").unwrap(), "Baker {posting_id}");
    }

    #[test]
    fn json_braces_are_text() {
        for text in [
            r#"{"a": {"b": [1, {}]}}"#,
            "{ posting_id }",
            "{1st}",
            "{",
            "}{",
            "{}",
            "{posting-id}",
            "{{",
            "{größe}",
        ] {
            assert_eq!(render(text).unwrap(), text);
        }
    }

    #[test]
    fn a_placeholder_inside_json_is_one() {
        assert_eq!(render(r#"{"id": {posting_id}}"#).unwrap(), r#"{"id": 12345}"#);
        assert_eq!(render("{{posting_id}}").unwrap(), "{12345}");
    }

    #[test]
    fn every_placeholder_without_a_value_is_named_once() {
        let error = render("{b} {posting_id} {a} {b}").unwrap_err();
        assert_eq!(error.names, ["b", "a"]);
        assert_eq!(error.to_string(), "nothing fills {b}, {a}");
    }
}
