//! What is asked in each protocol.

use serde::Serialize;
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
