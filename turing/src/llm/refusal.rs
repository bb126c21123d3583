//! What an endpoint says instead of an answer.

use std::fmt;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;
use turing_domain::{FailureType, Llm};

use super::client;
use super::failure::CallError;
use super::secret::Secret;

/// How much of a refusal is read, and how many characters of it are kept.
const READ_BYTES: usize = 64 * 1024;
const KEPT_CHARS: usize = 500;
/// How long it is waited for at most.
const READ_TIME: Duration = Duration::from_secs(5);

/// An endpoint's own words on why it does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) struct Refusal {
    pub(super) failure_type: FailureType,
    pub(super) retry_after: Option<Duration>,
    /// `None` if it is the body alone that speaks of an error.
    status: Option<StatusCode>,
    text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) if status.is_redirection() => {
                write!(f, "redirects ({status}), which is not followed")?;
            }
            Some(status) => write!(f, "refused with status {status}")?,
            None => write!(f, "answered with an error")?,
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

impl Refusal {
    /// Whether the request is refused for something of this name.
    pub(super) fn is_about(&self, name: &str) -> bool {
        let is_of_request = self.status.is_some_and(|status| matches!(status.as_u16(), 400 | 422));
        is_of_request && self.text.contains(name)
    }

    pub(super) fn advice(&self, actor: &Llm) -> Option<String> {
        if self.status.is_some_and(|status| status.is_redirection()) {
            return Some("put the final address into `endpoint`".into());
        }
        match (self.status.map(|status| status.as_u16()), &self.failure_type) {
            (Some(401 | 403), _) => Some(match &actor.api_key_env {
                Some(variable) => {
                    format!("put a valid key into the environment variable `{variable}`")
                }
                None => "name the environment variable that holds the key in `api_key_env`".into(),
            }),
            (_, FailureType::NotFound) if is_about_a_model(&self.text) => {
                Some(format!("install the model `{}` there, or correct `model`", actor.model))
            }
            (_, FailureType::NotFound) => {
                Some("does `endpoint` have the right path, and `protocol` the right name?".into())
            }
            (_, FailureType::RateLimited) => {
                Some(format!("it asks for a pause of {:?}", self.retry_after?))
            }
            (_, FailureType::OutOfMemory) => Some("use a smaller model, or free memory".into()),
            _ => None,
        }
    }
}

/// Reads a response with a status other than success, and waits no longer than so long for its words.
pub(super) async fn read(
    response: Response<Incoming>,
    key: Option<&Secret>,
    time: Duration,
) -> CallError {
    let status = response.status();
    let asks_for_pause = response.headers().contains_key(RETRY_AFTER);
    let coding = client::content_coding(response.headers());
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.unwrap_or_default().to_owned();
    // the status alone says enough when the body breaks off, or does not end
    let time = time.min(READ_TIME);
    let mut body = client::read_for(response.into_body(), READ_BYTES, time).await;
    body.truncate(READ_BYTES);
    let text = match coding {
        _ if status.is_redirection() => {
            location.split(['?', '#']).next().unwrap_or_default().to_owned()
        }
        Some(coding) if !is_text(&body) => {
            format!("words that cannot be read, in the content coding `{coding}`")
        }
        _ => text_of(&body),
    };
    let text = quote(&text, key);
    let failure_type = classify(status, asks_for_pause, &text);
    Refusal { failure_type, retry_after: None, status: Some(status), text }.into()
}

/// The `error` of a body whose status is success. A gateway that had answered before its upstream
/// failed names the status in it.
pub(super) fn in_answer(error: &RawValue, key: Option<&Secret>) -> CallError {
    let text = words(error, key);
    let failure_type = match status_in(error) {
        Some(status) => classify(status, false, &text),
        None => by_text(&text).unwrap_or(FailureType::Unknown),
    };
    Refusal { failure_type, retry_after: None, status: None, text }.into()
}

/// Whether an error names a status from 400 to 499.
pub(super) fn is_of_client(error: &RawValue) -> bool {
    status_in(error).is_some_and(|status| status.is_client_error())
}

/// The status in an `error`: a number, in digits, or by the name of what it is.
fn status_in(error: &RawValue) -> Option<StatusCode> {
    let error: Value = serde_json::from_str(error.get()).ok()?;
    ["code", "type"].into_iter().find_map(|name| {
        let told = error.get(name)?;
        let told = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
        let status = status_named(&told).or_else(|| told.parse().ok())?;
        (status.is_client_error() || status.is_server_error()).then_some(status)
    })
}

/// The status for which servers have this name.
fn status_named(name: &str) -> Option<StatusCode> {
    match name {
        "server_error" | "internal_server_error" => Some(StatusCode::INTERNAL_SERVER_ERROR),
        "rate_limit_error" | "rate_limit_exceeded" => Some(StatusCode::TOO_MANY_REQUESTS),
        "invalid_request_error" => Some(StatusCode::BAD_REQUEST),
        _ => None,
    }
}

fn classify(status: StatusCode, asks_for_pause: bool, text: &str) -> FailureType {
    match status.as_u16() {
        429 => FailureType::RateLimited,
        503 if asks_for_pause => FailureType::RateLimited,
        408 => FailureType::Timeout,
        401 | 403 => FailureType::InvalidInput,
        300..400 | 404 | 405 | 410 => FailureType::NotFound,
        // a refused input may be repeated in the text, so words in it must not cause a retry
        400..500 => by_text(text)
            .filter(|failure_type| !failure_type.is_retried())
            .unwrap_or(FailureType::InvalidInput),
        500..600 => by_text(text).unwrap_or(FailureType::Connection),
        _ => FailureType::Unknown,
    }
}

/// What servers are known to write.
fn by_text(text: &str) -> Option<FailureType> {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
    match () {
        () if has(&["out of memory", "more system memory", "not enough memory"]) => {
            Some(FailureType::OutOfMemory)
        }
        () if has(&["no space left on device"]) => Some(FailureType::DiskFull),
        () if has(&["rate limit", "too many requests", "server busy", "overloaded"]) => {
            Some(FailureType::RateLimited)
        }
        () if has(&["content_filter", "content management policy"]) => Some(FailureType::Filtered),
        () if is_about_a_model(&text) && has(&["not found", "does not exist"]) => {
            Some(FailureType::NotFound)
        }
        () if has(&["context length", "context window", "does not support"]) => {
            Some(FailureType::InvalidInput)
        }
        () => None,
    }
}

fn is_about_a_model(text: &str) -> bool {
    text.to_lowercase().contains("model")
}

/// Whether it is UTF-8, as far as it was read.
fn is_text(body: &[u8]) -> bool {
    std::str::from_utf8(body).map_or_else(|error| error.error_len().is_none(), |_| true)
}

/// The message in an error body, wherever the known servers put it; any other body as it is.
fn text_of(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let paths = ["/error/message", "/error", "/message", "/detail"];
    let found = paths.iter().find_map(|path| value.pointer(path)?.as_str());
    found.map_or_else(|| value.to_string(), str::to_owned)
}

/// What a value in an answer says, whatever its form, for an event.
pub(super) fn words(value: &RawValue, key: Option<&Secret>) -> String {
    quote(&text_of(format!("{{\"error\":{value}}}").as_bytes()), key)
}

/// An endpoint's words for an event: on one line, not too long, and without the key.
pub(super) fn quote(text: &str, key: Option<&Secret>) -> String {
    let text = key.map_or_else(|| text.to_owned(), |key| key.remove_from(text));
    let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(KEPT_CHARS) {
        Some((cut, _)) => format!("{} […]", &line[..cut]),
        None => line,
    }
}
