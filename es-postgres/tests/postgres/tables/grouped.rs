//! Whole rows of many changes in one statement.

use std::collections::BTreeMap;

use es_core::backend::TableRead;

use super::*;
use crate::support::proxied;

const ROWS: i64 = 200;

fn id(number: i64) -> String {
    format!("o-{number:03}")
}

fn writing(number: i64, cents: i64) -> TableChange {
    let values = order(&id(number), "anna", cents).into_values();
    TableChange::Upsert { table: &OpenOrder::SCHEMA, values, set: None }
}

/// Writes a row, or adds to the one that is there.
fn adding(number: i64) -> TableChange {
    let values = order(&id(number), "anna", 100).into_values();
    let set = Some("cents = open_orders.cents + excluded.cents");
    TableChange::Upsert { table: &OpenOrder::SCHEMA, values, set }
}

fn key(number: i64) -> Which {
    Which::Key(vec![SqlValue::Text(id(number))])
}

fn removing(number: i64) -> TableChange {
    TableChange::Delete { table: &OpenOrder::SCHEMA, rows: key(number), values: Vec::new() }
}

async fn cents(store: &PostgresStore) -> BTreeMap<String, i64> {
    let read = TableRead::Rows { after: None, limit: 1_000 };
    let rows = store.table_rows(OpenOrder::NAME, Slot::Active, &OpenOrder::SCHEMA, &read).await;
    let row = |row: Vec<SqlValue>| match &*row {
        [SqlValue::Text(id), _, SqlValue::Int(cents)] => (id.clone(), *cents),
        other => panic!("{other:?} is no order"),
    };
    rows.unwrap().into_iter().map(row).collect()
}

#[tokio::test]
async fn rows_of_a_commit_share_statements_and_come_out_as_one_by_one() {
    let (_database, proxy, store) =
        proxied(|config| config.notifications(false).projectors(1)).await;
    let lease = claimed(&store).await;
    assert!(store.may_condense(&lease).await.unwrap());
    let mut changes: Vec<_> = (0..ROWS).map(|number| writing(number, 1)).collect();
    // a row twice, and what changes others in between
    changes.extend((0..ROWS).map(|number| writing(number, 2)));
    changes.push(update(key(0), "cents = cents + 10"));
    changes.extend((0..ROWS / 2).map(|number| writing(number, 3)));
    changes.push(removing(0));
    changes.push(update(Which::Where("cents = 3"), "cents = cents + 20"));
    changes.extend([writing(1, 4), removing(ROWS - 1), writing(0, 5)]);
    changes.extend((2..ROWS - 1).map(adding));
    let batch = changing(changes);
    // prepares what it needs
    store.commit(&lease, &batch).await.unwrap();
    proxy.reset();
    store.commit(&lease, &batch).await.unwrap();
    // four of the transaction, four changes by themselves, and six groups
    assert!(proxy.syncs() <= 15, "{} round trips", proxy.syncs());
    let cents_of = |number| if number < ROWS / 2 { 123 } else { 102 };
    let mut expected: BTreeMap<_, _> =
        (0..ROWS - 1).map(|number| (id(number), cents_of(number))).collect();
    expected.extend([(id(0), 5), (id(1), 4)]);
    assert_eq!(cents(&store).await, expected);
}

#[tokio::test]
async fn a_change_that_is_refused_leaves_nothing_of_the_others() {
    let (_database, store) = empty_store().await;
    let lease = claimed(&store).await;
    let mut changes: Vec<_> = (0..ROWS).map(|number| writing(number, 1)).collect();
    changes.push(update(key(ROWS), "cents = 1"));
    let refused = store.commit(&lease, &changing(changes)).await;
    assert!(matches!(refused, Err(SinkError::Refused { .. })), "{refused:?}");
    assert!(cents(&store).await.is_empty());
}

#[tokio::test]
async fn where_somebody_could_tell_each_change_is_a_statement() {
    let (database, store) = empty_store().await;
    let lease = claimed(&store).await;
    let rules = [
        ("ADD CONSTRAINT other CHECK (cents < 1000)", "DROP CONSTRAINT other"),
        ("ADD CONSTRAINT other UNIQUE (customer, cents)", "DROP CONSTRAINT other"),
        ("ALTER customer SET NOT NULL", "ALTER customer DROP NOT NULL"),
        ("ALTER customer SET DEFAULT 'nobody'", "ALTER customer DROP DEFAULT"),
        ("ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"),
    ];
    for (made, removed) in rules {
        run(&database, &format!("ALTER TABLE open_orders_models {made}")).await;
        assert!(!store.may_condense(&lease).await.unwrap(), "{made}");
        run(&database, &format!("ALTER TABLE open_orders_models {removed}")).await;
        assert!(store.may_condense(&lease).await.unwrap(), "{removed}");
    }
    run(&database, "CREATE INDEX other ON open_orders_models ((1 / cents))").await;
    assert!(!store.may_condense(&lease).await.unwrap());
    run(&database, "DROP INDEX other").await;

    let counting = "CREATE TABLE seen (cents BIGINT);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.seen SELECT sum(cents) FROM public.open_orders_models; RETURN NULL; END';
        CREATE TRIGGER see AFTER INSERT ON open_orders_models
            FOR EACH STATEMENT EXECUTE FUNCTION see()";
    run(&database, counting).await;
    assert!(!store.may_condense(&lease).await.unwrap());
    let changes = (1..=ROWS).map(|cents| writing(1, cents)).collect();
    store.commit(&lease, &changing(changes)).await.unwrap();
    let seen = "SELECT count(DISTINCT cents) FROM seen";
    assert_eq!(value::<i64>(&database, seen).await, ROWS);
}
