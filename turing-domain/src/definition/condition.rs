//! What a branch rule asks of an output.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an output must look like for a rule to match.
///
/// As text: `*` and `default` match always; `contains:TEXT` and plain `TEXT` match outputs that
/// contain TEXT, compared as it stands, spaces and case included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Every output.
    #[default]
    Any,
    /// Outputs that contain this text.
    Contains(String),
}

impl Condition {
    /// True if the output, or the failure type's name, fits.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Contains(part) => text.contains(part.as_str()),
        }
    }

    /// True if it matches whatever the output is.
    pub fn is_catch_all(&self) -> bool {
        match self {
            Self::Any => true,
            Self::Contains(part) => part.is_empty(),
        }
    }
}

impl From<&str> for Condition {
    fn from(text: &str) -> Self {
        match text {
            "*" | "default" => Self::Any,
            _ => Self::Contains(text.strip_prefix("contains:").unwrap_or(text).to_owned()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Contains(text) => write!(f, "contains:{text}"),
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from(&*text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_and_default_match_always() {
        for text in ["*", "default"] {
            let condition = Condition::from(text);
            assert!(condition.is_catch_all());
            assert!(condition.matches("") && condition.matches("anything"));
        }
    }

    #[test]
    fn a_text_matches_as_a_substring_with_or_without_its_prefix() {
        for text in ["contains:[PASS]", "[PASS]"] {
            let condition = Condition::from(text);
            assert!(condition.matches("well: [PASS]."));
            assert!(!condition.matches("[pass]") && !condition.matches(""));
        }
    }

    #[test]
    fn a_text_that_looks_like_a_keyword_can_be_asked_for() {
        let condition = Condition::from("contains:*");
        assert!(!condition.is_catch_all());
        assert_eq!(Condition::from(condition.to_string().as_str()), condition);
    }
}
