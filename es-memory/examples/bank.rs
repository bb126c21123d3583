//! An account with five commands, a transfer over two accounts, and its tests:
//! `cargo run -p es-memory --example bank`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::{Aggregate, AggregateId, Decide, Event, Member, Repository, Store, UnitOfWork};
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
    #[error("the account exists already")]
    Exists,
    #[error("the balance of {balance} is not enough")]
    NotEnough { balance: u64 },
    #[error("the balance is {balance}; withdraw it first")]
    NotEmpty { balance: u64 },
}

impl Account {
    fn open(&self) -> Result<AccountEvent, Refusal> {
        if *self == Account::Absent { Ok(AccountOpened) } else { Err(Refusal::Exists) }
    }

    fn balance(&self) -> Result<u64, Refusal> {
        if let Account::Open(balance) = self { Ok(*balance) } else { Err(Refusal::NotOpen) }
    }

    fn deposit(&self, cents: u64) -> Result<AccountEvent, Refusal> {
        self.balance().map(|_| MoneyDeposited { cents })
    }

    fn withdraw(&self, cents: u64) -> Result<AccountEvent, Refusal> {
        match self.balance()? {
            balance if balance < cents => Err(Refusal::NotEnough { balance }),
            _ => Ok(MoneyWithdrawn { cents }),
        }
    }

    fn transfer(&self, to: &Account, cents: u64) -> Result<[Vec<AccountEvent>; 2], Refusal> {
        Ok([vec![self.withdraw(cents)?], vec![to.deposit(cents)?]])
    }
}

/// A command as a type of its own: what an interface would receive.
struct Close;

impl Decide<Close> for Account {
    type Rejection = Refusal;

    fn decide(&self, _: &Close) -> Result<Vec<AccountEvent>, Refusal> {
        match self {
            Account::Closed => Ok(vec![]),
            Account::Open(balance @ 1..) => Err(Refusal::NotEmpty { balance: *balance }),
            _ => self.balance().map(|_| vec![AccountClosed]),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::from(MemoryStore::new());
    let accounts = Repository::<Account>::new(&store);
    let (anna, ben) = (AccountId("anna".into()), AccountId("ben".into()));
    for id in [&anna, &ben] {
        accounts.update(id, Account::open).await?;
    }
    accounts.update(&anna, |account| account.deposit(10_000)).retries(3).await?;
    UnitOfWork::new(store)
        .decide(vec![Member::<Account>::new(anna.clone()), Member::new(ben.clone())], |both| {
            both[0].transfer(&both[1], 2_500).map(Vec::from)
        })
        .retries(3)
        .await?;
    accounts.update(&ben, |account| account.withdraw(2_500)).retries(3).await?;
    accounts.execute(&ben, Close).retries(3).await?;
    println!(
        "anna: {:?}, ben: {:?}",
        accounts.load(&anna).await?.state,
        accounts.load(&ben).await?.state
    );
    if let Err(refusal) = accounts.execute(&anna, Close).await {
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
        let refusal = Refusal::NotEnough { balance: 100 };
        given().when(|account| account.withdraw(101)).then_rejected(refusal);
        given().when_command(&Close).then_rejected(Refusal::NotEmpty { balance: 100 });
    }
}
