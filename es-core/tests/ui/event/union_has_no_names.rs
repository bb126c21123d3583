use es_core::Event;

#[derive(Event)]
enum OrderEvent {
    OrderPaid,
}

#[derive(Event)]
#[event(union, retired("order_flagged"), tense = "any", reason = "it is short")]
#[event(split("order_made" => make: Order))]
enum ShopEvent {
    Order(OrderEvent),
}

fn main() {}
