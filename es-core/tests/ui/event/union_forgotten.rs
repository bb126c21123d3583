use es_core::Event;

#[derive(Event)]
enum OrderEvent {
    OrderPaid,
}

#[derive(Event)]
enum StockEvent {
    ItemsDelivered,
}

#[derive(Event)]
enum ShopEvent {
    Order(OrderEvent),
    Stock(StockEvent),
}

fn main() {}
