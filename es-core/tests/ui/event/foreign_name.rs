use es_core::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "com.acme.v1.Paid")]
    OrderPaid,
    #[event(foreign, name = "com.acme.v1.Placed", reason = "the shop reads it")]
    OrderPlaced,
    #[event(alias = "com.acme.v1.Kept", alias = "Order kept", alias = "order\tkept")]
    OrderKept,
}

fn main() {}
