//! One round of a runner: a page for each place at which a projection stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, select};

use crate::environment::{Environment, breathe};
use crate::error::StoreErrorKind;
use crate::position::Position;
use crate::read::{EventFilter, ReadLog};
use crate::store::Store;

use super::super::Checkpoint;
use super::crew::Work;
use super::{Member, Runner, Settings, Signals};

impl Runner {
    /// Renews what must be renewed, and takes one page for each place at which a projection stands.
    /// Answers whether nothing was left to be done.
    pub(super) async fn round(&mut self) -> bool {
        breathe().await;
        let is_woken = self.signals.take_wake();
        self.wakes += u64::from(is_woken);
        let means = Arc::new(self.means());
        // who came back until now takes part
        self.crew.take_rejoined();
        let mut pending = self.crew.seats();
        self.each(&pending, |mut member| {
            let means = means.clone();
            Box::pin(async move {
                member.prepare(&means).await;
                member
            })
        })
        .await;

        let mut is_at_end = true;
        while !self.signals.is_stopped() {
            pending.retain(|seat| self.checkpoint(*seat).is_some());
            let Some(here) = self.hindmost(&pending, None) else { break };
            let next = self.hindmost(&pending, Some(here.position));
            let is_here = |seat: &usize| self.position(*seat) == Some(here.position);
            let group: Vec<_> = pending.iter().copied().filter(is_here).collect();
            let step = self.step(&means, &group, &here, next.as_ref()).await;
            self.keep_leases(&means).await;
            is_at_end &= step.is_at_end;
            // who has caught up with others goes on with them
            let joined = next.filter(|_| step.is_joining).map(|next| next.position);
            pending.retain(|it| {
                !group.contains(it) || joined.is_some() && self.position(*it) == joined
            });
        }
        is_at_end
            && !self.crew.take_rejoined()
            && self.crew.members().all(|member| !member.is_left_behind())
    }

    /// What whoever works for the runner works with.
    pub(super) fn means(&self) -> Means {
        let Self { store, environment, settings, signals, wakes, .. } = self;
        Means {
            store: store.clone(),
            environment: environment.clone(),
            settings: settings.clone(),
            signals: signals.clone(),
            wakes: *wakes,
        }
    }

    /// Has these do something, each as long as it takes; the others wait for a moment.
    async fn each(&mut self, seats: &[usize], work: impl Fn(Member) -> Work) {
        self.crew.start(seats, work);
        let runtime = &*self.environment.runtime;
        self.crew.settle(runtime, seats, self.settings.moment()).await;
    }

    async fn keep_leases(&mut self, means: &Arc<Means>) {
        let seats = self.crew.seats().into_iter();
        let is_due = |seat: &usize| self.crew.get(*seat).is_some_and(|it| it.is_due(means));
        let due: Vec<_> = seats.filter(is_due).collect();
        self.each(&due, |mut member| {
            let means = means.clone();
            Box::pin(async move {
                member.keep_lease(&means).await;
                member
            })
        })
        .await;
    }

    fn checkpoint(&self, seat: usize) -> Option<&Checkpoint> {
        self.crew.get(seat).and_then(Member::checkpoint)
    }

    fn position(&self, seat: usize) -> Option<Position> {
        self.checkpoint(seat).map(|checkpoint| checkpoint.position)
    }

    /// The checkpoint that is furthest behind, of those behind `floor`.
    fn hindmost(&self, pending: &[usize], floor: Option<Position>) -> Option<Checkpoint> {
        let all = pending.iter().filter_map(|seat| self.checkpoint(*seat));
        let all = all.filter(|it| floor.is_none_or(|floor| it.position > floor));
        all.reduce(|low, it| if it.position < low.position { it } else { low }).cloned()
    }

    /// Takes one page for the members that stand `here`, at most up to where others stand.
    async fn step(
        &mut self,
        means: &Arc<Means>,
        group: &[usize],
        here: &Checkpoint,
        next: Option<&Checkpoint>,
    ) -> Step {
        let Settings { limit, .. } = self.settings;
        let limit = limit.page(1);
        let selections =
            group.iter().filter_map(|seat| Some(self.crew.get(*seat)?.definition.selection()));
        let read = ReadLog::after(here.position).filter(union(selections)).limit(limit);
        let page = match self.ahead.take_if(|(asked, _)| *asked == read) {
            Some((_, page)) => Ok(page),
            None => self.crew.beside(means.store.read_log(&read)).await,
        };
        self.signals.answered();
        let mut page = match page {
            Ok(page) => page,
            Err(error) => {
                self.each(group, |mut member| {
                    let (means, error) = (means.clone(), error.clone());
                    Box::pin(async move {
                        member.halt(&means, error.into()).await;
                        member
                    })
                })
                .await;
                return Step { is_at_end: true, is_joining: false };
            }
        };
        let bound = next.filter(|next| page.next >= next.position);
        if let Some(bound) = bound {
            page.events.retain(|event| event.position <= bound.position);
        }
        let to = bound.cloned().unwrap_or_else(|| here.after(&page));
        let is_last = page.at_end && bound.is_none();
        let part = Arc::new((page.events, to));
        self.crew.start(group, |mut member| {
            let (means, part) = (means.clone(), part.clone());
            Box::pin(async move {
                let (events, to) = &*part;
                member.is_done = member.take(&means, events, to, is_last).await;
                member
            })
        });
        let is_ahead = next.is_none() && !page.at_end;
        let more = ReadLog { after: page.next, ..read };
        let reading = async {
            // one that fails is tried again when it is needed
            if is_ahead { means.store.read_log(&more).await.ok() } else { None }
        };
        let ahead = self.crew.beside(reading).await;
        let runtime = &*self.environment.runtime;
        self.crew.settle(runtime, group, self.settings.moment()).await;
        // who is not done yet is waited for elsewhere
        let mut done = group.iter().filter_map(|seat| self.crew.get(*seat));
        let is_all_taken = done.all(|member| member.is_done);
        if let Some(page) = ahead {
            self.ahead = Some((more, page));
        }
        let is_joining = bound.is_some();
        Step { is_at_end: is_all_taken && (page.at_end || is_joining), is_joining }
    }

    /// Waits until there may be something to do.
    pub(super) async fn rest(&mut self) {
        let here = self.hindmost(&self.crew.seats(), None);
        let runtime = self.environment.runtime.clone();
        let latest = runtime.now() + self.settings.time_to_live / 3;
        let until = self.crew.members().filter_map(Member::next_attempt).min();
        let until = until.unwrap_or(latest).min(latest);
        let timer = runtime.sleep_until(until);
        let called = std::pin::pin!(self.signals.called());
        let more = std::pin::pin!(async {
            match here {
                // reading tells the projections of a log that is another one
                Some(here) => match self.store.wait_past(here.position).await {
                    Err(error) => error.kind() == StoreErrorKind::Diverged,
                    Ok(()) => true,
                },
                None => false,
            }
        });
        // another wait that fails is followed by the timer, not by a hot loop
        let more = std::pin::pin!(async {
            if !more.await {
                std::future::pending::<()>().await;
            }
        });
        let awaited = select(select(more, called), timer).map(drop);
        let back = std::pin::pin!(self.crew.next());
        select(awaited, back).await;
    }
}

/// What the parts of a runner work with.
pub(crate) struct Means {
    pub(crate) store: Store,
    pub(crate) environment: Environment,
    pub(crate) settings: Settings,
    pub(crate) signals: Arc<Signals>,
    /// How often it was asked to look at once.
    pub(super) wakes: u64,
}

impl Means {
    pub(crate) fn now(&self) -> Instant {
        self.environment.runtime.now()
    }

    pub(crate) fn after(&self, delay: Duration) -> Instant {
        self.environment.runtime.after(delay)
    }

    pub(crate) fn since(&self, then: Instant) -> Duration {
        self.environment.runtime.since(then)
    }
}

/// What one page came to.
struct Step {
    /// True if nothing was left for these members but to wait.
    is_at_end: bool,
    /// True if they were brought to where others stand.
    is_joining: bool,
}

/// Everything that one of the selections wants, and perhaps more.
fn union<'a>(selections: impl Iterator<Item = &'a EventFilter>) -> EventFilter {
    let mut union: Option<EventFilter> = None;
    for selection in selections {
        match &mut union {
            None => union = Some(selection.clone()),
            Some(union) => {
                // an empty set means all
                if union.aggregate_types.is_empty() || selection.aggregate_types.is_empty() {
                    union.aggregate_types.clear();
                } else {
                    union.aggregate_types.extend(selection.aggregate_types.iter().cloned());
                }
                if union.id_prefix != selection.id_prefix {
                    union.id_prefix = None;
                }
                if union.event_types.is_empty() || selection.event_types.is_empty() {
                    union.event_types.clear();
                } else {
                    union.event_types.extend(selection.event_types.iter().cloned());
                }
            }
        }
    }
    union.unwrap_or_default()
}
