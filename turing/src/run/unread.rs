//! What is decided without reading first: on what this process has recorded itself, and looked at lately.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use es_core::{Aggregate, Repository};
use turing_domain::{ConversationId, Posting};

use super::Shared;
use crate::store::Store;

/// For how long what was looked at is decided on without another look. That a server is replaced by one
/// that lacks events, and that another process has then brought the posting to the same version, takes
/// longer.
const FRESH: Duration = Duration::from_secs(1);

/// The conversations that no run has had waves of, as far as that is to be hoped. Who is wrong about one
/// has appended in vain, and reads; so it is hoped until that happens once.
#[derive(Debug)]
pub(super) struct NewConversations(Mutex<Option<HashSet<ConversationId>>>);

impl NewConversations {
    /// None are hoped for where the run goes on with what another process began.
    pub(super) fn of_run(is_continued: bool) -> Self {
        Self(Mutex::new((!is_continued).then(HashSet::new)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Option<HashSet<ConversationId>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a wave may be the first of its conversation; it is none of the next ones.
    pub(super) fn take(&self, conversation: ConversationId) -> bool {
        self.change(|begun| begun.as_mut().is_some_and(|begun| begun.insert(conversation)))
    }

    /// One was not new.
    pub(super) fn give_up(&self) {
        self.change(|begun| *begun = None);
    }
}

/// The same aggregates, on which is decided without reading; in a file as before: there an append that is
/// made in vain waits for whoever holds the file, and reading costs little.
pub(super) fn unread<A: Aggregate>(store: &Store, repository: Repository<A>) -> Repository<A> {
    match store.is_held_as_a_whole() {
        true => repository,
        false => repository.deciding_from_cache(),
    }
}

impl Shared {
    /// Where something is decided on a posting that was looked at then.
    pub(super) fn postings_looked_at(&self, looked: Instant) -> &Repository<Posting> {
        match self.clocks.timer.now().saturating_duration_since(looked) < FRESH {
            true => &self.known_postings,
            false => &self.postings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_new_once_and_none_is_after_one_was_not() {
        let new = NewConversations::of_run(false);
        let [one, two, three] = [1, 2, 3].map(ConversationId);
        assert_eq!([one, one, two].map(|conversation| new.take(conversation)), [true, false, true]);
        new.give_up();
        assert!(!new.take(three));
        assert!(!NewConversations::of_run(true).take(one));
    }
}
