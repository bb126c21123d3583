//! Both registries keep the same rules.

use es_sqlite::SqliteStore;
use serde_json::json;

use super::*;
use crate::store::{Access, postgres};

fn posting(source: &str, posting_id: Option<i32>, data: Value) -> PostingInput {
    let Value::Object(data) = data else { panic!("{data} is no object") };
    PostingInput { source: source.to_owned(), posting_id: posting_id.map(PostingId), data }
}

async fn on_each(check: impl AsyncFn(&dyn PostingRegistry)) {
    check(&MemoryRegistry::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("turing.db")).await.unwrap();
    check(&SqliteRegistry::new(store, Access::Write).await.unwrap()).await;
    let database = es_pgtest::Server::shared().database().await;
    let config = postgres::configured(database.url().parse().unwrap());
    postgres::migrate(&config).await.unwrap();
    check(&PostgresRegistry::new(&config)).await;
}

async fn ids(registry: &dyn PostingRegistry, postings: Vec<PostingInput>) -> Vec<Option<i32>> {
    let registered = registry.register(postings).await.unwrap();
    registered.into_iter().map(|one| one.ok().map(|id| id.0)).collect()
}

#[tokio::test]
async fn the_same_content_gets_the_same_id_again() {
    on_each(async |registry| {
        let read =
            || vec![posting("a", None, json!({"t": 1})), posting("b", None, json!({"t": 2}))];
        let first = ids(registry, read()).await;
        assert_eq!(first, [Some(FIRST_ASSIGNED), Some(FIRST_ASSIGNED + 1)]);
        let mut reversed = read();
        reversed.reverse();
        assert_eq!(ids(registry, reversed).await, [first[1], first[0]]);
        let more = vec![posting("c", None, json!({"t": 3}))];
        assert_eq!(ids(registry, more).await, [Some(FIRST_ASSIGNED + 2)]);
    })
    .await;
}

#[tokio::test]
async fn data_comes_back_as_it_was_registered() {
    on_each(async |registry| {
        let data =
            json!({"title": "Bäcker 🥨", "salary": {"min": 2500.5, "max": 1e2}, "tags": [1, null]});
        ids(registry, vec![posting("a", Some(7), data.clone())]).await;
        let found = registry.data(PostingId(7)).await.unwrap().map(Value::Object);
        assert_eq!(found, Some(data));
        assert_eq!(registry.data(PostingId(8)).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_is_taken_by_other_content_is_refused_by_name() {
    on_each(async |registry| {
        let first = posting("a.json", Some(7), json!({"t": 1}));
        let other = posting("b.json", Some(7), json!({"t": 2}));
        let registered = registry.register(vec![first.clone(), other, first]).await.unwrap();
        assert_eq!((&registered[0], &registered[2]), (&Ok(PostingId(7)), &Ok(PostingId(7))));
        let refused = registered[1].as_ref().unwrap_err().to_string();
        assert!(refused.starts_with("b.json: posting_id 7 is registered with other"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn an_assigned_id_is_never_one_that_somebody_brought() {
    on_each(async |registry| {
        let brought = posting("a", Some(FIRST_ASSIGNED), json!({"t": 1}));
        let without = posting("b", None, json!({"t": 2}));
        let ids = ids(registry, vec![brought, without]).await;
        assert_eq!(ids, [Some(FIRST_ASSIGNED), Some(FIRST_ASSIGNED + 1)]);
    })
    .await;
}
