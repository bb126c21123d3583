use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(nam = "posting_saved", rename(all = "x"), skip)]
    PostingSaved,
    #[event]
    PostingRead,
    #[event(name)]
    PostingHeld,
    #[event(version = "2")]
    PostingKept,
}

fn main() {}
