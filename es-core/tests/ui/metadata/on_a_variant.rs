use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(metadata)]
    PostingSaved { actor_id: i64 },
}

fn main() {}
