use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(version = 3, upcast(1 => add_status, 2 => wrong::takes_a_value))]
    PostingSaved,
    #[event(version = 2, upcast(1 => missing))]
    PostingRead,
}

fn add_status(_: &mut es_core::event::Fields) {}

mod wrong {
    pub fn takes_a_value(_: serde_json::Value) {}
}

fn main() {}
