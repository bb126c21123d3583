use es_core::Event;

#[derive(Event)]
enum PostingEvent {
    #[event(version = 3, upcast(1 => add_status))]
    ScriptExecutionCompleted { status: String },
    #[event(version = 4000000000)]
    PostingSaved,
}

fn add_status(_: &mut es_core::event::Fields) {}

fn main() {}
