//! What an actor is given: the values that fill a conversation's template.

use std::borrow::Cow;
use std::collections::BTreeMap;

use es_core::event::Payload;
use serde_json::{Map, Value};

use crate::definition::Conversation;
use crate::ids::{ConversationId, PostingId, WorkflowId};
use crate::noted::text_of;
use crate::placeholder::Placeholder;
use crate::posting::state::Posting;
use crate::template::Unresolved;

/// How many outputs that are no JSON objects are told one by one.
const TOLD_OUTPUTS: usize = 3;
/// How much of such an output is shown.
const SHOWN_CHARS: usize = 20;

/// The values that fill the placeholders for one posting.
///
/// `{posting_id}`, `{workflow_id}` and `{conversation_N_output}` mean themselves. Any other name is
/// a key of the posting's data; if the data lacks it, a key of the JSON objects among the outputs,
/// the latest completion first: an actor's answer never takes the place of a posting's data. Only
/// outputs of the current run are used, without a byte order mark before the object. `null` is no
/// value. Strings are put in as they are, everything else as JSON.
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
    /// [`Unresolved`] names the placeholders without a value, and where one asks for a key also the
    /// outputs that have none; the attempt fails as
    /// [`InvalidInput`](crate::FailureType::InvalidInput) and no actor is started.
    pub fn render(&self, conversation: &Conversation) -> Result<String, Unresolved> {
        conversation.input.render(|name| self.value_of(name)).map_err(|mut unresolved| {
            let is_key = |name: &String| matches!(Placeholder::from(&**name), Placeholder::Key(_));
            if unresolved.names.iter().any(is_key) {
                unresolved.unread = self.unread_outputs();
            }
            unresolved
        })
    }

    /// The outputs that the run may use, as an actor is given them.
    pub fn outputs(&self) -> impl Iterator<Item = (ConversationId, &'a Payload)> + use<'a> {
        self.posting.usable_outputs()
    }

    fn key_of_outputs(&self, key: &str) -> Option<String> {
        self.posting.usable_outputs().rev().find_map(|(_, output)| {
            let members = members_of(&printed(output)).ok()?;
            members.get(key).filter(|value| value.as_str() != "null").map(text_of)
        })
    }

    /// Which outputs have no keys, and why, the latest completion first.
    fn unread_outputs(&self) -> Vec<String> {
        let unread = self.posting.usable_outputs().rev().filter_map(|(conversation, output)| {
            let text = printed(output);
            let error = members_of(&text).err()?;
            Some(if text.is_empty() {
                format!("the output of conversation {conversation} is empty")
            } else {
                let beginning: String = text.chars().take(SHOWN_CHARS).collect();
                format!(
                    "the output of conversation {conversation} is no JSON object: {error} \
                     (it begins with {beginning:?})"
                )
            })
        });
        let mut told: Vec<_> = unread.take(TOLD_OUTPUTS + 1).collect();
        if told.len() > TOLD_OUTPUTS {
            told[TOLD_OUTPUTS] = "other outputs are none either".to_owned();
        }
        told
    }
}

/// What an actor printed; JSON that is no string as JSON text.
fn printed(output: &Payload) -> Cow<'_, str> {
    output.decode::<String>().map_or_else(|_| Cow::Borrowed(output.as_str()), Cow::Owned)
}

/// The members of a text that is a JSON object. None of them is decoded, so it matters only that
/// they are JSON; and nothing that a string says is taken for JSON.
fn members_of(text: &str) -> serde_json::Result<BTreeMap<String, Payload>> {
    // some programs begin what they print with a byte order mark, which is no part of it
    serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
}
