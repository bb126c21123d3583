use es_core::projection::Keying;
use es_core::{AggregateId, BoxError, Envelope, Event, Projection};
use serde::{Deserialize, Serialize};

#[derive(AggregateId, Clone, Serialize, Deserialize)]
struct CustomerId(String);

#[derive(Event)]
enum OrderEvent {
    OrderPlaced { customer: CustomerId },
}

impl OrderEvent {
    fn customer(&self) -> Option<&CustomerId> {
        let Self::OrderPlaced { customer } = self;
        Some(customer)
    }
}

struct CustomerTotals;

impl Projection for CustomerTotals {
    const NAME: &'static str = "customer_totals";
    type Event = OrderEvent;
    type Key = CustomerId;
    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.data.customer().cloned())
    }
    fn evolve(
        _: &CustomerId,
        row: &mut Option<Self>,
        _: &Envelope<OrderEvent>,
    ) -> Result<(), BoxError> {
        *row = Some(Self);
        Ok(())
    }
}

fn main() {}
