use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved(#[event(metadata)] i64),
    PostingKept(#[serde(with = "text")] i64),
}

fn main() {}
