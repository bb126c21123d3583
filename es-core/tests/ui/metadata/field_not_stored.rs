use es_core::Event;

struct Actor;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata)]
        actor: Actor,
        #[event(metadata)]
        #[serde(default)]
        other: Actor,
    },
}

fn main() {}
