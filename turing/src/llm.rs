//! Language models: one call is one request over HTTP, held to its limits.

mod answer;
mod client;
mod endpoint;
mod failure;
mod pause;
mod protocol;
mod refusal;
mod secret;

use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use hyper::Response;
use hyper::body::Incoming;
use tokio::time::timeout;
use turing_domain::{FailureType, Llm, LlmUsage};

use answer::Answer;
use endpoint::Address;
use failure::CallError;

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
}

/// The bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LlmLimits {
    /// From the look-up of the host to the last byte of the answer.
    pub time: Duration,
    /// What the answer may hold; one byte more fails the call.
    pub output_bytes: usize,
}

impl Default for LlmLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(600), output_bytes: 1024 * 1024 }
    }
}

/// How long an answer is read that is here when the time is over. Nobody has looked for it if this
/// process was stopped meanwhile, and then the end of the time may be noticed first.
const UNTIL_READ: Duration = Duration::from_millis(250);

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
    let result = match Address::of(&call.actor) {
        Ok(address) => {
            let result = ask_in_time(client, call, &address).await;
            result.map_err(|error| {
                let told = error.describe(&address, &call.actor);
                (error.failure_type(), told, error.retry_after())
            })
        }
        Err(error) => Err((FailureType::InvalidInput, error.to_string(), None)),
    };
    let duration = started.elapsed();
    match result {
        Ok(Answer { output, usage }) => LlmOutcome::Completed { output, usage, duration },
        Err((failure_type, error, retry_after)) => {
            LlmOutcome::Failed { failure_type, error, retry_after, duration }
        }
    }
}

/// Asks, and gives up when the time is over, unless the answer has come by then.
async fn ask_in_time(
    client: &LlmClient,
    call: &LlmCall,
    address: &Address,
) -> Result<Answer, CallError> {
    let mut asking = pin!(ask(client, call, address));
    if let Ok(answer) = timeout(call.limits.time, &mut asking).await {
        return answer;
    }
    // a task of the connection's own reads it
    let answer = timeout(UNTIL_READ, asking).await;
    answer.unwrap_or(Err(CallError::TimedOut(call.limits.time)))
}

async fn ask(client: &LlmClient, call: &LlmCall, address: &Address) -> Result<Answer, CallError> {
    let LlmCall { actor, input, api_key, .. } = call;
    endpoint::check_call(actor, address, api_key.as_ref())?;
    let body = protocol::question(actor, input);
    let response = client.post(address, body, api_key.as_ref()).await?;
    let pause = pause::asked_for(response.headers(), SystemTime::now());
    read(call, response).await.map_err(|error| error.with_pause(pause))
}

async fn read(call: &LlmCall, response: Response<Incoming>) -> Result<Answer, CallError> {
    let LlmCall { actor, api_key, limits, .. } = call;
    if !response.status().is_success() {
        return Err(refusal::read(response, api_key.as_ref()).await);
    }
    let coding = client::content_coding(response.headers());
    let body = client::read_whole(response.into_body(), limits.output_bytes).await?;
    let answer = answer::read(actor, &body, limits.output_bytes, api_key.as_ref());
    answer.map_err(|error| match (error, coding) {
        (CallError::Encoding(_), Some(coding)) => {
            CallError::Compressed(refusal::quote(&coding, api_key.as_ref()))
        }
        (error, _) => error,
    })
}
