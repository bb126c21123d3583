//! The key of an endpoint: found in the environment, shown to nobody but the endpoint.

use super::server::*;

const CANARY: &str = "sk-canary/7f3a\"9";

fn with_variable(variable: &str) -> Llm {
    let api_key_env = Some(variable.to_owned());
    Llm { api_key_env, ..actor("http://localhost:8000", LlmProtocol::OpenaiChat) }
}

#[test]
fn the_key_is_read_from_the_variable_of_the_definition() {
    if !is_child(
        "llm::secrets::the_key_is_read_from_the_variable_of_the_definition",
        &[("A_KEY", " sk-1\n"), ("BLANK", " \n"), ("TWO_LINES", "a\nb")],
    ) {
        return;
    }
    assert_eq!(api_key(&actor("http://localhost", LlmProtocol::OpenaiChat)).unwrap(), None);
    assert_eq!(api_key(&with_variable("A_KEY")).unwrap(), Some(Secret::new("sk-1")));
    check_endpoint(&with_variable("A_KEY")).unwrap();
    for variable in ["BLANK", "SURELY_NOT_SET", "", "A=B", "A\0B"] {
        let error = check_endpoint(&with_variable(variable)).unwrap_err();
        assert!(matches!(error, EndpointError::KeyUnset { .. }), "{variable:?}: {error:?}");
        assert_contains(&error.to_string(), &format!("variable `{variable}` is not set"));
    }
    let error = check_endpoint(&with_variable("TWO_LINES")).unwrap_err();
    assert!(matches!(error, EndpointError::KeyUnusable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("a\nb"));
}

#[tokio::test]
async fn a_call_without_the_key_of_its_actor_asks_nobody() {
    let mut server = Server::start(Reply::text(LlmProtocol::OpenaiChat, "fine")).await;
    let mut call = server.call(LlmProtocol::OpenaiChat);
    call.actor.api_key_env = Some("A_KEY".into());
    for key in [None, Some(Secret::new(" "))] {
        call.api_key = key;
        let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
        assert_eq!(failure_type, FailureType::InvalidInput);
        assert_contains(&error, "the environment variable `A_KEY` is not set");
    }
    call.api_key = Some(Secret::new("a\u{1}b"));
    let (failure_type, _) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::InvalidInput);
    assert_eq!(server.requests_left(), 0);
}

#[tokio::test]
async fn a_refused_key_is_named_by_its_variable() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let server = Server::start(Reply::status(status, &[], "")).await;
        let mut call = server.call(LlmProtocol::OpenaiChat);
        let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
        assert!(!failure_type.is_retried());
        assert_contains(&error, "holds the key in `api_key_env`");
        call.actor.api_key_env = Some("A_KEY".into());
        call.api_key = Some(Secret::new(CANARY));
        let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
        assert!(!failure_type.is_retried());
        assert_contains(&error, "put a valid key into the environment variable `A_KEY`");
    }
}

#[tokio::test]
async fn the_key_is_shown_nowhere_even_if_the_endpoint_repeats_it() {
    let quoted = serde_json::json!(format!("Incorrect key {CANARY}, said I")).to_string();
    // on both sides of where a long text is cut off
    let long = format!("{}{CANARY}{}", "x".repeat(493), "y".repeat(600));
    let location = format!("location: /login/{CANARY}?{CANARY}");
    let replies = [
        Reply::status("401 Unauthorized", &[], format!("{{\"error\": {quoted}}}")),
        Reply::status("401 Unauthorized", &[], format!("{{\"error\": {{\"message\": {quoted}}}}}")),
        Reply::status("400 Bad Request", &[], format!("{{\"unheard\": [{quoted}]}}")),
        Reply::status("400 Bad Request", &[], format!("<p>{quoted}</p>")),
        Reply::status("500 Internal Server Error", &[], &long),
        Reply::status("302 Found", &[&location], ""),
        Reply::body(format!("{{\"error\": {quoted}}}")),
        Reply::body(format!("{{\"choices\": {quoted}}}")),
        Reply::body(&quoted),
        Reply::Whole(format!("{CANARY}\r\n\r\n").into_bytes()),
        Reply::Part(b"".to_vec()),
        // broken off within it
        Reply::Part(
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 99\r\n\r\nIncorrect key sk-canary/7f3a"
                .to_vec(),
        ),
    ];
    for reply in replies {
        let mut server = Server::start(reply.clone()).await;
        let mut call = server.call(LlmProtocol::OpenaiChat);
        call.api_key = Some(Secret::new(CANARY));
        let client = LlmClient::new();
        let outcome = call_llm(&client, &call).await;
        assert_contains(&server.request().await.headers["authorization"], CANARY);
        let debug = format!("{call:?} {client:?} {outcome:?}");
        let (_, error) = failure(outcome);
        for part in ["canary", "sk-can", "7f3a"] {
            assert!(!error.contains(part), "{reply:?}: {error}");
            assert!(!debug.contains(part), "{reply:?}: {debug}");
        }
    }
}

#[tokio::test]
async fn no_name_in_an_answer_has_the_key() {
    for protocol in PROTOCOLS {
        let mut body = answer(protocol, serde_json::json!("Fine."));
        for name in ["model", "id"] {
            body[name] = serde_json::json!(format!("small {CANARY}"));
        }
        let server = Server::start(Reply::body(body.to_string())).await;
        let mut call = server.call(protocol);
        call.api_key = Some(Secret::new(CANARY));
        let (output, usage) = completed(call_llm(&LlmClient::new(), &call).await);
        assert_eq!((output.as_str(), usage.model.as_deref()), ("Fine.", Some("small ***")));
        assert_eq!(usage.request_id.as_deref(), Some("small ***"));
    }
}
