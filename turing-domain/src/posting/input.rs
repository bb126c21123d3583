//! What an actor is given: the values that fill a conversation's template.

use std::borrow::Cow;
use std::collections::BTreeMap;

use es_core::Payload;
use serde_json::{Map, Value};

use crate::definition::Conversation;
use crate::ids::{ConversationId, PostingId, WorkflowId};
use crate::noted::text_of;
use crate::placeholder::Placeholder;
use crate::posting::state::Posting;
use crate::template::Unresolved;

/// The values that fill the placeholders for one posting.
///
/// `{posting_id}`, `{workflow_id}` and `{conversation_N_output}` mean themselves. Any other name is
/// a key of the posting's data; if the data lacks it, a key of the JSON objects among the outputs,
/// the latest completion first: an actor's answer never takes the place of a posting's data. Only
/// outputs of the current run are used. `null` is no value. Strings are put in as they are,
/// everything else as JSON.
#[derive(Debug, Clone, Copy)]
pub struct InputValues<'a> {
    /// The posting's id.
    pub posting_id: PostingId,
    /// The workflow that is run.
    pub workflow_id: WorkflowId,
    /// The posting's data.
    pub data: &'a Map<String, Value>,
    /// The posting's state, which has the outputs.
    pub posting: &'a Posting,
}

impl<'a> InputValues<'a> {
    /// The value of one placeholder.
    pub fn value_of(&self, name: &str) -> Option<Cow<'a, str>> {
        match Placeholder::from(name) {
            Placeholder::PostingId => Some(Cow::Owned(self.posting_id.to_string())),
            Placeholder::WorkflowId => Some(Cow::Owned(self.workflow_id.to_string())),
            Placeholder::Output(conversation) => {
                self.posting.usable_output(conversation).map(Cow::Owned)
            }
            Placeholder::Key(key) => match self.data.get(key).filter(|value| !value.is_null()) {
                Some(Value::String(text)) => Some(Cow::Borrowed(text)),
                Some(other) => Some(Cow::Owned(other.to_string())),
                None => self.key_of_outputs(key).map(Cow::Owned),
            },
        }
    }

    /// The input of a conversation.
    ///
    /// # Errors
    ///
    /// [`Unresolved`] names the placeholders without a value; the attempt fails as
    /// [`InvalidInput`](crate::FailureType::InvalidInput) and no actor is started.
    pub fn render(&self, conversation: &Conversation) -> Result<String, Unresolved> {
        conversation.input.render(|name| self.value_of(name))
    }

    /// The outputs that the run may use, as an actor is given them.
    pub fn outputs(&self) -> impl Iterator<Item = (ConversationId, &'a Payload)> + use<'a> {
        self.posting.usable_outputs()
    }

    fn key_of_outputs(&self, key: &str) -> Option<String> {
        self.posting.usable_outputs().rev().find_map(|(_, output)| {
            match output.decode::<String>() {
                Ok(text) => key_of(&text, key),
                Err(_) => key_of(output.as_str(), key),
            }
        })
    }
}

/// What stands under a key of a text that is a JSON object. Nothing else of the text is decoded, so
/// it matters only that it is JSON; and nothing that a string says is taken for JSON.
fn key_of(text: &str, key: &str) -> Option<String> {
    let members: BTreeMap<String, Payload> = serde_json::from_str(text).ok()?;
    members.get(key).filter(|value| value.as_str() != "null").map(text_of)
}
