//! Logins that may not make tables.

use es_postgres::sqlx::{self, ConnectOptions, Connection};

use super::*;

/// A store opened by a login that may do what a projector does, and no more.
async fn reduced(database: &TestDatabase) -> (String, PostgresStore) {
    let role = format!("projector_of_{}", database.name());
    run(
        database,
        &format!(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
             CREATE ROLE {role} LOGIN;
             GRANT USAGE ON SCHEMA public TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role};"
        ),
    )
    .await;
    let config = PostgresConfig::new(database.options().username(&role));
    (role, PostgresStore::open(config).await.unwrap())
}

async fn drop_role(database: &TestDatabase, role: &str) {
    run(database, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// How many rows this login sees in the view.
async fn seen_by(database: &TestDatabase, role: &str) -> i64 {
    let mut connection = database.options().username(role).connect().await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM open_orders");
    let count = count.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}

#[tokio::test]
async fn a_login_without_the_right_is_told_the_script_that_makes_them() {
    let (database, owners) = with_orders().await;
    let (role, store) = reduced(&database).await;
    let first = claim::<OpenOrder>(Slot::Active);
    let script = store.table_script::<OpenOrder>().await.unwrap();
    let reason = unusable(store.acquire(&first).await);
    assert!(reason.ends_with(&script) && script.contains("CREATE TABLE"), "{reason}");
    assert_eq!(store.status(None).await.unwrap(), [], "nothing was claimed");
    let kept = unusable(store.keep_inline(Definition::table::<OpenOrder>()).await);
    assert!(kept.ends_with(&script), "{kept}");
    run(&database, &script).await;
    assert_eq!(store.table_script::<OpenOrder>().await.unwrap(), "");
    catch_up(&store).await;
    assert_eq!(all(&store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
    assert_eq!(seen_by(&database, &role).await, 2);
    // a changed struct needs a script once more, which takes nothing away
    let script = store.table_script::<WithLines>().await.unwrap();
    let stopped = Rebuild::table::<WithLines>(store.clone()).run().await.unwrap_err();
    assert!(told(&stopped).contains("ADD COLUMN") && script.contains("ADD COLUMN"), "{stopped:?}");
    run(&database, &script).await;
    Rebuild::table::<WithLines>(store.clone()).run().await.unwrap();
    assert_eq!(seen_by(&database, &role).await, 2);
    owners.close().await;
    store.close().await;
    drop_role(&database, &role).await;
}

#[tokio::test]
async fn who_makes_tables_grants_what_others_have_on_models() {
    let (database, owners) = with_orders().await;
    let (role, store) = reduced(&database).await;
    catch_up(&owners).await;
    assert_eq!(store.table_script::<OpenOrder>().await.unwrap(), "");
    assert_eq!(seen_by(&database, &role).await, 2);
    let mut runner = Runner::new(store.clone()).table::<OpenOrder>();
    record(&owners, "o-1", OrderPaid).await;
    runner.catch_up().await.unwrap();
    assert_eq!(all(&store).await.len(), 1);
    runner.release().await;
    // a right that is taken away is missed before a commit is
    run(&database, &format!("REVOKE DELETE ON open_orders_models FROM {role}")).await;
    let reason = unusable(store.acquire(&claim::<OpenOrder>(Slot::Active)).await);
    assert!(reason.contains("GRANT") && !reason.contains("CREATE"), "{reason}");
    run(&database, &store.table_script::<OpenOrder>().await.unwrap()).await;
    assert_eq!(store.table_script::<OpenOrder>().await.unwrap(), "");
    owners.close().await;
    store.close().await;
    drop_role(&database, &role).await;
}

#[tokio::test]
async fn a_table_that_a_stranger_has_put_there_is_refused() {
    let (database, store) = with_orders().await;
    let (role, strangers) = reduced(&database).await;
    strangers.close().await;
    run(&database, &format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let theirs = format!(
        "SET ROLE {role};
         CREATE TABLE open_orders_models (
             generation BIGINT, id TEXT, customer TEXT, cents BIGINT, PRIMARY KEY (generation, id)
         );"
    );
    run(&database, &theirs).await;
    let reason = unusable(store.acquire(&claim::<OpenOrder>(Slot::Active)).await);
    assert!(reason.contains(&format!("belongs to {role}")), "{reason}");
    drop_role(&database, &role).await;
}

#[tokio::test]
async fn a_right_is_the_changes_affair_unless_it_is_one_on_its_table() {
    let (database, owners) = with_orders().await;
    catch_up(&owners).await;
    let (role, store) = reduced(&database).await;
    let secret = "CREATE FUNCTION secret(BIGINT) RETURNS BIGINT LANGUAGE sql AS 'SELECT $1';
                  REVOKE EXECUTE ON FUNCTION secret FROM PUBLIC";
    run(&database, secret).await;
    let lease = claimed(&store).await;
    let from = lease.checkpoints[0].clone();
    let setting = |set| {
        let (table, rows) = (&OpenOrder::SCHEMA, Which::Where("true"));
        let change = TableChange::Update { table, rows, set, values: Vec::new() };
        Batch::moving(0, from.clone(), from.clone()).content(Content::Tables(vec![change]))
    };
    match store.commit(&lease, &setting("cents = public.secret(cents)")).await {
        Err(SinkError::Refused { source, .. }) => assert!(told(&*source).contains("42501")),
        other => panic!("it may not call that function, but: {other:?}"),
    }
    run(&database, &format!("REVOKE UPDATE ON open_orders_models FROM {role}")).await;
    let error = failed(store.commit(&lease, &setting("cents = 1")).await);
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{error:?}");
    run(&database, &format!("GRANT UPDATE ON open_orders_models TO {role}")).await;
    store.commit(&lease, &setting("cents = 1")).await.unwrap();
    owners.close().await;
    store.close().await;
    drop_role(&database, &role).await;
}
