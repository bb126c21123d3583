//! What is to be done next: which posting stands where, and which waits until when.

mod pools;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use es_core::event::{EventId, Timestamp};
use turing_domain::{Attempt, ConversationId, PostingId, Step, Workflow};

use pools::Pools;

/// Conversations go by execution order, then by id.
type WaveKey = (i32, ConversationId);

/// How many postings may be attempted at a conversation now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// As many as there are.
    Wide,
    /// One, to see whether the actor is well again.
    One,
    /// None before something else has happened: an attempt in progress has ended, or somebody has ended a
    /// pause.
    Full,
    /// None before this instant.
    Shut {
        /// When the gate opens.
        until: Instant,
    },
}

impl Gate {
    /// What both let through.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Full, _) | (_, Self::Full) => Self::Full,
            (Self::Shut { until }, Self::Shut { until: later }) => {
                Self::Shut { until: until.max(later) }
            }
            (shut @ Self::Shut { .. }, _) | (_, shut @ Self::Shut { .. }) => shut,
            (Self::One, _) | (_, Self::One) => Self::One,
            (Self::Wide, Self::Wide) => Self::Wide,
        }
    }
}

/// Something that can be executed for one posting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// The posting.
    pub posting: PostingId,
    /// What is to be attempted.
    pub attempt: Attempt,
    /// The event that opened the position.
    pub cause: Option<EventId>,
}

/// What is begun next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// The attempt.
    pub task: Task,
    /// How many may be made at its conversation as things stand, this one among them.
    pub standing: usize,
}

/// The open positions of all postings of a run: ready, waiting for their time, or held while another
/// position of the posting is attempted.
///
/// Order is a preference: whatever is ready and let through can be begun. First come the conversations
/// that go on, then those of the lowest execution order. At each of them comes first who was attempted
/// there least often, so that an actor that refuses whoever asks it uses up the repeats of none while
/// others have all of theirs. Of the models of one endpoint the one that was asked last comes first; see
/// [`Agenda::of`].
///
/// A posting makes one attempt after the other, at the first of its positions that it can go on at: its
/// events are one stream, and what they say does not depend on how many attempts are made side by side.
///
/// When a wait is over is settled once, when it is first met: by a clock that nobody sets.
///
/// It holds ids only, so that its memory grows with the number of open positions and not with what
/// postings contain.
#[derive(Debug, Default)]
pub struct Agenda {
    ready: BTreeMap<WaveKey, BTreeMap<Turn, Task>>,
    waiting: BTreeMap<(Instant, PostingId, ConversationId), (WaveKey, Task)>,
    standing: HashMap<PostingId, Vec<Standing>>,
    /// The postings of which an attempt is in progress, and what else is ready for them.
    busy: HashMap<PostingId, Vec<(WaveKey, Task)>>,
    pools: Pools,
}

/// By how many attempts have failed, then by posting.
type Turn = (u32, PostingId);

fn turn_of(task: &Task) -> Turn {
    (task.attempt.retries, task.posting)
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    wave: WaveKey,
    retries: u32,
    wait: Option<Wait>,
}

/// A wait before an attempt, from when it was first met.
#[derive(Debug, Clone, Copy)]
struct Wait {
    due_at: Timestamp,
    until: Instant,
}

impl Agenda {
    /// An empty one, which prefers of the models of one endpoint the one that was asked last, until
    /// nothing is ready for it or another one has waited for five minutes.
    pub fn of(workflow: &Workflow) -> Self {
        Self { pools: Pools::of(workflow), ..Self::default() }
    }

    /// Replaces everything that the agenda knows of a posting by the steps that it is ready for. No
    /// attempt of it is in progress any more.
    ///
    /// `until` answers when a wait is over that is met now; one that was met before goes on.
    /// `cause` answers which event opened a conversation, if it was opened just now; for positions
    /// that were open before, the known cause is kept.
    pub fn place(
        &mut self,
        posting: PostingId,
        steps: &[Step<'_>],
        until: impl Fn(Timestamp) -> Instant,
        cause: impl Fn(ConversationId) -> Option<EventId>,
    ) {
        let known = self.set_aside(posting);
        let stood = self.standing.remove(&posting).unwrap_or_default();
        let known = |attempt: Attempt| {
            known.iter().find(|task| task.attempt == attempt).and_then(|task| task.cause)
        };
        let mut standing = Vec::with_capacity(steps.len());
        for step in steps {
            let conversation = step.conversation.id;
            let wave = (step.conversation.execution_order, conversation);
            let cause = cause(conversation).or_else(|| known(step.attempt));
            let task = Task { posting, attempt: step.attempt, cause };
            let retries = step.attempt.retries;
            let wait = step.due_at.map(|due_at| {
                let same = |it: &&Standing| (it.wave, it.retries) == (wave, retries);
                let before = stood.iter().find(same).and_then(|it| it.wait);
                before
                    .filter(|it| it.due_at == due_at)
                    .unwrap_or_else(|| Wait { due_at, until: until(due_at) })
            });
            match wait {
                Some(Wait { until, .. }) => {
                    self.waiting.insert((until, posting, conversation), (wave, task));
                }
                None => self.make_ready(wave, task),
            }
            standing.push(Standing { wave, retries, wait });
        }
        if !standing.is_empty() {
            self.standing.insert(posting, standing);
        }
    }

    /// Forgets a posting.
    pub(super) fn remove(&mut self, posting: PostingId) {
        self.set_aside(posting);
        self.standing.remove(&posting);
    }

    /// Takes a posting out of what is to be done, until it is placed again, and answers what was to
    /// be done for it. Its waits go on.
    pub(super) fn set_aside(&mut self, posting: PostingId) -> Vec<Task> {
        let held = self.busy.remove(&posting).into_iter().flatten();
        let mut taken: Vec<_> = held.map(|(_, task)| task).collect();
        for Standing { wave, wait, .. } in self.standing.get(&posting).into_iter().flatten() {
            if let Some(Wait { until, .. }) = wait {
                let waiting = self.waiting.remove(&(*until, posting, wave.1));
                taken.extend(waiting.map(|(_, task)| task));
            }
        }
        // a position that became due stands among the ready ones
        taken.extend(self.take_ready(posting).into_iter().map(|(_, task)| task));
        taken
    }

    /// Takes all positions of a posting that are ready.
    fn take_ready(&mut self, posting: PostingId) -> Vec<(WaveKey, Task)> {
        let mut taken = Vec::new();
        for Standing { wave, retries, .. } in self.standing.get(&posting).into_iter().flatten() {
            if let Some(tasks) = self.ready.get_mut(wave) {
                taken.extend(tasks.remove(&(*retries, posting)).map(|task| (*wave, task)));
                if tasks.is_empty() {
                    self.ready.remove(wave);
                }
            }
        }
        taken
    }

    /// Makes a position ready, or holds it while another one of the posting is attempted.
    fn make_ready(&mut self, wave: WaveKey, task: Task) {
        match self.busy.get_mut(&task.posting) {
            Some(held) => held.push((wave, task)),
            None => {
                self.ready.entry(wave).or_default().insert(turn_of(&task), task);
            }
        }
    }

    /// Whether an attempt of a posting is in progress.
    pub fn is_busy(&self, posting: PostingId) -> bool {
        self.busy.contains_key(&posting)
    }

    /// Makes ready what is due at `now`.
    pub fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let (wave, task) = entry.remove();
            self.make_ready(wave, task);
        }
    }

    /// Takes what is begun next, if anything is ready that `gate` lets through. Conversations that
    /// `goes_on` names come before others. Until the posting is placed again, or this is put back,
    /// nothing else of it is begun.
    pub fn next(
        &mut self,
        now: Instant,
        gate: impl Fn(ConversationId) -> Gate,
        goes_on: impl Fn(ConversationId) -> bool,
    ) -> Option<Chosen> {
        let gates = self.ready.keys().map(|key| (*key, gate(key.1)));
        let open: Vec<_> =
            gates.filter(|(_, gate)| matches!(gate, Gate::Wide | Gate::One)).collect();
        self.pools.look(now, open.iter().map(|(key, _)| key.1));
        let mut preferred = open.iter().filter(|(key, _)| self.pools.prefers(key.1));
        let (mut key, mut gate) = preferred
            .clone()
            .find(|(key, _)| goes_on(key.1))
            .or_else(|| preferred.next())
            .copied()?;
        // a posting goes on at the first of its positions that it can go on at
        while let Some(first) = self.ready.get(&key).and_then(|tasks| tasks.values().next())
            && let Some(earlier) = open
                .iter()
                .find(|(other, _)| *other < key && self.stands_ready(first.posting, *other))
        {
            (key, gate) = *earlier;
        }
        let tasks = self.ready.get_mut(&key)?;
        let standing = if gate == Gate::One { 1 } else { tasks.len() };
        let (_, task) = tasks.pop_first()?;
        if tasks.is_empty() {
            self.ready.remove(&key);
        }
        self.pools.ask(key.1);
        let held = self.take_ready(task.posting);
        self.busy.insert(task.posting, held);
        Some(Chosen { task, standing })
    }

    /// Whether a posting is ready at a conversation.
    fn stands_ready(&self, posting: PostingId, wave: WaveKey) -> bool {
        let mut standing = self.standing.get(&posting).into_iter().flatten();
        let turn = standing.find(|it| it.wave == wave).map(|it| (it.retries, posting));
        let tasks = self.ready.get(&wave);
        turn.zip(tasks).is_some_and(|(turn, tasks)| tasks.contains_key(&turn))
    }

    /// Puts back what was taken and not begun.
    pub fn put_back(&mut self, task: Task) {
        // a posting that was placed since stands where it stands
        let Some(held) = self.busy.remove(&task.posting) else { return };
        let standing = self.standing.get(&task.posting).into_iter().flatten();
        let mut waves = standing.map(|standing| standing.wave);
        let wave = waves.find(|wave| wave.1 == task.attempt.conversation_id);
        for (wave, task) in held.into_iter().chain(wave.map(|wave| (wave, task))) {
            self.make_ready(wave, task);
        }
    }

    /// When the first of the shut gates opens before which postings are ready.
    pub fn next_opening(&self, gate: impl Fn(ConversationId) -> Gate) -> Option<Instant> {
        let openings = self.ready.keys().filter_map(|key| match gate(key.1) {
            Gate::Shut { until } => Some(until),
            Gate::Wide | Gate::One | Gate::Full => None,
        });
        openings.min()
    }

    /// How many positions are ready, whether their gate is open or not.
    pub fn ready(&self) -> usize {
        self.ready.values().map(BTreeMap::len).sum()
    }

    /// When the next waiting position is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(until, ..)| *until)
    }

    /// How many postings are ready at a conversation.
    pub fn at(&self, conversation: ConversationId) -> usize {
        let waves = self.ready.iter().filter(|(key, _)| key.1 == conversation);
        waves.map(|(_, tasks)| tasks.len()).sum()
    }

    /// How many positions wait for their time.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
