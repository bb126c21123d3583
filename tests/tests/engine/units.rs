//! Units of work over several aggregates: all or none.

use std::sync::atomic::{AtomicBool, Ordering};

use es_core::{
    ExecuteError, IdempotencyKey, InvalidRequest, Member, Metadata, PageLimit, Repository,
    StoreErrorKind, UnitOfWork,
};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};
use futures_util::TryStreamExt;

use super::account::*;

fn member(account: &str) -> Member<Account> {
    Member::new(id(account))
}

type Both = (Vec<AccountEvent>, Vec<AccountEvent>);

fn transfer(cents: u64) -> impl Fn(&(Account, Account)) -> Result<Both, TooLittle> {
    move |(from, to)| Ok((vec![from.withdraw(cents)?], vec![to.deposit(cents)?]))
}

async fn balances(accounts: &Repository<Account>) -> (u64, u64) {
    let balance = async |account: &str| accounts.load(&id(account)).await.unwrap().state.balance;
    (balance("a").await, balance("b").await)
}

fn funded() -> (std::sync::Arc<MemoryStore>, Repository<Account>) {
    let store = store();
    slip_in(&store, "a", 100);
    let accounts = accounts(&store);
    (store, accounts)
}

#[tokio::test]
async fn both_sides_are_written_or_none() {
    let (store, accounts) = funded();
    let unit = UnitOfWork::new(store);
    let executed = unit.decide((member("a"), member("b")), transfer(30)).await.unwrap();
    assert_eq!(executed.appended.unwrap().streams.len(), 2);
    assert_eq!((executed.states.0.balance, executed.states.1.balance), (70, 30));
    assert_eq!(balances(&accounts).await, (70, 30));
    let refused = unit.decide((member("a"), member("b")), transfer(71)).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Rejected(TooLittle { balance: 70 })), "{refused:?}");
    assert_eq!(balances(&accounts).await, (70, 30));
}

#[tokio::test]
async fn a_conflict_on_either_side_runs_the_decision_again() {
    for other in ["a", "b"] {
        let (store, accounts) = funded();
        let is_first = AtomicBool::new(true);
        UnitOfWork::new(store.clone())
            .decide((member("a"), member("b")), |both| {
                if is_first.swap(false, Ordering::Relaxed) {
                    slip_in(&store, other, 5);
                }
                transfer(100)(both)
            })
            .retries(1)
            .await
            .unwrap();
        let sum = balances(&accounts).await;
        assert_eq!(sum.0 + sum.1, 105, "{other}");
    }
}

#[tokio::test]
async fn a_repeat_under_its_key_is_answered_with_the_first_result() {
    let (store, accounts) = funded();
    let key = || IdempotencyKey::new("transfer/1").unwrap();
    let unit = UnitOfWork::new(store);
    let once = || unit.decide((member("a"), member("b")), transfer(30)).idempotency_key(key());
    let (first, again) = (once().await.unwrap(), once().await.unwrap());
    assert!(again.is_repeat() && !first.is_repeat() && again.events.is_none());
    assert_eq!(first.appended.unwrap().streams, again.appended.unwrap().streams);
    assert_eq!(again.states.0.balance, 70);
    assert_eq!(balances(&accounts).await, (70, 30));
    // the same key for one of the streams alone is another request
    let alone = accounts.update(&id("a"), |account| account.deposit(1)).idempotency_key(key());
    assert!(matches!(alone.await, Err(ExecuteError::KeyReused { .. })));
}

#[tokio::test]
async fn nothing_to_do_writes_nothing_and_a_member_without_events_is_left_out() {
    let (store, _) = funded();
    let unit = UnitOfWork::new(store.clone());
    let nothing =
        unit.decide((member("a"), member("b")), |_| Ok::<_, TooLittle>((Vec::new(), Vec::new())));
    assert_eq!(nothing.await.unwrap().appended, None);
    let one = unit.decide((member("a"), member("b")), |(a, _)| {
        Ok::<_, TooLittle>((vec![a.deposit(1)?], Vec::new()))
    });
    assert_eq!(one.await.unwrap().appended.unwrap().streams.len(), 1);
}

#[tokio::test]
async fn shapes_nest_and_members_of_a_repository_bring_its_metadata() {
    let (store, accounts) = funded();
    let tenant = Metadata::new().with(TENANT, "t".to_owned());
    let tagged = accounts.clone().with_metadata(tenant);
    let from = Member::of(&tagged, id("a"));
    let executed = UnitOfWork::new(store)
        .decide((from, vec![member("b"), member("c")]), |(from, to)| {
            let to = to.iter().map(|to| Ok(vec![to.deposit(10)?])).collect::<Result<_, _>>()?;
            Ok::<_, TooLittle>((vec![from.withdraw(20)?], to))
        })
        .await
        .unwrap();
    assert_eq!(executed.states.0.balance, 80);
    assert_eq!(executed.states.1.iter().map(|to| to.balance).collect::<Vec<_>>(), [10, 10]);
    let history: Vec<_> = accounts.history(&id("a")).try_collect().await.unwrap();
    let (recorded, event) = history.last().unwrap();
    assert_eq!(*event, MoneyWithdrawn { cents: 20 });
    assert_eq!(recorded.metadata.get(TENANT).as_deref(), Some("t"));
}

#[tokio::test]
async fn members_of_a_repository_are_read_in_its_pages() {
    let (store, _) = funded();
    (0..6).for_each(|_| slip_in(&store, "a", 1));
    let counted = Faults::new();
    let accounts = Repository::<Account>::new(counted.over(store));
    for (events, reads) in [(1, 7), (3, 3), (100, 1)] {
        let paged = accounts.clone().with_page_limit(PageLimit::events(events));
        let before = counted.calls(Call::ReadStream);
        let executed = paged
            .unit_of_work()
            .decide(Member::of(&paged, id("a")), |_| Ok::<_, TooLittle>(vec![]))
            .await
            .unwrap();
        assert_eq!(executed.states.balance, 106, "{events} at once");
        assert_eq!(counted.calls(Call::ReadStream) - before, reads, "{events} at once");
    }
}

#[tokio::test]
async fn the_same_member_twice_and_a_wrong_number_of_lists_are_refused() {
    let (store, accounts) = funded();
    let unit = UnitOfWork::new(store);
    let twice = unit.decide((member("a"), member("a")), transfer(1)).await.unwrap_err();
    assert!(
        matches!(&twice, ExecuteError::Invalid(InvalidRequest::StreamTwice { stream: s }) if *s == stream("a")),
        "{twice:?}"
    );
    let empty = unit.decide((member("a"), member("a")), |(a, _)| {
        Ok::<_, TooLittle>((vec![a.deposit(1)?], Vec::new()))
    });
    assert!(matches!(empty.await, Err(ExecuteError::Invalid(InvalidRequest::StreamTwice { .. }))));
    let lists = unit.decide(vec![member("a"), member("b")], |_| {
        Ok::<_, TooLittle>(vec![vec![MoneyDeposited { cents: 1 }]])
    });
    let lists = lists.await.unwrap_err();
    assert!(lists.to_string().contains("1 lists of events for 2 aggregates"), "{lists}");
    assert_eq!(balances(&accounts).await, (100, 0));
}

#[tokio::test]
async fn a_member_of_another_store_is_refused() {
    let (ours, accounts) = funded();
    let (theirs, other) = funded();
    let foreign = || (Member::of(&other, id("a")), member("b"));
    for unit in [accounts.unit_of_work(), UnitOfWork::new(ours.clone())] {
        let refused = unit.decide(foreign(), transfer(1)).await.unwrap_err();
        let ExecuteError::Invalid(InvalidRequest::OtherStore { stream }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!(stream.to_string(), "account/a");
        // within a list, too, and though it gets no events
        let looked_at = |_: &(Account, Vec<Account>)| {
            Ok::<_, TooLittle>((vec![AccountEvent::MoneyDeposited { cents: 1 }], vec![vec![]]))
        };
        let listed = (member("b"), vec![Member::of(&other, id("a"))]);
        let refused = unit.decide(listed, looked_at).await.unwrap_err();
        assert!(matches!(refused, ExecuteError::Invalid(InvalidRequest::OtherStore { .. })));
    }
    assert_eq!(balances(&accounts).await, (100, 0));
    assert_eq!(balances(&other).await, (100, 0));
    // another handle of the same store is that store, and so is a store around it
    UnitOfWork::new(MemoryStore::clone(&theirs)).decide(foreign(), transfer(1)).await.unwrap();
    let around = Faults::new();
    UnitOfWork::new(around.over(theirs)).decide(foreign(), transfer(1)).await.unwrap();
    assert_eq!(around.calls(Call::Append), 1, "the unit appends by its own handle");
    assert_eq!(balances(&other).await, (98, 2));
}

#[tokio::test]
async fn what_passes_uses_up_retries() {
    let (memory, accounts) = funded();
    let faults = Faults::new();
    let unit = UnitOfWork::new(faults.over(memory));
    let once = || unit.decide((member("a"), member("b")), transfer(10)).retries(2);
    faults.fail(Call::ReadStream, 1, StoreErrorKind::Unavailable);
    faults.fail(Call::Append, 1, StoreErrorKind::Busy);
    once().await.unwrap();
    let key = IdempotencyKey::new("transfer/1").unwrap();
    faults.lose_answer(Call::Append, 1);
    faults.fail(Call::FindAppend, 3, StoreErrorKind::Unavailable);
    assert!(once().idempotency_key(key).await.unwrap().is_repeat());
    assert_eq!(balances(&accounts).await, (80, 20));
    (1..=3).for_each(|nth| faults.fail(Call::ReadStream, nth, StoreErrorKind::Unavailable));
    assert!(once().await.unwrap_err().is_transient());
}
