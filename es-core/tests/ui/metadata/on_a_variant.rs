use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(metadata)]
    PostingSaved { tenant: i64 },
}

fn main() {}
