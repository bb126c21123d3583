//! Decisions over several aggregates: all or none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use es_core::ExpectedVersion::NoStream;
use es_core::backend::{InvalidRequest, PageLimit, StoreErrorKind};
use es_core::event::Metadata;
use es_core::execution::{Decision, Member, Retry};
use es_core::{CommandError, Draft, Repository, transact};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};
use futures_util::TryStreamExt;

use super::account::*;

type Both = (Member<Account>, Member<Account>);

fn both(accounts: &Repository<Account>) -> Both {
    (accounts.by_id("a"), accounts.by_id("b"))
}

fn transfer(both: Both, cents: u64) -> Decision<'static, Both, (), TooLittle> {
    transact(both, move |(from, to)| moves(from, to, cents))
}

fn moves(from: &mut Draft<Account>, to: &mut Draft<Account>, cents: u64) -> Result<(), TooLittle> {
    from.record(from.withdraw(cents)?);
    to.record(to.deposit(cents)?);
    Ok(())
}

async fn balances(accounts: &Repository<Account>) -> (u64, u64) {
    let balance = async |account: &str| accounts.load(account).await.unwrap().state.balance;
    (balance("a").await, balance("b").await)
}

fn funded() -> (Arc<MemoryStore>, Repository<Account>) {
    let store = store();
    slip_in(&store, "a", 100);
    let accounts = accounts(&store);
    (store, accounts)
}

#[tokio::test]
async fn both_sides_are_written_or_none() {
    let (_, accounts) = funded();
    let executed = transfer(both(&accounts), 30).await.unwrap();
    assert_eq!(executed.appended.unwrap().streams.len(), 2);
    assert_eq!((executed.state.0.balance, executed.state.1.balance), (70, 30));
    assert_eq!(balances(&accounts).await, (70, 30));
    let refused = transfer(both(&accounts), 71).await.unwrap_err();
    assert!(matches!(refused, CommandError::Rejected(TooLittle { balance: 70 })), "{refused:?}");
    assert_eq!(balances(&accounts).await, (70, 30));
}

#[tokio::test]
async fn a_conflict_on_either_side_runs_the_decision_again() {
    for other in ["a", "b"] {
        let (store, accounts) = funded();
        let is_first = AtomicBool::new(true);
        let decision = transact(both(&accounts), |(from, to)| {
            if is_first.swap(false, Ordering::Relaxed) {
                slip_in(&store, other, 5);
            }
            moves(from, to, 100)
        });
        decision.retry(Retry::times(1)).await.unwrap();
        let sum = balances(&accounts).await;
        assert_eq!(sum.0 + sum.1, 105, "{other}");
    }
}

#[tokio::test]
async fn a_repeat_under_its_key_is_answered_with_the_first_result() {
    let (_, accounts) = funded();
    let once = || transfer(both(&accounts), 30).idempotency_key("transfer/1");
    let (first, again) = (once().await.unwrap(), once().await.unwrap());
    assert!(again.is_repeat() && !first.is_repeat() && again.reply.is_none());
    assert_eq!(again.cause(), first.cause());
    assert_eq!(again.events, first.events, "those of the first time");
    assert_eq!(first.appended.unwrap().streams, again.appended.unwrap().streams);
    assert_eq!(again.state.0.balance, 70);
    assert_eq!(balances(&accounts).await, (70, 30));
    // the same key for one of the streams alone is another request
    let alone = accounts.by_id("a").decide(|account| account.deposit(1));
    let alone = alone.idempotency_key("transfer/1").await;
    assert!(matches!(alone, Err(CommandError::KeyReused { .. })));
    // and one that touched some of the members is taken for the same
    let alone = accounts.by_id("b").decide(|account| account.deposit(1));
    alone.idempotency_key("deposit/1").await.unwrap();
    let together = transfer(both(&accounts), 30).idempotency_key("deposit/1").await.unwrap();
    assert!(together.is_repeat());
    assert_eq!(together.events, (vec![], vec![MoneyDeposited { cents: 1 }]));
}

#[tokio::test]
async fn nothing_to_do_writes_nothing_and_a_member_without_events_is_left_out() {
    let (_, accounts) = funded();
    let nothing = transact(both(&accounts), |_| Ok::<_, TooLittle>(()));
    assert_eq!(nothing.await.unwrap().appended, None);
    let one = transact(both(&accounts), |(a, _)| {
        a.record(a.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    assert_eq!(one.await.unwrap().appended.unwrap().streams.len(), 1);
    let nobody = transact(Vec::<Member<Account>>::new(), |none| Ok::<_, TooLittle>(none.len()));
    let nobody = nobody.await.unwrap();
    assert_eq!((nobody.reply, nobody.state.len(), nobody.appended), (Some(0), 0, None));
}

#[tokio::test]
async fn shapes_nest_and_members_bring_the_metadata_of_their_repositories() {
    let (_, accounts) = funded();
    let tenant = Metadata::new().with(TENANT, "t".to_owned());
    let tagged = accounts.clone().with_metadata(tenant);
    let members = (tagged.by_id("a"), vec![accounts.by_id("b"), accounts.by_id("c")]);
    let executed = transact(members, |(from, to)| {
        from.record(from.withdraw(20)?);
        for to in to.iter_mut() {
            to.record(to.deposit(10)?);
        }
        Ok::<_, TooLittle>(to.len())
    });
    let executed = executed.await.unwrap();
    assert_eq!((executed.reply, executed.state.0.balance), (Some(2), 80));
    assert_eq!(executed.state.1.iter().map(|to| to.balance).collect::<Vec<_>>(), [10, 10]);
    let history: Vec<_> = accounts.history("a").try_collect().await.unwrap();
    let (recorded, event) = history.last().unwrap();
    assert_eq!(*event, MoneyWithdrawn { cents: 20 });
    assert_eq!(recorded.metadata.get(TENANT).as_deref(), Some("t"));
    let history: Vec<_> = accounts.history("b").try_collect().await.unwrap();
    assert_eq!(history[0].0.metadata.get(TENANT), None);
}

#[tokio::test]
async fn many_members_come_in_their_order() {
    let (_, accounts) = funded();
    let names: Vec<_> = (0..40).map(|number| format!("n{number}")).collect();
    let members = || names.iter().map(|name| accounts.by_id(name)).collect::<Vec<_>>();
    let fill = transact(members(), |drafts| {
        for (cents, draft) in (1..).zip(drafts.iter_mut()) {
            draft.record(draft.deposit(cents)?);
        }
        Ok::<_, TooLittle>(())
    });
    let filled = fill.idempotency_key("fill").await.unwrap();
    let balances = |states: &[Account]| states.iter().map(|one| one.balance).collect::<Vec<_>>();
    let expected: Vec<_> = (1..=40).collect();
    assert_eq!(balances(&filled.state), expected);
    let again = transact(members(), |_| Err::<(), _>(TooLittle { balance: 0 }));
    let again = again.idempotency_key("fill").await.unwrap();
    assert!(again.is_repeat());
    assert_eq!((balances(&again.state), again.events), (expected, filled.events));
}

#[tokio::test]
async fn members_are_read_in_the_pages_of_their_repository() {
    let (store, _) = funded();
    (0..6).for_each(|_| slip_in(&store, "a", 1));
    let counted = Faults::new();
    let accounts = Repository::<Account>::new(counted.over(store));
    for (events, reads) in [(1, 7), (3, 3), (100, 1)] {
        let paged = accounts.clone().with_page_limit(PageLimit::events(events));
        let before = counted.calls(Call::ReadStream);
        let looked_at = transact(vec![paged.by_id("a")], |_| Ok::<_, TooLittle>(()));
        let executed = looked_at.await.unwrap();
        assert_eq!(executed.state[0].balance, 106, "{events} at once");
        assert_eq!(counted.calls(Call::ReadStream) - before, reads, "{events} at once");
    }
}

#[tokio::test]
async fn the_same_member_twice_is_refused() {
    let (_, accounts) = funded();
    let twice = || (accounts.by_id("a"), accounts.by_id("a"));
    let refused = transfer(twice(), 1).await.unwrap_err();
    assert!(
        matches!(&refused, CommandError::Invalid(InvalidRequest::StreamTwice { stream: s }) if *s == stream("a")),
        "{refused:?}"
    );
    let one = transact((twice(), accounts.by_id("b")), |((a, _), _)| {
        a.record(a.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    let one = one.await;
    assert!(matches!(one, Err(CommandError::Invalid(InvalidRequest::StreamTwice { .. }))));
    assert_eq!(balances(&accounts).await, (100, 0));
}

#[tokio::test]
async fn drafts_that_are_moved_and_events_that_are_answered_are_refused() {
    let (_, accounts) = funded();
    let list = || vec![accounts.by_id("a"), accounts.by_id("b")];
    let record = |draft: &mut Draft<Account>| draft.record(MoneyDeposited { cents: 1 });
    let moved = [
        transact(list(), |drafts| {
            record(&mut drafts[0]);
            drafts.reverse();
            Ok::<_, TooLittle>(())
        }),
        transact(list(), |drafts| {
            drafts[1] = Draft::new(drafts[0].clone());
            Ok::<_, TooLittle>(())
        }),
        transact(list(), |drafts| {
            *drafts = Box::new([]);
            Ok::<_, TooLittle>(())
        }),
    ];
    for moved in moved {
        let refused = moved.await.unwrap_err();
        let is_told = matches!(refused, CommandError::Invalid(InvalidRequest::DraftsMoved));
        assert!(is_told, "{refused:?}");
    }
    let swapped = transact(both(&accounts), |(from, to)| {
        record(from);
        std::mem::swap(from, to);
        Ok::<_, TooLittle>(())
    });
    let refused = swapped.await.unwrap_err();
    assert!(matches!(refused, CommandError::Invalid(InvalidRequest::DraftsMoved)), "{refused:?}");
    assert_eq!(balances(&accounts).await, (100, 0));
}

#[tokio::test]
async fn events_that_are_answered_in_whatever_shape_are_refused() {
    let (_, accounts) = funded();
    let one = MoneyDeposited { cents: 1 };
    is_refused(&accounts, one.clone()).await;
    is_refused(&accounts, vec![one.clone()]).await;
    is_refused(&accounts, Some(one.clone())).await;
    is_refused(&accounts, [one.clone()]).await;
    is_refused(&accounts, [const { MoneyDeposited { cents: 1 } }; 40]).await;
    // of a function that refuses, and was not asked with `?`
    let rich = Account { balance: 9 };
    is_refused(&accounts, rich.withdraw(1).map_err(|_| "too little")).await;
    is_refused(&accounts, Ok::<_, String>(vec![one.clone()])).await;
    is_refused(&accounts, Ok::<_, ()>(Some(one.clone()))).await;
    is_refused(&accounts, Ok::<_, &str>([one.clone(), one.clone()])).await;
    let answered = transact(both(&accounts), |(a, _)| a.deposit(1).map(|event| vec![event]));
    let refused = answered.await.unwrap_err();
    let is_told = matches!(refused, CommandError::Invalid(InvalidRequest::EventsAnswered));
    assert!(is_told, "{refused:?}");
    // what is told about events is an answer
    let told = transact(accounts.by_id("a"), move |_| Ok::<_, TooLittle>((1, one.clone())));
    assert!(told.await.unwrap().reply.is_some());
    let told = transact(accounts.by_id("a"), |_| Ok::<_, TooLittle>(Ok::<u64, TooLittle>(1)));
    assert_eq!(told.await.unwrap().reply, Some(Ok(1)));
    assert_eq!(balances(&accounts).await, (100, 0));
}

async fn is_refused<T: Clone + Send + Sync + 'static>(accounts: &Repository<Account>, reply: T) {
    let refused = transact(accounts.by_id("a"), move |_| Ok::<_, TooLittle>(reply.clone())).await;
    let Err(CommandError::Invalid(InvalidRequest::EventsAnswered)) = refused else {
        panic!("`{}` is no answer", std::any::type_name::<T>());
    };
}

#[tokio::test]
async fn what_is_expected_of_any_member_must_hold() {
    let (store, accounts) = funded();
    let new = |account: &str| accounts.by_id(account).expecting(NoStream);
    let open = |members: Both| {
        transact(members, |(_, b)| {
            b.record(b.deposit(1)?);
            Ok::<_, TooLittle>(())
        })
    };
    // the first gets no event, and is looked at all the same
    let refused = open((new("a"), new("b"))).await.unwrap_err();
    assert_eq!(refused.to_string(), "account/a exists already, at version 1");
    open((new("c"), new("b"))).await.unwrap();
    let refused = open((new("c"), new("b"))).await.unwrap_err();
    assert_eq!(refused.to_string(), "account/b exists already, at version 1");
    let stale = accounts.by_id("a").expecting(es_core::execution::StreamVersion::new(9));
    let refused = open((stale, accounts.by_id("b"))).await.unwrap_err();
    assert!(matches!(refused, CommandError::PreconditionFailed(_)), "{refused:?}");
    // a conflict of one of whom nothing is expected is met by a retry
    let is_first = AtomicBool::new(true);
    let members = (new("d"), accounts.by_id("b"));
    let done = transact(members, |(d, b)| {
        if is_first.swap(false, Ordering::Relaxed) {
            slip_in(&store, "b", 5);
        }
        d.record(d.deposit(b.balance)?);
        b.record(b.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    assert_eq!(done.await.unwrap().state.0.balance, 6);
}

#[tokio::test]
async fn a_member_of_another_store_is_refused() {
    let (_, accounts) = funded();
    let (theirs, other) = funded();
    let refused = transfer((accounts.by_id("b"), other.by_id("a")), 1).await.unwrap_err();
    let CommandError::Invalid(InvalidRequest::OtherStore { stream }) = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(stream.to_string(), "account/a");
    // within a list, too, and though it gets no events
    let looked_at = transact((accounts.by_id("b"), vec![other.by_id("a")]), |(b, _)| {
        b.record(b.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    let refused = looked_at.await.unwrap_err();
    assert!(matches!(refused, CommandError::Invalid(InvalidRequest::OtherStore { .. })));
    assert_eq!(balances(&accounts).await, (100, 0));
    assert_eq!(balances(&other).await, (100, 0));
    // another handle of the same store is that store, and so is a store around it
    let same = Repository::<Account>::new(MemoryStore::clone(&theirs));
    transfer((other.by_id("a"), same.by_id("b")), 1).await.unwrap();
    let around = Faults::new();
    let seen = Repository::<Account>::new(around.over(theirs));
    transfer((seen.by_id("a"), other.by_id("b")), 1).await.unwrap();
    assert_eq!(around.calls(Call::Append), 1, "it is appended by the first member's handle");
    assert_eq!(balances(&other).await, (98, 2));
}

#[tokio::test]
async fn what_passes_uses_up_retries() {
    let (memory, accounts) = funded();
    let faults = Faults::new();
    let faulty = Repository::<Account>::new(faults.over(memory)).with_retry(Retry::times(2));
    let once = || transfer(both(&faulty), 10);
    faults.fail(Call::ReadStream, 1, StoreErrorKind::Unavailable);
    faults.fail(Call::Append, 1, StoreErrorKind::Busy);
    once().await.unwrap();
    faults.lose_answer(Call::Append, 1);
    faults.fail(Call::FindAppend, 3, StoreErrorKind::Unavailable);
    assert!(once().idempotency_key("transfer/1").await.unwrap().is_repeat());
    assert_eq!(balances(&accounts).await, (80, 20));
    (1..=3).for_each(|nth| faults.fail(Call::ReadStream, nth, StoreErrorKind::Unavailable));
    assert!(once().await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_plain_decision_may_use_what_is_written_for_drafts() {
    let (_, accounts) = funded();
    let decided = accounts.by_id("a").decide(|account| {
        let (mut from, mut to) = (Draft::new(account.clone()), Draft::new(Account::default()));
        moves(&mut from, &mut to, 40)?;
        Ok::<_, TooLittle>(from.into_recorded())
    });
    assert_eq!(decided.await.unwrap().state.balance, 60);
}
