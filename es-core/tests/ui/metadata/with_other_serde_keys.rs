use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata)]
        #[serde(flatten)]
        tenant: i64,
        #[event(metadata)]
        #[serde(skip_serializing_if = "Option::is_none", default)]
        request_id: Option<u64>,
    },
}

fn main() {}
