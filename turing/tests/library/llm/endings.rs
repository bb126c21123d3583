//! Every way in which an answer ends, in every form, against a small model of what must come of it.

use serde_json::{Value, json};

use super::server::*;

/// What an `error` beside an answer comes to; `None` where it says nothing.
fn errors() -> Vec<(Value, Option<FailureType>)> {
    vec![
        (json!(null), None),
        (json!(false), None),
        (json!({"code": null, "message": ""}), None),
        (json!("gremlins"), Some(FailureType::Unknown)),
        (json!({"message": "Rate limit reached"}), Some(FailureType::RateLimited)),
        (json!({"code": 502, "message": "Upstream error"}), Some(FailureType::Connection)),
        (json!({"code": 429, "message": "Slow down"}), Some(FailureType::RateLimited)),
        (json!({"code": "403", "message": "Moderated"}), Some(FailureType::InvalidInput)),
    ]
}

/// What the same `error` comes to where the answer broke off: a status from 400 to 499 counts.
fn broken(error: &Value) -> FailureType {
    match error.get("code").map(Value::to_string).as_deref() {
        Some("429") => FailureType::RateLimited,
        Some("\"403\"") => FailureType::InvalidInput,
        _ => FailureType::BrokenOff,
    }
}

/// What the reason of an answer to end there comes to; `None` where its text is the answer.
fn reasons() -> Vec<(Value, Option<FailureType>)> {
    vec![
        (json!(null), None),
        (json!("stop"), None),
        (json!("tool_calls"), None),
        (json!("dinner"), None),
        (json!(4), None),
        (json!("error"), Some(FailureType::BrokenOff)),
        (json!("abort"), Some(FailureType::BrokenOff)),
        (json!("length"), Some(FailureType::CutOff)),
        (json!("MAX_TOKENS"), Some(FailureType::CutOff)),
        (json!("content_filter"), Some(FailureType::Filtered)),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// The text `[PASS] ok`.
    Text,
    /// Nothing, or white space.
    Nothing,
    /// A refusal of the model.
    Refusal,
    /// Neither a text nor parts.
    Unreadable,
}

fn contents() -> Vec<(Value, Form)> {
    let part = |kind: &str, text: &str| json!({"type": kind, "text": text});
    let thoughts = json!({"type": "thinking", "thinking": [part("text", "[FAIL]?")]});
    vec![
        (json!("[PASS] ok"), Form::Text),
        (json!([part("text", "[PASS]"), part("output_text", " ok")]), Form::Text),
        (json!([thoughts, part("reasoning", "[FAIL]?"), part("text", "[PASS] ok")]), Form::Text),
        (json!([{"text": "[PASS] ok"}, {"type": "image_url", "image_url": 7}]), Form::Text),
        (json!(null), Form::Nothing),
        (json!(" \n"), Form::Nothing),
        (json!([]), Form::Nothing),
        (json!([thoughts]), Form::Nothing),
        (json!([part("text", "")]), Form::Nothing),
        (json!([part("text", "Well."), {"type": "refusal", "refusal": "No."}]), Form::Refusal),
        (json!(3), Form::Unreadable),
        (json!(["[PASS] ok"]), Form::Unreadable),
        (json!([{"type": "text", "text": 3}]), Form::Unreadable),
        (json!({"text": "[PASS] ok"}), Form::Unreadable),
    ]
}

/// What comes of an answer, read in words: an error is one whatever stands beside it; then counts
/// how the answer ends, then what it says. `errors` are all that may tell why it was broken off.
fn expected(
    error: Option<&FailureType>,
    ending: Option<&FailureType>,
    errors: &[&Value],
    is_refused: bool,
    content: Form,
) -> Result<&'static str, FailureType> {
    let mut broken = errors.iter().map(|error| broken(error));
    let broken = broken.find(|broken| *broken != FailureType::BrokenOff);
    match (error, ending, content) {
        (_, Some(FailureType::BrokenOff), _) => Err(broken.unwrap_or(FailureType::BrokenOff)),
        (Some(error), ..) => Err(error.clone()),
        (_, Some(FailureType::Filtered), _) => Err(FailureType::Filtered),
        _ if is_refused => Err(FailureType::Refused),
        (_, _, Form::Refusal) => Err(FailureType::Refused),
        (_, _, Form::Unreadable) => Err(FailureType::InvalidOutput),
        (_, Some(ending), _) => Err(ending.clone()),
        (_, _, Form::Nothing) => Err(FailureType::InvalidOutput),
        (_, _, Form::Text) => Ok("[PASS] ok"),
    }
}

/// A server that answers with whatever it is asked, so that one serves all cases.
struct Echo {
    server: Server,
    client: LlmClient,
}

impl Echo {
    async fn start() -> Self {
        Self { server: Server::start(Reply::Echo).await, client: LlmClient::new() }
    }

    async fn outcome(&self, protocol: LlmProtocol, body: &Value) -> LlmOutcome {
        let call = LlmCall { input: body.to_string(), ..self.server.call(protocol) };
        call_llm(&self.client, &call).await
    }

    async fn check(
        &self,
        protocol: LlmProtocol,
        body: &Value,
        expected: Result<&str, FailureType>,
    ) {
        let come = match self.outcome(protocol, body).await {
            LlmOutcome::Completed { output, .. } => Ok(output),
            LlmOutcome::Failed { failure_type, .. } => Err(failure_type),
        };
        assert_eq!(come, expected.map(str::to_owned), "{protocol:?} {body}");
    }
}

#[tokio::test]
async fn an_answer_of_ollama_comes_to_what_the_model_says() {
    let echo = Echo::start().await;
    for (error, of_error) in errors() {
        for (reason, of_reason) in reasons() {
            for (content, form) in contents() {
                let (of_error, of_reason) = (of_error.as_ref(), of_reason.as_ref());
                let expected = expected(of_error, of_reason, &[&error], false, form);
                for protocol in [LlmProtocol::OllamaGenerate, LlmProtocol::OllamaChat] {
                    let mut body = answer(protocol, content.clone());
                    body["done_reason"] = reason.clone();
                    body["error"] = error.clone();
                    echo.check(protocol, &body, expected.clone()).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_of_completions_comes_to_what_the_model_says() {
    let echo = Echo::start().await;
    let protocol = LlmProtocol::OpenaiChat;
    for (error, of_error) in errors() {
        for (reason, of_reason) in reasons() {
            for (content, form) in contents() {
                for (refusal, is_refused) in [(json!(""), false), (json!("I can't."), true)] {
                    for (inner, of_inner) in errors() {
                        let broken_off = of_inner.map(|_| FailureType::BrokenOff);
                        let ending = broken_off.as_ref().or(of_reason.as_ref());
                        let (of_error, errors) = (of_error.as_ref(), [&error, &inner]);
                        let expected = expected(of_error, ending, &errors, is_refused, form);
                        let body = json!({"error": error, "choices": [{
                            "message": {"content": content, "refusal": refusal},
                            "finish_reason": reason,
                            "error": inner,
                        }]});
                        echo.check(protocol, &body, expected).await;
                    }
                }
            }
        }
    }
}

fn completion(message: Value, reason: &str) -> Value {
    json!({"choices": [{"message": message, "finish_reason": reason}]})
}

#[tokio::test]
async fn each_ending_is_told_in_its_words() {
    let echo = Echo::start().await;
    let mut upstream = completion(json!({"content": "[PASS] The adv"}), "error");
    upstream["choices"][0]["error"] = json!({"code": 502, "message": "Upstream\nerror"});
    let text = json!({"content": "[PASS] The adv"});
    let mut slow = completion(text.clone(), "error");
    slow["choices"][0]["error"] = json!({"code": 429, "message": "Slow down"});
    let cases = [
        (slow, "answered with an error: Slow down"),
        (upstream, "broke its answer off: Upstream error"),
        (completion(text.clone(), "abort"), "broke its answer off: its reason is `abort`"),
        (
            completion(text.clone(), "length"),
            "stopped at the limit of tokens, after: [PASS] The adv; raise `max_tokens` or \
             `max_completion_tokens`, or ask",
        ),
        (
            completion(json!({"content": ""}), "length"),
            "stopped at the limit of tokens, before the first word; raise `max_tokens`",
        ),
        (
            completion(text, "content_filter"),
            "filtered its answer, for the reason `content_filter`",
        ),
        (
            completion(json!({"content": null, "refusal": "I can't help."}), "stop"),
            "answered that the model refuses: I can't help.",
        ),
        (
            completion(json!({"content": null}), "tool_calls"),
            "answered with an empty text and ended for the reason `tool_calls`; it wants to use a tool",
        ),
        (
            completion(json!({"content": ""}), "dinner"),
            "answered with an empty text and ended for the reason `dinner`",
        ),
    ];
    for (body, words) in cases {
        let outcome = echo.outcome(LlmProtocol::OpenaiChat, &body).await;
        assert_contains(&failure(outcome).1, words);
    }
}

#[tokio::test]
async fn the_limit_to_raise_is_the_one_that_was_set_or_can_be() {
    let both = "`max_tokens` or `max_completion_tokens`";
    let cases = [
        (LlmProtocol::OpenaiChat, None, None, both),
        (LlmProtocol::OpenaiChat, Some(1), None, "`max_tokens`"),
        (LlmProtocol::OpenaiChat, None, Some(1), "`max_completion_tokens`"),
        (LlmProtocol::OllamaChat, None, None, "`max_tokens`"),
        (LlmProtocol::OllamaGenerate, Some(1), None, "`max_tokens`"),
    ];
    for (protocol, max_tokens, max_completion_tokens, told) in cases {
        let mut body = answer(protocol, json!("The"));
        match protocol {
            LlmProtocol::OpenaiChat => body["choices"][0]["finish_reason"] = json!("length"),
            _ => body["done_reason"] = json!("length"),
        }
        let server = Server::start(Reply::body(body.to_string())).await;
        let mut call = server.call(protocol);
        call.actor = Llm { max_tokens, max_completion_tokens, ..call.actor };
        let (_, error) = failure(call_llm(&LlmClient::new(), &call).await);
        assert_contains(&error, &format!("; raise {told}, or ask for a shorter answer"));
    }
}

#[tokio::test]
async fn what_somebody_says_at_the_end_is_told_without_the_key() {
    let said = json!("no sk-1234, no");
    let bodies = [
        json!({"choices": [{"message": {}, "error": {"message": said}}]}),
        json!({"choices": [{"message": {"refusal": said}}]}),
        json!({"choices": [{"message": {"content": said}, "finish_reason": "length"}]}),
        json!({"choices": [{"message": {}, "finish_reason": said}]}),
    ];
    for body in bodies {
        let server = Server::start(Reply::body(body.to_string())).await;
        let mut call = server.call(LlmProtocol::OpenaiChat);
        call.api_key = Some(Secret::new("sk-1234"));
        let (_, error) = failure(call_llm(&LlmClient::new(), &call).await);
        assert_contains(&error, "no ***, no");
    }
}

#[tokio::test]
async fn of_a_key_that_is_there_twice_the_last_one_counts() {
    let bodies = [
        (
            LlmProtocol::OllamaGenerate,
            r#"{"response": "no", "response": "Fine.", "x": 1, "x": 2, "done": true, "done": true}"#,
        ),
        (
            LlmProtocol::OllamaChat,
            r#"{"message": 1, "message": {"role": "a", "role": 2, "content": "", "content": "Fine."}}"#,
        ),
        (
            LlmProtocol::OpenaiChat,
            r#"{"choices": [], "choices": [{"index": 0, "index": 1, "finish_reason": "length",
                "finish_reason": "stop", "message": {"content": 1, "content": "Fine."}}]}"#,
        ),
    ];
    for (protocol, body) in bodies {
        assert_eq!(completed(outcome(protocol, Reply::body(body)).await).0, "Fine.", "{body}");
    }
}
