use es_core::projection::{Changes, TableRow};
use es_core::{BoxError, Envelope, Event, Runner, Store, TableProjection};

#[derive(Event)]
enum OrderEvent {
    OrderPaid,
}

#[derive(TableRow)]
#[table(name = "paid_orders")]
struct PaidOrder {
    #[table(key)]
    id: String,
}

impl TableProjection for PaidOrder {
    type Event = OrderEvent;
    type Tables = Self;
    fn project(_: &Envelope<OrderEvent>, _: &mut Changes) -> Result<(), BoxError> {
        Ok(())
    }
}

fn runner(store: &Store) -> Runner {
    Runner::new(store).projection::<PaidOrder>()
}

fn main() {}
