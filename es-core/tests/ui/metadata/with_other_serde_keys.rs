use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata)]
        #[serde(flatten)]
        actor_id: i64,
        #[event(metadata)]
        #[serde(skip_serializing_if = "Option::is_none", default)]
        duration_ms: Option<u64>,
    },
}

fn main() {}
