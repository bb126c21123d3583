//! What is asked and what is answered in each protocol.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use turing_domain::{Llm, LlmProtocol, LlmUsage};

use super::failure::CallError;
use super::refusal;
use super::secret::Secret;

/// A longer name of a model is not one.
const MODEL_CHARS: usize = 200;

/// A model's text and what is known about it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) output: String,
    pub(super) usage: LlmUsage,
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    stream: bool,
    #[serde(flatten)]
    form: Form<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Form<'a> {
    Generate {
        prompt: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        system: Option<&'a str>,
        #[serde(skip_serializing_if = "Options::is_empty")]
        options: Options,
    },
    Chat {
        messages: Vec<Message<'a>>,
        #[serde(skip_serializing_if = "Options::is_empty")]
        options: Options,
    },
    Completions {
        messages: Vec<Message<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        temperature: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_tokens: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_completion_tokens: Option<u32>,
    },
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
}

impl Options {
    fn is_empty(&self) -> bool {
        self.temperature.is_none() && self.seed.is_none() && self.num_predict.is_none()
    }
}

/// The body of a request.
pub(super) fn question(actor: &Llm, input: &str) -> Vec<u8> {
    let &Llm { temperature, seed, max_tokens, max_completion_tokens, .. } = actor;
    let system = actor.system.as_deref();
    let options = Options { temperature, seed, num_predict: max_tokens };
    let messages = || {
        let system = system.map(|content| Message { role: "system", content });
        system.into_iter().chain([Message { role: "user", content: input }]).collect()
    };
    let form = match actor.protocol {
        LlmProtocol::OllamaGenerate => Form::Generate { prompt: input, system, options },
        LlmProtocol::OllamaChat => Form::Chat { messages: messages(), options },
        LlmProtocol::OpenaiChat => Form::Completions {
            messages: messages(),
            temperature,
            seed,
            max_tokens,
            max_completion_tokens,
        },
    };
    let question = Question { model: &actor.model, stream: false, form };
    serde_json::to_vec(&question).expect("texts and numbers always make JSON")
}

/// What has a name in one of the protocols, unread: only what is asked for must be in order.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    // Ollama
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    done: Option<&'a RawValue>,
    #[serde(borrow)]
    done_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_eval_count: Option<&'a RawValue>,
    #[serde(borrow)]
    eval_count: Option<&'a RawValue>,
    // OpenAI
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Text>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// What a response holds, if it is an answer that can be kept.
pub(super) fn answer(
    actor: &Llm,
    body: &[u8],
    output_bytes: usize,
    key: Option<&Secret>,
) -> Result<Answer, CallError> {
    let body =
        std::str::from_utf8(body).map_err(|error| CallError::Encoding(error.valid_up_to()))?;
    let body: Body<'_> = serde_json::from_str(body).map_err(CallError::unreadable)?;
    if let Some(error) = body.error {
        return Err(refusal::in_answer(error.get(), key));
    }
    if noted::<bool>(body.done) == Some(false) {
        return Err(CallError::Unfinished);
    }
    let (output, end) = text(actor.protocol, &body).map_err(CallError::unreadable)?;
    let output = output.ok_or(CallError::NoText(place(actor.protocol)))?;
    check(&output, output_bytes, end.as_deref() == Some("length"))?;
    let usage = noted(body.usage).unwrap_or_else(|| Usage {
        prompt_tokens: noted(body.prompt_eval_count),
        completion_tokens: noted(body.eval_count),
    });
    let model = noted(body.model).filter(|name: &String| is_model_name(name));
    let usage = LlmUsage {
        model: Some(model.unwrap_or_else(|| actor.model.clone())),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
    };
    Ok(Answer { output, usage })
}

/// The text of an answer, and why it ended there.
fn text(
    protocol: LlmProtocol,
    body: &Body<'_>,
) -> Result<(Option<String>, Option<String>), serde_json::Error> {
    Ok(match protocol {
        LlmProtocol::OllamaGenerate => (wanted(body.response)?, noted(body.done_reason)),
        LlmProtocol::OllamaChat => {
            let message: Option<Text> = wanted(body.message)?;
            (message.and_then(|message| message.content), noted(body.done_reason))
        }
        LlmProtocol::OpenaiChat => {
            let choices: Option<Vec<Choice>> = wanted(body.choices)?;
            match choices.and_then(|choices| choices.into_iter().next()) {
                Some(Choice { message, finish_reason }) => {
                    (message.and_then(|message| message.content), finish_reason)
                }
                None => (None, None),
            }
        }
    })
}

fn place(protocol: LlmProtocol) -> &'static str {
    match protocol {
        LlmProtocol::OllamaGenerate => "response",
        LlmProtocol::OllamaChat => "message.content",
        LlmProtocol::OpenaiChat => "choices[0].message.content",
    }
}

fn wanted<T: DeserializeOwned>(raw: Option<&RawValue>) -> Result<Option<T>, serde_json::Error> {
    raw.map(|raw| serde_json::from_str(raw.get())).transpose()
}

/// What is good to know but no reason to throw an answer away.
fn noted<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn check(output: &str, limit: usize, is_cut_off: bool) -> Result<(), CallError> {
    if output.len() > limit {
        return Err(CallError::OutputLimit { size: output.len(), limit });
    }
    if let Some(offset) = output.find('\0') {
        return Err(CallError::Nul(offset));
    }
    // a model that was asked something and says nothing has not answered
    if output.trim().is_empty() {
        return Err(CallError::Empty { is_cut_off });
    }
    Ok(())
}

fn is_model_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MODEL_CHARS && !text.chars().any(char::is_control)
}
