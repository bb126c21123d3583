//! Language models: one call is one request over HTTP, held to its limits.

mod answer;
mod client;
mod endpoint;
mod failure;
mod pause;
mod pieces;
mod protocol;
mod refusal;
mod secret;
mod stream;
mod thoughts;
mod whole;

use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use hyper::body::Incoming;
use hyper::{HeaderMap, Response};
use turing_domain::{FailureType, JsonSchema, Llm, LlmUsage, Reasoning};

use answer::Reader;
use endpoint::Address;
use failure::{CallError, Limit};
use pieces::Form;
use protocol::Prompt;
use stream::{Reading, Waiting};

use crate::schema::Validator;

pub use client::LlmClient;
pub use endpoint::{EndpointError, api_key, check_endpoint};
pub use secret::Secret;

/// What one call of a language model needs.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmCall {
    /// Which model is asked, where and how.
    pub actor: Llm,
    /// What the model is asked.
    pub input: String,
    /// The key of the endpoint, as [`api_key`] finds it.
    pub api_key: Option<Secret>,
    /// How long the call may take and how much the model may answer.
    pub limits: LlmLimits,
    /// What the answer must look like; thoughts are no part of it then, whatever the actor says.
    pub schema: Option<JsonSchema>,
    /// How often the model is told what does not fit, and asked for a repair.
    pub repairs: u32,
}

/// The bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LlmLimits {
    /// From the look-up of the host to the last byte of the answer.
    pub time: Duration,
    /// From there to a connection.
    pub connect: Duration,
    /// From there to the first piece of a text, if the answer comes piece by piece.
    pub first_token: Option<Duration>,
    /// From one piece to the next.
    pub between_tokens: Duration,
    /// What the answer may hold; one byte more fails the call.
    pub output_bytes: usize,
}

impl Default for LlmLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(600),
            connect: Duration::from_secs(10),
            // a model that is loaded first, or a queue, looks like an endpoint that is gone
            first_token: None,
            between_tokens: Duration::from_secs(60),
            output_bytes: 1024 * 1024,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LlmOutcome {
    /// The model answered.
    Completed {
        /// The answer's text, byte for byte.
        output: String,
        /// The model that answered, and the tokens if the endpoint counted them.
        usage: LlmUsage,
        /// From the start to the end of the call.
        duration: Duration,
    },
    /// Anything else.
    Failed {
        /// What decides whether it is worth trying again.
        failure_type: FailureType,
        /// What happened, with the endpoint's address, and what to do; never the key.
        error: String,
        /// The pause that the endpoint asks for, where that is why it failed.
        retry_after: Option<Duration>,
        /// Whether the model answered as it was asked, so that it would answer the same again.
        is_final: bool,
        /// What the endpoint reported all the same.
        usage: LlmUsage,
        /// From the start to the end of the call.
        duration: Duration,
    },
}

/// Asks a language model and waits for its whole answer.
///
/// The request goes to the base address of the actor with the path of its protocol. A base address
/// may have a path of its own; for [`OpenaiChat`](turing_domain::LlmProtocol::OpenaiChat) it may
/// end in `/v1`, as such servers' documentation writes it.
///
/// No redirect is followed and no proxy is used, whatever the environment says. An answer without
/// text, with U+0000 or past the output limit is `invalid_output`; one that the provider broke off
/// or filtered, that ran out of tokens, or that is a refusal, has a failure type of its own. No more
/// of a response is read than an answer of the allowed size can need.
///
/// Unless the actor says otherwise, the answer is asked for piece by piece, so that an endpoint that
/// has stopped to work is noticed. What has come of an answer whose end does not come is no answer.
///
/// With a schema the answer must be JSON that fits it, and nothing else. One that does not fit is told
/// to the model once if the call allows that, and `invalid_output` otherwise.
///
/// A refusal of the key (401, 403) is `invalid_input`: it is not retried, because only a person can
/// change the key.
///
/// # Cancellation
///
/// Dropping the future closes the connection, by which servers learn that nobody waits any more.
///
/// # Panics
///
/// Outside a tokio runtime with its I/O and time drivers enabled.
pub async fn call_llm(client: &LlmClient, call: &LlmCall) -> LlmOutcome {
    let started = Instant::now();
    let mut usages = Vec::new();
    let result = match Address::of(&call.actor) {
        Ok(address) => {
            let result = ask_in_time(client, call, &address, &mut usages).await;
            result.map_err(|error| {
                let told = error.describe(&address, &call.actor);
                (error.failure_type(), told, error.retry_after(), error.is_final())
            })
        }
        Err(error) => Err((FailureType::InvalidInput, error.to_string(), None, false)),
    };
    let duration = started.elapsed();
    let mut usage = usages.into_iter().reduce(both).unwrap_or_default();
    usage.model.get_or_insert_with(|| call.actor.model.clone());
    match result {
        Ok(output) => LlmOutcome::Completed { output, usage, duration },
        Err((failure_type, error, retry_after, is_final)) => {
            LlmOutcome::Failed { failure_type, error, retry_after, is_final, usage, duration }
        }
    }
}

/// What two answers took together; what they say of themselves is what the second one says.
fn both(first: LlmUsage, second: LlmUsage) -> LlmUsage {
    let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
    };
    LlmUsage {
        model: second.model.or(first.model),
        prompt_tokens: sum(first.prompt_tokens, second.prompt_tokens),
        completion_tokens: sum(first.completion_tokens, second.completion_tokens),
        finish_reason: second.finish_reason,
        cached_tokens: sum(first.cached_tokens, second.cached_tokens),
        reasoning_tokens: sum(first.reasoning_tokens, second.reasoning_tokens),
        first_token_ms: first.first_token_ms,
        request_id: second.request_id,
    }
}

/// Asks, and gives up when the time is over, unless the answer has come by then. What is reported of
/// each answer goes into `usages`.
async fn ask_in_time(
    client: &LlmClient,
    call: &LlmCall,
    address: &Address,
    usages: &mut Vec<LlmUsage>,
) -> Result<String, CallError> {
    let limit = call.limits.time;
    let asking = pin!(ask_until_it_fits(client, call, address, usages));
    match tokio::time::Instant::now().checked_add(limit) {
        None => asking.await,
        Some(end) => {
            let answer = stream::in_time(end, asking).await;
            answer.unwrap_or(Err(CallError::TimedOut(Limit::Total(limit))))
        }
    }
}

/// Asks, and once more if what comes does not fit the schema and may be repaired.
async fn ask_until_it_fits(
    client: &LlmClient,
    call: &LlmCall,
    address: &Address,
    usages: &mut Vec<LlmUsage>,
) -> Result<String, CallError> {
    endpoint::check_call(&call.actor, address, call.api_key.as_ref())?;
    let Some(schema) = &call.schema else {
        return ask(client, call, address, None, usages).await;
    };
    let validator = Validator::new(schema)?;
    let (mut repairs, mut answer, mut complaint) = (call.repairs, String::new(), None::<String>);
    loop {
        let misfit = complaint.as_deref().map(|complaint| (answer.as_str(), complaint));
        let next = ask(client, call, address, misfit, usages).await?;
        let Err(why) = misfit_of(&validator, &next) else { return Ok(next) };
        if repairs == 0 {
            return Err(CallError::Misfit(refusal::quote(&why, call.api_key.as_ref())));
        }
        repairs -= 1;
        answer = next;
        complaint = Some(format!(
            "Your answer does not fit its JSON schema, {why}. Answer again: with the corrected \
             JSON, and nothing else.\nThe schema:\n{}",
            schema.document()
        ));
    }
}

/// Why a text is no JSON that fits.
fn misfit_of(validator: &Validator, text: &str) -> Result<(), String> {
    let document: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| format!("at the root: the text is no JSON, {error}"))?;
    validator.check(&document).map_err(|mismatch| mismatch.to_string())
}

/// Asks, for an answer or for the repair of one.
async fn ask(
    client: &LlmClient,
    call: &LlmCall,
    address: &Address,
    misfit: Option<(&str, &str)>,
    usages: &mut Vec<LlmUsage>,
) -> Result<String, CallError> {
    let LlmCall { actor, input, api_key, schema, limits, .. } = call;
    let key = api_key.as_ref();
    let sent = schema.as_ref().filter(|_| actor.structured).map(JsonSchema::document);
    usages.push(LlmUsage::default());
    let usage = usages.last_mut().expect("one was just put there");
    loop {
        let counts = !client.is_uncounted(address);
        let body = protocol::question(actor, Prompt { input, misfit, schema: sent, counts });
        let waiting = Waiting::begin(limits, actor.stream);
        let response = {
            let posting = pin!(client.post(address, body, key, limits.connect));
            waiting.within(posting).await??
        };
        let pause = pause::asked_for(response.headers(), SystemTime::now());
        match read(call, response, waiting, usage).await {
            // nothing was worked on: it only does not know how to count
            Err(CallError::Refused(refusal))
                if counts && actor.stream && refusal.is_about("stream_options") =>
            {
                client.leave_uncounted(address);
            }
            read => return read.map_err(|error| error.with_pause(pause)),
        }
    }
}

async fn read(
    call: &LlmCall,
    response: Response<Incoming>,
    waiting: Waiting,
    usage: &mut LlmUsage,
) -> Result<String, CallError> {
    let LlmCall { actor, api_key, schema, limits, .. } = call;
    let key = api_key.as_ref();
    usage.request_id = request_id(response.headers(), key);
    if !response.status().is_success() {
        return Err(refusal::read(response, key, limits.between_tokens).await);
    }
    let coding = client::content_coding(response.headers());
    let form = Form::of(response.headers()).filter(|_| actor.stream);
    let body = response.into_body();
    let read = match form {
        None => client::read_whole(body, limits.output_bytes).await,
        Some(form) => {
            let first_token = &mut usage.first_token_ms;
            let reading = Reading::new(actor.protocol, form, limits, waiting, first_token);
            reading.read(body).await
        }
    };
    // what was thought is no part of a document
    let reasoning = if schema.is_some() { Reasoning::Drop } else { actor.reasoning };
    let reader = Reader { actor, reasoning, output_bytes: limits.output_bytes, key };
    let answer = read.and_then(|document| reader.read(&document, usage));
    answer.map_err(|error| match (error, coding) {
        (CallError::Encoding(_), Some(coding)) => {
            CallError::Compressed(refusal::quote(&coding, key))
        }
        (error, _) => error,
    })
}

/// How the endpoint calls the request, in the header that most write.
fn request_id(headers: &HeaderMap, key: Option<&Secret>) -> Option<String> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    let text = key.map_or_else(|| text.to_owned(), |key| key.remove_from(text));
    Some(text).filter(|text| answer::is_name(text))
}
