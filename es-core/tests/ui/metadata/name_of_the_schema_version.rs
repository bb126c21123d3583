use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata)]
        event_version: String,
        #[event(metadata)]
        #[serde(rename = "event_version")]
        version: String,
    },
}

fn main() {}
