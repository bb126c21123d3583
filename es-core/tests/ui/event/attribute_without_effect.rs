use es_core::Event;

#[derive(Event)]
#[serde(rename_all = "camelCase")]
#[event(name = "posting")]
enum PostingEvent {
    #[serde(rename = "saved")]
    PostingSaved { output: String },
}

fn main() {}
