//! Scenes of what was decided and an application's rows in one transaction of the application's.

use async_trait::async_trait;
use es_core::execution::{Decided, Member, NotAppended, Prepared, Snapshotted, StreamVersion};
use es_core::{Aggregate, ErrorKind, Event, Repository, Store};
use serde::{Deserialize, Serialize};

use OrderEvent::*;

#[derive(Event, Debug, Clone, PartialEq)]
pub enum OrderEvent {
    ItemAdded { cents: u64 },
    OrderPaid { cents: u64 },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub due: u64,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            ItemAdded { cents } => self.due += cents,
            OrderPaid { .. } => self.due = 0,
        }
    }
}

impl Snapshotted for Order {
    const REVISION: u32 = 1;
}

impl Order {
    /// Pays what is due.
    pub fn pay(&self) -> Result<OrderEvent, &'static str> {
        match self.due {
            0 => Err("there is nothing to pay"),
            cents => Ok(OrderPaid { cents }),
        }
    }
}

/// A store with a table of mails beside it.
#[async_trait]
pub trait Shop {
    fn store(&self) -> Store;

    /// Writes a mail and what was decided in one transaction, which is undone if either is refused.
    async fn write(
        &self,
        prepared: Prepared<Member<Order>>,
    ) -> Result<Decided<Member<Order>>, NotAppended>;

    /// How many mails there are.
    async fn mails(&self) -> i64;
}

/// The orders of an empty shop, after the first has got an item of 700.
pub async fn with_order(shop: &impl Shop) -> Repository<Order> {
    let orders = Repository::new(shop.store());
    add(&orders, 700).await;
    orders
}

/// Adds an item to the order.
pub async fn add(orders: &Repository<Order>, cents: u64) {
    orders.by_id("o-1").decide(|_| ItemAdded { cents }).await.expect("the item is added");
}

/// Decides to pay the order, under the same key each time.
async fn payment(orders: &Repository<Order>) -> Prepared<Member<Order>> {
    let decision = orders.by_id("o-1").decide(Order::pay).idempotency_key("payment/p-17");
    decision.prepare().await.expect("it is decided, or known")
}

/// Who is told of a conflict decides anew, in another transaction.
pub async fn who_was_overtaken_decides_again_and_writes_once(shop: &impl Shop) {
    let orders = with_order(shop).await;
    let mut attempts = 0;
    let paid = loop {
        let prepared = payment(&orders).await;
        if attempts == 0 {
            add(&orders, 50).await;
        }
        match shop.write(prepared).await {
            Err(error) if attempts < 3 && error.is_transient() => attempts += 1,
            written => break written.expect("nobody overtakes it twice"),
        }
    };
    assert_eq!((attempts, shop.mails().await), (1, 1));
    assert_eq!(paid.events, [OrderPaid { cents: 750 }]);
    assert_eq!((&paid.state, paid.version), (&Order { due: 0 }, StreamVersion::new(3)));
    let end = shop.store().end_of_log().await.expect("the log has an end");
    assert_eq!(paid.position(), end);
    let loaded = orders.load("o-1").await.expect("the order is loaded");
    assert_eq!((loaded.state, loaded.version), (paid.state, paid.version));
}

/// Prepared before the first was written, and after it.
pub async fn a_repeat_is_an_error_that_undoes_what_was_written_beside_it(shop: &impl Shop) {
    let orders = with_order(shop).await;
    let (first, racing) = (payment(&orders).await, payment(&orders).await);
    shop.write(first).await.expect("it is the first");
    let later = payment(&orders).await;
    for prepared in [racing, later] {
        let refused = shop.write(prepared).await.expect_err("it is a repeat");
        assert!(!refused.is_transient());
        let NotAppended::Repeated { key } = refused else { panic!("{refused:?}") };
        assert_eq!(key.as_str(), "payment/p-17");
    }
    assert_eq!(shop.mails().await, 1);
    let paid = orders.by_id("o-1").decide(Order::pay).idempotency_key("payment/p-17").await;
    assert_eq!(paid.expect("it is answered").events, [OrderPaid { cents: 700 }]);
}

/// A conflict first, because the contents under the key differ.
pub async fn who_was_slower_than_the_same_command_is_told_so_when_preparing_again(
    shop: &impl Shop,
) {
    let orders = with_order(shop).await;
    let slower = payment(&orders).await;
    add(&orders, 50).await;
    // of 750
    let quicker = orders.by_id("o-1").decide(Order::pay).idempotency_key("payment/p-17");
    quicker.await.expect("it is the first");
    let mut kinds = Vec::new();
    let mut next = Some(slower);
    while let Some(prepared) = next.take() {
        let refused = shop.write(prepared).await.expect_err("another one was quicker");
        kinds.push(refused.kind());
        if refused.is_transient() {
            next = Some(payment(&orders).await);
        }
    }
    assert_eq!(kinds, [ErrorKind::Conflict, ErrorKind::AlreadyExists]);
    assert_eq!(shop.mails().await, 0);
}
