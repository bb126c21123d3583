use es_core::Event;

#[derive(serde::Serialize)]
struct Output;

#[derive(Event)]
enum PostingEvent {
    PostingSaved { conversation: i64, output: Output },
}

fn main() {}
