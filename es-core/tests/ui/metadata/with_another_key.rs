use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata, name = "actor")]
        actor_id: i64,
        #[event(payload)]
        output: String,
        #[event(metadata, metadata)]
        duration_ms: u64,
    },
}

fn main() {}
