//! An account with five commands, a transfer over two accounts, and its tests:
//! `cargo run -p es-memory --example bank`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::ExpectedVersion::NoStream;
use es_core::{Aggregate, AggregateId, Draft, Event, Repository, transact};
use es_memory::MemoryStore;

#[derive(AggregateId, Debug, Clone)]
struct AccountId(String);

#[derive(Event, Debug, Clone, PartialEq)]
enum AccountEvent {
    AccountOpened,
    MoneyDeposited { cents: u64 },
    MoneyWithdrawn { cents: u64 },
    AccountClosed,
}
use AccountEvent::*;

/// An enum, so that an account that does not exist has no balance that anybody could ask for.
#[derive(Debug, Clone, Default, PartialEq)]
enum Account {
    #[default]
    Absent,
    Open(u64),
    Closed,
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Id = AccountId;
    type Event = AccountEvent;

    fn evolve(&mut self, event: &AccountEvent) {
        match (&mut *self, event) {
            (Account::Open(balance), MoneyDeposited { cents }) => {
                *balance = balance.saturating_add(*cents)
            }
            (Account::Open(balance), MoneyWithdrawn { cents }) => {
                *balance = balance.saturating_sub(*cents)
            }
            (Account::Absent, AccountOpened) => *self = Account::Open(0),
            (Account::Open(_), AccountClosed) => *self = Account::Closed,
            _ => {}
        }
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error("the account is not open")]
    NotOpen,
    #[error("the balance of {balance} is not enough")]
    Overdrawn { balance: u64 },
    #[error("the balance is {balance}; withdraw it first")]
    NotEmpty { balance: u64 },
}

impl Account {
    fn balance(&self) -> Result<u64, Refusal> {
        if let Account::Open(balance) = self { Ok(*balance) } else { Err(Refusal::NotOpen) }
    }

    fn deposit(&self, cents: u64) -> Result<AccountEvent, Refusal> {
        self.balance().map(|_| MoneyDeposited { cents })
    }

    fn withdraw(&self, cents: u64) -> Result<AccountEvent, Refusal> {
        match self.balance()? {
            balance if balance < cents => Err(Refusal::Overdrawn { balance }),
            _ => Ok(MoneyWithdrawn { cents }),
        }
    }

    fn close(&self) -> Result<Option<AccountEvent>, Refusal> {
        match self {
            Account::Closed => Ok(None),
            Account::Open(balance @ 1..) => Err(Refusal::NotEmpty { balance: *balance }),
            _ => self.balance().map(|_| Some(AccountClosed)),
        }
    }
}

/// Both or neither; answers what is left. The last line sees what the first has recorded.
fn transfer(
    from: &mut Draft<Account>,
    to: &mut Draft<Account>,
    cents: u64,
) -> Result<u64, Refusal> {
    from.record(from.withdraw(cents)?);
    to.record(to.deposit(cents)?);
    from.balance()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let accounts = Repository::<Account>::new(MemoryStore::new());
    let (anna, ben) = (AccountId("anna".into()), AccountId("ben".into()));
    for id in [&anna, &ben] {
        accounts.by_id(id).expecting(NoStream).decide(|_| AccountOpened).await?;
    }
    accounts.by_id(&anna).decide(|account| account.deposit(10_000)).await?;
    let both = (accounts.by_id(&anna), accounts.by_id(&ben));
    let moved = transact(both, |(from, to)| transfer(from, to, 2_500))
        .idempotency_key("transfer/1")
        .await?;
    let (anna_now, ben_now) = moved.state; // `moved.reply` is what is left; `None` for a repeat
    println!("anna: {anna_now:?}, ben: {ben_now:?}, left: {:?}", moved.reply);
    accounts.by_id(&ben).decide(|account| account.withdraw(2_500)).await?;
    let closed = accounts.by_id(&ben).decide(Account::close).await?;
    println!("ben: {:?} after {} events", closed.state, closed.version);
    if let Err(refusal) = accounts.by_id(&anna).decide(Account::close).await {
        println!("closing anna's: {refusal}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use es_testing::spec::given;

    #[test]
    fn money_is_withdrawn_only_where_there_is_enough_of_it() {
        let given = || given::<Account>([AccountOpened, MoneyDeposited { cents: 100 }]);
        given().when(|account| account.withdraw(100)).then([MoneyWithdrawn { cents: 100 }]);
        let refusal = Refusal::Overdrawn { balance: 100 };
        given().when(|account| account.withdraw(101)).then_rejected(refusal);
        given().when(Account::close).then_rejected(Refusal::NotEmpty { balance: 100 });
    }

    #[test]
    fn a_transfer_takes_from_one_what_it_gives_to_the_other() {
        let mut from = Draft::<Account>::given([AccountOpened, MoneyDeposited { cents: 100 }]);
        let mut to = Draft::<Account>::given([AccountOpened]);
        assert_eq!(transfer(&mut from, &mut to, 30), Ok(70));
        assert_eq!(from.recorded(), [MoneyWithdrawn { cents: 30 }]);
        assert_eq!(to.recorded(), [MoneyDeposited { cents: 30 }]);
    }
}
