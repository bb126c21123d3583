//! Appends that meet what only PostgreSQL has.

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, ReadLog, ReadStream, StoreErrorKind, StreamId,
};
use es_core::event::RecordedEvent;
use es_postgres::sqlx::{ConnectOptions, Connection};
use es_postgres::{IdType, PostgresConfig, PostgresStore};
use tokio::task::JoinSet;

use crate::support::sessions::{execute, pid, session};
use crate::support::waiting::{soon, until};
use crate::support::{
    database, empty_store, event, events, exactly, key, layout, open, run, to, told, value,
};

#[tokio::test]
async fn an_applications_rows_and_events_are_written_together_or_not_at_all() {
    let database = database(IdType::Text).await;
    run(&database, "CREATE TABLE mail (text TEXT)").await;
    let store = open(&database).await;
    for commits in [false, true] {
        let mut connection = database.options().connect().await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        es_postgres::sqlx::query("INSERT INTO mail VALUES ('done')")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let appended = store.append_in(&mut transaction, to("account/a")).await.unwrap();
        assert_eq!(appended.streams[0].version().as_u64(), 1);
        // a refused append leaves nothing, and the transaction goes on
        let stale = AppendRequest::to("account/a".parse().unwrap(), exactly(9), events(2));
        let conflict = store.append_in(&mut transaction, stale).await.unwrap_err();
        assert!(matches!(&conflict, AppendError::Conflict(found) if found.actual.as_u64() == 1));
        // what the transaction wrote itself is there for it, and for nobody else
        store.append_in(&mut transaction, to("account/a")).await.unwrap();
        let page = store.read_stream(&ReadStream::new("account/a".parse().unwrap())).await.unwrap();
        assert!(page.events.is_empty());
        match commits {
            true => transaction.commit().await.unwrap(),
            false => transaction.rollback().await.unwrap(),
        }
        let mails: i64 = value(&database, "SELECT count(*) FROM mail").await;
        let log = store.read_log(&ReadLog::from_start()).await.unwrap().events.len();
        assert_eq!((mails, log), if commits { (1, 2) } else { (0, 0) });
    }
}

/// Some of them can be written by one plain statement, and some cannot.
#[tokio::test]
async fn appends_that_are_written_together_have_answers_of_their_own() {
    for ids in [IdType::Text, IdType::Int] {
        let database = database(ids).await;
        let config = PostgresConfig::new(database.options()).layout(layout(ids)).writers(1);
        let store = PostgresStore::open(config).await.unwrap();
        let stream = |number: u32| -> StreamId { format!("account/{number}").parse().unwrap() };
        let append = |number, expected, events| AppendRequest::to(stream(number), expected, events);
        for number in 0..9 {
            store.append(append(number, ExpectedVersion::NoStream, events(1))).await.unwrap();
        }
        let twin = event();
        // with the version that the stream has then, or the one that is in the way
        let mut requests = vec![
            (append(0, exactly(1), events(1)), Ok(2)),
            (append(1, exactly(7), events(1)), Err(1)),
            (append(2, ExpectedVersion::NoStream, events(1)), Err(1)),
            (append(3, ExpectedVersion::StreamExists, events(1)), Ok(2)),
            (append(20, ExpectedVersion::StreamExists, events(1)), Err(0)),
            (append(21, ExpectedVersion::NoStream, events(1)), Ok(1)),
            // in the order in which they came
            (append(4, exactly(1), events(1)), Ok(2)),
            (append(4, exactly(2), events(1)), Ok(3)),
            (append(5, ExpectedVersion::Any, events(3)), Ok(4)),
            (append(6, ExpectedVersion::Any, events(1)).with_key(key("k")), Ok(2)),
            // what is not written does not take the answer of another with the same id
            (append(7, exactly(9), vec![twin.clone()]), Err(1)),
            (append(8, exactly(1), vec![twin]), Ok(2)),
        ];
        requests.extend((30..50).map(|it| (append(it, ExpectedVersion::Any, events(1)), Ok(1))));
        let mut tasks = JoinSet::new();
        for (request, wanted) in requests {
            let store = store.clone();
            tasks.spawn(async move { (store.append(request).await, wanted) });
        }
        while let Some(answer) = tasks.join_next().await {
            let appended = match answer.unwrap() {
                (Ok(appended), Ok(version))
                    if appended.streams[0].version().as_u64() == version =>
                {
                    appended
                }
                (Err(AppendError::Conflict(it)), Err(actual)) if it.actual.as_u64() == actual => {
                    continue;
                }
                (answer, wanted) => panic!("{answer:?} instead of {wanted:?}"),
            };
            let [written] = &appended.streams[..] else { panic!("{appended:?}") };
            let page = store.read_stream(&ReadStream::new(written.stream.clone())).await.unwrap();
            for told in &written.events {
                let is_it = |it: &RecordedEvent| {
                    (it.event_id, it.version, it.position, it.recorded_at)
                        == (told.event_id, told.version, told.position, told.recorded_at)
                };
                assert!(page.events.iter().any(is_it), "{told:?} is not in {page:?}");
            }
        }
    }
}

/// To the statement that they share it is a race that was lost.
#[tokio::test]
async fn an_event_id_that_is_used_refuses_none_of_those_beside_it() {
    const CALLERS: u32 = 20;
    let database = database(IdType::Text).await;
    let config = PostgresConfig::new(database.options()).writers(1);
    let store = PostgresStore::open(config).await.unwrap();
    let used = event();
    let request = |number: u32, event| {
        let stream = format!("account/{number}").parse().unwrap();
        AppendRequest::to(stream, ExpectedVersion::NoStream, vec![event])
    };
    store.append(request(CALLERS, used.clone())).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..CALLERS {
        let event = if number == 7 { used.clone() } else { event() };
        let (store, request) = (store.clone(), request(number, event));
        tasks.spawn(async move { (number, store.append(request).await) });
    }
    while let Some(answer) = tasks.join_next().await {
        match answer.unwrap() {
            (7, Err(AppendError::DuplicateEvent { event_id })) => {
                assert_eq!(event_id, used.event_id);
            }
            (number, answer) => {
                let version = answer.unwrap().streams[0].version().as_u64();
                assert_eq!((version, number == 7), (1, false));
            }
        }
    }
    let log = store.read_log(&ReadLog::from_start()).await.unwrap();
    assert_eq!(log.events.len(), CALLERS as usize);
}

#[tokio::test]
async fn a_lost_race_does_not_end_the_applications_transaction() {
    let database = database(IdType::Text).await;
    run(&database, "CREATE TABLE mail (text TEXT)").await;
    let store = open(&database).await;
    let mut connection = database.options().connect().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let first = store.append(to("account/a").with_key(key("k"))).await.unwrap();
    let used = first.streams[0].events[0].event_id;
    let mut again = event();
    again.event_id = used;
    let request =
        AppendRequest::to("account/b".parse().unwrap(), ExpectedVersion::Any, vec![again]);
    let duplicate = store.append_in(&mut transaction, request).await.unwrap_err();
    assert!(matches!(duplicate, AppendError::DuplicateEvent { event_id } if event_id == used));
    let repeat =
        store.append_in(&mut transaction, to("account/a").with_key(key("k"))).await.unwrap();
    assert!(repeat.repeated);
    es_postgres::sqlx::query("INSERT INTO mail VALUES ('still here')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(value::<i64>(&database, "SELECT count(*) FROM mail").await, 1);
}

#[tokio::test]
async fn a_race_with_the_same_request_is_a_repeat_whichever_race_it_is() {
    let (database, store) = empty_store().await;
    let mut faster = session(&database).await;
    execute(&mut faster, "BEGIN").await;
    store.append_in(&mut faster, to("account/a")).await.unwrap();
    let request = to("account/a").with_key(key("k"));
    let mut twice = JoinSet::new();
    for _ in 0..2 {
        let (store, request) = (store.clone(), request.clone());
        let mut connection = session(&database).await;
        twice.spawn(async move {
            execute(&mut connection, "BEGIN").await;
            let answer = store.append_in(&mut connection, request).await;
            (connection, answer)
        });
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("both wait", async || value::<i64>(&database, waiting).await == 2).await;
    execute(&mut faster, "COMMIT").await;
    // both lose to what was faster, and then the one to the other
    let (mut first, answer) = soon("one goes on", twice.join_next()).await.unwrap().unwrap();
    assert!(!answer.unwrap().repeated);
    let others = format!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND {} = ANY (pg_blocking_pids(pid)))",
        pid(&mut first).await
    );
    until("the other waits", async || value::<bool>(&database, &others).await).await;
    execute(&mut first, "COMMIT").await;
    let (_, answer) = soon("the other goes on", twice.join_next()).await.unwrap().unwrap();
    assert!(answer.unwrap().repeated);
}

#[tokio::test]
async fn a_constraint_of_the_application_is_no_conflict() {
    let database = database(IdType::Text).await;
    run(
        &database,
        "CREATE TABLE seen (event_type TEXT UNIQUE);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO public.seen VALUES (NEW.event_type); RETURN NULL; END $$;
         CREATE TRIGGER note AFTER INSERT ON execution_events
         FOR EACH ROW EXECUTE FUNCTION note();",
    )
    .await;
    let store = open(&database).await;
    store.append(to("account/a")).await.unwrap();
    let several = || {
        let other = "account/c".parse().unwrap();
        to("account/b").and(other, ExpectedVersion::Any, events(1))
    };
    for request in [to("account/b"), several(), to("account/b").with_key(key("k"))] {
        let error = store.append(request).await.unwrap_err();
        let AppendError::Store(error) = error else { panic!("{error:?}") };
        assert_eq!(error.kind(), StoreErrorKind::Other);
        assert!(error.to_string().contains("constraint"), "{error}");
        assert!(told(&error).contains("seen_event_type_key"), "{}", told(&error));
    }
    assert_eq!(value::<i64>(&database, "SELECT count(*) FROM execution_events").await, 1);
}

#[tokio::test]
async fn a_trigger_that_keeps_events_out_is_told() {
    let database = database(IdType::Text).await;
    run(
        &database,
        "CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RETURN NULL; END $$;
         CREATE TRIGGER keep_out BEFORE INSERT ON execution_events
         FOR EACH ROW EXECUTE FUNCTION keep_out();",
    )
    .await;
    let store = open(&database).await;
    let error = store.append(to("account/a")).await.unwrap_err();
    assert!(error.to_string().contains("trigger"), "{error}");
}

#[tokio::test]
async fn ids_out_of_the_columns_range_are_refused_by_name() {
    let database = database(IdType::Int).await;
    let config = PostgresConfig::new(database.options()).layout(layout(IdType::Int));
    let store = PostgresStore::open(config).await.unwrap();
    for id in ["2147483648", "-2147483649", "007", "+7", "1.5", "a", "९"] {
        let stream = format!("posting/{id}");
        let error = store.append(to(&stream)).await.unwrap_err();
        assert!(matches!(error, AppendError::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(&stream), "{error}");
        assert!(error.to_string().contains("whole numbers"), "{error}");
        // there can be no such stream
        let read = ReadStream::new(stream.parse().unwrap());
        assert!(store.read_stream(&read).await.unwrap().stream_version.is_empty());
        let found = store.find_append(&stream.parse().unwrap(), &key("k")).await.unwrap();
        assert!(found.is_none());
    }
    for id in ["2147483647", "-2147483648", "0"] {
        store.append(to(&format!("posting/{id}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_stream_is_told_and_left_as_it_is() {
    let database = database(IdType::Text).await;
    run(
        &database,
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         VALUES ('account', 'a', 2147483646, 'amount_paid_in', '{}')",
    )
    .await;
    let store = open(&database).await;
    for requests in [events(2), events(1_000)] {
        let request =
            AppendRequest::to("account/a".parse().unwrap(), ExpectedVersion::Any, requests);
        let error = store.append(request).await.unwrap_err();
        assert!(error.to_string().contains("2147483647"), "{error}");
    }
    let last = store.append(to("account/a")).await.unwrap();
    assert_eq!(last.streams[0].version().as_u64(), 2_147_483_647);
    let error = store.append(to("account/a")).await.unwrap_err();
    assert!(error.to_string().contains("2147483647"), "{error}");
    for version in [2_147_483_648, i64::MAX as u64] {
        let request = AppendRequest::to("account/a".parse().unwrap(), exactly(version), events(1));
        let error = store.append(request).await.unwrap_err();
        assert!(matches!(error, AppendError::Conflict(_)), "{error:?}");
    }
    let read = ReadStream::new("account/a".parse().unwrap()).backwards();
    assert_eq!(store.read_stream(&read).await.unwrap().events.len(), 2);
}
