//! Why the open postings of a run are where they are, together: as many as give the same reason.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use es_core::environment::{Clock, SystemClock};
use es_core::event::Timestamp;
use es_core::execution::StoreError;
use serde::Serialize;
use turing_domain::{ConversationId, PostingId, WorkflowId};

use super::asker::Asker;
use super::places::Worked;
use super::reason::Seen;
use super::story::Stories;
use super::{PositionWhy, Why};
use crate::account::RunAccount;

/// Why the open postings of a run are where they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WhyOfRun {
    /// The reasons, the most frequent first.
    pub groups: Vec<WhyGroup>,
    /// Of so many open postings it is not known: they are too many, or an event cannot be read.
    pub not_looked_at: usize,
}

/// A reason that some postings have at the same conversation, whatever their times are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyGroup {
    /// How many postings.
    pub postings: usize,
    /// The one whose time comes first.
    pub example: PostingId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The reason of the example as a sentence without its subject.
    pub sentence: String,
    /// The reason of the example.
    pub why: Why,
}

impl Asker<'_> {
    /// Why the open postings of a run in progress are where they are, by what was read of them with its
    /// account.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn of_run(
        &mut self,
        account: &RunAccount,
        stories: &Stories,
    ) -> Result<WhyOfRun, StoreError> {
        let record = match account.workflow_id.parse::<WorkflowId>() {
            Ok(workflow) => self.record_of(workflow, account.run_id).await?,
            Err(_) => None,
        };
        let definition = match &record {
            Some(record) => self.definition(record).await?,
            None => Err("the runs of its workflow cannot be read".to_owned()),
        };
        if let Ok(workflow) = &definition {
            let conversations = account.conversations.iter().filter(|(_, done)| done.open > 0);
            let actors = conversations.filter_map(|(id, _)| workflow.conversation(*id));
            let actors: Vec<_> = actors.map(|conversation| conversation.actor).collect();
            self.look_at_breakers(actors).await?;
        }
        let worked = Worked::of_account(&account.now, account.run_id);
        let seen = Seen {
            definition: definition.as_deref().map_err(String::as_str),
            worked: &worked,
            breakers: &self.breakers,
            record: record.as_ref(),
            now: SystemClock.now(),
        };
        let mut groups = BTreeMap::<(ConversationId, String), WhyGroup>::new();
        for (posting, story) in stories.all() {
            let Some(run) = story.run() else { continue };
            for told in story.positions(run, &seen) {
                gather(&mut groups, *posting, told);
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| (Reverse(group.postings), group.conversation_id));
        let not_looked_at = account.open.saturating_sub(stories.all().len());
        Ok(WhyOfRun { groups, not_looked_at })
    }
}

/// Puts one with those that have the same reason.
fn gather(
    groups: &mut BTreeMap<(ConversationId, String), WhyGroup>,
    posting: PostingId,
    told: PositionWhy,
) {
    let PositionWhy { conversation_id, sentence, why } = told;
    let group = groups.entry((conversation_id, why.without_times().to_string()));
    let group = group.or_insert_with(|| WhyGroup {
        postings: 0,
        example: posting,
        conversation_id,
        sentence: sentence.clone(),
        why: why.clone(),
    });
    group.postings += 1;
    // an order that does not depend on how they were found
    if (why.time(), posting) < (group.why.time(), group.example) {
        (group.example, group.sentence, group.why) = (posting, sentence, why);
    }
}

impl Why {
    /// The time that tells it from others.
    fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Retry { due_at, .. } => Some(*due_at),
            Self::Ready { since, .. } | Self::Person { since, .. } => *since,
            _ => None,
        }
    }

    /// The same for all that differ in these times only.
    fn without_times(&self) -> Self {
        let mut alike = self.clone();
        match &mut alike {
            Self::Retry { due_at, .. } => *due_at = Timestamp::EPOCH,
            Self::Ready { since, .. } => *since = None,
            Self::Person { since, due_at, .. } => {
                (*since, *due_at) = (None, due_at.map(|_| Timestamp::EPOCH));
            }
            _ => {}
        }
        alike
    }
}
