//! Why a call of a language model failed.

use std::error::Error;
use std::fmt::{self, Write};
use std::io::{self, ErrorKind};
use std::time::Duration;

use hyper_util::client::legacy;
use turing_domain::{FailureType, Llm, LlmProtocol};

use super::endpoint::{Address, EndpointError};
use super::refusal::Refusal;
use crate::schema::SchemaError;

/// A time limit that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// Of the whole call.
    Total(Duration),
    /// From the beginning of the call to the first token.
    FirstToken(Duration),
    /// From one piece of the answer to the next.
    BetweenTokens(Duration),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total(limit) => write!(f, "did not answer within the time limit of {limit:?}"),
            Self::FirstToken(limit) => {
                write!(f, "wrote no token within the {limit:?} of `first_token_seconds`")
            }
            Self::BetweenTokens(limit) => write!(
                f,
                "had begun its answer, and wrote nothing more within the {limit:?} of \
                 `between_tokens_seconds`"
            ),
        }
    }
}

/// The reason, worded to follow the endpoint's address; an [`EndpointError`] names it itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("got a key that cannot stand in a request")]
    KeyUnusable,
    #[error("could not be reached: {0}")]
    Unreachable(String),
    #[error("accepted no connection within the {0:?} of `connect_seconds`")]
    NotConnected(Duration),
    #[error("closed the connection before its answer was complete: {0}")]
    Lost(String),
    #[error("does not speak HTTP: {0}")]
    NotHttp(String),
    #[error("{0}")]
    TimedOut(Limit),
    #[error("answered with more than {0} bytes, and the rest was not read")]
    BodyLimit(usize),
    #[error("answered with a text of {size} bytes, more than the {limit} that an output may have")]
    OutputLimit { size: usize, limit: usize },
    #[error("answered in the content coding `{0}`, though it was told to use none")]
    Compressed(String),
    #[error("answered with bytes that are not UTF-8, the first at byte offset {0}")]
    Encoding(usize),
    #[error("answered with U+0000 at byte offset {0} of the text, which no store can hold")]
    Nul(usize),
    #[error("answered with something that is no answer of this protocol: {0}")]
    Unreadable(String),
    #[error("answered without `{0}`, where the text should be")]
    NoText(&'static str),
    /// With what the answer gives as its reason to end there, if anything.
    #[error("answered with an empty text{}", for_reason(.reason))]
    Empty { reason: Option<String> },
    #[error("answered with a part of the text only")]
    Unfinished,
    #[error("broke its answer off: {0}")]
    BrokenOff(String),
    /// With the text so far.
    #[error("stopped at the limit of tokens, {}", so_far(.text))]
    CutOff { text: String },
    /// With what the answer gives as its reason to end there.
    #[error("filtered its answer, for the reason `{0}`")]
    Filtered(String),
    #[error("answered that the model refuses: {0}")]
    Declined(String),
    /// With where and why.
    #[error("answered with what does not fit the schema, {0}")]
    Misfit(String),
    #[error("was not asked, as `schema` is no JSON schema: {0}")]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl CallError {
    /// What a request came to that got no response.
    pub(super) fn sending(error: legacy::Error, connect: Duration) -> Self {
        if error.is_connect() && has_timed_out(&error) {
            return Self::NotConnected(connect);
        }
        let source = error.source();
        let is_parse = source
            .and_then(|source| source.downcast_ref::<hyper::Error>())
            .is_some_and(hyper::Error::is_parse);
        let reason = chain(source.unwrap_or(&error));
        match () {
            () if error.is_connect() => Self::Unreachable(reason),
            () if is_parse => Self::NotHttp(reason),
            () => Self::Lost(reason),
        }
    }

    /// What the body of a response came to.
    pub(super) fn reading(error: hyper::Error) -> Self {
        Self::Lost(chain(&error))
    }

    /// What the body of an answer came to as JSON; values in it are not quoted, as one of them may
    /// be the key.
    pub(super) fn unreadable(error: serde_json::Error) -> Self {
        match error.is_data() {
            true => Self::Unreadable("it is JSON of another form".to_owned()),
            false => Self::Unreadable(error.to_string()),
        }
    }

    pub(super) fn failure_type(&self) -> FailureType {
        match self {
            Self::Endpoint(_) | Self::KeyUnusable | Self::Schema(_) => FailureType::InvalidInput,
            Self::Unreachable(_) | Self::NotConnected(_) | Self::Lost(_) => FailureType::Connection,
            Self::TimedOut(_) => FailureType::Timeout,
            Self::NotHttp(_)
            | Self::BodyLimit(_)
            | Self::OutputLimit { .. }
            | Self::Compressed(_)
            | Self::Encoding(_)
            | Self::Nul(_)
            | Self::Unreadable(_)
            | Self::NoText(_)
            | Self::Empty { .. }
            | Self::Unfinished
            | Self::Misfit(_) => FailureType::InvalidOutput,
            Self::BrokenOff(_) => FailureType::BrokenOff,
            Self::CutOff { .. } => FailureType::CutOff,
            Self::Filtered(_) => FailureType::Filtered,
            Self::Declined(_) => FailureType::Refused,
            Self::Refused(refusal) => refusal.failure_type.clone(),
        }
    }

    /// Whether the model answered as it was asked, so that it would answer the same again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Misfit(_))
    }

    /// The same, with the pause that the response asks for if that is what it is about.
    pub(super) fn with_pause(mut self, asked: Option<Duration>) -> Self {
        if let Self::Refused(refusal) = &mut self
            && refusal.failure_type == FailureType::RateLimited
        {
            refusal.retry_after = asked;
        }
        self
    }

    /// The pause that the endpoint asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// What happened and what to do, as one line for an event.
    pub(super) fn describe(&self, address: &Address, actor: &Llm) -> String {
        let mut text = match self {
            Self::Endpoint(error) => chain(error),
            other => format!("{address} {other}"),
        };
        if let Some(advice) = self.advice(actor) {
            // writing to a text cannot fail
            let _ = write!(text, "; {advice}");
        }
        text
    }

    fn advice(&self, actor: &Llm) -> Option<String> {
        let advice = match self {
            Self::Unreachable(reason) if reason.contains("invalid peer certificate") => {
                "if you trust it, add its authority to the system's certificates, \
                 or name their file in SSL_CERT_FILE"
            }
            Self::Unreachable(_) | Self::NotConnected(_) => {
                "start the server, or correct `endpoint`"
            }
            Self::NotHttp(_) => "is the scheme or the port of `endpoint` wrong?",
            Self::TimedOut(Limit::Total(_)) => {
                "give the conversation a longer `timeout_seconds`, or use a smaller model"
            }
            Self::TimedOut(Limit::FirstToken(_)) => {
                "look whether it works, or has others to answer before, and needs more time"
            }
            Self::TimedOut(Limit::BetweenTokens(_)) => {
                "look whether it works, or give it more time"
            }
            Self::Misfit(_) => {
                "say more clearly in `input` what to answer, or in a rule with `on = \"failure\"` what follows"
            }
            Self::Schema(_) => "correct it",
            Self::BodyLimit(_) | Self::OutputLimit { .. } => "ask for a shorter answer",
            Self::Compressed(_) => "turn compression off there, or in the proxy before it",
            Self::Unreadable(_) | Self::NoText(_) => {
                "does `protocol` name what the endpoint speaks?"
            }
            Self::Empty { reason: Some(reason) } if is_about_tools(reason) => {
                "it wants to use a tool, and has none: tell it in `system` to answer by itself"
            }
            Self::CutOff { .. } => {
                let limit = match (actor.max_tokens, actor.max_completion_tokens) {
                    (_, Some(_)) => "`max_completion_tokens`",
                    // which of them the endpoint knows, only its documentation says
                    (None, None) if actor.protocol == LlmProtocol::OpenaiChat => {
                        "`max_tokens` or `max_completion_tokens`"
                    }
                    _ => "`max_tokens`",
                };
                return Some(format!("raise {limit}, or ask for a shorter answer"));
            }
            Self::Filtered(_) | Self::Declined(_) => {
                "change the input, or say in a rule with `on = \"failure\"` what follows"
            }
            Self::KeyUnusable => "remove line breaks and control characters from it",
            Self::Refused(refusal) => return refusal.advice(actor),
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

fn for_reason(reason: &Option<String>) -> String {
    let reason = reason.as_ref();
    reason.map(|reason| format!(" and ended for the reason `{reason}`")).unwrap_or_default()
}

fn so_far(text: &str) -> String {
    match text {
        "" => "before the first word".to_owned(),
        text => format!("after: {text}"),
    }
}

fn is_about_tools(reason: &str) -> bool {
    ["tool_calls", "function_call"].contains(&reason)
}

/// Whether a time limit is behind an error.
fn has_timed_out(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let system = error.downcast_ref::<io::Error>();
        if system.is_some_and(|system| system.kind() == ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and everything behind it; what repeats the text before it is left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
