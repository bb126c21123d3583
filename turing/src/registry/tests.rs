//! Both registries keep the same rules.

use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions};
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

#[tokio::test]
async fn numbers_come_back_as_they_were_read_from_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = "[1e16,-0,-0.0,1.50,1e2,0.1,1e-7,1e22,18446744073709551615,1e300,5e-324,100.0]";
    let path = folder.path().join("a.json");
    std::fs::write(&path, format!(r#"{{"posting_id":7,"n":{numbers}}}"#)).unwrap();
    let read = || crate::postings::PostingReader::open(&path).unwrap().next().unwrap().unwrap();
    on_each(async |registry| {
        assert_eq!(ids(registry, vec![read()]).await, [Some(7)]);
        let found = registry.data(PostingId(7)).await.unwrap().unwrap();
        // the texts, as rules and prompts see them
        assert_eq!(found["n"].to_string(), read().data["n"].to_string());
    })
    .await;
}

#[tokio::test]
async fn a_posting_keeps_the_id_that_a_former_version_gave_it() {
    let mut maps = super::memory::Maps::default();
    let read = || posting("a", None, json!({"n": 100.0}));
    assert_ne!(read().digest(), read().former_digest());
    maps.remember(&read().former_digest(), PostingId(FIRST_ASSIGNED + 5)).unwrap();
    let Ok(registered) = register(&mut maps, read());
    assert_eq!(registered, Ok(PostingId(FIRST_ASSIGNED + 5)));
}

/// Rows of `postings` that programs do not read cost their own posting: on each store it is refused
/// by name, and the others are registered.
#[tokio::test]
async fn a_row_that_cannot_be_read_is_refused_by_name_and_the_others_go_on() {
    let check = async |registry: &dyn PostingRegistry, rows: &[i32]| {
        for id in rows {
            let asked =
                vec![posting("a", Some(*id), json!({})), posting("b", Some(900), json!({}))];
            let [odd, sound] = &registry.register(asked).await.unwrap()[..] else { panic!() };
            let refused = odd.as_ref().unwrap_err().to_string();
            assert!(refused.contains(&format!("posting_id {id} is in the table")), "{refused}");
            assert_eq!(sound, &Ok(PostingId(900)));
            let error = registry.data(PostingId(*id)).await.unwrap_err().to_string();
            assert!(error.contains(&format!("the data of posting {id}")), "{error}");
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("turing.db")).await.unwrap();
    let registry = SqliteRegistry::new(store, Access::Write).await.unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("turing.db")).unwrap();
    connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
    let rows = r#"(1, '[1]'), (2, '{"n":1e400}'), (3, '{bad'), (4, x'00ff'),
        (5, '{"n":{"$serde_json::private::RawValue":"[]"}}')"#;
    let insert = format!("INSERT INTO postings (posting_id, data) VALUES {rows}");
    connection.execute_batch(&insert).unwrap();
    check(&registry, &[1, 2, 3, 4, 5]).await;

    let database = es_pgtest::Server::shared().database().await;
    let config = postgres::configured(database.url().parse().unwrap());
    postgres::migrate(&config).await.unwrap();
    let rows = r#"(1, '[1]'), (2, '{"n":1e400}'),
        (5, '{"n":{"$serde_json::private::RawValue":"[]"}}')"#;
    let insert = format!("INSERT INTO postings (posting_id, data) VALUES {rows}");
    let mut connection = database.options().connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut connection).await.unwrap();
    check(&PostgresRegistry::new(&config), &[1, 2, 5]).await;
}

#[test]
fn a_difference_names_the_keys_that_make_it() {
    let told = |known: Value, data: Value| {
        let [Value::Object(known), Value::Object(data)] = [known, data] else {
            panic!("no objects")
        };
        difference(&known, &data)
    };
    let known = json!({"title": "a", "salary": 100, "town": "x"});
    let data = json!({"title": "b", "salary": 100, "tags": []});
    assert_eq!(told(known, data), "`tags` is new, `title` differs, `town` is missing");
    let many: Map<_, _> = (1..=7).map(|key| (key.to_string(), json!(key))).collect();
    let all = told(json!({}), Value::Object(many));
    assert!(all.starts_with("`1` is new, ") && all.ends_with(", `5` is new, and 2 more"), "{all}");
}
