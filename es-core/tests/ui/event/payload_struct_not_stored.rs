use es_core::Event;

struct Output;

#[derive(Event)]
enum PostingEvent {
    PostingSaved(Output),
}

fn main() {}
