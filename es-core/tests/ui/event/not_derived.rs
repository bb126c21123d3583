use es_core::event::EventFilter;

enum OrderEvent {
    OrderPaid,
}

fn main() {
    EventFilter::of::<OrderEvent>();
}
