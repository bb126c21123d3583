//! What is said about an endpoint before a run.

use super::server::*;

fn checked(endpoint: &str) -> Result<(), EndpointError> {
    check_endpoint(&actor(endpoint, LlmProtocol::OpenaiChat))
}

#[test]
fn a_base_address_is_accepted() {
    for endpoint in [
        "http://localhost:11434",
        "http://localhost:11434/",
        "HTTP://LOCALHOST/prefix/",
        "http://[::1]:8000/v1",
        "http://192.168.1.7:65535",
    ] {
        checked(endpoint).unwrap();
    }
}

#[test]
fn what_is_no_base_address_is_refused_with_its_fault() {
    let cases = [
        ("", "is no address"),
        ("localhost", "does not begin with http"),
        ("localhost:11434", "does not begin with http"),
        ("/api", "does not begin with http"),
        ("ftp://localhost", "does not begin with http"),
        ("http://", "is no address"),
        ("http:///api", "is no address"),
        ("http://:80", "names no host"),
        ("http://two words", "is no address"),
        ("http://host:0", "has a port"),
        ("http://host:65536", "has a port"),
        ("http://host:", "has a port"),
        ("http://host:http", "has a port"),
        ("http://host/a?b=c", "has a query or a fragment"),
        ("http://host/a#b", "has a query or a fragment"),
        ("http://host/v1/chat/completions/", "has the path of the request"),
    ];
    for (endpoint, expected) in cases {
        let error = checked(endpoint).unwrap_err();
        assert!(matches!(error, EndpointError::Malformed { .. }), "{endpoint}: {error:?}");
        let text = error.to_string();
        assert_contains(&text, expected);
        assert_contains(&text, "use an address such as http://localhost:11434");
    }
}

#[tokio::test]
async fn a_malformed_endpoint_fails_the_call_without_a_retry() {
    let call = call(actor("localhost:11434", LlmProtocol::OllamaChat));
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::InvalidInput);
    assert_contains(&error, "`endpoint` is `localhost:11434`, which does not begin with http");
}

#[test]
fn an_address_with_credentials_is_refused_and_not_shown() {
    for endpoint in [
        "https://me:canary@host/v1",
        "https://canary@host",
        "https://me:can/ary?canary#canary@host",
        "me:canary@host?canary",
    ] {
        let error = checked(endpoint).unwrap_err();
        assert!(matches!(error, EndpointError::Credentials { .. }), "{error:?}");
        assert_contains(&error.to_string(), "***@host");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("canary") && !text.contains("ary"), "{text}");
        }
    }
    let error = checked("https://host?key=canary").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn a_temperature_that_json_cannot_hold_is_refused() {
    for temperature in [f64::NAN, f64::INFINITY] {
        let actor = Llm {
            temperature: Some(temperature),
            ..actor("http://localhost", LlmProtocol::OllamaChat)
        };
        let error = check_endpoint(&actor).unwrap_err();
        assert!(matches!(error, EndpointError::Temperature { .. }), "{error:?}");
        let (failure_type, _) = failure(call_llm(&LlmClient::new(), &call(actor)).await);
        assert_eq!(failure_type, FailureType::InvalidInput);
    }
}

#[test]
fn a_key_leaves_the_local_network_only_encrypted() {
    let with_key = |endpoint: &str| {
        // set wherever a test runs
        let api_key_env = Some("CARGO_MANIFEST_DIR".to_owned());
        check_endpoint(&Llm { api_key_env, ..actor(endpoint, LlmProtocol::OpenaiChat) })
    };
    for endpoint in ["http://api.example.com", "http://8.8.8.8:8000", "http://[2001:db8::1]/v1"] {
        let error = with_key(endpoint).unwrap_err();
        assert!(matches!(error, EndpointError::KeyExposed { .. }), "{error:?}");
        assert_contains(&error.to_string(), "use https");
        checked(endpoint).unwrap();
    }
    for endpoint in [
        "http://localhost:8000",
        "http://127.0.0.1",
        "http://[::1]:8000",
        "http://10.0.0.3",
        "http://litellm:4000",
        "http://gpu.internal",
    ] {
        with_key(endpoint).unwrap();
    }
}

#[tokio::test]
async fn an_exposed_key_is_refused_by_the_call_too() {
    let mut call = call(actor("http://8.8.8.8", LlmProtocol::OpenaiChat));
    call.api_key = Some(Secret::new("canary"));
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::InvalidInput);
    assert_contains(&error, "would be sent unencrypted");
}
