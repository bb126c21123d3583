//! What is made of a response with the status 200.

use serde_json::{Value, json};

use super::server::*;

fn usage(model: &str, prompt: Option<u64>, completion: Option<u64>) -> LlmUsage {
    LlmUsage {
        model: Some(model.into()),
        prompt_tokens: prompt,
        completion_tokens: completion,
        ..LlmUsage::default()
    }
}

/// The same of an answer that ended as answers do.
fn ended(model: &str, prompt: u64, completion: u64) -> LlmUsage {
    LlmUsage { finish_reason: Some("stop".into()), ..usage(model, Some(prompt), Some(completion)) }
}

async fn of_body(protocol: LlmProtocol, body: Value) -> LlmOutcome {
    outcome(protocol, Reply::body(body.to_string())).await
}

#[tokio::test]
async fn an_answer_of_generate_is_read() {
    let body = json!({
        "model": "gemma3:1b-it", "created_at": "2026-11-23T08:00:00Z", "response": "Fine.\n",
        "done": true, "done_reason": "stop", "context": [1, 2, 3], "total_duration": 5,
        "prompt_eval_count": 26, "eval_count": 290,
    });
    let answer = completed(of_body(LlmProtocol::OllamaGenerate, body).await);
    assert_eq!(answer, ("Fine.\n".into(), ended("gemma3:1b-it", 26, 290)));
}

#[tokio::test]
async fn an_answer_of_chat_is_read() {
    let body = json!({
        "model": "gemma3:1b-it", "message": {"role": "assistant", "content": " Fine."},
        "done": true, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 290,
    });
    let answer = completed(of_body(LlmProtocol::OllamaChat, body).await);
    assert_eq!(answer, (" Fine.".into(), ended("gemma3:1b-it", 26, 290)));
}

#[tokio::test]
async fn an_answer_of_completions_is_read() {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-x-2026", "error": null,
        "choices": [
            {"index": 0, "finish_reason": "stop",
             "message": {"role": "assistant", "content": "Fine.", "refusal": null}},
        ],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
    });
    let answer = completed(of_body(LlmProtocol::OpenaiChat, body).await);
    let expected =
        LlmUsage { request_id: Some("chatcmpl-1".into()), ..ended("gpt-x-2026", 19, 10) };
    assert_eq!(answer, ("Fine.".into(), expected));
}

#[tokio::test]
async fn an_answer_in_chunks_is_read() {
    let reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        e\r\n{\"response\": \"\r\n7\r\nFine.\"}\r\n0\r\n\r\n";
    let answer = outcome(LlmProtocol::OllamaGenerate, Reply::Whole(reply.to_vec())).await;
    assert_eq!(completed(answer).0, "Fine.");
}

#[tokio::test]
async fn what_is_missing_or_odd_beside_the_text_costs_no_answer() {
    let oddities = [
        json!({}),
        json!({"model": "", "usage": null, "prompt_eval_count": null}),
        json!({"model": "a\u{0}b", "usage": "many", "eval_count": -1, "prompt_eval_count": 1.5}),
        json!({"model": 3, "usage": [], "done_reason": 4, "eval_count": "three"}),
        json!({"model": "m".repeat(201), "created": "x"}),
    ];
    for protocol in PROTOCOLS {
        for odd in &oddities {
            let mut body = answer(protocol, json!("Fine."));
            body.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
            let answer = completed(of_body(protocol, body).await);
            assert_eq!(answer, ("Fine.".into(), usage("gemma3:1b", None, None)), "{odd}");
        }
    }
}

#[tokio::test]
async fn a_field_of_another_protocol_is_not_looked_at() {
    let body = json!({"response": "Fine.", "message": 1, "choices": {}});
    let answer = completed(of_body(LlmProtocol::OllamaGenerate, body).await);
    assert_eq!(answer.0, "Fine.");
}

#[tokio::test]
async fn what_cannot_be_kept_or_read_is_invalid_output() {
    for protocol in PROTOCOLS {
        let place =
            |text: &str| answer(protocol, json!("PLACE")).to_string().replace("PLACE", text);
        let cases: [(Vec<u8>, &str); 14] = [
            (place(r"a\u0000b").into(), "U+0000 at byte offset 1"),
            (place(r"\ud800").into(), "no answer of this protocol"),
            (place("").into(), "empty text"),
            (place(r" \n\t").into(), "empty text"),
            (answer(protocol, json!(null)).to_string().into(), "answered without `"),
            (answer(protocol, json!(["a"])).to_string().into(), "no answer of this protocol"),
            (b"{\"x\": \"\xff\"}".to_vec(), "not UTF-8, the first at byte offset 7"),
            (b"".to_vec(), "no answer of this protocol"),
            (b"{}".to_vec(), "answered without `"),
            (b"\"text\"".to_vec(), "no answer of this protocol"),
            (b"<html>Welcome</html>".to_vec(), "does `protocol` name"),
            (b"{\"done\": true".to_vec(), "no answer of this protocol"),
            (
                b"{\"response\": \"a\"}\n{\"response\": \"b\"}".to_vec(),
                "no answer of this protocol",
            ),
            (b"{\"response\": \"a\", \"done\": false}".to_vec(), "a part of the text only"),
        ];
        for (body, expected) in cases {
            let shown = String::from_utf8_lossy(&body).into_owned();
            let (failure_type, error) = failure(outcome(protocol, Reply::body(body)).await);
            assert_eq!(failure_type, FailureType::InvalidOutput, "{shown}");
            assert_contains(&error, expected);
        }
    }
}

#[tokio::test]
async fn an_answer_without_choices_is_invalid_output() {
    for choices in [json!([]), json!([{}]), json!([{"message": null}])] {
        let body = json!({"choices": choices});
        let (failure_type, error) = failure(of_body(LlmProtocol::OpenaiChat, body).await);
        assert_eq!(failure_type, FailureType::InvalidOutput);
        assert_contains(&error, "answered without `choices[0].message.content`");
    }
}

#[tokio::test]
async fn a_compressed_answer_is_told_as_one() {
    // what `Fine.` begins with as gzip
    let body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";
    for (coding, shown) in [("gzip", "`gzip`"), ("identity, br", "`br`"), ("a,  b", "`a, b`")] {
        let header = format!("content-encoding: {coding}");
        let headers = ["content-type: application/json", header.as_str()];
        let ok = outcome(LlmProtocol::OpenaiChat, Reply::status("200 OK", &headers, body)).await;
        let (failure_type, error) = failure(ok);
        assert_eq!(failure_type, FailureType::InvalidOutput);
        assert_contains(&error, &format!("in the content coding {shown}"));
        assert_contains(&error, "turn compression off");
        let refused = Reply::status("429 Too Many Requests", &headers, body);
        let (failure_type, error) = failure(outcome(LlmProtocol::OpenaiChat, refused).await);
        assert_eq!(failure_type, FailureType::RateLimited);
        assert_contains(&error, &format!("in the content coding {shown}"));
    }
}

#[tokio::test]
async fn a_text_is_read_whatever_its_content_coding_is_said_to_be() {
    let protocol = LlmProtocol::OllamaGenerate;
    for coding in ["identity", "IDENTITY", "", "UTF-8", "none", "binary", "gzip"] {
        let header = format!("content-encoding: {coding}");
        let ask = async |status, body: &str| {
            outcome(protocol, Reply::status(status, &[header.as_str()], body)).await
        };
        let good = answer(protocol, json!("Grüße.")).to_string();
        assert_eq!(completed(ask("200 OK", &good).await).0, "Grüße.", "{coding}");
        for body in ["<html>", "{}", ""] {
            let (failure_type, error) = failure(ask("200 OK", body).await);
            assert_eq!(failure_type, FailureType::InvalidOutput);
            assert!(!error.contains("coding"), "{error}");
        }
        let (_, error) = failure(ask("500 Oh", "{\"error\": \"the gremlins\"}").await);
        assert_contains(&error, ": the gremlins");
        // cut within a letter, where no more is read
        let long = "the gremlins x".to_owned() + &"ü".repeat(64 * 1024);
        let (_, error) = failure(ask("500 Oh", &long).await);
        assert_contains(&error, ": the gremlins x");
    }
}

#[tokio::test]
async fn an_output_fills_its_limit_and_no_byte_more() {
    for protocol in PROTOCOLS {
        for (text, fits) in [("x".repeat(100), true), ("ü".repeat(50) + "x", false)] {
            let server = Server::start(Reply::text(protocol, &text)).await;
            let mut call = server.call(protocol);
            call.limits.output_bytes = 100;
            let outcome = call_llm(&LlmClient::new(), &call).await;
            if fits {
                assert_eq!(completed(outcome).0, text);
            } else {
                let (failure_type, error) = failure(outcome);
                assert_eq!(failure_type, FailureType::InvalidOutput);
                assert_contains(&error, "a text of 101 bytes, more than the 100");
            }
        }
    }
}

#[tokio::test]
async fn the_longest_way_to_write_an_output_is_still_read() {
    let text = "\u{1}".repeat(1024 * 1024);
    let protocol = LlmProtocol::OllamaGenerate;
    let context: Vec<_> = (100_000..300_000).collect();
    let mut body = answer(protocol, json!(text));
    body["context"] = json!(context);
    assert!(body.to_string().len() > 7 * 1024 * 1024);
    assert_eq!(completed(of_body(protocol, body).await).0, text);
}

#[tokio::test]
async fn an_endless_body_is_left_unread_past_the_limit() {
    const MOST: usize = 64 * 1024 * 1024;
    for status in ["200 OK", "500 Internal Server Error"] {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 1000000000000\r\n\r\n");
        let mut server = Server::start(Reply::Endless(head.into_bytes())).await;
        let outcome = call_llm(&LlmClient::new(), &server.call(LlmProtocol::OllamaGenerate)).await;
        let (failure_type, error) = failure(outcome);
        if status == "200 OK" {
            assert_eq!(failure_type, FailureType::InvalidOutput);
            assert_contains(&error, "answered with more than 8388608 bytes");
        } else {
            assert_eq!(failure_type, FailureType::Connection);
            assert!(error.len() < 1000, "{} bytes", error.len());
        }
        // what the sockets hold between us was written too
        let written = server.gone().await;
        assert!(written < MOST, "{written} bytes were taken");
    }
}
