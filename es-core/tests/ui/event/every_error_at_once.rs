use es_core::{Aggregate, Event};

#[derive(Event)]
enum PostingEvent {
    PostingSave,
    #[event(nam = "read")]
    PostingRead(i64, i64),
    #[event(version = 2)]
    PostingKept,
}

// the uses of a refused enum give no errors of their own
#[derive(Clone, Default)]
struct Posting;

impl Aggregate for Posting {
    const TYPE: &'static str = "posting";
    type Id = i64;
    type Event = PostingEvent;

    fn evolve(&mut self, _: &PostingEvent) {}
}

fn kinds(event: &PostingEvent) -> usize {
    event.event_type().name.len() + PostingEvent::TYPES.len()
}

fn main() {}
