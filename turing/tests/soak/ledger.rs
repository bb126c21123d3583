//! What actors wrote down outside of the store: the scripts in their ledger, the model in its memory.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// The executions of one workflow's scripts.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The tokens of each attempt, in the order in which its executions began.
    tokens: HashMap<String, Vec<String>>,
    /// How many executions there were.
    pub(crate) executions: u64,
}

impl Ledger {
    /// Reads a ledger, which is not there before the first execution.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut ledger = Self::default();
        for line in fs::read_to_string(folder.join("ledger")).unwrap_or_default().lines() {
            let (attempt, token) = line.rsplit_once(' ').unwrap();
            ledger.tokens.entry(attempt.to_owned()).or_default().push(token.to_owned());
            ledger.executions += 1;
        }
        ledger
    }

    /// The token of the execution of an attempt that began last.
    pub(crate) fn last(&self, attempt: &str) -> Option<&str> {
        self.tokens.get(attempt)?.last().map(String::as_str)
    }
}

/// How the model answers: with the question and the number of the answer, but to the first question
/// about one posting in five, which it refuses.
pub(crate) fn answer(
    number: usize,
    question: &Value,
    is_first: bool,
) -> (u16, &'static str, Value) {
    let asked = asked_in(question);
    let posting: i32 = asked.split(' ').nth(1).unwrap().parse().unwrap();
    match is_first && posting % 5 == 0 {
        true => (500, "", json!({"error": "not now"})),
        false => (200, "", json!({"response": answered(asked, number), "done": true})),
    }
}

/// What the model is asked.
pub(crate) fn asked_in(question: &Value) -> &str {
    question["prompt"].as_str().unwrap()
}

/// The answer with this number.
pub(crate) fn answered(question: &str, number: usize) -> String {
    format!("{question} answered {number}")
}
