use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    ScriptExecutionComplete { output: String },
    CreatePosting,
    CircuitBreakerOpen,
    SetPrice { price: i64 },
    FeedUpdate,
}

fn main() {}
