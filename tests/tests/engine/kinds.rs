//! What errors mean for whoever asked, as an interface tells it.

use es_core::ExpectedVersion::{NoStream, StreamExists};
use es_core::backend::{
    AppendError, AppendRequest, EventStore, InvalidRequest, KeyDifference, NewEvent, StoreError,
    StoreErrorKind,
};
use es_core::environment::{Environment, EventIds, UuidV7Ids};
use es_core::event::{EventId, Payload};
use es_core::execution::{Conflict, IdempotencyKey, Moment, NotAppended, Retry, StreamVersion};
use es_core::{CommandError, ErrorKind, ExpectedVersion, Repository, transact};
use es_testing::fault::{Call, Faults};

use super::account::*;

#[tokio::test]
async fn every_error_of_a_command_has_a_kind_and_a_status() {
    let store = store();
    slip_in(&store, "a", 5);
    let accounts = accounts(&store).with_retry(Retry::NONE);
    let (a, none) = (accounts.by_id("a"), accounts.by_id("none"));
    let deposit = |account: &Account| account.deposit(1);
    let version = StreamVersion::new;
    let is = |error: CommandError<TooLittle>, kind: ErrorKind, status: u16| {
        assert_eq!((error.kind(), error.kind().http_status()), (kind, status), "{error}");
    };

    is(a.decide(|account| account.withdraw(9)).await.unwrap_err(), ErrorKind::Rejected, 422);
    let absent = none.clone().expecting(StreamExists).decide(deposit);
    is(absent.await.unwrap_err(), ErrorKind::NotFound, 404);
    let absent = none.clone().expecting(version(3)).decide(deposit);
    is(absent.await.unwrap_err(), ErrorKind::NotFound, 404);
    for expected in [NoStream, ExpectedVersion::Exact(StreamVersion::EMPTY)] {
        let exists = a.clone().expecting(expected).decide(deposit);
        is(exists.await.unwrap_err(), ErrorKind::AlreadyExists, 409);
    }
    let stale = a.clone().expecting(version(9)).decide(deposit);
    is(stale.await.unwrap_err(), ErrorKind::Stale, 412);
    let overtaken = a.decide(|account| {
        slip_in(&store, "a", 1);
        account.deposit(1)
    });
    is(overtaken.await.unwrap_err(), ErrorKind::Conflict, 409);

    let both = (a.clone(), accounts.by_id("b"));
    let both = transact(both, |(a, b)| {
        a.record(a.deposit(1)?);
        b.record(b.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    both.idempotency_key("k").await.unwrap();
    let reused = a.decide(deposit).idempotency_key("k").await.unwrap_err();
    is(reused, ErrorKind::KeyReused, 422);

    is(a.decide(deposit).idempotency_key("").await.unwrap_err(), ErrorKind::Invalid, 400);
    is(accounts.by_id("").decide(deposit).await.unwrap_err(), ErrorKind::Invalid, 400);
    is(a.clone().if_match(Some("1")).decide(deposit).await.unwrap_err(), ErrorKind::Invalid, 400);
    let many = |account: &Account| {
        let many = (0..2_000).map(|_| account.deposit(1));
        many.collect::<Result<Vec<_>, _>>()
    };
    is(a.decide(many).await.unwrap_err(), ErrorKind::TooLarge, 413);

    let other = Repository::<Account>::new(super::account::store());
    let across = transact((a.clone(), other.by_id("a")), |_| Ok::<_, TooLittle>(()));
    is(across.await.unwrap_err(), ErrorKind::Broken, 500);
    let answered = transact(a.clone(), |account| account.deposit(1));
    is(answered.await.unwrap_err(), ErrorKind::Broken, 500);
    let event_id = Environment::default().event_ids.next_id();
    let foreign = NewEvent::new(event_id, "account_renamed", Payload::of("x").unwrap());
    let request = AppendRequest::to(stream("odd"), ExpectedVersion::Any, vec![foreign]);
    store.append(request).await.unwrap();
    is(accounts.by_id("odd").decide(deposit).await.unwrap_err(), ErrorKind::Broken, 500);
    assert_eq!(accounts.load("odd").await.unwrap_err().kind(), ErrorKind::Broken);
    assert_eq!(accounts.load("").await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn an_append_has_a_kind_and_so_has_what_is_prepared() {
    let conflict = |expected, actual| {
        let actual = StreamVersion::new(actual);
        AppendError::from(Conflict { stream: stream("a"), expected, actual })
    };
    let key = IdempotencyKey::new("k").unwrap();
    let failed = |kind| AppendError::from(StoreError::new(kind, "planned"));
    let reused = AppendError::KeyReused {
        key: key.clone(),
        stream: stream("a"),
        difference: KeyDifference::Payload,
    };
    let seen = ExpectedVersion::Exact(StreamVersion::new(1));
    for (error, kind, prepared, is_transient) in [
        (conflict(NoStream, 1), ErrorKind::AlreadyExists, ErrorKind::AlreadyExists, false),
        (conflict(StreamExists, 0), ErrorKind::NotFound, ErrorKind::NotFound, false),
        (conflict(seen, 2), ErrorKind::Conflict, ErrorKind::Conflict, true),
        (conflict(seen, 0), ErrorKind::Conflict, ErrorKind::Conflict, true),
        // which of both it is, is told when it is prepared again
        (reused, ErrorKind::KeyReused, ErrorKind::Conflict, true),
        (InvalidRequest::NoStreams.into(), ErrorKind::Invalid, ErrorKind::Invalid, false),
        (failed(StoreErrorKind::Busy), ErrorKind::Unavailable, ErrorKind::Unavailable, true),
        (failed(StoreErrorKind::Full), ErrorKind::Full, ErrorKind::Full, false),
        (
            failed(StoreErrorKind::OutcomeUnknown),
            ErrorKind::OutcomeUnknown,
            ErrorKind::OutcomeUnknown,
            false,
        ),
    ] {
        assert_eq!(error.kind(), kind, "{error}");
        let refused = NotAppended::from(error);
        assert_eq!((refused.kind(), refused.is_transient()), (prepared, is_transient), "{refused}");
    }
    let repeated = NotAppended::Repeated { key };
    assert_eq!((repeated.kind().http_status(), repeated.is_transient()), (409, false));
}

#[tokio::test]
async fn a_comparison_of_states_has_a_kind() {
    let accounts = accounts(&store());
    let error = accounts.difference("", Moment::Start, Moment::Now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_source_of_ids_that_repeats_itself_is_the_programs_mistake() {
    #[derive(Debug)]
    struct One(EventId);
    impl EventIds for One {
        fn next_id(&self) -> EventId {
            self.0
        }
    }
    let store = store();
    let one = Environment::default().with_event_ids(One(UuidV7Ids.next_id()));
    let accounts = accounts(&store).with_environment(one);
    let deposit = |count| {
        let deposits = vec![MoneyDeposited { cents: 1 }; count];
        accounts.by_id("a").decide(move |_| deposits.clone())
    };
    let within_an_append = deposit(2).await.unwrap_err();
    deposit(1).await.unwrap();
    let within_the_store = deposit(1).await.unwrap_err();
    for error in [within_an_append, within_the_store] {
        assert_eq!(error.kind(), ErrorKind::Broken, "{error}");
    }
}

#[tokio::test]
async fn a_failure_of_the_store_means_what_its_kind_says() {
    let faults = Faults::new();
    let accounts = Repository::<Account>::new(faults.over(store())).with_retry(Retry::NONE);
    for (kind, expected, status) in [
        (StoreErrorKind::Unavailable, ErrorKind::Unavailable, 503),
        (StoreErrorKind::Busy, ErrorKind::Unavailable, 503),
        (StoreErrorKind::OutcomeUnknown, ErrorKind::OutcomeUnknown, 504),
        (StoreErrorKind::Full, ErrorKind::Full, 507),
        (StoreErrorKind::Closed, ErrorKind::Broken, 500),
    ] {
        faults.fail(Call::Append, 1, kind);
        let error = accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap_err();
        assert_eq!((error.kind(), error.kind().http_status()), (expected, status), "{kind:?}");
        faults.fail(Call::ReadStream, 1, kind);
        assert_eq!(accounts.load("a").await.unwrap_err().kind(), expected, "{kind:?}");
    }
}
