//! What a model thought before it answered.

use serde_json::{Value, json};

use super::server::*;

/// The forms in which servers tell thoughts.
fn bodies() -> Vec<(LlmProtocol, Value)> {
    let chat = |message: Value| json!({"choices": [{"message": message}]});
    vec![
        (LlmProtocol::OllamaGenerate, json!({"response": "[PASS]", "thinking": "[FAIL]?"})),
        (
            LlmProtocol::OllamaChat,
            json!({"message": {"content": "[PASS]", "thinking": "[FAIL]?"}, "done": true}),
        ),
        (
            LlmProtocol::OpenaiChat,
            chat(json!({"content": "[PASS]", "reasoning_content": "[FAIL]?"})),
        ),
        (LlmProtocol::OpenaiChat, chat(json!({"content": "[PASS]", "reasoning": "[FAIL]?"}))),
        (
            LlmProtocol::OpenaiChat,
            chat(json!({"content": "[PASS]", "reasoning_content": "", "reasoning": "[FAIL]?"})),
        ),
        (LlmProtocol::OpenaiChat, chat(json!({"content": "<think>\n[FAIL]?\n</think>\n\n[PASS]"}))),
    ]
}

async fn output(protocol: LlmProtocol, body: &Value, reasoning: Reasoning) -> String {
    let server = Server::start(Reply::body(body.to_string())).await;
    let mut call = server.call(protocol);
    call.actor.reasoning = reasoning;
    completed(call_llm(&LlmClient::new(), &call).await).0
}

#[tokio::test]
async fn thoughts_are_left_out_or_stand_before_the_answer_in_one_form() {
    for (protocol, body) in bodies() {
        assert_eq!(output(protocol, &body, Reasoning::Drop).await, "[PASS]", "{body}");
        let kept = output(protocol, &body, Reasoning::Keep).await;
        assert_eq!(kept, "<think>\n[FAIL]?\n</think>\n\n[PASS]", "{body}");
    }
}

#[tokio::test]
async fn thoughts_that_come_piece_by_piece_are_no_part_of_the_answer() {
    let pieces = [
        json!({"choices": [{"delta": {"content": "<thi"}}]}),
        json!({"choices": [{"delta": {"content": "nk>[FAIL]?</think>[PA"}}]}),
        json!({"choices": [{"delta": {"content": "SS]"}, "finish_reason": "stop"}]}),
    ];
    let body: String = pieces.iter().map(|piece| format!("data: {piece}\n\n")).collect();
    let reply = Reply::stream("text/event-stream", body + "data: [DONE]\n\n");
    assert_eq!(completed(outcome(LlmProtocol::OpenaiChat, reply).await).0, "[PASS]");
}

#[tokio::test]
async fn a_model_that_only_thinks_has_not_answered() {
    for content in ["<think>Well", "<think>Well</think>\n"] {
        let body = answer(LlmProtocol::OllamaGenerate, json!(content)).to_string();
        let outcome = outcome(LlmProtocol::OllamaGenerate, Reply::body(body)).await;
        let (failure_type, error) = failure(outcome);
        assert_eq!(failure_type, FailureType::InvalidOutput);
        assert_contains(&error, "answered with an empty text");
    }
}

#[tokio::test]
async fn what_is_kept_counts_to_the_limit_of_an_output() {
    let body = json!({"response": "Fine.", "thinking": "Well?"}).to_string();
    for (reasoning, fits) in [(Reasoning::Drop, true), (Reasoning::Keep, false)] {
        let server = Server::start(Reply::body(&body)).await;
        let mut call = server.call(LlmProtocol::OllamaGenerate);
        call.actor.reasoning = reasoning;
        call.limits.output_bytes = 10;
        let outcome = call_llm(&LlmClient::new(), &call).await;
        assert_eq!(matches!(outcome, LlmOutcome::Completed { .. }), fits, "{outcome:?}");
    }
}
