//! Reactions and projections for which nothing ever happens.

use es_core::backend::{Definition, RawKeying};
use es_core::event::EventFilter;
use es_core::reaction::{Delivery, Start};
use es_core::{BoxError, Event, Reaction, Runner, Store};

/// Who follows the log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Idlers {
    Nobody,
    Reactions,
    Projections,
}

/// How many there are.
pub(crate) const COUNT: usize = 20;

const NAMES: [&str; COUNT] = [
    "idle-01", "idle-02", "idle-03", "idle-04", "idle-05", "idle-06", "idle-07", "idle-08",
    "idle-09", "idle-10", "idle-11", "idle-12", "idle-13", "idle-14", "idle-15", "idle-16",
    "idle-17", "idle-18", "idle-19", "idle-20",
];

/// What is waited for in vain.
#[derive(Event)]
enum Silence {
    SilenceEnded,
}

/// A type for each, as a reaction has its name.
struct Idle<const N: usize>;

impl<const N: usize> Reaction for Idle<N> {
    const NAME: &'static str = NAMES[N];
    const START: Start = Start::Beginning;
    type Event = Silence;

    async fn react(&self, event: &Delivery<Silence>) -> Result<(), BoxError> {
        Err(format!("{} is not to be given", event.event_id).into())
    }
}

macro_rules! with_reactions {
    ($runner:expr, $($number:literal)+) => { $runner$(.reaction(Idle::<$number>))+ };
}

impl Idlers {
    pub(crate) const ALL: [Self; 3] = [Self::Nobody, Self::Reactions, Self::Projections];

    pub(crate) fn count(self) -> usize {
        if matches!(self, Self::Nobody) { 0 } else { COUNT }
    }

    /// Who runs them.
    pub(crate) fn runner(self, store: &Store) -> Option<Runner> {
        let runner = Runner::new(store);
        match self {
            Self::Nobody => None,
            Self::Reactions => {
                Some(with_reactions!(runner, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19))
            }
            Self::Projections => Some(NAMES.iter().fold(runner, |runner, name| {
                let (name, selection) = (format!("{name}-rows"), EventFilter::of::<Silence>());
                let keying = RawKeying::Streams;
                let rows =
                    Definition::rows(&name, 1, selection, keying, |_, row: Option<u64>, _| {
                        Ok(Some(row.unwrap_or(0) + 1))
                    });
                runner.definition(rows)
            })),
        }
    }
}
