use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata)]
        tenant: i64,
        #[event(metadata)]
        #[serde(rename = "tenant")]
        other: i64,
    },
}

fn main() {}
