//! A log, what a store keeps of a reaction, and who works with the window between them; it asserts
//! what must hold at each step.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::envelope::{EventId, RecordedEvent};
use crate::environment::{Runtime, SystemRuntime};
use crate::position::Position;
use crate::projection::{Checkpoint, FailurePolicy, Parked, ParkedState};
use crate::retry::Retry;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

use super::super::ReactionPolicy;
use super::{AfterFailure, Attempt, Commit, Due, Given, Window};

mod checks;
mod ends;
mod kept;

use kept::{Kept, at};
pub(super) use kept::{log_of, place};

/// What may happen.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// So many events are read.
    Read(usize),
    /// So many calls are begun.
    Start(usize),
    /// One of the calls ends, well or not.
    End(usize, bool),
    /// So many milliseconds pass.
    Wait(u64),
    /// A commit begins, or the one that began arrives.
    Commit,
    /// The lease is renewed.
    Renew,
    /// What waits first in a stream is looked up, or what was found is taken back.
    List,
    /// Somebody asks for another attempt.
    Retry(usize),
    /// Somebody discards what waits, whatever is done about it at the time.
    Discard(usize),
    /// The log loses an event that is parked.
    Forget(usize),
    /// The store cannot say any more what is parked, or it can again.
    Away(bool),
    /// The runner ends in good order, and another one goes on.
    Stop,
    /// The lease is lost; a commit that is under way arrives, or does not.
    Lose(bool),
    /// Word of a call that there is not.
    Stray,
}

/// What happened since the window began.
struct Seen {
    began: Position,
    /// How much of the log was read.
    read: usize,
    reached: Checkpoint,
    calls: Vec<Attempt>,
    answered: HashSet<u64>,
    retry_at: HashMap<u64, Instant>,
    /// How often an event was given since it was read or taken back, and before it was parked.
    tries: HashMap<u64, (u32, u32)>,
    /// The last event of a stream that was given.
    last: HashMap<StreamId, u64>,
    /// What was parked before its time.
    aside: HashSet<u64>,
    /// The runner is being stopped.
    is_ending: bool,
    parked: HashSet<StreamId>,
    /// The parked event of a stream that is to be given.
    taken_back: HashMap<StreamId, u64>,
    commit: Option<Commit>,
    commits: usize,
    listed: Option<(Due, usize, Option<Parked>)>,
}

impl Seen {
    fn new(log: &[RecordedEvent], kept: &Kept) -> Self {
        let began = kept.checkpoint.position;
        Self {
            began,
            read: log.iter().filter(|event| event.position <= began).count(),
            reached: kept.checkpoint.clone(),
            calls: Vec::new(),
            answered: HashSet::new(),
            retry_at: HashMap::new(),
            tries: HashMap::new(),
            last: HashMap::new(),
            aside: HashSet::new(),
            is_ending: false,
            parked: kept.first().into_keys().collect(),
            taken_back: HashMap::new(),
            commit: None,
            commits: 0,
            listed: None,
        }
    }
}

pub(super) struct World {
    policy: ReactionPolicy,
    log: Vec<RecordedEvent>,
    now: Instant,
    kept: Kept,
    /// What was answered since ever.
    ever: HashSet<u64>,
    /// What the log does not hold any more.
    lost: HashSet<u64>,
    window: Window,
    seen: Seen,
    /// Nobody can say what is parked.
    is_away: bool,
}

impl World {
    pub(super) fn new(streams: &[usize], concurrency: usize, retries: u32, ahead: usize) -> Self {
        let (base, longest) = (Duration::from_millis(10), Duration::from_millis(40));
        let failure = FailurePolicy::park_key().after(Retry { retries, base, longest });
        let policy = ReactionPolicy::default().concurrency(concurrency).ahead(ahead);
        let policy = policy.on_failure(failure);
        let kept = Kept { checkpoint: Checkpoint::START, parked: BTreeMap::new() };
        let log = log_of(streams);
        Self {
            policy,
            now: SystemRuntime.now(),
            ever: HashSet::new(),
            lost: HashSet::new(),
            window: Window::new(policy, Checkpoint::START, []),
            seen: Seen::new(&log, &kept),
            kept,
            log,
            is_away: false,
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Read(count) => self.read(count),
            Step::Start(count) => self.start(count),
            Step::End(which, is_well) => self.end(which, is_well),
            Step::Wait(millis) => self.now += Duration::from_millis(millis),
            Step::Commit if self.seen.commit.is_some() => self.finish_commit(),
            Step::Commit => {
                self.begin_commit();
            }
            Step::Renew => self.renew(),
            Step::List if self.seen.listed.is_some() => self.take_back(),
            Step::List => self.list(),
            Step::Retry(which) => self.ask_for_retry(which),
            Step::Discard(which) => self.discard(which),
            Step::Forget(which) => {
                let place = self.waiting(which);
                self.lost.extend(place);
            }
            Step::Away(is_away) => self.is_away = is_away,
            Step::Stop => self.stop(),
            Step::Lose(arrives) => self.lose(arrives),
            Step::Stray => self.stray(),
        }
        self.check();
    }

    fn read(&mut self, count: usize) {
        let Some(room) = self.window.room() else { return };
        let rest = &self.log[self.seen.read..];
        let events = rest[..count.min(room.events).min(rest.len())].to_vec();
        let Some(last) = events.last() else { return };
        // what follows was looked at and is not selected
        let position = Position::from_sequence(place(last) + 5);
        let to = Checkpoint { position, event: Some(last.into()) };
        self.seen.read += events.len();
        self.seen.reached = to.clone();
        self.window.push(events, to);
        self.set_aside();
    }

    /// Notes what the window has set aside: what waits for its next attempt and keeps all else from
    /// being read.
    fn set_aside(&mut self) {
        while self.window.room().is_none() {
            let Some(lowest) = self.open().next() else { return };
            let (place, stream) = (place(lowest), lowest.stream.clone());
            if self.seen.retry_at.remove(&place).is_none() {
                return;
            }
            self.seen.aside.insert(place);
            self.seen.parked.insert(stream);
        }
    }

    fn start(&mut self, count: usize) {
        for _ in 0..count {
            let Some(attempt) = self.window.next(self.now) else {
                return self.check_rest();
            };
            if self.is_to_be_given(&attempt) {
                self.check_start(&attempt);
                self.seen.calls.push(attempt);
            }
        }
    }

    /// Asks, as a worker does just before a call, whether what is parked waits still, and whether the log
    /// holds it.
    fn is_to_be_given(&mut self, attempt: &Attempt) -> bool {
        let Given::Parked(entry) = &attempt.given else { return true };
        let (place, id) = (at(entry), entry.event.event_id);
        let asked_at = self.seen.retry_at.remove(&place);
        assert!(asked_at.is_none_or(|at| at <= self.now), "{place}: early");
        let first = self.kept.waiting().find(|it| it.key == entry.key);
        let waits = first.is_some_and(|first| first.id() == entry.id());
        if self.is_away {
            let later = self.now + Duration::from_millis(5);
            assert!(self.window.put_back(id, later));
            self.seen.retry_at.insert(place, later);
        } else if !waits {
            assert!(self.kept.is_discarded(place), "{place} is given, which is not parked");
            assert!(self.window.not_given(id));
            self.let_go(place);
        } else if self.lost.contains(&place) {
            assert!(self.window.lost(id));
            self.seen.tries.entry(place).or_default().0 += 1;
            self.seen.taken_back.remove(&entry.event.stream);
        } else {
            return true;
        }
        false
    }

    /// Forgets what was taken back and does not wait any more.
    fn let_go(&mut self, place: u64) {
        let seen = &mut self.seen;
        seen.taken_back.retain(|_, taken_back| *taken_back != place);
        seen.retry_at.remove(&place);
        seen.answered.remove(&place);
    }

    fn end(&mut self, which: usize, is_well: bool) {
        self.ended(which, is_well);
        self.set_aside();
    }

    fn ended(&mut self, which: usize, is_well: bool) {
        let seen = &mut self.seen;
        if seen.calls.is_empty() {
            return;
        }
        let attempt = seen.calls.swap_remove(which % seen.calls.len());
        let (event, number) = (attempt.of(), attempt.number);
        let place = event.position.to_sequence();
        if is_well {
            assert!(self.window.answered(event.event_id));
            assert!(!self.window.answered(event.event_id), "it has ended");
            seen.answered.insert(place);
            self.ever.insert(place);
            let taken_back = seen.taken_back.remove(&event.stream);
            assert!(taken_back.is_none_or(|taken_back| taken_back == place));
            return;
        }
        let now = self.now;
        let reason = format!("attempt {number}");
        let after = self.window.failed(event.event_id, reason, 0.5, |delay| now + delay);
        let (tries, retry) = (seen.tries[&place].0, self.policy.failure.retry);
        if tries <= retry.retries {
            let at = now + retry.delay(tries, 0.5);
            assert_eq!(after, Some(AfterFailure::Again(at)));
            seen.retry_at.insert(place, at);
        } else {
            assert_eq!(after, Some(AfterFailure::Park));
            seen.taken_back.remove(&event.stream);
            seen.parked.insert(event.stream);
        }
    }

    /// True if there was something to commit.
    fn begin_commit(&mut self) -> bool {
        let is_wanted = self.window.wants_commit();
        let Some(commit) = self.window.commit(Timestamp::EPOCH) else {
            assert!(!is_wanted);
            return false;
        };
        self.check_commit(&commit);
        self.seen.commits += 1;
        self.seen.commit = Some(commit);
        true
    }

    fn finish_commit(&mut self) {
        let Some(commit) = self.seen.commit.take() else { return };
        let gone = self.kept.gone(&commit);
        if gone.is_empty() {
            self.kept.commit(&commit);
            self.window.committed(commit);
            return;
        }
        assert!(self.window.refused(commit, &gone));
        gone.iter().for_each(|id| self.let_go(id.position.to_sequence()));
    }

    fn renew(&mut self) {
        let first = self.kept.first().into_iter();
        let due = first.filter(|(_, entry)| entry.state == ParkedState::Waiting { is_due: true });
        self.window.renewed(due.map(|(stream, _)| stream));
    }

    fn list(&mut self) {
        let Some(due) = self.window.due() else { return };
        assert!(self.seen.parked.contains(&due.stream));
        let first = self.kept.first().remove(&due.stream);
        self.seen.listed = Some((due, self.seen.commits, first));
    }

    fn take_back(&mut self) {
        let seen = &mut self.seen;
        let Some((due, commits, first)) = seen.listed.take() else { return };
        let is_new = seen.commit.is_none() && commits == seen.commits;
        assert_eq!(self.window.take_back(&due, first.clone()), is_new);
        if !is_new {
            return;
        }
        let Some(entry) = first else {
            seen.parked.remove(&due.stream);
            return;
        };
        let place = at(&entry);
        if entry.state == (ParkedState::Waiting { is_due: true }) {
            seen.tries.insert(place, (0, entry.attempts));
            seen.aside.remove(&place);
            assert_eq!(seen.taken_back.insert(due.stream, place), None);
        }
        self.set_aside();
    }

    fn ask_for_retry(&mut self, which: usize) {
        let first = self.kept.first();
        let Some(entry) = first.values().nth(which % first.len().max(1)) else { return };
        let place = entry.event.position.to_sequence();
        self.kept.parked.get_mut(&place).unwrap().state = ParkedState::Waiting { is_due: true };
    }

    fn discard(&mut self, which: usize) {
        if let Some(place) = self.waiting(which) {
            self.kept.discard(place);
        }
    }

    /// The place of one of all that waits.
    fn waiting(&self, which: usize) -> Option<u64> {
        let waiting: Vec<_> = self.kept.waiting().map(at).collect();
        waiting.get(which % waiting.len().max(1)).copied()
    }

    fn stray(&mut self) {
        let id = EventId::from_uuid(uuid::Uuid::from_u128(1));
        assert!(!self.window.answered(id) && !self.window.not_given(id));
        assert!(!self.window.put_back(id, self.now) && !self.window.lost(id));
        let after = self.window.failed(id, String::new(), 0.0, |_| unreachable!("no call"));
        assert_eq!(after, None);
    }
}
