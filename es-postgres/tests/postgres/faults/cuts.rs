//! The connection is cut at every message of an append.

use std::time::Duration;

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, StoreErrorKind};
use es_pgtest::{Direction, Proxy, Server, TestDatabase, TransactionPooler};
use es_postgres::sqlx::{ConnectOptions, Connection};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};

use crate::support::{database, events, key, to, value};

/// How an append is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Single,
    Several,
    Unit,
    Pooled,
    Within,
}

impl Way {
    const ALL: [Self; 5] = [Self::Single, Self::Several, Self::Unit, Self::Pooled, Self::Within];

    fn request(self, number: u64) -> AppendRequest {
        let stream = format!("account/{number}").parse().unwrap();
        let count = if self == Self::Single { 1 } else { 3 };
        let request = AppendRequest::to(stream, ExpectedVersion::NoStream, events(count));
        let other = format!("account/{number}-other").parse().unwrap();
        match self {
            Self::Unit => request.and(other, ExpectedVersion::Any, events(2)),
            _ => request,
        }
    }

    fn config(self, proxy: &Proxy, database: &TestDatabase) -> PostgresConfig {
        let config = PostgresConfig::new(proxy.options(database.name()));
        let session = if self == Self::Pooled { Session::Pooled } else { Session::Own };
        config.session(session).notifications(false).writers(1).readers(1)
    }
}

/// Sends a request; within a transaction of the caller's, the outcome is that of the commit.
async fn send(
    way: Way,
    store: &PostgresStore,
    proxy: &Proxy,
    database: &TestDatabase,
    request: AppendRequest,
) -> Result<es_core::backend::Appended, AppendError> {
    if way != Way::Within {
        return store.append(request).await;
    }
    let unknown = |error: es_postgres::sqlx::Error| -> AppendError {
        es_core::backend::StoreError::new(StoreErrorKind::OutcomeUnknown, "the transaction")
            .caused_by(error)
            .into()
    };
    let mut connection = proxy.options(database.name()).connect().await.map_err(unknown)?;
    let mut transaction = connection.begin().await.map_err(unknown)?;
    let appended = store.append_in(&mut transaction, request).await?;
    transaction.commit().await.map_err(unknown)?;
    Ok(appended)
}

/// Cuts at the `n`th message; answers whether there was one, and whether an append that was not
/// acknowledged was written all the same.
async fn cut(
    way: Way,
    proxy: &Proxy,
    database: &TestDatabase,
    store: &PostgresStore,
    (direction, is_delivered, n): (Direction, bool, u64),
    number: u64,
) -> (bool, bool) {
    let request = way.request(number).with_key(key(&format!("k{number}")));
    proxy.reset();
    match is_delivered {
        true => proxy.cut_after(direction, n),
        false => proxy.cut_before(direction, n),
    }
    let answer = send(way, store, proxy, database, request.clone()).await;
    let was_cut = proxy.cuts() > 0;
    proxy.reset();
    let what = format!("{way:?}, {direction:?} {n}, delivered {is_delivered}: {answer:?}");
    let count = format!("SELECT count(*) FROM execution_events WHERE aggregate_id = '{number}'");
    let whole = request.streams()[0].events.len() as i64;
    // the server may still be about to commit: the repetition waits for it
    let again = loop {
        match send(way, store, proxy, database, request.clone()).await {
            Ok(again) => break again,
            // connections that were lost with the cut one
            Err(AppendError::Store(error))
                if error.is_transient() || error.is_outcome_unknown() => {}
            Err(error) => panic!("{what}; and then {error:?}"),
        }
    };
    assert_eq!(value::<i64>(database, &count).await, whole, "{what}");
    match answer {
        Ok(first) => {
            assert!(again.repeated && again.streams == first.streams, "{what}");
            (was_cut, false)
        }
        Err(AppendError::Store(error)) if error.is_outcome_unknown() => (was_cut, again.repeated),
        Err(AppendError::Store(error)) => {
            assert!(!again.repeated, "{what}: said to have written nothing");
            assert!(error.is_transient(), "{what}");
            (was_cut, false)
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_at_every_message_of_an_append() {
    let database = database(IdType::Text).await;
    let (mut number, mut cuts, mut written) = (0, 0, 0);
    for way in Way::ALL {
        let pooler = TransactionPooler::start(Server::shared()).await;
        let proxy = match way {
            Way::Pooled => Proxy::in_front_of(pooler.options(database.name())).await,
            _ => Proxy::start(Server::shared()).await,
        };
        let store = PostgresStore::open(way.config(&proxy, &database)).await.unwrap();
        for direction in [Direction::ToServer, Direction::ToClient] {
            for is_delivered in [true, false] {
                // all messages, those of the preparing included, until the append has no more
                for n in 1.. {
                    number += 1;
                    let at = (direction, is_delivered, n);
                    let (was_cut, was_written) =
                        cut(way, &proxy, &database, &store, at, number).await;
                    if !was_cut {
                        assert!(n > 4, "{way:?} has only {n} messages");
                        break;
                    }
                    cuts += 1;
                    written += u64::from(was_written);
                }
            }
        }
        store.close().await;
    }
    println!("{cuts} cuts, {written} appends written though not acknowledged, each found once");
    assert!(cuts > 60 && written > 0, "{cuts} cuts, {written} written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_leaves_the_outcome_unknown() {
    let database = database(IdType::Text).await;
    let proxy = Proxy::start(Server::shared()).await;
    let config = Way::Single.config(&proxy, &database);
    let store =
        PostgresStore::open(config.statement_timeout(Duration::from_secs(1))).await.unwrap();
    store.end_of_log().await.unwrap();
    store.append(to("account/a")).await.unwrap();
    proxy.black_hole();
    let error = store.append(to("account/a").with_key(key("k"))).await.unwrap_err();
    assert!(matches!(&error, AppendError::Store(error) if error.is_outcome_unknown()), "{error:?}");
    let error = store.end_of_log().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    proxy.heal();
    let again = store.append(to("account/a").with_key(key("k"))).await;
    assert!(again.is_ok(), "{again:?}");
    store.end_of_log().await.unwrap();
}
