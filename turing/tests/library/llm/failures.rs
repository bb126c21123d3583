//! Every way in which a call fails, and whether it is worth trying again.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::server::*;

const GENERATE: LlmProtocol = LlmProtocol::OllamaGenerate;

async fn refusal(status: &str, headers: &[&str], body: &str) -> (FailureType, String) {
    failure(outcome(GENERATE, Reply::status(status, headers, body)).await)
}

#[tokio::test]
async fn a_refusal_is_classified_by_its_status() {
    let cases = [
        ("400 Bad Request", FailureType::InvalidInput),
        ("401 Unauthorized", FailureType::InvalidInput),
        ("402 Payment Required", FailureType::InvalidInput),
        ("403 Forbidden", FailureType::InvalidInput),
        ("404 Not Found", FailureType::NotFound),
        ("405 Method Not Allowed", FailureType::NotFound),
        ("408 Request Timeout", FailureType::Timeout),
        ("413 Payload Too Large", FailureType::InvalidInput),
        ("422 Unprocessable Entity", FailureType::InvalidInput),
        ("429 Too Many Requests", FailureType::RateLimited),
        ("500 Internal Server Error", FailureType::Connection),
        ("502 Bad Gateway", FailureType::Connection),
        ("503 Service Unavailable", FailureType::Connection),
        ("504 Gateway Timeout", FailureType::Connection),
    ];
    for (status, expected) in cases {
        let (failure_type, error) = refusal(status, &[], "{\"error\": \"so it is\"}").await;
        assert_eq!(failure_type, expected, "{status}");
        assert_contains(&error, &format!("refused with status {status}: so it is"));
        assert_contains(&error, "`http://127.0.0.1:");
        assert_contains(&error, "/api/generate`");
    }
}

#[tokio::test]
async fn an_endpoint_that_says_when_to_come_back_is_rate_limited() {
    let (failure_type, _) = refusal("503 Service Unavailable", &["retry-after: 5"], "").await;
    assert_eq!(failure_type, FailureType::RateLimited);
}

#[tokio::test]
async fn the_pause_that_an_endpoint_asks_for_is_told() {
    let (good, slow) = (answer(GENERATE, "Fine.".into()).to_string(), "{\"error\": \"slow\"}");
    let limit = "{\"error\": \"Rate limit reached\"}";
    let seconds = &["retry-after: 20"][..];
    let until = "retry-after: Sun, 06 Nov 1994 08:49:37 GMT";
    let dated = &["date: Sun, 06 Nov 1994 08:49:07 GMT", until];
    let soon = &["retry-after: soon"][..];
    let passed = &["date: Sun, 06 Nov 1994 08:50:07 GMT", until];
    let cases = [
        ("429 Too Many Requests", seconds, slow, Some(20)),
        ("429 Too Many Requests", &dated[..], slow, Some(30)),
        ("429 Too Many Requests", &passed[..], slow, Some(0)),
        ("429 Too Many Requests", &[][..], slow, None),
        ("429 Too Many Requests", soon, slow, None),
        ("503 Service Unavailable", seconds, slow, Some(20)),
        ("503 Service Unavailable", soon, slow, None),
        ("529 Overloaded", seconds, limit, Some(20)),
        ("200 OK", seconds, limit, Some(20)),
        // it is not a pause that these need
        ("500 Internal Server Error", seconds, slow, None),
        ("404 Not Found", seconds, slow, None),
        ("200 OK", seconds, slow, None),
        ("200 OK", seconds, "{}", None),
    ];
    for (status, headers, body, expected) in cases {
        let outcome = outcome(GENERATE, Reply::status(status, headers, body)).await;
        let LlmOutcome::Failed { retry_after, error, .. } = outcome else { panic!("{status}") };
        assert_eq!(retry_after, expected.map(Duration::from_secs), "{status} {headers:?}");
        let told = error.contains("; it asks for a pause of ");
        assert_eq!(told, expected.is_some(), "{error}");
    }
    let fine = outcome(GENERATE, Reply::status("200 OK", seconds, good)).await;
    assert_eq!(completed(fine).0, "Fine.");
}

#[tokio::test]
async fn an_error_that_names_a_status_counts_as_that_status() {
    let cases = [
        (json!(429), FailureType::RateLimited),
        (json!("429"), FailureType::RateLimited),
        (json!(502), FailureType::Connection),
        (json!(401), FailureType::InvalidInput),
        (json!(404), FailureType::NotFound),
        (json!(200), FailureType::Unknown),
        (json!(17), FailureType::Unknown),
        (json!(70_000), FailureType::Unknown),
        (json!(-429), FailureType::Unknown),
        (json!(4.29), FailureType::Unknown),
        (json!("rate_limit_exceeded"), FailureType::RateLimited),
        (json!("gremlins"), FailureType::Unknown),
    ];
    for (code, expected) in cases {
        let body = json!({"error": {"message": "so it is", "code": code}});
        let (failure_type, error) = refusal("200 OK", &[], &body.to_string()).await;
        assert_eq!(failure_type, expected, "{code}");
        assert_contains(&error, "answered with an error: so it is");
    }
}

#[tokio::test]
async fn a_refusal_is_classified_by_its_text_where_the_status_leaves_it_open() {
    let memory = "model requires more system memory (5.6 GiB) than is available (3.1 GiB)";
    let cases = [
        ("500 Internal Server Error", memory, FailureType::OutOfMemory),
        ("500 Internal Server Error", "CUDA error: out of memory", FailureType::OutOfMemory),
        ("500 Internal Server Error", "write: no space left on device", FailureType::DiskFull),
        ("503 Service Unavailable", "server busy, please try again", FailureType::RateLimited),
        ("404 Not Found", "model 'gemma3:1b' not found", FailureType::NotFound),
        ("400 Bad Request", "The model `x` does not exist", FailureType::NotFound),
        ("422 Unprocessable Entity", "input was: rate limit", FailureType::InvalidInput),
        ("200 OK", "model 'gemma3:1b' not found", FailureType::NotFound),
        ("200 OK", memory, FailureType::OutOfMemory),
        ("200 OK", "Rate limit reached", FailureType::RateLimited),
        ("200 OK", "input exceeds the context window", FailureType::InvalidInput),
        ("200 OK", "gremlins", FailureType::Unknown),
        ("400 Bad Request", "content_filter: hate", FailureType::Filtered),
        (
            "400 Bad Request",
            "the prompt triggered Azure OpenAI's content management policy",
            FailureType::Filtered,
        ),
    ];
    for (status, text, expected) in cases {
        let bodies = [json!({ "error": text }), json!({ "error": {"message": text, "code": 17} })];
        for body in bodies {
            let (failure_type, error) = refusal(status, &[], &body.to_string()).await;
            assert_eq!(failure_type, expected, "{status} {body}");
            assert_contains(&error, text);
        }
    }
}

#[tokio::test]
async fn a_refusal_in_any_form_is_quoted_on_one_short_line() {
    let cases = [
        ("{\"detail\": \"no\\n\\u0000such thing\"}", ": no such thing"),
        ("{\"object\": \"error\", \"message\": \"no such thing\"}", ": no such thing"),
        ("{\"detail\": [{\"loc\": 1}]}", ": {\"detail\":[{\"loc\":1}]}"),
        ("no\r\n  such\0 thing", ": no such thing"),
    ];
    for (body, expected) in cases {
        let (_, error) = refusal("400 Bad Request", &[], body).await;
        assert!(error.ends_with(expected), "{error:?}");
    }
    let (_, error) = refusal("400 Bad Request", &[], &"ü".repeat(100_000)).await;
    assert!(error.ends_with("ü […]"), "{error:?}");
    assert!(error.chars().count() < 700);
}

#[tokio::test]
async fn a_missing_model_is_named_with_what_to_do() {
    let (_, error) =
        refusal("404 Not Found", &[], "{\"error\": \"model 'gemma3:1b' not found\"}").await;
    assert_contains(&error, "install the model `gemma3:1b` there, or correct `model`");
    let (_, error) = refusal("404 Not Found", &[], "404 page not found").await;
    assert_contains(&error, "does `endpoint` have the right path");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let location = "location: https://elsewhere.example/api?token=hidden";
    let reply = Reply::status("307 Temporary Redirect", &[location], "");
    let mut server = Server::start(reply).await;
    let outcome = call_llm(&LlmClient::new(), &server.call(GENERATE)).await;
    let (failure_type, error) = failure(outcome);
    assert_eq!(failure_type, FailureType::NotFound);
    assert_contains(&error, "which is not followed: https://elsewhere.example/api; put the final");
    assert!(!error.contains("hidden"), "{error}");
    assert_eq!(server.requests_left(), 1);
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_a_connection_failure() {
    // taken and given back, so that it is nobody's
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let call = call(actor(&format!("http://{address}"), GENERATE));
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::Connection);
    assert_contains(&error, &format!("`http://{address}/api/generate` could not be reached: "));
    assert_contains(&error, "refused");
    assert_contains(&error, "; start the server, or correct `endpoint`");
}

#[tokio::test]
async fn a_host_that_has_no_address_is_a_connection_failure() {
    // longer than a name can be, so that no name server is asked
    let call = call(actor(&format!("http://{}", "a".repeat(70)), GENERATE));
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::Connection);
    assert_contains(&error, "could not be reached: ");
}

#[tokio::test]
async fn a_connection_that_ends_early_is_a_connection_failure() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let replies = [
        Reply::Reset,
        Reply::Part(b"".to_vec()),
        Reply::Part(b"HTTP/1.1 200".to_vec()),
        Reply::Part(head.into()),
        Reply::Part(format!("{head}{{\"response\": \"Fi").into_bytes()),
        Reply::Part(format!("{chunked}16\r\n{{\"response\": \"Fine.\"").into_bytes()),
    ];
    for reply in replies {
        let (failure_type, error) = failure(outcome(GENERATE, reply.clone()).await);
        assert_eq!(failure_type, FailureType::Connection, "{reply:?}");
        assert_contains(&error, "closed the connection before its answer was complete: ");
    }
}

#[tokio::test]
async fn a_refusal_that_breaks_off_is_still_a_refusal() {
    let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\nmodel not found";
    let (failure_type, error) = failure(outcome(GENERATE, Reply::Part(head.into())).await);
    assert_eq!(failure_type, FailureType::NotFound);
    assert_contains(&error, "model not found");
}

#[tokio::test]
async fn what_does_not_speak_http_is_invalid_output() {
    let reply = Reply::Part(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec());
    let (failure_type, error) = failure(outcome(GENERATE, reply).await);
    assert_eq!(failure_type, FailureType::InvalidOutput);
    assert_contains(&error, "does not speak HTTP");
}

#[tokio::test]
async fn a_call_ends_at_its_time_limit() {
    let silences = [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"response\"",
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 100\r\n\r\nouch",
    ];
    for silence in silences {
        let mut server = Server::start(Reply::Silence(silence.into())).await;
        let mut call = server.call(GENERATE);
        call.limits.time = Duration::from_millis(300);
        let outcome = call_llm(&LlmClient::new(), &call).await;
        let LlmOutcome::Failed { failure_type, error, duration, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(failure_type, FailureType::Timeout);
        assert_contains(&error, "did not answer within the time limit of 300ms");
        assert!(duration >= call.limits.time && duration < PATIENCE, "{duration:?}");
        server.gone().await;
    }
}

/// The one thread of the runtime stands for the process. What has come while it stood is noticed when
/// it goes on, and so is that the time is over.
#[tokio::test(start_paused = true)]
async fn an_answer_that_has_come_while_the_process_was_stopped_is_in_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let call = call(actor(&format!("http://{}", listener.local_addr().unwrap()), GENERATE));
    let after = call.limits.time + Duration::from_secs(1);
    // more than a task reads at once: who is told of its beginning finds the time over
    let text = "Fine. ".repeat(8_000);
    let Reply::Whole(answer) = Reply::text(GENERATE, &text) else { panic!("it is no whole one") };
    let (ask, asked) = oneshot::channel();
    let ((stop, stopped), (write, written)) = (mpsc::channel(), mpsc::channel());
    // the clock stands as long as this goes on
    let server = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"}") {
            let count = stream.read(&mut chunk).unwrap();
            assert!(count > 0, "the client is gone");
            request.extend_from_slice(&chunk[..count]);
        }
        ask.send(()).unwrap();
        stopped.recv().unwrap();
        stream.write_all(&answer).unwrap();
        write.send(()).unwrap();
        stream
    });
    let calling = tokio::spawn(async move { call_llm(&LlmClient::new(), &call).await });
    asked.await.unwrap();
    stop.send(()).unwrap();
    written.recv().unwrap();
    tokio::time::advance(after).await;
    assert!(completed(calling.await.unwrap()).0 == text);
    drop(server.await.unwrap());
}
