use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(name = "posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_posting_saved_long")]
    PostingSaved,
}

fn main() {}
