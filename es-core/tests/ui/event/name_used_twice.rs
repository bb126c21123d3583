use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    LlmCallFailed,
    #[event(name = "llm_call_failed")]
    CallFailed,
    #[event(alias = "llm_call_failed")]
    ModelFailed,
    #[event(alias = "retry_scheduled")]
    RetryPlanned,
    RetryScheduled,
}

fn main() {}
