use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(name = "PostingSaved")]
    PostingSaved,
    #[event(name = "posting-read")]
    PostingRead,
    #[event(name = "")]
    PostingHeld,
    #[event(alias = "")]
    PostingKept,
    ÜberwiesenPaid,
}

fn main() {}
