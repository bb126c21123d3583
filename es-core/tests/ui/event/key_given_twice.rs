use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(name = "posting_saved", name = "saved")]
    PostingSaved,
    #[event(version = 1)]
    #[event(version = 1)]
    PostingRead,
}

fn main() {}
