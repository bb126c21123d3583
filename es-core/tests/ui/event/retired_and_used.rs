use es_core::Event;

#[derive(Event)]
#[event(retired("order_flagged", "order_lost", "order_made"))]
#[event(retired("order_lost", "order\u{a0}gone"))]
enum OrderEvent {
    OrderFlagged,
    #[event(alias = "order_made")]
    OrderPlaced,
}

fn main() {}
