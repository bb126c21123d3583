//! The projections of a runner: those at hand, and those whose work takes long.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, Either, FutureExt, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::environment::{Runtime, within};

use super::super::Definition;
use super::Member;

/// A member's work; it comes back with it.
pub(super) type Work = BoxFuture<'static, Member>;

/// Who works for a runner, by seat.
///
/// A member is given away with its work. One whose work takes long stays away, and holds up no
/// other; the work goes on whenever the runner waits for anything.
#[derive(Default)]
pub(super) struct Crew {
    seats: Vec<Seat>,
    at_hand: BTreeMap<usize, Member>,
    away: FuturesUnordered<BoxFuture<'static, (usize, Member)>>,
    /// Who went away for longer than it was waited for.
    late: BTreeSet<usize>,
    /// Whether one of these came back.
    is_rejoined: bool,
}

/// What is known of a member wherever it is.
struct Seat {
    definition: Definition,
    /// How often the sink answered it, as its worker counts.
    answers: Arc<AtomicU64>,
}

impl Seat {
    fn member(&self) -> Member {
        Member::new(self.definition.clone(), self.answers.clone())
    }
}

impl Crew {
    pub(super) fn add(&mut self, definition: Definition) {
        let seat = Seat { definition, answers: Arc::default() };
        self.at_hand.insert(self.seats.len(), seat.member());
        self.seats.push(seat);
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// The names of all.
    pub(super) fn names(&self) -> Vec<&str> {
        self.seats.iter().map(|seat| seat.definition.name()).collect()
    }

    /// The seats of those at hand.
    pub(super) fn seats(&self) -> Vec<usize> {
        self.at_hand.keys().copied().collect()
    }

    /// The member on a seat, unless it is away.
    pub(super) fn get(&self, seat: usize) -> Option<&Member> {
        self.at_hand.get(&seat)
    }

    /// Those at hand.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.at_hand.values()
    }

    /// Those at hand.
    pub(super) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.at_hand.values_mut()
    }

    /// True if nobody is away.
    pub(super) fn is_whole(&self) -> bool {
        self.away.is_empty()
    }

    /// How often the sink answered those that are away.
    pub(super) fn answers_to_late(&self) -> u64 {
        let late = self.seats.iter().enumerate().filter(|(seat, _)| self.late.contains(seat));
        late.map(|(_, seat)| seat.answers.load(Ordering::Relaxed)).sum()
    }

    /// Whether somebody came back late since this was asked last.
    pub(super) fn take_rejoined(&mut self) -> bool {
        std::mem::take(&mut self.is_rejoined)
    }

    /// Gives work to those of these seats that are at hand.
    pub(super) fn start(&mut self, seats: &[usize], work: impl Fn(Member) -> Work) {
        for seat in seats {
            if let Some(member) = self.at_hand.remove(seat) {
                let seat = *seat;
                self.away.push(work(member).map(move |member| (seat, member)).boxed());
            }
        }
    }

    /// Waits for these until they have done their work, but not for long.
    pub(super) async fn settle(
        &mut self,
        runtime: &dyn Runtime,
        seats: &[usize],
        patience: Duration,
    ) {
        let until = runtime.now() + patience;
        while seats.iter().any(|seat| !self.at_hand.contains_key(seat)) {
            if !self.next_until(runtime, until).await {
                let late = seats.iter().filter(|seat| !self.at_hand.contains_key(seat));
                self.late.extend(late);
                return;
            }
        }
    }

    /// Waits until somebody comes back, at most until then; answers whether somebody did.
    pub(super) async fn next_until(&mut self, runtime: &dyn Runtime, until: Instant) -> bool {
        let left = until.saturating_duration_since(runtime.now());
        within(runtime, left, self.next()).await.is_some()
    }

    /// Waits until somebody comes back; for ever if nobody is away.
    pub(super) async fn next(&mut self) {
        match self.away.next().await {
            Some((seat, member)) => self.take_back(seat, member),
            None => std::future::pending().await,
        }
    }

    /// Does something beside the work of those that are away.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let next = std::pin::pin!(self.next());
            match select(work.as_mut(), next).await {
                Either::Left((done, _)) => return done,
                Either::Right(_) => {}
            }
        }
    }

    /// Gives this work to all, to those that are away when they come back, and waits for all.
    pub(super) async fn all(&mut self, work: impl Fn(Member) -> Work) {
        let mut open: BTreeSet<_> = (0..self.seats.len()).collect();
        loop {
            let here: Vec<_> = self.seats().into_iter().filter(|seat| open.remove(seat)).collect();
            self.start(&here, &work);
            if self.away.is_empty() {
                return;
            }
            self.next().await;
        }
    }

    /// Gives up the work of those that are away, and answers who they are. They begin anew.
    pub(super) fn dismiss(&mut self) -> Vec<usize> {
        self.away = FuturesUnordered::new();
        let gone: Vec<_> =
            (0..self.seats.len()).filter(|seat| !self.at_hand.contains_key(seat)).collect();
        for seat in &gone {
            let member = self.seats[*seat].member();
            self.take_back(*seat, member);
        }
        gone
    }

    fn take_back(&mut self, seat: usize, member: Member) {
        self.is_rejoined |= self.late.remove(&seat);
        self.at_hand.insert(seat, member);
    }
}
