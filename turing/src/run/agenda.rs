//! What is to be done next: which posting stands where, and which waits until when.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use es_core::event::{EventId, Timestamp};
use turing_domain::{Attempt, ConversationId, PostingId, Step};

/// Waves go by execution order, then by conversation.
type WaveKey = (i32, ConversationId);

/// How many postings may be attempted at a conversation now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// As many as there are.
    Wide,
    /// One, to see whether the actor is well again.
    One,
    /// None before this instant.
    Shut {
        /// When the gate opens.
        until: Instant,
    },
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

/// Postings that stand at the same conversation, to be executed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Wave {
    /// The conversation.
    pub conversation: ConversationId,
    /// The postings: those first that were attempted there least often, then in the order of their
    /// ids.
    pub tasks: Vec<Task>,
}

/// The open positions of all postings of a run, ready or waiting for their time.
///
/// Who was attempted least often comes first, so that an actor that refuses whoever asks it uses up
/// the repeats of none while others have all of theirs.
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
    /// Replaces everything that the agenda knows of a posting by the steps that it is ready for.
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
                None => {
                    self.ready.entry(wave).or_default().insert(turn_of(&task), task);
                }
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
        let mut taken = Vec::new();
        for Standing { wave, retries, wait } in self.standing.get(&posting).into_iter().flatten() {
            if let Some(Wait { until, .. }) = wait {
                let waiting = self.waiting.remove(&(*until, posting, wave.1));
                taken.extend(waiting.map(|(_, task)| task));
            }
            // a position that became due stands among the ready ones
            if let Some(tasks) = self.ready.get_mut(wave) {
                taken.extend(tasks.remove(&(*retries, posting)));
                if tasks.is_empty() {
                    self.ready.remove(wave);
                }
            }
        }
        taken
    }

    /// True while something of a posting is in progress, or it stands apart: what it stands at is neither
    /// ready nor waiting.
    pub(super) fn is_taken(&self, posting: PostingId) -> bool {
        self.standing.get(&posting).into_iter().flatten().any(|standing| {
            let Standing { wave, retries, wait } = standing;
            let is_ready = self.ready.get(wave);
            let is_ready = is_ready.is_some_and(|tasks| tasks.contains_key(&(*retries, posting)));
            let waits = wait.is_some_and(|Wait { until, .. }| {
                self.waiting.contains_key(&(until, posting, wave.1))
            });
            !is_ready && !waits
        })
    }

    /// Makes ready what is due at `now`.
    pub fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let (wave, task) = entry.remove();
            self.ready.entry(wave).or_default().insert(turn_of(&task), task);
        }
    }

    /// Takes the next wave: all postings that are ready at the conversation that comes first among
    /// those that `gate` lets through.
    pub fn next_wave(&mut self, gate: impl Fn(ConversationId) -> Gate) -> Option<Wave> {
        let (key, gate) = self
            .ready
            .keys()
            .map(|key| (*key, gate(key.1)))
            .find(|(_, gate)| !matches!(gate, Gate::Shut { .. }))?;
        let mut tasks = self.ready.remove(&key)?;
        if gate == Gate::One {
            // all but the first stay where they are
            if let Some(second) = tasks.keys().nth(1).copied() {
                let rest = tasks.split_off(&second);
                self.ready.insert(key, rest);
            }
        }
        Some(Wave { conversation: key.1, tasks: tasks.into_values().collect() })
    }

    /// Puts back what was taken and not begun.
    pub fn put_back(&mut self, conversation: ConversationId, tasks: Vec<Task>) {
        for task in tasks {
            let standing = self.standing.get(&task.posting).into_iter().flatten();
            let wave = standing.map(|standing| standing.wave).find(|wave| wave.1 == conversation);
            if let Some(wave) = wave {
                self.ready.entry(wave).or_default().insert(turn_of(&task), task);
            }
        }
    }

    /// When the first of the shut gates opens before which postings are ready.
    pub fn next_opening(&self, gate: impl Fn(ConversationId) -> Gate) -> Option<Instant> {
        let openings = self.ready.keys().filter_map(|key| match gate(key.1) {
            Gate::Shut { until } => Some(until),
            Gate::Wide | Gate::One => None,
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
mod tests;
