//! What a response holds: an answer, or why it is none.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use turing_domain::{Llm, LlmProtocol, LlmUsage, Reasoning};

use super::failure::CallError;
use super::refusal;
use super::secret::Secret;
use super::thoughts;

/// A longer name, of a model or of a request, is not one.
const NAME_CHARS: usize = 200;

/// How a response is read.
pub(super) struct Reader<'a> {
    pub(super) actor: &'a Llm,
    pub(super) reasoning: Reasoning,
    pub(super) output_bytes: usize,
    pub(super) key: Option<&'a Secret>,
}

impl Reader<'_> {
    /// What a response holds, if it is an answer that can be kept; what it reports goes into `usage`
    /// in any case.
    pub(super) fn read(&self, body: &[u8], usage: &mut LlmUsage) -> Result<String, CallError> {
        let (protocol, key) = (self.actor.protocol, self.key);
        let body =
            std::str::from_utf8(body).map_err(|error| CallError::Encoding(error.valid_up_to()))?;
        let body = Object::of(body)?;
        let said = Said::of(protocol, &body);
        let reason = said.as_ref().ok().and_then(|said| said.reason.as_deref());
        self.note(&body, reason, usage);
        if let Some(error) = body.told("error") {
            // where there is an error, nothing else need be in order
            return Err(match said {
                Ok(said) if said.ending() == Some(Ending::BrokenOff) => {
                    said.broken_off(Some(error), key)
                }
                _ => refusal::in_answer(error, key),
            });
        }
        if body.noted::<bool>("done") == Some(false) {
            return Err(CallError::Unfinished);
        }
        let said = said?;
        let beside = said.thoughts.and_then(|thoughts| string(thoughts).ok());
        let text = said.output(protocol, key)?;
        let output = thoughts::output(text, beside.as_deref(), self.reasoning);
        check(&output, self.output_bytes)?;
        Ok(output)
    }

    fn note(&self, body: &Object<'_>, reason: Option<&str>, usage: &mut LlmUsage) {
        let counted = body.object("usage").unwrap_or_default();
        let detail = |of, name| counted.object(of).unwrap_or_default().noted(name);
        let count = |name, ollama| counted.noted(name).or_else(|| body.noted(ollama));
        let name = |text: String| {
            let text = self.key.map_or_else(|| text.clone(), |key| key.remove_from(&text));
            Some(text).filter(|text| is_name(text))
        };
        usage.model = body.noted("model").and_then(name);
        usage.prompt_tokens = count("prompt_tokens", "prompt_eval_count");
        usage.completion_tokens = count("completion_tokens", "eval_count");
        usage.cached_tokens = detail("prompt_tokens_details", "cached_tokens")
            .or_else(|| counted.noted("prompt_cache_hit_tokens"));
        usage.reasoning_tokens = detail("completion_tokens_details", "reasoning_tokens");
        usage.finish_reason = reason.map(str::to_owned).and_then(name);
        if usage.request_id.is_none() {
            usage.request_id = body.noted("id").and_then(name);
        }
    }
}

fn check(output: &str, limit: usize) -> Result<(), CallError> {
    if output.len() > limit {
        return Err(CallError::OutputLimit { size: output.len(), limit });
    }
    if let Some(offset) = output.find('\0') {
        return Err(CallError::Nul(offset));
    }
    Ok(())
}

/// Whether a text can be the name of something: short, and without what terminals obey.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= NAME_CHARS && !text.chars().any(char::is_control)
}

/// The members of an object, unread: only what is asked for must be in order. Of a name that is
/// there twice the last one counts, as it does for other readers.
#[derive(Default)]
struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    fn of(text: &'a str) -> Result<Self, CallError> {
        serde_json::from_str(text).map(Self).map_err(CallError::unreadable)
    }

    /// A member, if it is there and not `null`.
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    /// A member that is an object; without any members if it is not there.
    fn object(&self, name: &str) -> Result<Self, CallError> {
        self.get(name).map_or_else(|| Ok(Self::default()), |value| Self::of(value.get()))
    }

    /// What is good to know but no reason to throw an answer away.
    fn noted<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// A member that says something: servers write much in the place of nothing.
    fn told(&self, name: &str) -> Option<&'a RawValue> {
        self.get(name).filter(|value| {
            let read = serde_json::from_str::<Value>(value.get());
            read.map_or(true, |value| !is_nothing(&value))
        })
    }
}

/// Whether a value says nothing.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.iter().all(is_nothing),
        Value::Object(members) => members.values().all(is_nothing),
    }
}

/// How an answer may end that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    BrokenOff,
    Filtered,
    CutOff,
}

/// What an answer is made of, from where its protocol has it.
struct Said<'a> {
    /// The text, or its parts.
    content: Option<&'a RawValue>,
    /// Why it ends there.
    reason: Option<String>,
    /// What went wrong after it had begun.
    error: Option<&'a RawValue>,
    /// Why the model does not answer.
    refusal: Option<&'a RawValue>,
    /// What the model thought, if it is told apart from the text.
    thoughts: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    fn of(protocol: LlmProtocol, body: &Object<'a>) -> Result<Self, CallError> {
        Ok(match protocol {
            LlmProtocol::OllamaGenerate => Self {
                content: body.get("response"),
                reason: body.noted("done_reason"),
                error: None,
                refusal: None,
                thoughts: body.get("thinking"),
            },
            LlmProtocol::OllamaChat => {
                let message = body.object("message")?;
                Self {
                    content: message.get("content"),
                    reason: body.noted("done_reason"),
                    error: None,
                    refusal: None,
                    thoughts: message.get("thinking"),
                }
            }
            LlmProtocol::OpenaiChat => {
                let choices = body.get("choices").map_or("[]", RawValue::get);
                let choices: Vec<&RawValue> =
                    serde_json::from_str(choices).map_err(CallError::unreadable)?;
                let first = choices.first().map(|choice| Object::of(choice.get()));
                let choice = first.transpose()?.unwrap_or_default();
                let message = choice.object("message")?;
                Self {
                    content: message.get("content"),
                    reason: choice.noted("finish_reason"),
                    error: choice.told("error"),
                    refusal: message.told("refusal"),
                    thoughts: message
                        .told("reasoning_content")
                        .or_else(|| message.told("reasoning")),
                }
            }
        })
    }

    /// How it ends, in the words of the known servers.
    fn ending(&self) -> Option<Ending> {
        if self.error.is_some() {
            return Some(Ending::BrokenOff);
        }
        match self.reason.as_deref()?.to_ascii_lowercase().as_str() {
            "error" | "abort" | "network_error" | "insufficient_system_resource" => {
                Some(Ending::BrokenOff)
            }
            "content_filter" | "safety" | "sensitive" => Some(Ending::Filtered),
            "length" | "max_tokens" | "model_length" => Some(Ending::CutOff),
            _ => None,
        }
    }

    /// What breaking off comes to, with what the body says beside it: a status by which the request
    /// is at fault, if an error names one, or else what went wrong there.
    fn broken_off(&self, beside: Option<&RawValue>, key: Option<&Secret>) -> CallError {
        let mut errors = [beside, self.error].into_iter().flatten();
        if let Some(error) = errors.clone().find(|error| refusal::is_of_client(error)) {
            return refusal::in_answer(error, key);
        }
        CallError::BrokenOff(match errors.next() {
            Some(error) => refusal::words(error, key),
            None => {
                let reason = self.reason.as_deref().unwrap_or_default();
                format!("its reason is `{}`", refusal::quote(reason, key))
            }
        })
    }

    /// The text, if it is the whole answer.
    fn output(self, protocol: LlmProtocol, key: Option<&Secret>) -> Result<String, CallError> {
        let ending = self.ending();
        let reason = self.reason.as_ref().map(|reason| refusal::quote(reason, key));
        match ending {
            Some(Ending::BrokenOff) => return Err(self.broken_off(None, key)),
            Some(Ending::Filtered) => return Err(CallError::Filtered(reason.unwrap_or_default())),
            Some(Ending::CutOff) | None => {}
        }
        if let Some(refusal) = self.refusal {
            return Err(CallError::Declined(refusal::words(refusal, key)));
        }
        let text = self.content.map(|content| text(content, key)).transpose()?.flatten();
        if ending == Some(Ending::CutOff) {
            let text = refusal::quote(&text.unwrap_or_default(), key);
            return Err(CallError::CutOff { text });
        }
        match (text, reason) {
            // a model that was asked something and says nothing has not answered
            (Some(text), reason) if thoughts::said(&text).trim().is_empty() => {
                Err(CallError::Empty { reason })
            }
            (Some(text), _) => Ok(text),
            (None, Some(reason)) => Err(CallError::Empty { reason: Some(reason) }),
            (None, None) => Err(CallError::NoText(place(protocol))),
        }
    }
}

/// The text of a content, or of its parts together; what the model only thought is left out.
fn text(content: &RawValue, key: Option<&Secret>) -> Result<Option<String>, CallError> {
    if !content.get().starts_with('[') {
        return string(content).map(Some);
    }
    let parts: Vec<&RawValue> =
        serde_json::from_str(content.get()).map_err(CallError::unreadable)?;
    let mut texts = Vec::new();
    for part in parts {
        let part = Object::of(part.get())?;
        let kind: Option<String> = part.noted("type");
        match kind.as_deref() {
            None | Some("text" | "output_text") => {
                texts.extend(part.get("text").map(string).transpose()?);
            }
            Some("refusal") => {
                if let Some(refusal) = part.told("refusal") {
                    return Err(CallError::Declined(refusal::words(refusal, key)));
                }
            }
            Some(_) => {}
        }
    }
    Ok((!texts.is_empty()).then(|| texts.concat()))
}

fn string(value: &RawValue) -> Result<String, CallError> {
    serde_json::from_str(value.get()).map_err(CallError::unreadable)
}

fn place(protocol: LlmProtocol) -> &'static str {
    match protocol {
        LlmProtocol::OllamaGenerate => "response",
        LlmProtocol::OllamaChat => "message.content",
        LlmProtocol::OpenaiChat => "choices[0].message.content",
    }
}
