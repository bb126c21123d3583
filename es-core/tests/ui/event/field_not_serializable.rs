use es_core::Event;

#[derive(serde::Deserialize)]
struct Output;

#[derive(Event)]
enum PostingEvent {
    PostingSaved { conversation: i64, output: Output },
}

fn main() {}
