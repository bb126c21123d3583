use es_core::Event;
use es_core::event::assert_distinct_event_types;

#[derive(Event)]
enum PostingEvent {
    PostingSaved,
}

#[derive(Event)]
enum WorkflowEvent {
    WorkflowStarted,
    #[event(alias = "posting_saved")]
    WorkflowSaved,
}

assert_distinct_event_types!(PostingEvent, WorkflowEvent);

fn main() {}
