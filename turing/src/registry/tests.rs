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

#[tokio::test]
async fn ids_are_assigned_between_those_that_others_use() {
    on_each(async |registry| {
        let brought = |after: i32| posting("a", Some(FIRST_ASSIGNED + after), json!({"a": after}));
        let without = |number: i32| posting("b", None, json!({"b": number}));
        ids(registry, vec![brought(2), brought(5)]).await;
        let mixed = vec![brought(0), brought(1), without(1), without(2), brought(6), without(3)];
        let assigned: Vec<_> = ids(registry, mixed).await.into_iter().map(Option::unwrap).collect();
        let after = assigned.iter().map(|id| id - FIRST_ASSIGNED).collect::<Vec<_>>();
        assert_eq!(after, [0, 1, 3, 4, 6, 7]);
    })
    .await;
}

#[tokio::test]
async fn an_unchanged_posting_is_recognised_whatever_becomes_of_its_numbers() {
    on_each(async |registry| {
        let data =
            r#"{"a": 1e16, "b": 1.0, "c": -0.0, "d": 1e2, "e": [{"f": 12345678901234567890}]}"#;
        let read = || vec![posting("a", Some(7), serde_json::from_str(data).unwrap())];
        for _ in 0..2 {
            assert_eq!(ids(registry, read()).await, [Some(7)]);
        }
        let other = vec![posting("a", Some(7), json!({"a": 1e17}))];
        assert_eq!(ids(registry, other).await, [None]);
    })
    .await;
}

#[tokio::test]
async fn programs_that_register_at_once_agree_and_assign_no_id_twice() {
    let database = es_pgtest::Server::shared().database().await;
    let config = postgres::configured(database.url().parse().unwrap());
    postgres::migrate(&config).await.unwrap();
    let register = async |own: usize| {
        let registry = PostgresRegistry::new(&config);
        let shared = (0..50).map(|number| posting("s", None, json!({"shared": number})));
        let owned = (0..50).map(|number| posting("o", None, json!({"own": [own, number]})));
        let mut ids = ids(&registry, shared.chain(owned).collect()).await;
        registry.close().await;
        (ids.split_off(50), ids)
    };
    let (a, b, c, d) = tokio::join!(register(1), register(2), register(3), register(4));
    let all = [a, b, c, d];
    assert!(all.iter().all(|(_, shared)| *shared == all[0].1), "{all:?}");
    let owned = all.iter().flat_map(|(owned, _)| owned);
    let assigned: std::collections::BTreeSet<_> = owned.chain(&all[0].1).flatten().collect();
    assert_eq!(assigned.len(), 250);
}
