use es_core::Event;

#[derive(Event)]
#[event(crate = "es-core")]
enum NoPath {
    OrderPaid,
}

#[derive(Event)]
#[event(crate = "es_core", crate = "es_core")]
enum Twice {
    OrderPaid,
}

#[derive(Event)]
#[event(union, crate = es_core)]
enum NoText {
    Order(Twice),
}

fn main() {}
