use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata)]
        actor_id: i64,
        #[event(metadata)]
        #[serde(rename = "actor_id")]
        actor: i64,
    },
}

fn main() {}
