//! The reaction of the campaign: a line in a file outside of the store, a command, and another line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use es_core::execution::{IdempotencyKey, Retry};
use es_core::projection::FailurePolicy;
use es_core::reaction::{Delivery, ReactionPolicy, Start};
use es_core::{Aggregate, BoxError, Event, Reaction, Repository, Store};

use super::evidence::{Call, Mark};

/// What is reacted to.
#[derive(Event)]
pub(crate) enum Paid {
    AmountPaidIn { number: u64, is_poison: bool },
}

/// What follows from it, under the id of the account.
#[derive(Event)]
pub(crate) enum Noted {
    PaymentNoted { number: u64 },
}

#[derive(Clone, Default)]
pub(crate) struct Audit;

impl Aggregate for Audit {
    const TYPE: &'static str = "audit";
    type Id = String;
    type Event = Noted;

    fn evolve(&mut self, _: &Noted) {}
}

/// Notes each payment once in the store, and each call in a file.
pub(crate) struct Receipts {
    audits: Repository<Audit>,
    record: File,
    ahead: usize,
    /// Whether it can take poison.
    is_healed: bool,
    /// Told after each line.
    step: fn(),
}

impl Receipts {
    /// Those of this store and this file; at most `ahead` events are held at once.
    pub(crate) fn new(store: &Store, record: &Path, ahead: usize) -> Self {
        let record = OpenOptions::new().append(true).open(record);
        let record = record.expect("the campaign has made the file");
        Self { audits: Repository::new(store), record, ahead, is_healed: false, step: || {} }
    }

    pub(crate) fn telling(self, step: fn()) -> Self {
        Self { step, ..self }
    }

    pub(crate) fn healed(self, is_healed: bool) -> Self {
        Self { is_healed, ..self }
    }

    /// A kill loses nothing of what the kernel has taken, so nothing is flushed. Each line is one write to
    /// the end of the file, whoever else writes; one that a kill has cut off lacks its end, and the next
    /// one begins a line of its own.
    fn note(&self, mark: Mark, key: &IdempotencyKey) -> io::Result<()> {
        let mark = match mark {
            Mark::Begun => BEGUN,
            Mark::Ended => ENDED,
        };
        (&self.record).write_all(format!("\n{mark} {key} {END}").as_bytes())?;
        (self.step)();
        Ok(())
    }
}

const BEGUN: &str = "begun";
const ENDED: &str = "ended";
/// The end of a line that was written whole.
const END: &str = ".";

/// What calls have written into the file.
pub(crate) fn recorded(record: &Path) -> Vec<Call> {
    let text = fs::read_to_string(record).expect("the campaign has made the file");
    let call = |line: &str| {
        let mut words = line.split(' ');
        let mark = match words.next()? {
            BEGUN => Mark::Begun,
            ENDED => Mark::Ended,
            _ => return None,
        };
        let key = words.next()?.to_owned();
        (words.next() == Some(END)).then_some(Call { mark, key })
    };
    text.lines().filter_map(call).collect()
}

impl Reaction for Receipts {
    const NAME: &'static str = "receipts";
    const START: Start = Start::Now;
    type Event = Paid;

    async fn react(&self, event: &Delivery<Paid>) -> Result<(), BoxError> {
        let Paid::AmountPaidIn { number, is_poison } = event.data;
        self.note(Mark::Begun, event.key())?;
        if is_poison && !self.is_healed {
            return Err("it is poison".into());
        }
        let audit = self.audits.by_id(event.stream.aggregate_id());
        audit.decide(move |_| Noted::PaymentNoted { number }).reacting_to(event).await?;
        self.note(Mark::Ended, event.key())?;
        Ok(())
    }

    fn policy(&self) -> ReactionPolicy {
        // patient enough for what a loaded machine delays
        let [base, longest] = [5, 20].map(Duration::from_millis);
        let failure = FailurePolicy::park_key().after(Retry { retries: 2, base, longest });
        ReactionPolicy::default().concurrency(4).ahead(self.ahead).on_failure(failure)
    }
}
