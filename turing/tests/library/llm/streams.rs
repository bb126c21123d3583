//! Answers that come piece by piece.

use serde_json::{Value, json};

use super::server::*;

const CHAT: LlmProtocol = LlmProtocol::OpenaiChat;
const EVENTS: &str = "text/event-stream; charset=utf-8";
const LINES: &str = "application/x-ndjson";
/// A response that ends when its connection does.
const UNTIL_CLOSED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// The form in which the servers of each protocol stream.
fn form(protocol: LlmProtocol) -> &'static str {
    if protocol == CHAT { EVENTS } else { LINES }
}

fn event(document: &Value) -> String {
    format!("data: {document}\n\n")
}

/// A piece with a part of the text.
fn part(protocol: LlmProtocol, text: &str) -> String {
    match protocol {
        LlmProtocol::OllamaGenerate => format!("{}\n", json!({"response": text, "done": false})),
        LlmProtocol::OllamaChat => {
            format!("{}\n", json!({"message": {"content": text}, "done": false}))
        }
        LlmProtocol::OpenaiChat => {
            event(&json!({"id": "c-1", "model": "gemma3:1b-it", "choices": [
            {"index": 0, "delta": {"content": text}, "finish_reason": null}], "usage": null}))
        }
    }
}

/// The piece that ends an answer, for this reason.
fn end(protocol: LlmProtocol, reason: &str) -> String {
    let counted = json!({"model": "gemma3:1b-it", "done": true, "done_reason": reason,
        "prompt_eval_count": 26, "eval_count": 290});
    match protocol {
        CHAT => event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})),
        _ => format!("{counted}\n"),
    }
}

/// What stands behind the last choice of a stream.
fn counts() -> String {
    let usage = json!({"prompt_tokens": 26, "completion_tokens": 290,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 200}});
    event(&json!({"id": "c-1", "choices": [], "usage": usage}))
}

const DONE: &str = "data: [DONE]\n\n";

async fn streamed(protocol: LlmProtocol, body: impl AsRef<[u8]>) -> LlmOutcome {
    outcome(protocol, Reply::stream(form(protocol), body)).await
}

#[tokio::test]
async fn the_pieces_of_an_answer_are_put_together() {
    for protocol in PROTOCOLS {
        let text =
            [part(protocol, "Gr\u{fc}"), part(protocol, "\u{df}e.\n"), end(protocol, "stop")];
        let rest = if protocol == CHAT { counts() + DONE } else { String::new() };
        let (output, usage) = completed(streamed(protocol, text.concat() + &rest).await);
        assert_eq!(output, "Gr\u{fc}\u{df}e.\n");
        assert_eq!(usage.model.as_deref(), Some("gemma3:1b-it"));
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(26), Some(290)));
        assert_eq!(usage.finish_reason.as_deref(), Some("stop"));
        assert!(usage.first_token_ms.is_some());
        let (details, id) = match protocol {
            CHAT => ((Some(20), Some(200)), Some("c-1")),
            _ => ((None, None), None),
        };
        assert_eq!((usage.cached_tokens, usage.reasoning_tokens), details);
        assert_eq!(usage.request_id.as_deref(), id);
    }
}

#[tokio::test]
async fn the_name_of_a_request_in_the_header_counts_more_than_that_in_the_body() {
    let body = [part(CHAT, "Fine."), end(CHAT, "stop"), DONE.to_owned()].concat();
    let headers = ["content-type: text/event-stream", "x-request-id: req-7"];
    let (_, usage) = completed(outcome(CHAT, Reply::status("200 OK", &headers, body)).await);
    assert_eq!(usage.request_id.as_deref(), Some("req-7"));
    let refused = outcome(CHAT, Reply::status("500 Oh", &["x-request-id: req-8"], "no")).await;
    let LlmOutcome::Failed { usage, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(usage.request_id.as_deref(), Some("req-8"));
}

#[tokio::test]
async fn every_way_to_write_events_is_read() {
    let plain = [
        ": ping\n\n".to_owned(),
        "event: message\n".to_owned() + &part(CHAT, "Fi"),
        "retry: 5\nid: 3\n\n".to_owned(),
        part(CHAT, "ne."),
        end(CHAT, "stop"),
        DONE.to_owned(),
    ]
    .concat();
    let tight = plain.replace("data: ", "data:");
    let without_an_end = plain.strip_suffix("\n\n").unwrap().to_owned();
    for body in [plain.replace('\n', "\r\n"), plain.replace('\n', "\r"), plain, tight] {
        assert_eq!(completed(streamed(CHAT, &body).await).0, "Fine.", "{body:?}");
    }
    assert_eq!(completed(streamed(CHAT, &without_an_end).await).0, "Fine.");
}

#[tokio::test]
async fn usage_that_is_missing_or_stands_with_the_last_choice_costs_no_answer() {
    let missing = [part(CHAT, "Fine."), end(CHAT, "stop"), DONE.to_owned()].concat();
    let (output, usage) = completed(streamed(CHAT, missing).await);
    assert_eq!((output.as_str(), usage.prompt_tokens), ("Fine.", None));
    let early = json!({"choices": [{"delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3}});
    let early = [part(CHAT, "Fine."), event(&early), DONE.to_owned()].concat();
    assert_eq!(completed(streamed(CHAT, early).await).1.prompt_tokens, Some(3));
}

#[tokio::test]
async fn a_whole_document_is_read_although_a_stream_was_asked_for() {
    for protocol in PROTOCOLS {
        let (output, usage) = completed(outcome(protocol, Reply::text(protocol, "Fine.")).await);
        assert_eq!((output.as_str(), usage.first_token_ms), ("Fine.", None));
    }
}

#[tokio::test]
async fn a_whole_document_is_read_although_it_says_to_be_a_stream() {
    for protocol in PROTOCOLS {
        let mut body = answer(protocol, json!("Fine."));
        if protocol == CHAT {
            body["choices"][0]["finish_reason"] = json!("stop");
        }
        for kind in [EVENTS, LINES] {
            let outcome = outcome(protocol, Reply::stream(kind, body.to_string())).await;
            assert_eq!(completed(outcome).0, "Fine.", "{kind}");
        }
    }
}

#[tokio::test]
async fn a_stream_is_only_read_as_one_if_it_was_asked_for() {
    let body = [part(CHAT, "Fine."), end(CHAT, "stop"), DONE.to_owned()].concat();
    let server = Server::start(Reply::stream(EVENTS, body)).await;
    let mut call = server.call(CHAT);
    call.actor.stream = false;
    let (failure_type, _) = failure(call_llm(&LlmClient::new(), &call).await);
    assert_eq!(failure_type, FailureType::InvalidOutput);
}

#[tokio::test]
async fn a_stream_that_breaks_is_no_answer() {
    let whole = part(CHAT, "[PASS]") + &part(CHAT, "gr\u{fc}\u{df}e");
    let within_a_letter = whole.find('\u{fc}').unwrap() + 1;
    let within_a_line = whole.len() - 10;
    for cut in [0, 3, within_a_letter, within_a_line, whole.len() - 1, whole.len()] {
        let text = &whole.as_bytes()[..cut];
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {EVENTS}\r\ntransfer-encoding: chunked\r\n\r\n{cut:x}\r\n"
        );
        let chunk = if cut == 0 { Vec::new() } else { [chunked.as_bytes(), text].concat() };
        for reply in [Reply::Part([UNTIL_CLOSED.as_bytes(), text].concat()), Reply::Part(chunk)] {
            let (failure_type, error) = failure(outcome(CHAT, reply).await);
            assert_eq!(failure_type, FailureType::Connection, "{cut}: {error}");
            assert_contains(&error, "closed the connection before its answer was complete: ");
            assert!(!error.contains("[PASS]"), "{error}");
        }
    }
    for protocol in [LlmProtocol::OllamaGenerate, LlmProtocol::OllamaChat] {
        let (failure_type, error) = failure(streamed(protocol, part(protocol, "[PASS]")).await);
        assert_eq!(failure_type, FailureType::Connection);
        assert_contains(&error, "its stream ended before `done` was true");
    }
}

#[tokio::test]
async fn the_end_of_all_without_a_reason_is_a_broken_answer() {
    let body = part(CHAT, "[PASS]") + DONE;
    let (failure_type, error) = failure(streamed(CHAT, body).await);
    assert_eq!(failure_type, FailureType::BrokenOff);
    assert_contains(&error, "broke its answer off: `[DONE]` came before a `finish_reason`");
}

#[tokio::test]
async fn an_answer_whose_end_was_told_is_one_without_the_mark_behind_it() {
    let body = part(CHAT, "Fine.") + &end(CHAT, "stop");
    assert_eq!(completed(streamed(CHAT, &body).await).0, "Fine.");
    // although the connection is lost there
    let lost = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {EVENTS}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
        body.len()
    );
    assert_eq!(completed(outcome(CHAT, Reply::Part(lost.into_bytes())).await).0, "Fine.");
}

#[tokio::test]
async fn a_stream_ends_at_its_mark_although_the_connection_stays() {
    for protocol in PROTOCOLS {
        let rest = if protocol == CHAT { DONE } else { "" };
        let body = [part(protocol, "Fine.").as_str(), &end(protocol, "stop"), rest].concat();
        let head = UNTIL_CLOSED.replace("text/event-stream", form(protocol));
        let server = Server::start(Reply::Silence((head + &body).into_bytes())).await;
        let outcome = call_llm(&LlmClient::new(), &server.call(protocol)).await;
        assert_eq!(completed(outcome).0, "Fine.");
    }
}

#[tokio::test]
async fn what_stands_behind_the_mark_is_not_read() {
    let whole = part(CHAT, "Fine.") + &end(CHAT, "stop") + DONE;
    for rest in [&b"\xff\xfe\n\n"[..], b"data: gremlins\n\n"] {
        let body = [whole.as_bytes(), rest].concat();
        assert_eq!(completed(streamed(CHAT, body).await).0, "Fine.");
    }
}

#[tokio::test]
async fn calls_whose_answers_are_streamed_share_a_connection() {
    for protocol in PROTOCOLS {
        let rest = if protocol == CHAT { DONE } else { "" };
        let body = [part(protocol, "Fine.").as_str(), &end(protocol, "stop"), rest].concat();
        let mut server = Server::start(Reply::stream(form(protocol), body)).await;
        let client = LlmClient::new();
        for _ in 0..3 {
            completed(call_llm(&client, &server.call(protocol)).await);
            assert_eq!(server.request().await.connection, 0);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_whole_fails_as_a_document_does() {
    for protocol in PROTOCOLS {
        for (reason, expected) in [
            ("length", FailureType::CutOff),
            ("content_filter", FailureType::Filtered),
            ("error", FailureType::BrokenOff),
        ] {
            let body = part(protocol, "[PASS] The adv") + &end(protocol, reason);
            let outcome = streamed(protocol, body).await;
            let LlmOutcome::Failed { failure_type, usage, .. } = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(failure_type, expected);
            assert!(failure_type == FailureType::BrokenOff || !failure_type.is_retried());
            assert_eq!(usage.finish_reason.as_deref(), Some(reason));
        }
    }
}

#[tokio::test]
async fn an_error_within_a_stream_is_one_whatever_came_before() {
    let cases = [
        (json!({"error": "gremlins"}), FailureType::Unknown),
        (json!({"error": {"message": "Slow down", "code": 429}}), FailureType::RateLimited),
        (json!({"error": {"message": "Upstream", "code": 502}}), FailureType::Connection),
        (
            json!({"error": {"message": "Sorry", "type": "server_error", "code": null}}),
            FailureType::Connection,
        ),
        (
            json!({"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}),
            FailureType::RateLimited,
        ),
        (
            json!({"error": {"message": "No", "type": "invalid_request_error", "code": "no"}}),
            FailureType::InvalidInput,
        ),
    ];
    for (error, expected) in cases {
        for protocol in PROTOCOLS {
            let error = if protocol == CHAT { event(&error) } else { format!("{error}\n") };
            let body = part(protocol, "[PASS]") + &error;
            assert_eq!(failure(streamed(protocol, body).await).0, expected, "{error}");
        }
        // an event of that kind may be the error itself
        let inner = format!("event: error\n{}", event(&error["error"]));
        let body = part(CHAT, "[PASS]") + &inner;
        assert_eq!(failure(streamed(CHAT, body).await).0, expected, "{inner}");
    }
}

#[tokio::test]
async fn an_error_is_read_wherever_a_server_writes_it() {
    let error = json!({"object": "error", "message": "the request exceeds the context",
        "code": 400});
    let bare = json!({"error": error});
    for sent in [event(&error), format!("error: {error}\n\n"), format!("{bare}\n\n")] {
        let body = part(CHAT, "[PASS]") + &sent + DONE;
        let (failure_type, error) = failure(streamed(CHAT, body).await);
        assert_eq!(failure_type, FailureType::InvalidInput, "{sent}");
        assert_contains(&error, "answered with an error: the request exceeds the context");
    }
}

#[tokio::test]
async fn what_is_no_answer_within_a_stream_is_invalid_output() {
    let refusal = event(&json!({"choices": [{"delta": {"refusal": "I can't."}}]}));
    let body = refusal + &end(CHAT, "stop") + DONE;
    assert_eq!(failure(streamed(CHAT, body).await).0, FailureType::Refused);
    for body in [
        "data: {\"choices\": [7]}\n\n".to_owned(),
        "data: gremlins\n\n".to_owned(),
        end(CHAT, "stop") + DONE,
        part(CHAT, " ") + &end(CHAT, "stop"),
        part(CHAT, "a\u{0}b") + &end(CHAT, "stop"),
    ] {
        let (failure_type, error) = failure(streamed(CHAT, &body).await);
        assert_eq!(failure_type, FailureType::InvalidOutput, "{body:?}: {error}");
    }
    let (failure_type, error) = failure(streamed(CHAT, b"data: {\"a\": \"\xff\"}\n\n").await);
    assert_eq!(failure_type, FailureType::InvalidOutput);
    assert_contains(&error, "not UTF-8, the first at byte offset 13");
}

#[tokio::test]
async fn the_key_is_told_nowhere_though_a_stream_repeats_it() {
    let said = "no sk-1234, no";
    let bodies = [
        part(CHAT, said) + &end(CHAT, "length"),
        event(&json!({"error": {"message": said}})),
        part(CHAT, "a") + &end(CHAT, said),
        format!("event: error\ndata: {said}\n\n"),
    ];
    for body in bodies {
        let server = Server::start(Reply::stream(EVENTS, &body)).await;
        let mut call = server.call(CHAT);
        call.api_key = Some(Secret::new("sk-1234"));
        let told = format!("{:?}", call_llm(&LlmClient::new(), &call).await);
        assert!(!told.contains("sk-1234"), "{told}");
    }
}

#[tokio::test]
async fn an_endless_stream_is_left_unread_past_its_limits() {
    let alive = format!(": {}\n\n", "alive ".repeat(200));
    let endless = [
        // one piece without an end, texts without an end, and nothing but signs of life
        (Reply::Endless((UNTIL_CLOSED.to_owned() + "data: ").into_bytes()), 2 * 1024 * 1024),
        (
            Reply::Repeated(UNTIL_CLOSED.into(), part(CHAT, &"a".repeat(1000)).into()),
            2 * 1024 * 1024,
        ),
        (Reply::Repeated(UNTIL_CLOSED.into(), alive.into()), 32 * 1024 * 1024),
    ];
    for (reply, limit) in endless {
        let mut server = Server::start(reply).await;
        let mut call = server.call(CHAT);
        call.limits.output_bytes = 0;
        let (failure_type, error) = failure(call_llm(&LlmClient::new(), &call).await);
        assert_eq!(failure_type, FailureType::InvalidOutput);
        assert_contains(&error, &format!("answered with more than {limit} bytes"));
        server.gone().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_cannot_count_is_asked_without_and_not_asked_to_again() {
    let refusal = "{\"error\": {\"message\": \"Unrecognized request argument: stream_options\"}}";
    let body = part(CHAT, "Fine.") + &end(CHAT, "stop") + DONE;
    let fine = Reply::stream(EVENTS, body);
    let refused = Reply::status("400 Bad Request", &[], refusal);
    let mut server = Server::start(Reply::turns([refused, fine])).await;
    let client = LlmClient::new();
    for asked in [&[true, false][..], &[false]] {
        assert_eq!(completed(call_llm(&client, &server.call(CHAT)).await).0, "Fine.");
        for counts in asked {
            let body = server.request().await.body;
            assert_eq!(body.get("stream_options").is_some(), *counts);
        }
        assert_eq!(server.requests_left(), 0);
    }
}

#[tokio::test]
async fn a_refusal_of_anything_else_is_not_asked_again() {
    let refused = Reply::status("400 Bad Request", &[], "{\"error\": \"what is top_k?\"}");
    let mut server = Server::start(refused).await;
    let outcome = call_llm(&LlmClient::new(), &server.call(CHAT)).await;
    assert_eq!(failure(outcome).0, FailureType::InvalidInput);
    assert_eq!(server.requests_left(), 1);
}
