//! How long each part of an answer may take. The servers write what they write and hold the
//! connection until the client has given up.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::time::Duration;

use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::server::*;

const CHAT: LlmProtocol = LlmProtocol::OpenaiChat;
const SHORT: Duration = Duration::from_millis(300);
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// Signs of life, and the piece that says who speaks.
fn before_the_first() -> String {
    let role = json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]});
    format!("{HEAD}: working\n\ndata: {role}\n\n")
}

fn with_a_token() -> String {
    let token = json!({"choices": [{"delta": {"content": "[PASS]"}}]});
    format!("{}data: {token}\n\n", before_the_first())
}

async fn timed_out(reply: Reply, limits: impl FnOnce(&mut LlmLimits)) -> (String, LlmUsage) {
    let mut server = Server::start(reply).await;
    let mut call = server.call(CHAT);
    limits(&mut call.limits);
    let outcome = call_llm(&LlmClient::new(), &call).await;
    let LlmOutcome::Failed { failure_type, error, usage, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(failure_type, FailureType::Timeout, "{error}");
    // it is told by the end of the connection
    server.gone().await;
    (error, usage)
}

#[tokio::test]
async fn the_first_token_has_a_limit_of_its_own() {
    for silence in [String::new(), HEAD.to_owned(), before_the_first()] {
        let reply = Reply::Silence(silence.into_bytes());
        let (error, usage) = timed_out(reply, |limits| limits.first_token = Some(SHORT)).await;
        assert_contains(&error, "wrote no token within the 300ms of `first_token_seconds`");
        assert_eq!(usage.first_token_ms, None);
    }
}

#[tokio::test]
async fn signs_of_life_are_no_token() {
    let reply = Reply::Repeated(HEAD.into(), b": working\n\n".to_vec());
    let (error, _) = timed_out(reply, |limits| {
        limits.first_token = Some(SHORT);
        limits.output_bytes = usize::MAX / 1024;
    })
    .await;
    assert_contains(&error, "of `first_token_seconds`");
}

#[tokio::test]
async fn the_time_between_tokens_has_a_limit_of_its_own() {
    let reply = Reply::Silence(with_a_token().into_bytes());
    let (error, usage) = timed_out(reply, |limits| {
        limits.first_token = Some(PATIENCE);
        limits.between_tokens = SHORT;
    })
    .await;
    let told = "had begun its answer, and wrote nothing more within the 300ms of \
                `between_tokens_seconds`";
    assert_contains(&error, told);
    assert!(!error.contains("[PASS]"), "{error}");
    assert!(usage.first_token_ms.is_some());
}

#[tokio::test]
async fn thoughts_are_tokens_too() {
    let thought = json!({"choices": [{"delta": {"reasoning_content": "Well"}}]});
    let reply = Reply::Silence(format!("{HEAD}data: {thought}\n\n").into_bytes());
    let (error, usage) = timed_out(reply, |limits| {
        limits.first_token = Some(PATIENCE);
        limits.between_tokens = SHORT;
    })
    .await;
    assert_contains(&error, "of `between_tokens_seconds`");
    assert!(usage.first_token_ms.is_some());
}

#[tokio::test]
async fn the_whole_call_has_its_limit_whatever_comes() {
    for silence in [HEAD.to_owned(), with_a_token()] {
        let reply = Reply::Silence(silence.into_bytes());
        let (error, _) = timed_out(reply, |limits| limits.time = SHORT).await;
        assert_contains(&error, "did not answer within the time limit of 300ms");
        assert_contains(&error, "longer `timeout_seconds`");
    }
}

#[tokio::test]
async fn a_document_that_was_not_to_be_streamed_has_no_first_token() {
    let server = Server::start(Reply::text(CHAT, "Fine.")).await;
    let mut call = server.call(CHAT);
    call.actor.stream = false;
    call.limits.first_token = Some(Duration::ZERO);
    assert_eq!(completed(call_llm(&LlmClient::new(), &call).await).0, "Fine.");
}

/// A listener that has as many connections as it takes before it accepts any; whoever wants another
/// one waits.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut connections = Vec::new();
    while let Ok(connection) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        connections.push(connection.unwrap());
        assert!(connections.len() < 1000, "the listener takes any number");
    }
    (listener, connections)
}

#[tokio::test]
async fn connecting_has_a_limit_of_its_own_and_fails_as_what_cannot_be_reached() {
    let (listener, connections) = full().await;
    let mut call = call(actor(&format!("http://{}", listener.local_addr().unwrap()), CHAT));
    call.limits.connect = SHORT;
    let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::Connection);
    assert_contains(&error, "accepted no connection within the 300ms of `connect_seconds`");
    assert_contains(&error, "; start the server, or correct `endpoint`");
    drop(connections);
}

#[tokio::test]
async fn an_answer_whose_end_was_told_is_one_although_nothing_follows_or_it_never_ends() {
    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    let whole = format!("{}data: {end}\n\n", with_a_token());
    let empty = json!({"choices": []});
    for reply in [
        Reply::Silence(whole.clone().into_bytes()),
        Reply::Repeated(whole.clone().into_bytes(), format!("data: {empty}\n\n").into_bytes()),
    ] {
        let mut server = Server::start(reply).await;
        let mut call = server.call(CHAT);
        call.limits.between_tokens = SHORT;
        call.limits.output_bytes = usize::MAX / 1024;
        assert_eq!(completed(call_llm(&LlmClient::new(), &call).await).0, "[PASS]");
        // it is told by the end of the connection
        server.gone().await;
    }
}

#[tokio::test]
async fn a_refusal_counts_although_its_words_do_not_end() {
    let refusal = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\n\
                   transfer-encoding: chunked\r\n\r\n4\r\nSlow\r\n";
    let mut server = Server::start(Reply::Silence(refusal.into())).await;
    let mut call = server.call(CHAT);
    call.limits.between_tokens = SHORT;
    let outcome = call_llm(&LlmClient::new(), &call).await;
    let LlmOutcome::Failed { failure_type, error, retry_after, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(failure_type, FailureType::RateLimited);
    assert_contains(&error, "refused with status 429 Too Many Requests: Slow");
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    // it is told by the end of the connection
    server.gone().await;
}
