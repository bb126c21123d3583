use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved(i64, String),
    PostingRead(),
}

fn main() {}
