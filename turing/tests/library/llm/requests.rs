//! What an endpoint is asked.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use serde_json::json;

use super::server::*;

async fn asked(server: &mut Server, actor: Llm) -> Request {
    completed(call_llm(&LlmClient::new(), &call(actor)).await);
    server.request().await
}

/// The same of an actor with everything that a definition can say, and the server that was asked.
async fn asked_in_full(protocol: LlmProtocol) -> (Server, Request) {
    let mut server = Server::start(Reply::text(protocol, "fine")).await;
    let actor = Llm {
        system: Some("You are terse.".into()),
        temperature: Some(0.2),
        seed: Some(-7),
        max_tokens: Some(128),
        ..server.actor(protocol)
    };
    let request = asked(&mut server, actor).await;
    (server, request)
}

#[tokio::test]
async fn generate_is_asked_with_prompt_system_and_options() {
    let (server, request) = asked_in_full(LlmProtocol::OllamaGenerate).await;
    assert_eq!(request.line, "POST /api/generate HTTP/1.1");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["accept-encoding"], "identity");
    assert_eq!(request.headers["host"], server.address.to_string());
    assert_eq!(
        request.body,
        json!({
            "model": "gemma3:1b",
            "stream": true,
            "prompt": "Summarize this.",
            "system": "You are terse.",
            "options": {"temperature": 0.2, "seed": -7, "num_predict": 128},
        })
    );
}

#[tokio::test]
async fn chat_is_asked_with_messages_and_options() {
    let (_server, request) = asked_in_full(LlmProtocol::OllamaChat).await;
    assert_eq!(request.line, "POST /api/chat HTTP/1.1");
    assert_eq!(
        request.body,
        json!({
            "model": "gemma3:1b",
            "stream": true,
            "messages": [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": "Summarize this."},
            ],
            "options": {"temperature": 0.2, "seed": -7, "num_predict": 128},
        })
    );
}

#[tokio::test]
async fn completions_are_asked_with_messages_and_plain_settings() {
    let (_server, request) = asked_in_full(LlmProtocol::OpenaiChat).await;
    assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(
        request.body,
        json!({
            "model": "gemma3:1b",
            "stream": true,
            "stream_options": {"include_usage": true},
            "messages": [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": "Summarize this."},
            ],
            "temperature": 0.2,
            "seed": -7,
            "max_tokens": 128,
        })
    );
}

#[tokio::test]
async fn the_limit_of_newer_models_is_sent_by_its_own_name() {
    let protocol = LlmProtocol::OpenaiChat;
    let mut server = Server::start(Reply::text(protocol, "fine")).await;
    let actor = Llm { max_completion_tokens: Some(128), ..server.actor(protocol) };
    let body = asked(&mut server, actor).await.body;
    assert_eq!(body["max_completion_tokens"], 128);
    assert_eq!(body.get("max_tokens"), None);
}

#[tokio::test]
async fn what_a_definition_leaves_out_is_not_sent() {
    let messages = json!([{"role": "user", "content": "Summarize this."}]);
    for protocol in PROTOCOLS {
        let mut server = Server::start(Reply::text(protocol, "fine")).await;
        let actor = server.actor(protocol);
        let request = asked(&mut server, actor).await;
        let expected = match protocol {
            LlmProtocol::OllamaGenerate => {
                json!({"model": "gemma3:1b", "stream": true, "prompt": "Summarize this."})
            }
            LlmProtocol::OllamaChat => {
                json!({"model": "gemma3:1b", "stream": true, "messages": messages})
            }
            LlmProtocol::OpenaiChat => json!({
                "model": "gemma3:1b",
                "stream": true,
                "stream_options": {"include_usage": true},
                "messages": messages,
            }),
        };
        assert_eq!(request.body, expected);
        assert!(!request.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn the_key_is_sent_as_a_bearer_token_in_every_protocol() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(Reply::text(protocol, "fine")).await;
        let mut call = server.call(protocol);
        call.api_key = Some(Secret::new(" sk-1234\n"));
        completed(call_llm(&LlmClient::new(), &call).await);
        assert_eq!(server.request().await.headers["authorization"], "Bearer sk-1234");
    }
}

#[tokio::test]
async fn any_text_reaches_the_model_unchanged() {
    let input = "{\"a\": \"\\n\"} {job}\r\n\t\u{1F980} \u{0}\u{7f} ü".to_owned();
    for protocol in PROTOCOLS {
        let mut server = Server::start(Reply::text(protocol, "fine")).await;
        let call = LlmCall { input: input.clone(), ..server.call(protocol) };
        completed(call_llm(&LlmClient::new(), &call).await);
        let body = server.request().await.body;
        let prompt = body.pointer("/messages/0/content").or(body.pointer("/prompt")).unwrap();
        assert_eq!(prompt, input.as_str());
    }
}

#[tokio::test]
async fn a_base_address_may_have_a_path_and_slashes_at_its_end() {
    let cases = [
        (LlmProtocol::OllamaGenerate, "/", "/api/generate"),
        (LlmProtocol::OllamaGenerate, "/ollama", "/ollama/api/generate"),
        (LlmProtocol::OllamaChat, "/ollama//", "/ollama/api/chat"),
        (LlmProtocol::OpenaiChat, "/", "/v1/chat/completions"),
        (LlmProtocol::OpenaiChat, "/v1", "/v1/chat/completions"),
        (LlmProtocol::OpenaiChat, "/openai/v1/", "/openai/v1/chat/completions"),
        (LlmProtocol::OpenaiChat, "/v1beta", "/v1beta/v1/chat/completions"),
    ];
    for (protocol, prefix, expected) in cases {
        let mut server = Server::start(Reply::text(protocol, "fine")).await;
        let mut actor = server.actor(protocol);
        actor.endpoint += prefix;
        check_endpoint(&actor).unwrap();
        let request = asked(&mut server, actor).await;
        assert_eq!(request.line, format!("POST {expected} HTTP/1.1"));
    }
}

#[tokio::test]
async fn an_answer_that_shall_not_be_streamed_is_not() {
    for protocol in PROTOCOLS {
        let mut server = Server::start(Reply::text(protocol, "fine")).await;
        let actor = Llm { stream: false, ..server.actor(protocol) };
        let body = asked(&mut server, actor).await.body;
        assert_eq!(body["stream"], false);
        assert_eq!(body.get("stream_options"), None);
    }
}
