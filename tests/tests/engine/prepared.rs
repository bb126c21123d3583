//! Decisions that are prepared, and appended by somebody else.

use es_core::backend::{AppendError, EventStore, InvalidRequest, PageLimit, SnapshotStore};
use es_core::execution::{Members, NotAppended, Prepared, StreamVersion};
use es_core::layer::scoped;
use es_core::reaction::Delivery;
use es_core::{CommandError, Decided, ExpectedVersion, Repository, Store, transact};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};

use super::account::*;

/// What a backend does within a transaction.
async fn append<M: Members, T>(
    store: &MemoryStore,
    prepared: Prepared<M, T>,
) -> Result<Decided<M, T>, NotAppended> {
    let identity = Store::from(store.clone()).capabilities().identity.clone();
    let appended = match prepared.request_for(&identity)?.cloned() {
        Some(request) => Some(store.append(request).await?),
        None => None,
    };
    prepared.finish(appended)
}

#[tokio::test]
async fn what_is_prepared_is_written_by_its_append_only() {
    let store = store();
    let accounts = accounts(&store);
    slip_in(&store, "a", 100);
    let both = (accounts.by_id("a"), accounts.by_id("b"));
    let decision = transact(both, |(a, b)| {
        a.record(a.withdraw(30)?);
        b.record(b.deposit(30)?);
        Ok::<_, TooLittle>(a.balance)
    });
    let prepared = decision.prepare().await.unwrap();
    assert_eq!(prepared.reply(), Some(&70));
    let (withdrawn, deposited) = prepared.events().unwrap();
    assert_eq!(withdrawn, &[MoneyWithdrawn { cents: 30 }]);
    assert_eq!(deposited, &[MoneyDeposited { cents: 30 }]);
    assert_eq!(events(&store, "b").await.len(), 0);
    let moved = append(&store, prepared).await.unwrap();
    let balances = (moved.state.0.balance, moved.state.1.balance);
    assert_eq!((balances, moved.reply), ((70, 30), Some(70)));
    assert_eq!(moved.version, (StreamVersion::new(2), StreamVersion::new(1)));
    assert_eq!(moved.position(), store.end_of_log().await.unwrap());
    assert_eq!(accounts.load("b").await.unwrap().state, moved.state.1);

    let nothing = accounts.by_id("a").decide(|_| None::<AccountEvent>).prepare().await.unwrap();
    assert_eq!(nothing.events(), Some(&vec![]));
    let nothing = append(&store, nothing).await.unwrap();
    assert!(nothing.appended.is_none() && nothing.state.balance == 70);
    let refused = accounts.by_id("a").decide(|account| account.withdraw(71)).prepare().await;
    assert!(matches!(refused, Err(CommandError::Rejected(TooLittle { balance: 70 }))));
    let stale = accounts.by_id("a").expecting(StreamVersion::new(1));
    let refused = stale.decide(|account| account.deposit(1)).prepare().await;
    assert!(matches!(refused, Err(CommandError::PreconditionFailed(_))), "{refused:?}");
}

#[tokio::test]
async fn a_repeat_is_refused_whenever_it_is_noticed() {
    let store = store();
    let accounts = accounts(&store);
    slip_in(&store, "a", 100);
    let withdraw =
        || accounts.by_id("a").decide(|account| account.withdraw(100)).idempotency_key("w-1");
    let first = withdraw().prepare().await.unwrap();
    let racing = withdraw().prepare().await.unwrap();
    append(&store, first).await.unwrap();
    // by now there is nothing left to withdraw
    let later = withdraw().prepare().await.unwrap();
    assert_eq!((racing.reply(), later.reply()), (Some(&()), None));
    assert!(racing.events().is_some() && later.events().is_none());
    for repeat in [racing, later] {
        let refused = append(&store, repeat).await.unwrap_err();
        assert!(!refused.is_transient());
        let NotAppended::Repeated { key } = refused else { panic!("{refused:?}") };
        assert_eq!(key.as_str(), "w-1");
    }
    assert_eq!(events(&store, "a").await.len(), 2);
    let repeated = withdraw().await.unwrap();
    assert!(repeated.is_repeat());
    assert_eq!(repeated.events, [MoneyWithdrawn { cents: 100 }]);
}

#[tokio::test]
async fn who_was_slower_than_the_same_command_is_told_so_when_preparing_again() {
    let store = store();
    let accounts = accounts(&store);
    // it decides on what it sees, so the other one has recorded something else under the key
    let more = |account: &Account| account.deposit(account.balance + 1);
    let deposit = || accounts.by_id("a").decide(more).idempotency_key("k");
    let slower = deposit().prepare().await.unwrap();
    slip_in(&store, "a", 3);
    deposit().await.unwrap();
    let refused = append(&store, slower).await.unwrap_err();
    assert!(matches!(refused, NotAppended::Append(AppendError::KeyReused { .. })), "{refused:?}");
    assert!(refused.is_transient());
    let again = append(&store, deposit().prepare().await.unwrap()).await.unwrap_err();
    assert!(matches!(again, NotAppended::Repeated { .. }) && !again.is_transient(), "{again:?}");

    // another command under the key is told as such
    let alone = || accounts.by_id("a").decide(more).idempotency_key("both");
    let slower = alone().prepare().await.unwrap();
    let both = transact((accounts.by_id("a"), accounts.by_id("b")), |(a, b)| {
        a.record(a.deposit(1)?);
        b.record(b.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    both.idempotency_key("both").await.unwrap();
    assert!(append(&store, slower).await.unwrap_err().is_transient());
    let refused = alone().prepare().await.unwrap_err();
    assert!(matches!(refused, CommandError::KeyReused { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_conflict_passes_unless_it_must_not_exist() {
    let store = store();
    let accounts = accounts(&store);
    let member = || accounts.by_id("a");
    let known = member().decide(|account| account.deposit(1)).prepare().await.unwrap();
    let new = member().expecting(ExpectedVersion::NoStream);
    let new = new.decide(|account| account.deposit(1)).prepare().await.unwrap();
    slip_in(&store, "a", 5);
    for (prepared, passes) in [(known, true), (new, false)] {
        let refused = append(&store, prepared).await.unwrap_err();
        assert!(matches!(refused, NotAppended::Append(AppendError::Conflict(_))), "{refused:?}");
        assert_eq!(refused.is_transient(), passes);
    }
    let again = member().decide(|account| account.deposit(1)).prepare().await.unwrap();
    assert_eq!(append(&store, again).await.unwrap().state.balance, 6);
}

#[tokio::test]
async fn another_store_and_a_tenant_are_refused() {
    let store = store();
    let tenant = scoped(store.clone(), "acme").unwrap();
    for home in [Store::from(MemoryStore::new()), tenant.clone()] {
        let theirs = Repository::<Account>::new(home);
        for cents in [Some(1), None] {
            let decision = move |_: &Account| cents.map(|cents| MoneyDeposited { cents });
            let prepared = theirs.by_id("a").decide(decision).prepare().await.unwrap();
            let refused = append(&store, prepared).await.unwrap_err();
            let NotAppended::Append(AppendError::Invalid(InvalidRequest::OtherStore { stream })) =
                &refused
            else {
                panic!("{refused:?}");
            };
            assert_eq!(stream.to_string(), "account/a");
        }
    }
    // a store around this one is this one
    let around = Repository::<Account>::new(Faults::new().over(store.clone()));
    let prepared = around.by_id("a").decide(|account| account.deposit(1)).prepare().await.unwrap();
    assert!(prepared.request_for(&tenant.capabilities().identity).is_err());
    append(&store, prepared).await.unwrap();
    assert_eq!(events(&store, "a").await.len(), 1);
}

#[tokio::test]
async fn the_cache_is_not_fed() {
    let store = store();
    let counted = Faults::new();
    let accounts = Repository::<Account>::new(counted.over(store.clone()))
        .with_page_limit(PageLimit::events(1))
        .with_cache(10);
    let prepared = async |expected: u64| {
        let before = counted.calls(Call::ReadStream);
        let deposit = accounts.by_id("a").decide(|account| account.deposit(1));
        let prepared = deposit.prepare().await.unwrap();
        assert_eq!(counted.calls(Call::ReadStream) - before, expected);
        prepared
    };
    for reads in [1, 1, 2, 3] {
        append(&store, prepared(reads).await).await.unwrap();
    }
    // what is read for its own sake is known from then on
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 4);
    let fifth = append(&store, prepared(1).await).await.unwrap();
    assert_eq!(fifth.state.balance, 5);
    assert_eq!(append(&store, prepared(2).await).await.unwrap().state.balance, 6);
}

#[tokio::test]
async fn the_snapshots_are_not_fed() {
    let store = store();
    let accounts = accounts(&store).snapshot_every(1);
    let deposit = || accounts.by_id("a").decide(|account| account.deposit(1));
    let kept = async || {
        assert!(accounts.flush_snapshots().await);
        let kept = store.latest_snapshot(&stream("a"), StreamVersion::MAX).await;
        kept.unwrap().map(|snapshot| snapshot.version.as_u64())
    };
    append(&store, deposit().prepare().await.unwrap()).await.unwrap();
    assert_eq!(kept().await, None);
    deposit().await.unwrap();
    assert_eq!(kept().await, Some(2));
    append(&store, deposit().prepare().await.unwrap()).await.unwrap();
    assert_eq!(kept().await, Some(2));
}

#[tokio::test]
async fn a_reaction_has_one_decision_on_a_stream_under_one_key_prepared_or_not() {
    let store = store();
    let accounts = accounts(&store);
    slip_in(&store, "e", 1);
    let event = events(&store, "e").await.remove(0);
    let call = |reaction: &str| Delivery::of(reaction, event.clone(), ()).unwrap();
    let deposit =
        |cents: u64| accounts.by_id("a").decide(move |account: &Account| account.deposit(cents));
    let is_twice = |refused: &CommandError<TooLittle>| {
        matches!(refused, CommandError::Invalid(InvalidRequest::KeyTwice { .. }))
    };

    let first = call("awaited");
    deposit(1).reacting_to(&first).await.unwrap();
    let second = deposit(2).reacting_to(&first).prepare().await.unwrap_err();
    assert!(is_twice(&second), "{second:?}");

    let first = call("prepared");
    let overtaken = deposit(1).reacting_to(&first).prepare().await.unwrap();
    slip_in(&store, "a", 1);
    assert!(append(&store, overtaken).await.unwrap_err().is_transient());
    let again = deposit(1).reacting_to(&first).prepare().await.unwrap();
    append(&store, again).await.unwrap();
    // and so at the next call, which finds it done
    let next = call("prepared");
    let repeat = deposit(1).reacting_to(&next).prepare().await.unwrap();
    let repeat = append(&store, repeat).await.unwrap_err();
    assert!(matches!(repeat, NotAppended::Repeated { .. }), "{repeat:?}");
    for call in [&first, &next] {
        let second = deposit(2).reacting_to(call).prepare().await.unwrap_err();
        assert!(is_twice(&second), "{second:?}");
        let second = deposit(2).reacting_to(call).await.unwrap_err();
        assert!(is_twice(&second), "{second:?}");
    }
    deposit(2).reacting_to_step(&first, "second").await.unwrap();

    // two that are ready at once: the second is no repeat of the first
    let call = call("both");
    let first = deposit(1).reacting_to(&call).prepare().await.unwrap();
    let second = deposit(1).reacting_to(&call).prepare().await.unwrap();
    append(&store, first).await.unwrap();
    let refused = append(&store, second).await.unwrap_err();
    let refused = matches!(
        refused,
        NotAppended::Append(AppendError::Invalid(InvalidRequest::KeyTwice { .. }))
    );
    assert!(refused);
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 1 + 1 + 1 + 2 + 1);
}

#[tokio::test]
async fn what_a_reaction_has_prepared_counts_though_it_decides_nothing_and_is_dropped() {
    let store = store();
    let accounts = accounts(&store);
    slip_in(&store, "e", 1);
    let event = events(&store, "e").await.remove(0);
    let call = Delivery::of("prepared", event, ()).unwrap();
    let nothing = || accounts.by_id("a").decide(|_| None::<AccountEvent>).reacting_to(&call);
    let deposit = || accounts.by_id("a").decide(|account: &Account| account.deposit(1));
    for _ in 0..2 {
        assert_eq!(nothing().prepare().await.unwrap().events(), Some(&vec![]));
        // were it done, the next call would find it where it looks for the first
        let refused = deposit().reacting_to(&call).await.unwrap_err();
        let refused = matches!(refused, CommandError::Invalid(InvalidRequest::KeyTwice { .. }));
        assert!(refused, "whatever the states are");
    }
    assert_eq!(events(&store, "a").await, []);
    deposit().reacting_to_step(&call, "deposit").await.unwrap();
    let prepared = deposit().reacting_to(&call).prepare().await.unwrap();
    append(&store, prepared).await.unwrap();
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 2);
}
