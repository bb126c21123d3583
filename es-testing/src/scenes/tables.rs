//! Scenes of tables beside which somebody has SQL of their own.
//!
//! `numbers` is what a query of such a person answers, a number a row.

use std::fmt::Debug;
use std::time::Duration;

use es_core::backend::{Definition, Renewal, SinkError, Slot, TableChange, TableRead};
use es_core::projection::{Rebuild, SqlValue, Table, TableRow, Which};
use es_core::{Repository, Runner, TableProjection};

use super::Backend;
use super::orders::OrderEvent::{LineAdded, OrderPaid};
use super::orders::*;
use super::values::Sample;
use crate::laws::chain;

/// Rows are there when the projection ran, for code and for SQL, and gone when it says so.
pub async fn rows_are_read_by_type_and_by_any_sql(
    store: &impl Backend,
    numbers: impl AsyncFn(&str) -> Vec<Option<i64>>,
) {
    place_orders(store).await;
    let table = Table::<OpenOrder>::new(store.clone());
    let never_ran = table.get("o-1").await;
    assert!(matches!(never_ran, Err(SinkError::NoModel { .. })), "{never_ran:?}");
    let mut runner = Runner::new(store.clone()).table::<OpenOrder>();
    runner.catch_up().await.expect("the runner catches up");
    let read = table.get("o-1").await.expect("the table is read");
    assert_eq!(read, Some(order("o-1", "anna", 12)));
    assert_eq!(table.get("o-3").await.expect("the table is read"), None);
    assert_eq!(all(store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
    let after = Some(vec![SqlValue::Text("o-1".to_owned())]);
    let read = TableRead::Rows { after, limit: 10 };
    let rows = store.table_rows(OpenOrder::NAME, Slot::Active, &OpenOrder::SCHEMA, &read).await;
    assert_eq!(rows.expect("the table is read"), [order("o-2", "o'hara", 0).into_values()]);
    let sql = "SELECT cents FROM open_orders WHERE customer = 'anna' AND cents > 10";
    assert_eq!(numbers(sql).await, [Some(12)]);
    let others = Table::<Sample, OpenOrder>::new(store.clone());
    assert!(unusable(others.get((1_i64, true)).await).contains("`samples`"));
    record(store, "o-1", OrderPaid).await;
    runner.catch_up().await.expect("the runner catches up");
    assert_eq!(all(store).await, [order("o-2", "o'hara", 0)]);
}

/// A rebuild into tables from its beginning to its end.
pub async fn a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing(
    store: &impl Backend,
    numbers: impl AsyncFn(&str) -> Vec<Option<i64>>,
) {
    place_orders(store).await;
    catch_up(store).await;
    let mut rebuild = Rebuild::table::<WithLines>(store.clone());
    rebuild.fill().await.expect("the shadow is filled");
    assert_eq!(all(store).await.len(), 2);
    let lines = "SELECT lines FROM open_orders ORDER BY id";
    assert_eq!(numbers(lines).await, [None, None]);
    rebuild.run().await.expect("the rebuild ends");
    assert_eq!(numbers(lines).await, [Some(3), Some(1)]);
    let many = Table::<WithLines>::new(store.clone()).get("o-1").await;
    let many = many.expect("the table is read").expect("the row is there");
    assert_eq!(many.customer.as_deref(), Some("many"));
    assert_eq!(numbers("SELECT count(*) FROM open_orders_models").await, [Some(2)]);
}

/// Beside two orders that are served there are rows of a model that is gone: so many are left behind each
/// renewal.
pub async fn what_takes_longer_is_removed_with_renewals(
    store: &impl Backend,
    numbers: impl AsyncFn(&str) -> Vec<Option<i64>>,
    left: [i64; 4],
) {
    // a part, of as much as the lease leaves time for
    let mut hasty = claim::<OpenOrder>(Slot::Active);
    hasty.time_to_live = Duration::ZERO;
    let lease = store.acquire(&hasty).await.expect("nobody has it");
    for left in left {
        assert_eq!(numbers("SELECT count(*) - 2 FROM open_orders_models").await, [Some(left)]);
        let renewal = Renewal::lasting(Duration::ZERO);
        store.renew(&lease, &renewal).await.expect("nobody has taken it");
    }
    assert_eq!(all(store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
}

/// What no database carries out, and what this one does not, is refused with all beside it.
pub async fn a_refused_change_writes_nothing(
    store: &impl Backend,
    refused_here: impl IntoIterator<Item = TableChange>,
) {
    let lease = claimed(store).await;
    let nobody = Which::Key(vec![SqlValue::Text("o-9".to_owned())]);
    let odd = [
        update(nobody, "cents = 1"),
        update(Which::Where("cents = $1"), "cents = 1"),
        update(Which::Where("true"), "cents = 'many'"),
        update(Which::Where("no_such_column"), "cents = 1"),
        update(Which::Where("true); COMMIT; SELECT (1"), "cents = 1"),
        update(Which::Where("true); ROLLBACK; SELECT (1"), "cents = 1"),
    ];
    for odd in odd.into_iter().chain(refused_here) {
        let answer = store.commit(&lease, &changing(vec![placing("o-1"), odd.clone()])).await;
        assert!(matches!(answer, Err(SinkError::Refused { .. })), "{odd:?}: {answer:?}");
        assert!(all(store).await.is_empty());
    }
}

/// `made` changes with every statement that makes or changes tables, indexes or views.
pub async fn a_claim_makes_what_is_missing_and_nothing_else<Made: PartialEq + Debug>(
    store: &impl Backend,
    made: impl AsyncFn() -> Made,
) {
    claimed(store).await;
    let first = made().await;
    claimed(store).await;
    assert_eq!(made().await, first);
    store.acquire(&claim::<WithLines>(Slot::Shadow)).await.expect("nobody rebuilds it");
    let second = made().await;
    assert_ne!(second, first);
    // the view has the columns of both
    claimed(store).await;
    assert_eq!(made().await, second);
    let mut others = claim::<WithTexts>(Slot::Active);
    others.projection = "others".to_owned();
    let reason = unusable(store.acquire(&others).await);
    assert!(reason.contains("column `cents`"), "{reason}");
    assert_eq!(store.status(Some("others")).await.expect("its state is read"), []);
}

/// Tables within the append, refusals included.
pub async fn tables_are_kept_within_the_append(
    store: &impl Backend,
    numbers: impl AsyncFn(&str) -> Vec<Option<i64>>,
) {
    place_orders(store).await;
    store.keep_inline(Definition::table::<OpenOrder>()).await.expect("appends keep them");
    assert_eq!(all(store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
    record(store, "o-2", LineAdded { cents: 4 }).await;
    assert_eq!(all(store).await[1], order("o-2", "o'hara", 4));
    // there is no such row
    let orders = Repository::<Order>::new(store.clone());
    let refused = orders.by_id("o-9").decide(|_| LineAdded { cents: 1 }).await;
    let refused = chain(&refused.expect_err("there is nothing to be updated"));
    assert!(refused.contains("no row of `open_orders`"), "{refused}");
    assert_eq!(numbers("SELECT count(*) FROM execution_events").await, [Some(5)]);
}
