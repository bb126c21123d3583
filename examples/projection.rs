//! A read model, its tests and its laws: `cargo run -p es-examples --example projection`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::projection::{Keying, ReadModel};
use es_core::{BoxError, Envelope, Projection, Repository, Runner, Store};
use es_examples::Order;
use es_examples::OrderEvent::{self, *};
use es_memory::MemoryStore;
use serde::{Deserialize, Serialize};

/// What a customer has ordered; the orders of one customer share a row.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct CustomerTotals {
    orders: u64,
    cents: u64,
}

impl Projection for CustomerTotals {
    const NAME: &'static str = "customer_totals";
    type Event = OrderEvent;
    type Key = String;
    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.data.customer().cloned())
    }
    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        event: &Envelope<OrderEvent>,
    ) -> Result<(), BoxError> {
        let OrderPlaced { cents, .. } = &event.data else { return Ok(()) };
        let totals = row.get_or_insert_default();
        totals.orders += 1;
        totals.cents += u64::from(*cents);
        Ok(())
    }
}

async fn totals_of(store: &Store, customer: &str) -> Result<Option<CustomerTotals>, BoxError> {
    // or tokio::spawn(runner.run()), for as long as the program lives
    Runner::new(store).projection::<CustomerTotals>().once().await?;
    Ok(ReadModel::<CustomerTotals>::new(store).get(customer).await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let store = Store::from(MemoryStore::new());
    let orders = Repository::<Order>::new(&store);
    for (id, cents) in [("o-1", 700), ("o-2", 50)] {
        let place = |order: &Order| order.place("anna", "bread", 1, cents);
        orders.by_id(id).decide(place).await?;
    }
    println!("{:?}", totals_of(&store, "anna").await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use es_testing::laws::{self, LawViolation};
    use es_testing::projection::given;
    use proptest::prelude::{Just, Strategy, any, prop_oneof};

    use super::*;

    fn placed(customer: &str, cents: u32) -> OrderEvent {
        OrderPlaced { customer: customer.to_owned(), sku: "bread".to_owned(), count: 1, cents }
    }

    #[test]
    fn a_customer_has_what_was_placed() {
        given::<CustomerTotals>()
            .events::<Order>("o-1", [placed("anna", 700)])
            .events::<Order>("o-2", [placed("anna", 50), OrderPaid { cents: 50 }])
            .then_rows([("anna".to_owned(), CustomerTotals { orders: 2, cents: 750 })]);
    }

    #[test]
    fn rebuilt_it_is_what_it_is_live() -> Result<(), LawViolation> {
        let customer = prop_oneof![Just("anna"), Just("ben")];
        let event = prop_oneof![
            (customer, any::<u32>()).prop_map(|(customer, cents)| placed(customer, cents)),
            Just(OrderConfirmed),
        ];
        let events = laws::in_streams_of::<Order>(["a", "b", "c"], event);
        laws::projection::<CustomerTotals>(events, || MemoryStore::new().into())
    }

    #[tokio::test]
    async fn the_model_is_read_by_the_customer() {
        let store = Store::from(MemoryStore::new());
        let orders = Repository::<Order>::new(&store);
        let place = |order: &Order| order.place("anna", "bread", 1, 700);
        orders.by_id("o-1").decide(place).await.unwrap();
        let totals = CustomerTotals { orders: 1, cents: 700 };
        assert_eq!(totals_of(&store, "anna").await.unwrap(), Some(totals));
        assert_eq!(totals_of(&store, "ben").await.unwrap(), None);
    }
}
