//! The pieces of an answer, put together to the document that the same endpoint would have sent at
//! once: what an answer comes to is said in one place.

use serde_json::map::Entry;
use serde_json::{Map, Value, json};
use turing_domain::LlmProtocol;

use super::answer::is_nothing;
use super::failure::CallError;

/// What has come of an answer.
#[derive(Debug)]
pub(super) struct Whole {
    protocol: LlmProtocol,
    /// The most bytes of texts that are kept.
    limit: usize,
    size: usize,
    /// What stands beside the answer; of what is said twice, the last one.
    members: Map<String, Value>,
    /// What stands beside the message.
    choice: Map<String, Value>,
    /// The text and what grows beside it.
    message: Map<String, Value>,
    /// Whether a choice had a part of the message.
    has_deltas: bool,
}

/// What a piece was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether the model wrote something in it.
    pub(super) has_text: bool,
    /// Whether nothing more is to come.
    pub(super) is_last: bool,
}

/// What grows from piece to piece.
const GROWING: [&str; 6] =
    ["response", "content", "thinking", "reasoning", "reasoning_content", "refusal"];

impl Whole {
    pub(super) fn new(protocol: LlmProtocol, limit: usize) -> Self {
        Self {
            protocol,
            limit,
            size: 0,
            members: Map::new(),
            choice: Map::new(),
            message: Map::new(),
            has_deltas: false,
        }
    }

    /// Takes a piece.
    pub(super) fn take(&mut self, piece: &str) -> Result<Taken, CallError> {
        let mut piece: Map<String, Value> =
            serde_json::from_str(piece).map_err(CallError::unreadable)?;
        if is_error(&piece) {
            piece = Map::from_iter([("error".to_owned(), Value::Object(piece))]);
        }
        let mut has_text = false;
        for (name, value) in piece {
            match (self.protocol, name.as_str(), value) {
                (_, _, Value::Null) => {}
                (LlmProtocol::OllamaGenerate, "response" | "thinking", value) => {
                    has_text |= self.grow(&name, value);
                }
                (LlmProtocol::OllamaChat, "message", Value::Object(message)) => {
                    has_text |= self.take_message(message);
                }
                (LlmProtocol::OpenaiChat, "choices", Value::Array(choices)) => {
                    has_text |= self.take_choices(choices)?;
                }
                (_, _, value) => put(&mut self.members, &mut self.size, &name, value),
            }
        }
        if self.size > self.limit {
            return Err(CallError::BodyLimit(self.limit));
        }
        let is_done = self.members.get("done") == Some(&Value::Bool(true));
        Ok(Taken { has_text, is_last: self.has_error() || is_done })
    }

    /// Takes what an event of the kind `error` says, which may be the error itself.
    pub(super) fn take_error(&mut self, piece: &str) {
        if self.take(piece).is_err() || !self.has_error() {
            let error = serde_json::from_str(piece).unwrap_or_else(|_| Value::from(piece));
            self.members.insert("error".to_owned(), error);
        }
    }

    fn has_error(&self) -> bool {
        self.members.get("error").is_some_and(|error| !is_nothing(error))
    }

    /// Of several choices only the first one was asked for.
    fn take_choices(&mut self, choices: Vec<Value>) -> Result<bool, CallError> {
        let is_first = |choice: &Value| choice["index"].as_u64().unwrap_or(0) == 0;
        let Some(choice) = choices.into_iter().find(is_first) else { return Ok(false) };
        let Value::Object(mut choice) = choice else {
            return Err(CallError::Unreadable("it is JSON of another form".to_owned()));
        };
        // beside the parts a message says once more what they say, or what they come to so far
        self.has_deltas |= choice.get("delta").is_some_and(Value::is_object);
        if self.has_deltas {
            choice.remove("message");
        }
        let mut has_text = false;
        for (name, value) in choice {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                // some write an empty text where others write null
                ("finish_reason", reason) if is_nothing(&reason) => {}
                ("delta" | "message", Value::Object(message)) => {
                    has_text |= self.take_message(message);
                }
                (_, value) => put(&mut self.choice, &mut self.size, &name, value),
            }
        }
        Ok(has_text)
    }

    fn take_message(&mut self, message: Map<String, Value>) -> bool {
        let mut has_text = false;
        for (name, value) in message {
            match value {
                Value::Null => {}
                value if GROWING.contains(&name.as_str()) => {
                    has_text |= self.grow(&name, value);
                }
                value => put(&mut self.message, &mut self.size, &name, value),
            }
        }
        has_text
    }

    /// Puts more behind what there is of a text; true if it is not empty.
    fn grow(&mut self, name: &str, more: Value) -> bool {
        self.size += weight(&more);
        let has_text = more.as_str().is_none_or(|text| !text.is_empty());
        match self.message.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(more);
            }
            Entry::Occupied(mut entry) => match (entry.get_mut(), more) {
                (Value::String(text), Value::String(more)) => text.push_str(&more),
                (there, more) => {
                    let mut parts = parts_of(there.take());
                    parts.extend(parts_of(more));
                    *there = Value::Array(parts);
                }
            },
        }
        has_text
    }

    /// Whether the answer is all there: its end was told, or why there is none.
    pub(super) fn is_whole(&self) -> bool {
        let is_over = match self.protocol {
            LlmProtocol::OpenaiChat => {
                let has = |name: &str| self.choice.get(name).is_some_and(|told| !is_nothing(told));
                has("finish_reason") || has("error")
            }
            LlmProtocol::OllamaGenerate | LlmProtocol::OllamaChat => {
                self.members.get("done") == Some(&Value::Bool(true))
            }
        };
        is_over || self.has_error()
    }

    /// The document.
    pub(super) fn into_document(self) -> Vec<u8> {
        let Self { protocol, mut members, mut choice, message, .. } = self;
        match protocol {
            LlmProtocol::OllamaGenerate => members.extend(message),
            LlmProtocol::OllamaChat => {
                members.insert("message".to_owned(), Value::Object(message));
            }
            LlmProtocol::OpenaiChat => {
                choice.insert("message".to_owned(), Value::Object(message));
                members.insert("choices".to_owned(), json!([choice]));
            }
        }
        Value::Object(members).to_string().into_bytes()
    }
}

/// Whether a piece is an error itself, and not an answer that has one.
fn is_error(piece: &Map<String, Value>) -> bool {
    piece.get("object").is_some_and(|kind| *kind == "error") && !piece.contains_key("error")
}

/// What a member costs beside its name and value.
const MEMBER: usize = 64;

/// Puts a member in the place of the last one of its name, and counts what is kept.
fn put(members: &mut Map<String, Value>, size: &mut usize, name: &str, value: Value) {
    *size += weight(&value);
    match members.insert(name.to_owned(), value) {
        Some(last) => *size = size.saturating_sub(weight(&last)),
        None => *size += name.len() + MEMBER,
    }
}

/// How much is kept. What is no text counts by its form.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        other => other.to_string().len(),
    }
}

/// A content as the list of its parts.
fn parts_of(content: Value) -> Vec<Value> {
    match content {
        Value::Array(parts) => parts,
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(protocol: LlmProtocol, pieces: &[Value]) -> (Value, bool) {
        let mut whole = Whole::new(protocol, 1000);
        for piece in pieces {
            whole.take(&piece.to_string()).unwrap();
        }
        let is_whole = whole.is_whole();
        (serde_json::from_slice(&whole.into_document()).unwrap(), is_whole)
    }

    #[test]
    fn the_pieces_of_completions_are_a_completion() {
        let delta = |delta: Value| {
            json!({"id": "c-1", "model": "m", "usage": null,
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
        };
        let pieces = [
            delta(json!({"role": "assistant", "content": ""})),
            delta(json!({"reasoning_content": "We"})),
            delta(json!({"reasoning_content": "ll?"})),
            delta(json!({"content": "Fi"})),
            json!({"choices": [{"index": 1, "delta": {"content": "no"}}]}),
            delta(json!({"content": "ne."})),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 3}}),
        ];
        let (document, is_whole) = whole(LlmProtocol::OpenaiChat, &pieces);
        let message =
            json!({"role": "assistant", "content": "Fine.", "reasoning_content": "Well?"});
        let choices = json!([{"index": 0, "finish_reason": "stop", "message": message}]);
        let usage = json!({"prompt_tokens": 3});
        assert_eq!(
            document,
            json!({"id": "c-1", "model": "m", "choices": choices, "usage": usage})
        );
        assert!(is_whole);
        assert!(!whole(LlmProtocol::OpenaiChat, &pieces[..6]).1);
    }

    #[test]
    fn a_message_beside_its_parts_is_not_said_twice() {
        let piece = |delta: &str, message: &str| {
            let (delta, message) = (json!({"content": delta}), json!({"content": message}));
            json!({"choices": [{"delta": delta, "message": message}]})
        };
        let last = json!({"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}]});
        // what has come so far, and the same once more
        for pieces in [
            [piece("Fi", "Fi"), piece("ne.", "Fine."), last.clone()],
            [piece("Fi", "Fi"), piece("ne.", "ne."), last.clone()],
        ] {
            let (document, is_whole) = whole(LlmProtocol::OpenaiChat, &pieces);
            assert_eq!(document["choices"][0]["message"], json!({"content": "Fine."}));
            assert!(is_whole);
        }
        // without parts the message is all there is
        let (document, _) = whole(LlmProtocol::OpenaiChat, &[last]);
        assert_eq!(document["choices"][0]["message"], json!({"content": "Fine."}));
    }

    #[test]
    fn the_lines_of_ollama_are_an_answer() {
        let (generated, is_whole) = whole(
            LlmProtocol::OllamaGenerate,
            &[
                json!({"response": "", "thinking": "We", "done": false}),
                json!({"response": "", "thinking": "ll?", "done": false}),
                json!({"response": "Fi", "done": false}),
                json!({"response": "ne.", "done": true, "done_reason": "stop", "eval_count": 2}),
            ],
        );
        let expected = json!({"response": "Fine.", "thinking": "Well?", "done": true,
            "done_reason": "stop", "eval_count": 2});
        assert_eq!((generated, is_whole), (expected, true));
        let (chatted, is_whole) = whole(
            LlmProtocol::OllamaChat,
            &[
                json!({"message": {"role": "assistant", "content": "Fi"}, "done": false}),
                json!({"message": {"role": "assistant", "content": "ne."}, "done": false}),
            ],
        );
        let message = json!({"role": "assistant", "content": "Fine."});
        assert_eq!((chatted, is_whole), (json!({"message": message, "done": false}), false));
    }

    #[test]
    fn parts_and_texts_are_joined() {
        let part = |text: &str| json!({"type": "text", "text": text});
        let (document, _) = whole(
            LlmProtocol::OpenaiChat,
            &[
                json!({"choices": [{"delta": {"content": "a"}}]}),
                json!({"choices": [{"delta": {"content": [part("b")]}}]}),
                json!({"choices": [{"delta": {"content": "c"}}]}),
            ],
        );
        let parts = json!([part("a"), part("b"), part("c")]);
        assert_eq!(document["choices"][0]["message"]["content"], parts);
    }

    #[test]
    fn an_error_is_the_end_and_an_event_of_that_kind_may_be_one_itself() {
        let mut answer = Whole::new(LlmProtocol::OpenaiChat, 1000);
        let taken = answer.take("{\"error\": {\"message\": \"no\"}}").unwrap();
        assert_eq!(taken, Taken { has_text: false, is_last: true });
        assert!(answer.is_whole());
        let cases = [
            ("{\"error\": \"no\"}", json!("no")),
            ("{\"message\": \"no\"}", json!({"message": "no"})),
            ("\"no\"", json!("no")),
            ("no", json!("no")),
        ];
        for (sent, error) in cases {
            let mut answer = Whole::new(LlmProtocol::OpenaiChat, 1000);
            answer.take_error(sent);
            assert_eq!(answer.members["error"], error, "{sent}");
            assert!(answer.is_whole(), "{sent}");
        }
    }

    #[test]
    fn what_is_kept_has_a_limit_and_what_is_said_again_is_kept_once() {
        let mut answer = Whole::new(LlmProtocol::OllamaGenerate, 300);
        for _ in 0..100 {
            let piece = json!({"model": "m".repeat(50), "response": "x", "done": false});
            answer.take(&piece.to_string()).unwrap();
        }
        let piece = json!({"response": "x".repeat(100)}).to_string();
        let error = answer.take(&piece).unwrap_err();
        assert!(matches!(error, CallError::BodyLimit(300)), "{error:?}");
    }

    #[test]
    fn a_reason_that_says_nothing_is_no_end() {
        let piece = json!({"choices": [{"delta": {"content": "a"}, "finish_reason": ""}]});
        assert!(!whole(LlmProtocol::OpenaiChat, &[piece]).1);
    }
}
