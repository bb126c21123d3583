use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(version = 0)]
    PostingSaved,
    #[event(version = 2, upcast(0 => add, 1 => add, 1 => add, 2 => add, 3 => add))]
    PostingRead,
    #[event(version = 5000000000)]
    PostingKept,
}

fn add(_: &mut es_core::event::Fields) {}

fn main() {}
