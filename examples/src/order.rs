//! An order: six decisions, from its placing to the parcel.

use es_core::execution::Snapshotted;
use es_core::{Aggregate, AggregateId, Event};
use serde::{Deserialize, Serialize};

/// The number of an order.
#[derive(AggregateId, Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OrderId(pub String);

impl From<&str> for OrderId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What happens to an order.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum OrderEvent {
    /// A customer wants so many of an article, for so much.
    OrderPlaced {
        /// Who wants it.
        customer: String,
        /// The article.
        sku: String,
        /// How many.
        count: u32,
        /// The price of all of them.
        cents: u32,
    },
    /// The articles are put aside.
    OrderConfirmed,
    /// The order cannot be carried out.
    OrderRefused {
        /// Why not.
        reason: String,
    },
    /// The price was paid, or a part of it.
    OrderPaid {
        /// How much.
        cents: u32,
    },
    /// The parcel is on its way.
    OrderShipped,
    /// The customer does not want it any more.
    OrderCancelled {
        /// The article, for whoever has put it aside.
        sku: String,
    },
}
use OrderEvent::*;

impl OrderEvent {
    /// The customer, where the event names one.
    pub fn customer(&self) -> Option<&String> {
        if let OrderPlaced { customer, .. } = self { Some(customer) } else { None }
    }
}

/// An order, as far as it has come. It is an enum, so that one that nobody has placed has no price that
/// anybody could ask for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Order {
    /// Nobody has placed it.
    #[default]
    Absent,
    /// It is to be confirmed, paid and shipped.
    Open {
        /// The article.
        sku: String,
        /// What is still to be paid.
        due: u32,
        /// Whether the articles are put aside.
        is_confirmed: bool,
    },
    /// It could not be carried out.
    Refused,
    /// The parcel is on its way.
    Shipped,
    /// The customer did not want it any more.
    Cancelled,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        match (&mut *self, event) {
            (Order::Absent, OrderPlaced { sku, cents, .. }) => {
                *self = Order::Open { sku: sku.clone(), due: *cents, is_confirmed: false };
            }
            (Order::Open { is_confirmed, .. }, OrderConfirmed) => *is_confirmed = true,
            (Order::Open { due, .. }, OrderPaid { cents }) => *due = due.saturating_sub(*cents),
            (Order::Open { .. }, OrderRefused { .. }) => *self = Order::Refused,
            (Order::Open { .. }, OrderShipped) => *self = Order::Shipped,
            (Order::Open { .. }, OrderCancelled { .. }) => *self = Order::Cancelled,
            _ => {}
        }
    }
}

impl Snapshotted for Order {
    const REVISION: u32 = 1;
}

/// Why an order does not do what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One order is placed once.
    #[error("the order is placed already")]
    PlacedAlready,
    /// There is nothing in it.
    #[error("an order has one article at least")]
    Empty,
    /// It was never placed, or it has come to its end.
    #[error("the order is not open")]
    NotOpen,
    /// Nobody pays more than is due.
    #[error("no more than {due} cents are due")]
    TooMuch {
        /// What is still to be paid.
        due: u32,
    },
    /// What is shipped is confirmed and paid.
    #[error("the order is not confirmed and paid yet")]
    NotReady,
}

impl Order {
    /// Places it.
    ///
    /// # Errors
    ///
    /// If it is placed already, or of nothing.
    pub fn place(
        &self,
        customer: &str,
        sku: &str,
        count: u32,
        cents: u32,
    ) -> Result<OrderEvent, Refusal> {
        let (customer, sku) = (customer.to_owned(), sku.to_owned());
        match self {
            Order::Absent if count == 0 => Err(Refusal::Empty),
            Order::Absent => Ok(OrderPlaced { customer, sku, count, cents }),
            _ => Err(Refusal::PlacedAlready),
        }
    }

    /// Confirms it, if it still waits for that.
    pub fn confirm(&self) -> Option<OrderEvent> {
        self.is_waiting().then_some(OrderConfirmed)
    }

    /// Refuses it, if it still waits to be confirmed.
    pub fn refuse(&self, reason: &str) -> Option<OrderEvent> {
        self.is_waiting().then(|| OrderRefused { reason: reason.to_owned() })
    }

    fn is_waiting(&self) -> bool {
        matches!(self, Order::Open { is_confirmed: false, .. })
    }

    /// Takes a payment.
    ///
    /// # Errors
    ///
    /// If it is not open, or not so much is due.
    pub fn pay(&self, cents: u32) -> Result<OrderEvent, Refusal> {
        match *self {
            Order::Open { due, .. } if cents > due => Err(Refusal::TooMuch { due }),
            Order::Open { .. } => Ok(OrderPaid { cents }),
            _ => Err(Refusal::NotOpen),
        }
    }

    /// Ships it.
    ///
    /// # Errors
    ///
    /// If it is not open, or not confirmed and paid.
    pub fn ship(&self) -> Result<OrderEvent, Refusal> {
        match self {
            Order::Open { due: 0, is_confirmed: true, .. } => Ok(OrderShipped),
            Order::Open { .. } => Err(Refusal::NotReady),
            _ => Err(Refusal::NotOpen),
        }
    }

    /// Cancels it; to do so again does nothing.
    ///
    /// # Errors
    ///
    /// If it is neither open nor cancelled.
    pub fn cancel(&self) -> Result<Option<OrderEvent>, Refusal> {
        match self {
            Order::Open { sku, .. } => Ok(Some(OrderCancelled { sku: sku.clone() })),
            Order::Cancelled => Ok(None),
            _ => Err(Refusal::NotOpen),
        }
    }
}

#[cfg(test)]
mod tests {
    use es_testing::spec::{Given, given};
    use proptest::prelude::{Just, Strategy, prop_oneof};

    use super::*;

    fn placed(count: u32, cents: u32) -> OrderEvent {
        OrderPlaced { customer: "anna".to_owned(), sku: "bread".to_owned(), count, cents }
    }

    #[test]
    fn an_order_is_placed_once() {
        let place = |order: &Order| order.place("anna", "bread", 2, 700);
        let decided = Given::<Order>::no_events().when(place).then([placed(2, 700)]);
        decided.then_again_rejected(Refusal::PlacedAlready);
        let place = |order: &Order| order.place("anna", "bread", 0, 700);
        Given::<Order>::no_events().when(place).then_rejected(Refusal::Empty);
    }

    #[test]
    fn it_is_shipped_when_it_is_confirmed_and_paid() {
        let paid = given::<Order>([placed(2, 700), OrderPaid { cents: 300 }, OrderConfirmed]);
        paid.clone().when(|order| order.pay(401)).then_rejected(Refusal::TooMuch { due: 400 });
        paid.clone().when(Order::ship).then_rejected(Refusal::NotReady);
        // somebody else pays the rest in between
        let paying = paid.when(|order| order.pay(1));
        let paying = paying.another_writer_appends([OrderPaid { cents: 400 }]);
        paying.then_rejected(Refusal::TooMuch { due: 0 });
        let paid = [placed(2, 700), OrderPaid { cents: 700 }, OrderConfirmed];
        let shipped = given::<Order>(paid).when(Order::ship).then([OrderShipped]);
        assert_eq!(shipped.state(), Order::Shipped);
    }

    #[test]
    fn it_is_confirmed_refused_and_cancelled_once() {
        let given = || given::<Order>([placed(2, 700)]);
        given().when(Order::confirm).then([OrderConfirmed]).then_again_nothing();
        let reason = || "out of stock".to_owned();
        let refused = given().when(|order| order.refuse("out of stock"));
        refused.then([OrderRefused { reason: reason() }]).then_again_nothing();
        let cancelled = given().when(Order::cancel);
        cancelled.then([OrderCancelled { sku: "bread".to_owned() }]).then_again_nothing();
    }

    fn any_event() -> impl Strategy<Value = OrderEvent> {
        prop_oneof![
            (0..3_u32, 0..100_u32).prop_map(|(count, cents)| placed(count, cents)),
            Just(OrderConfirmed),
            Just(OrderRefused { reason: "out of stock".to_owned() }),
            (0..100_u32).prop_map(|cents| OrderPaid { cents }),
            Just(OrderShipped),
            Just(OrderCancelled { sku: "bread".to_owned() }),
        ]
    }

    #[derive(Debug, Clone)]
    enum Command {
        Place { count: u32, cents: u32 },
        Confirm,
        Refuse,
        Pay { cents: u32 },
        Ship,
        Cancel,
    }

    fn decide(order: &Order, command: &Command) -> Result<Option<OrderEvent>, Refusal> {
        match *command {
            Command::Place { count, cents } => order.place("anna", "bread", count, cents).map(Some),
            Command::Confirm => Ok(order.confirm()),
            Command::Refuse => Ok(order.refuse("out of stock")),
            Command::Pay { cents } => order.pay(cents).map(Some),
            Command::Ship => order.ship().map(Some),
            Command::Cancel => order.cancel(),
        }
    }

    // few small numbers, so that what is due is paid now and then
    fn any_command() -> impl Strategy<Value = Command> {
        prop_oneof![
            (0..3_u32, 0..3_u32).prop_map(|(count, cents)| Command::Place { count, cents }),
            Just(Command::Confirm),
            Just(Command::Refuse),
            (0..3_u32).prop_map(|cents| Command::Pay { cents }),
            Just(Command::Ship),
            Just(Command::Cancel),
        ]
    }

    es_testing::aggregate_laws! {
        name = order_laws,
        aggregate = Order,
        events = any_event(),
        commands = any_command(),
        decide = decide,
        snapshots = true,
    }
}
