//! How connections are kept, and how they end.

use super::server::*;

const GENERATE: LlmProtocol = LlmProtocol::OllamaGenerate;

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let mut server = Server::start(Reply::text(GENERATE, "fine")).await;
    let client = LlmClient::new();
    for _ in 0..3 {
        completed(call_llm(&client, &server.call(GENERATE)).await);
        assert_eq!(server.request().await.connection, 0);
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_connection_usable() {
    let mut server = Server::start(Reply::status("404 Not Found", &[], "no")).await;
    let client = LlmClient::new();
    for _ in 0..3 {
        failure(call_llm(&client, &server.call(GENERATE)).await);
        assert_eq!(server.request().await.connection, 0);
    }
}

#[tokio::test]
async fn an_endpoint_that_closes_after_every_answer_is_asked_again() {
    let body = answer(GENERATE, "fine".into()).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}", body.len());
    let server = Server::start(Reply::Part(format!("{head}\r\n\r\n{body}").into_bytes())).await;
    let client = LlmClient::new();
    for _ in 0..3 {
        completed(call_llm(&client, &server.call(GENERATE)).await);
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_without_a_word_after_an_answer_costs_no_call() {
    let Reply::Whole(text) = Reply::text(GENERATE, "fine") else { panic!("an answer is whole") };
    let mut server = Server::start(Reply::Once(text)).await;
    let client = LlmClient::new();
    for connections in [&[0][..], &[0, 1], &[2]] {
        completed(call_llm(&client, &server.call(GENERATE)).await);
        for connection in connections {
            assert_eq!(server.connection().await, *connection);
        }
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_worked_on_is_not_sent_again() {
    let Reply::Whole(text) = Reply::text(GENERATE, "fine") else { panic!("an answer is whole") };
    let mut server = Server::start(Reply::OnceLate(text)).await;
    let client = LlmClient::new();
    completed(call_llm(&client, &server.call(GENERATE)).await);
    assert_eq!(server.connection().await, 0);
    let (failure_type, _) = failure(call_llm(&client, &server.call(GENERATE)).await);
    assert_eq!(failure_type, FailureType::Connection);
    assert_eq!(server.connection().await, 0);
    assert_eq!(server.requests_left(), 0);
}

#[tokio::test]
async fn a_call_that_is_lost_on_a_new_connection_is_not_sent_again() {
    for reply in [Reply::Part(Vec::new()), Reply::Reset] {
        let mut server = Server::start(reply).await;
        let (failure_type, _) = failure(call_llm(&LlmClient::new(), &server.call(GENERATE)).await);
        assert_eq!(failure_type, FailureType::Connection);
        server.request().await;
        assert_eq!(server.requests_left(), 0);
    }
}

#[tokio::test]
async fn calls_at_the_same_time_get_their_own_answers() {
    let mut servers = Vec::new();
    for number in 0..10 {
        servers.push(Server::start(Reply::text(GENERATE, &format!("answer {number}"))).await);
    }
    let client = LlmClient::new();
    let calls: Vec<_> = servers.iter().map(|server| server.call(GENERATE)).collect();
    let outcomes =
        futures_util::future::join_all(calls.iter().map(|call| call_llm(&client, call))).await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(completed(outcome).0, format!("answer {number}"));
    }
}

#[tokio::test]
async fn dropping_a_call_closes_its_connection() {
    for silence in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"response\""] {
        let mut server = Server::start(Reply::Silence(silence.into())).await;
        let (client, call) = (LlmClient::new(), server.call(GENERATE));
        {
            let mut future = std::pin::pin!(call_llm(&client, &call));
            tokio::select! {
                outcome = &mut future => panic!("{outcome:?}"),
                _ = server.request() => {}
            }
        }
        server.gone().await;
    }
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    let proxy = "http://127.0.0.1:1";
    if !is_child(
        "llm::connections::proxies_of_the_environment_are_not_used",
        &[("http_proxy", proxy), ("HTTP_PROXY", proxy), ("ALL_PROXY", proxy), ("no_proxy", "")],
    ) {
        return;
    }
    completed(outcome(GENERATE, Reply::text(GENERATE, "fine")).await);
}
