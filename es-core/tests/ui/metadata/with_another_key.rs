use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    PostingSaved {
        #[event(metadata, name = "shop")]
        tenant: i64,
        #[event(payload)]
        output: String,
        #[event(metadata, metadata)]
        request_id: u64,
    },
}

fn main() {}
