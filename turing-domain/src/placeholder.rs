//! What the names of placeholders mean.

use crate::ids::ConversationId;

/// What a placeholder's name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder<'a> {
    /// `{posting_id}`.
    PostingId,
    /// `{workflow_id}`.
    WorkflowId,
    /// `{conversation_3335_output}`: the output of that conversation.
    Output(ConversationId),
    /// Any other name: a key of the posting's data or of a JSON output.
    Key(&'a str),
}

impl<'a> From<&'a str> for Placeholder<'a> {
    fn from(name: &'a str) -> Self {
        match name {
            "posting_id" => Self::PostingId,
            "workflow_id" => Self::WorkflowId,
            _ => output_of(name).map_or(Self::Key(name), Self::Output),
        }
    }
}

fn output_of(name: &str) -> Option<ConversationId> {
    let digits = name.strip_prefix("conversation_")?.strip_suffix("_output")?;
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_asked_for_by_the_number_of_its_conversation() {
        let output = Placeholder::Output(ConversationId(3335));
        assert_eq!(Placeholder::from("conversation_3335_output"), output);
        for name in
            ["conversation_x_output", "conversation__output", "conversation_99999999999_output"]
        {
            assert_eq!(Placeholder::from(name), Placeholder::Key(name));
        }
    }
}
