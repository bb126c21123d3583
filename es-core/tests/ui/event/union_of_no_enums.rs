use es_core::Event;

#[derive(Event)]
enum OrderEvent {
    OrderPaid,
}

#[derive(Event)]
#[event(union)]
enum ShopEvent {
    Order { event: OrderEvent },
    Paid(OrderEvent, OrderEvent),
    Nothing,
    #[event(name = "order")]
    One(#[serde(flatten)] OrderEvent),
    Again(OrderEvent),
}

#[derive(Event)]
#[event(union)]
enum NoEvent {}

fn main() {}
