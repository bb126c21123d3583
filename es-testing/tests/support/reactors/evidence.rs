//! What a campaign of kills over a reaction has left, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

/// What the campaign knows once nobody is at work.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// Behind which place the reaction began, if that is recorded.
    pub(crate) start: Option<u64>,
    pub(crate) checkpoint: u64,
    pub(crate) parked: Vec<Entry>,
    /// What the calls have written outside of the store, by whichever process, in order.
    pub(crate) calls: Vec<Call>,
    /// What the reaction selects, in the order of the log.
    pub(crate) log: Vec<Given>,
}

/// An event that the reaction is given.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) number: u64,
    pub(crate) is_poison: bool,
    /// That of its calls.
    pub(crate) key: String,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} of {} at {}", self.number, self.stream, self.position)
    }
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Begun,
    /// Its effects are done, and it is about to succeed.
    Ended,
}

/// What a call has written about itself.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) mark: Mark,
    pub(crate) key: String,
}

/// A parked event.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) attempts: u32,
    /// False if it was discarded.
    pub(crate) is_waiting: bool,
}

/// By streams, the numbers of the events about which something was recorded, in order.
pub(crate) type Effects = BTreeMap<String, Vec<u64>>;

impl Evidence {
    /// What is wrong, however much is left to be done.
    pub(crate) fn faults(&self) -> Vec<String> {
        let (begun, ended) = (self.first(Mark::Begun), self.first(Mark::Ended));
        let entries = self.entries();
        let mut faults = Vec::new();
        let mut before: HashMap<&str, &Given> = HashMap::new();
        for event in &self.log {
            let (call, end) = (begun.get(&*event.key), ended.get(&*event.key));
            if !self.is_behind_start(event) {
                if call.is_some() {
                    faults.push(format!("{event} was called for, and stands before the start"));
                }
                continue;
            }
            let is_parked = entries.contains_key(&event.position);
            if event.position <= self.checkpoint && end.is_none() && !is_parked {
                faults.push(format!("the checkpoint passed {event} before its call had ended"));
            }
            let previous = before.insert(&event.stream, event);
            if let (Some(call), Some(previous)) = (call, previous) {
                let has_ended = ended.get(&*previous.key).is_some_and(|end| end < call);
                let entry = entries.get(&previous.position);
                if !has_ended && entry.is_none_or(|entry| entry.is_waiting) {
                    faults.push(format!("{event} was called for before {previous} was over"));
                }
            }
        }
        faults
    }

    /// What is wrong where nothing is left to be done that can be done.
    pub(crate) fn faults_at_rest(&self, effects: &Effects) -> Vec<String> {
        let (begun, ended) = (self.first(Mark::Begun), self.first(Mark::Ended));
        let entries = self.entries();
        let mut faults = self.faults();
        let known: HashSet<&str> = self.log.iter().map(|event| &*event.key).collect();
        let strange = begun.keys().chain(ended.keys()).filter(|key| !known.contains(**key));
        faults.extend(strange.map(|key| format!("{key} was called for, and is no event's")));
        let (mut stuck, mut wanted) = (HashSet::new(), Effects::new());
        for event in self.log.iter().filter(|event| self.is_behind_start(event)) {
            let has_ended = ended.contains_key(&*event.key);
            let entry = entries.get(&event.position);
            let is_discarded = entry.is_some_and(|entry| !entry.is_waiting);
            let is_waiting = entry.is_some_and(|entry| entry.is_waiting);
            if event.position > self.checkpoint {
                faults.push(format!("{event} was not reached"));
            }
            // what cannot be done, and all of its stream behind it
            let cannot_be_done = event.is_poison && !has_ended && !is_discarded;
            if cannot_be_done
                && stuck.insert(&*event.stream)
                && entry.is_some_and(|entry| entry.attempts == 0)
            {
                faults.push(format!("{event} is parked, and was not tried"));
            }
            match (stuck.contains(&*event.stream) && !is_discarded, is_waiting) {
                (true, true) => continue,
                (true, false) => faults.push(format!("{event} is to wait, and does not")),
                (false, true) => faults.push(format!("{event} waits for nothing")),
                (false, false) => {}
            }
            if !begun.contains_key(&*event.key) {
                faults.push(format!("{event} was never called for"));
            }
            if has_ended {
                wanted.entry(event.stream.clone()).or_default().push(event.number);
            } else if !is_discarded {
                faults.push(format!("no call for {event} has ended"));
            }
        }
        let streams: BTreeSet<_> = effects.keys().chain(wanted.keys()).collect();
        for stream in streams {
            let (found, wanted) = (effects.get(stream), wanted.get(stream));
            if found != wanted {
                faults.push(format!("{stream} has had the effects {found:?}, not {wanted:?}"));
            }
        }
        faults
    }

    fn is_behind_start(&self, event: &Given) -> bool {
        self.start.is_some_and(|start| event.position > start)
    }

    /// Where each key stands first under this mark.
    fn first(&self, mark: Mark) -> HashMap<&str, usize> {
        let mut first = HashMap::new();
        for (index, call) in self.calls.iter().enumerate() {
            if call.mark == mark {
                first.entry(&*call.key).or_insert(index);
            }
        }
        first
    }

    fn entries(&self) -> HashMap<u64, &Entry> {
        self.parked.iter().map(|entry| (entry.position, entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(stream: &str, number: u64) -> Given {
        let (stream, key) = (stream.to_owned(), format!("key-{number}"));
        Given { position: number, stream, number, is_poison: number == 4, key }
    }

    fn call(mark: Mark, number: u64) -> Call {
        Call { mark, key: format!("key-{number}") }
    }

    fn entry(position: u64, attempts: u32) -> Entry {
        Entry { position, attempts, is_waiting: true }
    }

    /// Number 1 stands before the start, and 5 behind 4, which is poison; 2 was given twice.
    fn sound() -> (Evidence, Effects) {
        use Mark::{Begun, Ended};
        let calls = [(Begun, 2), (Begun, 4), (Begun, 2), (Ended, 2), (Begun, 3), (Ended, 3)];
        let log = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)];
        let evidence = Evidence {
            start: Some(1),
            checkpoint: 5,
            parked: vec![entry(4, 3), entry(5, 0)],
            calls: calls.map(|(mark, number)| call(mark, number)).into(),
            log: log.map(|(stream, number)| given(stream, number)).into(),
        };
        (evidence, [("a".to_owned(), vec![2, 3])].into())
    }

    #[test]
    fn what_is_right_has_no_faults() {
        let (mut evidence, effects) = sound();
        let none: [&str; 0] = [];
        assert_eq!(evidence.faults_at_rest(&effects), none);
        // it goes without 4, and so 5 is given
        evidence.parked = vec![Entry { is_waiting: false, ..entry(4, 3) }];
        evidence.calls.extend([call(Mark::Begun, 5), call(Mark::Ended, 5)]);
        let effects = effects.into_iter().chain([("b".to_owned(), vec![5])]).collect();
        assert_eq!(evidence.faults_at_rest(&effects), none);
    }

    #[test]
    fn a_runner_whose_checkpoint_goes_ahead_is_found() {
        let (mut evidence, _) = sound();
        evidence.calls.pop();
        let fault = "the checkpoint passed number 3 of a at 3 before its call had ended";
        assert_eq!(evidence.faults(), [fault]);
        evidence.checkpoint = 2;
        assert!(evidence.faults().is_empty(), "a call that was cut off is made again");
    }

    #[test]
    fn every_other_fault_is_found() {
        type Bend = fn(&mut Evidence, &mut Effects);
        let bends: [(&str, Bend); 12] = [
            ("3 was never called for", |it, _| it.calls.truncate(4)),
            ("no call for number 3 of a at 3 has ended", |it, _| it.calls.truncate(5)),
            ("3 was called for before number 2 of a at 2 was over", |it, _| it.calls.swap(3, 4)),
            ("1 was called for, and stands", |it, _| it.calls.push(call(Mark::Begun, 1))),
            ("key-9 was called for, and is no", |it, _| it.calls.push(call(Mark::Begun, 9))),
            ("5 was not reached", |it, _| it.checkpoint = 4),
            ("4 is to wait, and does not", |it, _| it.parked.clear()),
            ("5 is to wait, and does not", |it, _| it.parked.truncate(1)),
            ("3 waits for nothing", |it, _| it.parked.push(entry(3, 1))),
            ("4 is parked, and was not tried", |it, _| it.parked[0].attempts = 0),
            ("a has had the effects Some([2, 3, 3])", |_, effects| {
                effects.entry("a".to_owned()).or_default().push(3);
            }),
            ("a has had the effects None", |_, effects| effects.clear()),
        ];
        for (told, bend) in bends {
            let (mut evidence, mut effects) = sound();
            bend(&mut evidence, &mut effects);
            let faults = evidence.faults_at_rest(&effects);
            assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:?}");
        }
    }
}
