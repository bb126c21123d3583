use es_core::Event;

#[derive(Event)]
enum PostingEvent<T> {
    PostingSaved { output: T },
}

fn main() {}
