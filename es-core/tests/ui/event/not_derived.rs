use es_core::EventFilter;

enum OrderEvent {
    OrderPaid,
}

fn main() {
    EventFilter::of::<OrderEvent>();
}
