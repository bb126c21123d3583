//! The stock of an article, and what of it is put aside for orders.

use std::collections::BTreeMap;

use es_core::{Aggregate, Event};

use crate::OrderId;

/// What happens to the stock of an article.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum StockEvent {
    /// More of it came.
    ItemsDelivered {
        /// How many.
        count: u32,
    },
    /// Some are put aside.
    StockReserved {
        /// For this order.
        order: OrderId,
        /// How many.
        count: u32,
    },
    /// There are not so many. It is an event, because something follows from it.
    ReservationRefused {
        /// For this order.
        order: OrderId,
        /// How many were wanted.
        count: u32,
    },
    /// What was put aside is for others again.
    ReservationReleased {
        /// For this order.
        order: OrderId,
    },
}
use StockEvent::*;

/// The stock of an article.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stock {
    left: u32,
    reserved: BTreeMap<OrderId, u32>,
}

impl Aggregate for Stock {
    const TYPE: &'static str = "stock";
    type Id = String;
    type Event = StockEvent;

    fn evolve(&mut self, event: &StockEvent) {
        match event {
            ItemsDelivered { count } => self.left = self.left.saturating_add(*count),
            StockReserved { order, count } => {
                self.left = self.left.saturating_sub(*count);
                self.reserved.insert(order.clone(), *count);
            }
            ReservationRefused { .. } => {}
            ReservationReleased { order } => {
                let count = self.reserved.remove(order).unwrap_or_default();
                self.left = self.left.saturating_add(count);
            }
        }
    }
}

impl Stock {
    /// Puts so many aside for an order, or says that there are not so many.
    pub fn reserve(&self, order: &OrderId, count: u32) -> StockEvent {
        let (order, is_enough) = (order.clone(), count <= self.left);
        if is_enough { StockReserved { order, count } } else { ReservationRefused { order, count } }
    }

    /// Gives back what is put aside for an order, if anything is.
    pub fn release(&self, order: &OrderId) -> Option<StockEvent> {
        let is_reserved = self.reserved.contains_key(order);
        is_reserved.then(|| ReservationReleased { order: order.clone() })
    }
}

#[cfg(test)]
mod tests {
    use es_testing::spec::given;

    use super::*;

    #[test]
    fn no_more_is_put_aside_than_there_is() {
        let (one, other) = (OrderId::from("o-1"), OrderId::from("o-2"));
        let reserved = StockReserved { order: one.clone(), count: 2 };
        let given = || given::<Stock>([ItemsDelivered { count: 3 }, reserved.clone()]);
        let refused = ReservationRefused { order: other.clone(), count: 2 };
        given().when(|stock| stock.reserve(&other, 2)).then([refused]);
        given().when(|stock| stock.release(&other)).then_nothing();
        let released = given().when(|stock| stock.release(&one));
        let released = released.then([ReservationReleased { order: one.clone() }]);
        let left = released.then_again_nothing().state();
        assert_eq!(left.reserve(&other, 3), StockReserved { order: other.clone(), count: 3 });
    }
}
