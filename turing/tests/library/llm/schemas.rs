//! Answers that must fit a schema.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use serde_json::{Value, json};

use super::server::*;

fn document() -> Value {
    json!({"type": "object", "required": ["verdict"], "additionalProperties": false,
        "properties": {"verdict": {"enum": ["pass", "fail"]}}})
}

fn schema(document: Value) -> Option<JsonSchema> {
    Some(serde_json::from_value(document).unwrap())
}

/// An answer with this text that took so many tokens.
fn counted(protocol: LlmProtocol, text: &str, tokens: u64) -> Reply {
    let mut body = answer(protocol, json!(text));
    match protocol {
        LlmProtocol::OpenaiChat => {
            body["usage"] = json!({"prompt_tokens": tokens, "completion_tokens": tokens});
        }
        _ => {
            body["prompt_eval_count"] = json!(tokens);
            body["eval_count"] = json!(tokens);
        }
    }
    Reply::body(body.to_string())
}

#[tokio::test]
async fn an_answer_that_fits_is_the_output_as_it_was_written() {
    for protocol in PROTOCOLS {
        for text in ["{\"verdict\": \"pass\"}", "\n{ \"verdict\" : \"fail\" }\n"] {
            let server = Server::start(Reply::text(protocol, text)).await;
            let call = LlmCall { schema: schema(document()), ..server.call(protocol) };
            assert_eq!(completed(call_llm(&LlmClient::new(), &call).await).0, text);
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_told_by_its_place_and_is_final() {
    for (text, place) in [
        ("{\"verdict\": \"perhaps\"}", "the schema, at /verdict: "),
        ("{}", "the schema, at the root: "),
        ("[PASS]", "the schema, at the root: the text is no JSON, "),
        ("```json\n{\"verdict\": \"pass\"}\n```", "the text is no JSON, "),
    ] {
        let mut server = Server::start(Reply::text(LlmProtocol::OllamaChat, text)).await;
        let call = server.call(LlmProtocol::OllamaChat);
        let call = LlmCall { schema: schema(document()), ..call };
        let outcome = call_llm(&LlmClient::new(), &call).await;
        let LlmOutcome::Failed { failure_type, error, is_final, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(failure_type, FailureType::InvalidOutput);
        assert_contains(&error, "answered with what does not fit the schema, at ");
        assert_contains(&error, place);
        assert!(is_final && !error.contains("perhaps"), "{error}");
        assert_eq!(server.requests_left(), 1);
    }
}

#[tokio::test]
async fn other_failures_are_not_final() {
    let server = Server::start(Reply::text(LlmProtocol::OllamaChat, " ")).await;
    let call = LlmCall { schema: schema(document()), ..server.call(LlmProtocol::OllamaChat) };
    let outcome = call_llm(&LlmClient::new(), &call).await;
    assert!(matches!(outcome, LlmOutcome::Failed { is_final: false, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_repair_tells_the_model_its_answer_and_what_is_wrong_with_it() {
    let wrong = "{\"verdict\": \"perhaps\"}";
    for protocol in PROTOCOLS {
        let replies =
            [counted(protocol, wrong, 10), counted(protocol, "{\"verdict\": \"pass\"}", 7)];
        let mut server = Server::start(Reply::turns(replies)).await;
        let call = LlmCall { schema: schema(document()), repairs: 1, ..server.call(protocol) };
        let (output, usage) = completed(call_llm(&LlmClient::new(), &call).await);
        assert_eq!(output, "{\"verdict\": \"pass\"}");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(17), Some(17)));
        let (first, second) = (server.request().await.body, server.request().await.body);
        assert_ne!(first, second);
        let asked = match protocol {
            LlmProtocol::OllamaGenerate => second["prompt"].as_str().unwrap().to_owned(),
            _ => {
                let messages = second["messages"].as_array().unwrap();
                let roles: Vec<_> = messages.iter().map(|message| &message["role"]).collect();
                assert_eq!(roles, ["user", "assistant", "user"]);
                assert_eq!(messages[0], first["messages"][0]);
                assert_eq!(messages[1]["content"], wrong);
                let told = |message: &Value| message["content"].as_str().unwrap().to_owned();
                messages.iter().map(told).collect::<Vec<_>>().join("\n")
            }
        };
        for part in ["Summarize this.", wrong, "at /verdict: ", "Answer again", "\"pass\""] {
            assert_contains(&asked, part);
        }
        assert_eq!(server.requests_left(), 0);
    }
}

#[tokio::test]
async fn an_answer_is_repaired_as_often_as_is_said_and_what_it_took_is_told() {
    let protocol = LlmProtocol::OpenaiChat;
    let mut server = Server::start(counted(protocol, "{}", 10)).await;
    let call = LlmCall { schema: schema(document()), repairs: 1, ..server.call(protocol) };
    let outcome = call_llm(&LlmClient::new(), &call).await;
    let LlmOutcome::Failed { failure_type, is_final, usage, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((failure_type, is_final), (FailureType::InvalidOutput, true));
    assert_eq!(usage.prompt_tokens, Some(20));
    assert_eq!(server.requests_left(), 2);
}

#[tokio::test]
async fn a_repair_that_fails_otherwise_fails_so() {
    let protocol = LlmProtocol::OpenaiChat;
    let refused = Reply::status("429 Too Many Requests", &["retry-after: 5"], "");
    let server = Server::start(Reply::turns([counted(protocol, "{}", 10), refused])).await;
    let call = LlmCall { schema: schema(document()), repairs: 1, ..server.call(protocol) };
    let outcome = call_llm(&LlmClient::new(), &call).await;
    let LlmOutcome::Failed { failure_type, retry_after, is_final, usage, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((failure_type, is_final), (FailureType::RateLimited, false));
    assert!(retry_after.is_some());
    assert_eq!(usage.prompt_tokens, Some(10));
}

#[tokio::test]
async fn the_schema_is_sent_to_an_endpoint_that_takes_it() {
    for protocol in PROTOCOLS {
        for structured in [true, false] {
            let mut server = Server::start(Reply::text(protocol, "{\"verdict\": \"pass\"}")).await;
            let mut call = LlmCall { schema: schema(document()), ..server.call(protocol) };
            call.actor.structured = structured;
            completed(call_llm(&LlmClient::new(), &call).await);
            let body = server.request().await.body;
            let expected = structured.then(document);
            match protocol {
                LlmProtocol::OpenaiChat => {
                    let sent = expected.map(|schema| {
                        json!({"type": "json_schema", "json_schema":
                            {"name": "answer", "strict": true, "schema": schema}})
                    });
                    assert_eq!(body.get("response_format"), sent.as_ref());
                }
                _ => assert_eq!(body.get("format"), expected.as_ref()),
            }
        }
    }
}

#[tokio::test]
async fn thoughts_are_no_part_of_a_document() {
    let body = json!({"response": "<think>Well?</think>{\"verdict\": \"pass\"}"});
    let server = Server::start(Reply::body(body.to_string())).await;
    let call = server.call(LlmProtocol::OllamaGenerate);
    let mut call = LlmCall { schema: schema(document()), ..call };
    call.actor.reasoning = Reasoning::Keep;
    let (output, _) = completed(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(output, "{\"verdict\": \"pass\"}");
}

#[tokio::test]
async fn what_is_no_schema_asks_nobody() {
    let mut server = Server::start(Reply::text(LlmProtocol::OllamaChat, "{}")).await;
    let wrong = schema(json!({"type": "strng"}));
    let call = LlmCall { schema: wrong, ..server.call(LlmProtocol::OllamaChat) };
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::InvalidInput);
    assert_contains(&error, "`schema` is no JSON schema: at /type: ");
    assert_eq!(server.requests_left(), 0);
}
