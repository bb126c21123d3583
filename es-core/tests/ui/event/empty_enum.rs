use es_core::Event;

#[derive(Event)]
enum PostingEvent {}

fn main() {}
