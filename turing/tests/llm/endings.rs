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
    ]
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
/// how the answer ends, then what it says.
fn expected(
    error: Option<&FailureType>,
    ending: Option<&FailureType>,
    is_refused: bool,
    content: Form,
) -> Result<&'static str, FailureType> {
    let is_broken = ending == Some(&FailureType::BrokenOff);
    match (error, ending, content) {
        (Some(_), ..) if is_broken => Err(FailureType::BrokenOff),
        (Some(error), ..) => Err(error.clone()),
        (_, Some(ending), _) if is_broken || *ending == FailureType::Filtered => {
            Err(ending.clone())
        }
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
                let expected = expected(of_error.as_ref(), of_reason.as_ref(), false, form);
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
    let upstream = json!({"code": 502, "message": "Upstream error"});
    for (error, of_error) in errors() {
        for (reason, of_reason) in reasons() {
            for (content, form) in contents() {
                for (refusal, is_refused) in [(json!(""), false), (json!("I can't."), true)] {
                    for (broken, is_broken) in [(json!({}), false), (upstream.clone(), true)] {
                        let broken_off = is_broken.then_some(FailureType::BrokenOff);
                        let ending = broken_off.as_ref().or(of_reason.as_ref());
                        let expected = expected(of_error.as_ref(), ending, is_refused, form);
                        let body = json!({"error": error, "choices": [{
                            "message": {"content": content, "refusal": refusal},
                            "finish_reason": reason,
                            "error": broken,
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
    let cases = [
        (upstream, "broke its answer off: Upstream error"),
        (completion(text.clone(), "abort"), "broke its answer off: its reason is `abort`"),
        (
            completion(text.clone(), "length"),
            "stopped at the limit of tokens, after: [PASS] The adv; raise `max_tokens`",
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
async fn the_limit_that_was_set_is_the_one_to_raise() {
    let body = completion(json!({"content": "The"}), "length");
    let server = Server::start(Reply::body(body.to_string())).await;
    let mut call = server.call(LlmProtocol::OpenaiChat);
    call.actor.max_completion_tokens = Some(1);
    let (_, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_contains(&error, "raise `max_completion_tokens`");
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
