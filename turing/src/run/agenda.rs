//! What is to be done next: which posting stands where, and which waits until when.

use std::collections::{BTreeMap, HashMap};

use es_core::{EventId, Timestamp};
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
        until: Timestamp,
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
    /// The postings in the order of their ids.
    pub tasks: Vec<Task>,
}

/// The open positions of all postings of a run, ready or waiting for their time.
///
/// It holds ids only, so that its memory grows with the number of open positions and not with what
/// postings contain.
#[derive(Debug, Default)]
pub struct Agenda {
    ready: BTreeMap<WaveKey, BTreeMap<PostingId, Task>>,
    waiting: BTreeMap<(Timestamp, PostingId, ConversationId), (WaveKey, Task)>,
    standing: HashMap<PostingId, Vec<Standing>>,
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    wave: WaveKey,
    due_at: Option<Timestamp>,
}

impl Agenda {
    /// Replaces everything that the agenda knows of a posting by the steps that it is ready for.
    ///
    /// `cause` answers which event opened a conversation, if it was opened just now; for positions
    /// that were open before, the known cause is kept.
    pub fn place(
        &mut self,
        posting: PostingId,
        steps: &[Step<'_>],
        cause: impl Fn(ConversationId) -> Option<EventId>,
    ) {
        let known = self.remove(posting);
        let known = |attempt: Attempt| {
            known.iter().find(|task| task.attempt == attempt).and_then(|task| task.cause)
        };
        let mut standing = Vec::with_capacity(steps.len());
        for step in steps {
            let conversation = step.conversation.id;
            let wave = (step.conversation.execution_order, conversation);
            let cause = cause(conversation).or_else(|| known(step.attempt));
            let task = Task { posting, attempt: step.attempt, cause };
            match step.due_at {
                Some(due_at) => {
                    self.waiting.insert((due_at, posting, conversation), (wave, task));
                }
                None => {
                    self.ready.entry(wave).or_default().insert(posting, task);
                }
            }
            standing.push(Standing { wave, due_at: step.due_at });
        }
        if !standing.is_empty() {
            self.standing.insert(posting, standing);
        }
    }

    /// Forgets a posting and answers what it stood for.
    pub(super) fn remove(&mut self, posting: PostingId) -> Vec<Task> {
        let mut removed = Vec::new();
        for Standing { wave, due_at } in self.standing.remove(&posting).unwrap_or_default() {
            if let Some(due_at) = due_at {
                removed
                    .extend(self.waiting.remove(&(due_at, posting, wave.1)).map(|(_, task)| task));
            }
            // a position that became due stands among the ready ones
            if let Some(tasks) = self.ready.get_mut(&wave) {
                removed.extend(tasks.remove(&posting));
                if tasks.is_empty() {
                    self.ready.remove(&wave);
                }
            }
        }
        removed
    }

    /// Makes ready what is due at `now`.
    pub fn wake(&mut self, now: Timestamp) {
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let (wave, task) = entry.remove();
            self.ready.entry(wave).or_default().insert(task.posting, task);
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
                self.ready.entry(wave).or_default().insert(task.posting, task);
            }
        }
    }

    /// When the first of the shut gates opens before which postings are ready.
    pub fn next_opening(&self, gate: impl Fn(ConversationId) -> Gate) -> Option<Timestamp> {
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
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.keys().next().map(|(due_at, ..)| *due_at)
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
mod tests {
    use turing_domain::{Conversation, RunId, Workflow};

    use super::*;

    fn workflow() -> Workflow {
        toml::from_str(
            r#"
            [workflow]
            id = 1
            name = "w"
            entry = 20
            [[actors]]
            id = 1
            name = "a"
            type = "script"
            command = ["./a"]
            [[conversations]]
            id = 20
            name = "second"
            actor = 1
            execution_order = 2
            [[conversations]]
            id = 10
            name = "third"
            actor = 1
            execution_order = 2
            [[conversations]]
            id = 30
            name = "first"
            actor = 1
            execution_order = 1
            "#,
        )
        .unwrap()
    }

    fn attempt(conversation_id: ConversationId) -> Attempt {
        let run_id = "0193a1d4-0000-7000-8000-000000000001".parse::<RunId>().unwrap();
        Attempt { run_id, conversation_id, execution: 1, retries: 0 }
    }

    fn steps(workflow: &Workflow, at: &[(i32, Option<i64>)]) -> Vec<(usize, Option<Timestamp>)> {
        let index = |id| workflow.conversations.iter().position(|c| c.id.0 == id).unwrap();
        at.iter().map(|(id, due)| (index(*id), due.map(Timestamp::from_micros))).collect()
    }

    fn place(agenda: &mut Agenda, posting: i32, at: &[(i32, Option<i64>)]) {
        let workflow = workflow();
        let steps: Vec<_> = steps(&workflow, at)
            .into_iter()
            .map(|(index, due_at)| {
                let conversation = &workflow.conversations[index];
                Step { conversation, attempt: attempt(conversation.id), due_at }
            })
            .collect();
        agenda.place(PostingId(posting), &steps, |_| None);
    }

    fn next(agenda: &mut Agenda) -> Option<(i32, Vec<i32>)> {
        let wave = agenda.next_wave(|_| Gate::Wide)?;
        Some((wave.conversation.0, wave.tasks.iter().map(|task| task.posting.0).collect()))
    }

    #[test]
    fn waves_go_by_execution_order_then_conversation_and_gather_all_postings() {
        let mut agenda = Agenda::default();
        place(&mut agenda, 2, &[(20, None), (30, None)]);
        place(&mut agenda, 1, &[(20, None), (10, None)]);
        assert_eq!(next(&mut agenda), Some((30, vec![2])));
        assert_eq!(next(&mut agenda), Some((10, vec![1])));
        assert_eq!(next(&mut agenda), Some((20, vec![1, 2])));
        assert_eq!(next(&mut agenda), None);
    }

    #[test]
    fn a_posting_that_moved_on_stands_nowhere_else() {
        let mut agenda = Agenda::default();
        place(&mut agenda, 1, &[(20, None), (30, Some(5))]);
        place(&mut agenda, 1, &[(10, None)]);
        agenda.wake(Timestamp::from_micros(9));
        assert_eq!(next(&mut agenda), Some((10, vec![1])));
        assert_eq!(next(&mut agenda), None);
        place(&mut agenda, 1, &[]);
        assert_eq!((next(&mut agenda), agenda.waiting()), (None, 0));
    }

    #[test]
    fn the_cause_of_a_position_that_stays_open_is_kept() {
        let cause: EventId = "0193a1d4-0000-7000-8000-00000000000a".parse().unwrap();
        let workflow = workflow();
        let step = |index: usize| {
            let conversation: &Conversation = &workflow.conversations[index];
            let attempt = attempt(conversation.id);
            Step { conversation, attempt, due_at: None }
        };
        let mut agenda = Agenda::default();
        agenda.place(PostingId(1), &[step(0), step(2)], |_| Some(cause));
        agenda.place(PostingId(1), &[step(0), step(1)], |_| None);
        let mut causes = Vec::new();
        while let Some(wave) = agenda.next_wave(|_| Gate::Wide) {
            causes.push((wave.conversation.0, wave.tasks[0].cause));
        }
        assert_eq!(causes, [(10, None), (20, Some(cause))]);
    }

    #[test]
    fn a_shut_gate_is_passed_by_and_a_narrow_one_lets_one_through() {
        let mut agenda = Agenda::default();
        for posting in [1, 2, i32::MAX] {
            place(&mut agenda, posting, &[(30, None), (20, None)]);
        }
        let until = Timestamp::from_micros(9);
        let gate = |id: ConversationId| match id.0 {
            30 => Gate::Shut { until },
            _ => Gate::One,
        };
        assert_eq!(agenda.next_opening(gate), Some(until));
        for posting in [1, 2, i32::MAX] {
            let wave = agenda.next_wave(gate).unwrap();
            assert_eq!((wave.conversation.0, wave.tasks.len()), (20, 1));
            assert_eq!(wave.tasks[0].posting.0, posting);
        }
        assert_eq!(agenda.next_wave(gate), None);
        assert_eq!((agenda.ready(), next(&mut agenda)), (3, Some((30, vec![1, 2, i32::MAX]))));
    }

    #[test]
    fn what_is_put_back_is_ready_again() {
        let mut agenda = Agenda::default();
        place(&mut agenda, 1, &[(30, None)]);
        let wave = agenda.next_wave(|_| Gate::Wide).unwrap();
        agenda.put_back(wave.conversation, wave.tasks);
        assert_eq!(next(&mut agenda), Some((30, vec![1])));
    }

    #[test]
    fn what_waits_becomes_ready_when_it_is_due() {
        let mut agenda = Agenda::default();
        place(&mut agenda, 1, &[(30, Some(5))]);
        place(&mut agenda, 2, &[(30, Some(7))]);
        assert_eq!((next(&mut agenda), agenda.next_due()), (None, Some(Timestamp::from_micros(5))));
        agenda.wake(Timestamp::from_micros(5));
        assert_eq!(next(&mut agenda), Some((30, vec![1])));
        agenda.wake(Timestamp::from_micros(8));
        assert_eq!(next(&mut agenda), Some((30, vec![2])));
    }
}
