//! Which branch rules an output takes.

use crate::definition::{Branch, Conversation, On};

/// A branch rule that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired<'a> {
    /// Its number in the conversation, from 1 in the order of the definition.
    pub number: u32,
    /// The rule.
    pub rule: &'a Branch,
}

/// Every rule of the highest priority that matches, in the order of the definition.
///
/// `text` is the output, or the name of the failure type.
pub fn firing_rules<'a>(conversation: &'a Conversation, on: On, text: &str) -> Vec<Fired<'a>> {
    let matching: Vec<_> = (1..)
        .zip(&conversation.branches)
        .map(|(number, rule)| Fired { number, rule })
        .filter(|fired| fired.rule.on == on && fired.rule.condition.matches(text))
        .collect();
    let highest = matching.iter().map(|fired| fired.rule.priority).max();
    let fires = |fired: &Fired<'_>| Some(fired.rule.priority) == highest;
    matching.into_iter().filter(fires).collect()
}
