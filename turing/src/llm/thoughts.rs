//! What a model thought, apart from what it says.

use turing_domain::Reasoning;

const BEGIN: &str = "<think>";
const END: &str = "</think>";

/// What a text says, behind a thought at its beginning that is marked as one. A thought that does not
/// end is all there is.
pub(super) fn said(text: &str) -> &str {
    match text.trim_start().strip_prefix(BEGIN) {
        None => text,
        Some(rest) => rest.split_once(END).map_or("", |(_, said)| said.trim_start()),
    }
}

/// The output that a text comes to, with the thoughts that the endpoint told beside it.
pub(super) fn output(text: String, beside: Option<&str>, reasoning: Reasoning) -> String {
    match (reasoning, beside.map(str::trim).filter(|thoughts| !thoughts.is_empty())) {
        (Reasoning::Drop, _) => {
            let said = said(&text);
            if said.len() == text.len() { text } else { said.to_owned() }
        }
        (Reasoning::Keep, Some(thoughts)) => format!("{BEGIN}\n{thoughts}\n{END}\n\n{text}"),
        (Reasoning::Keep, None) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thought_at_the_beginning_is_one() {
        for (text, expected) in [
            ("Fine.", "Fine."),
            (" Fine. ", " Fine. "),
            ("<think>Well?</think>\n\nFine. ", "Fine. "),
            ("\n<think>\n[FAIL]?\n</think>[PASS]", "[PASS]"),
            ("<think></think>Fine.", "Fine."),
            ("<think>Well, and so on", ""),
            ("Write <think>a</think>.", "Write <think>a</think>."),
            ("Well.</think>Fine.", "Well.</think>Fine."),
        ] {
            assert_eq!(said(text), expected, "{text:?}");
            assert_eq!(output(text.to_owned(), None, Reasoning::Drop), expected, "{text:?}");
            assert_eq!(output(text.to_owned(), None, Reasoning::Keep), text);
        }
    }

    #[test]
    fn thoughts_that_are_kept_stand_before_the_answer() {
        let kept = output("Fine.".to_owned(), Some("Well?\n"), Reasoning::Keep);
        assert_eq!(kept, "<think>\nWell?\n</think>\n\nFine.");
        assert_eq!(said(&kept), "Fine.");
        assert_eq!(output("Fine.".to_owned(), Some("Well?"), Reasoning::Drop), "Fine.");
        assert_eq!(output("Fine.".to_owned(), Some(" "), Reasoning::Keep), "Fine.");
    }
}
