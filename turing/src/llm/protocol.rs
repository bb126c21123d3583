//! What is asked in each protocol.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use turing_domain::{Llm, LlmProtocol};

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
        prompt: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        system: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<&'a Value>,
        #[serde(skip_serializing_if = "Options::is_empty")]
        options: Options,
    },
    Chat {
        messages: Vec<Message<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<&'a Value>,
        #[serde(skip_serializing_if = "Options::is_empty")]
        options: Options,
    },
    Completions {
        messages: Vec<Message<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        stream_options: Option<StreamOptions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        response_format: Option<ResponseFormat<'a>>,
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
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    json_schema: NamedSchema<'a>,
}

#[derive(Serialize)]
struct NamedSchema<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a Value,
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

/// What a model is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prompt<'a> {
    pub(super) input: &'a str,
    /// What it answered to that, and what is wrong with it.
    pub(super) misfit: Option<(&'a str, &'a str)>,
    /// What the endpoint is to hold it to.
    pub(super) schema: Option<&'a Value>,
    /// Whether the tokens of a stream are asked for.
    pub(super) counts: bool,
}

/// The body of a request.
pub(super) fn question(actor: &Llm, prompt: Prompt<'_>) -> Vec<u8> {
    let &Llm { temperature, seed, max_tokens, max_completion_tokens, stream, .. } = actor;
    let system = actor.system.as_deref();
    let options = Options { temperature, seed, num_predict: max_tokens };
    let schema = prompt.schema;
    let messages = || {
        let told = |role, content| Message { role, content };
        let misfit = prompt
            .misfit
            .map(|(answer, complaint)| [told("assistant", answer), told("user", complaint)]);
        let system = system.map(|content| told("system", content));
        let asked = system.into_iter().chain([told("user", prompt.input)]);
        asked.chain(misfit.into_iter().flatten()).collect()
    };
    let form = match actor.protocol {
        LlmProtocol::OllamaGenerate => {
            let prompt = match prompt.misfit {
                None => prompt.input.into(),
                Some((answer, complaint)) => {
                    format!("{}\n\nYou answered:\n{answer}\n\n{complaint}", prompt.input).into()
                }
            };
            Form::Generate { prompt, system, format: schema, options }
        }
        LlmProtocol::OllamaChat => Form::Chat { messages: messages(), format: schema, options },
        LlmProtocol::OpenaiChat => Form::Completions {
            messages: messages(),
            stream_options: (stream && prompt.counts)
                .then_some(StreamOptions { include_usage: true }),
            response_format: schema.map(|schema| ResponseFormat {
                kind: "json_schema",
                json_schema: NamedSchema { name: "answer", strict: true, schema },
            }),
            temperature,
            seed,
            max_tokens,
            max_completion_tokens,
        },
    };
    let question = Question { model: &actor.model, stream, form };
    serde_json::to_vec(&question).expect("texts and numbers always make JSON")
}
