use es_core::Event;

#[derive(Event)]
enum OrderEvent {
    OrderPaid,
}

#[derive(Event)]
enum StockEvent {
    #[event(alias = "order_paid")]
    StockCounted,
}

#[derive(Event)]
#[event(union)]
enum ShopEvent {
    Order(OrderEvent),
    Stock(StockEvent),
}

fn main() {}
