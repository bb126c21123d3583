//! Which model of an endpoint is asked next: one that stays loaded answers sooner.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use turing_domain::{ActorKind, Conversation, ConversationId, Workflow};

/// How long what is ready for a model waits for another one of the same endpoint. To load a model takes
/// up to about a minute; so no more than a fifth of the time goes to that.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// The endpoints of which a workflow asks several models, and what is known of each.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// The endpoint and the model that a conversation asks.
    asked: HashMap<ConversationId, (usize, usize)>,
    pools: Vec<Pool>,
}

/// The models of one endpoint.
#[derive(Debug, Default)]
struct Pool {
    /// The one that was asked last.
    in_use: Option<usize>,
    /// The one to be asked next; `None` if any.
    next: Option<usize>,
    /// Since when others could have been asked.
    since: BTreeMap<usize, Instant>,
}

/// The endpoint and the model that a conversation asks, if it asks one.
fn asked<'a>(workflow: &'a Workflow, conversation: &Conversation) -> Option<(&'a str, &'a str)> {
    let ActorKind::Llm(llm) = &workflow.actor(conversation.actor)?.kind else { return None };
    Some((llm.endpoint.trim_end_matches('/'), llm.model.as_str()))
}

impl Pools {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let mut endpoints = BTreeMap::<&str, BTreeSet<&str>>::new();
        for conversation in &workflow.conversations {
            if let Some((endpoint, model)) = asked(workflow, conversation) {
                endpoints.entry(endpoint).or_default().insert(model);
            }
        }
        // there is nothing to choose at the others
        endpoints.retain(|_, models| models.len() > 1);
        let place = |conversation: &Conversation| {
            let (endpoint, model) = asked(workflow, conversation)?;
            let pool = endpoints.keys().position(|known| *known == endpoint)?;
            let model = endpoints.get(endpoint)?.iter().position(|known| *known == model)?;
            Some((conversation.id, (pool, model)))
        };
        let asked = workflow.conversations.iter().filter_map(place).collect();
        let pools = endpoints.keys().map(|_| Pool::default()).collect();
        Self { asked, pools }
    }

    /// Chooses the model of each endpoint, where these conversations could go on now.
    pub(super) fn look(&mut self, now: Instant, open: impl Iterator<Item = ConversationId>) {
        if self.pools.is_empty() {
            return;
        }
        let mut ready = vec![BTreeSet::new(); self.pools.len()];
        for (pool, model) in open.filter_map(|conversation| self.asked.get(&conversation)) {
            ready[*pool].insert(*model);
        }
        for (pool, ready) in self.pools.iter_mut().zip(&ready) {
            pool.look(now, ready);
        }
    }

    /// Whether a conversation asks the model that is chosen, or needs none.
    pub(super) fn prefers(&self, conversation: ConversationId) -> bool {
        let asked = self.asked.get(&conversation);
        let next = asked.and_then(|(pool, model)| Some((self.pools[*pool].next?, *model)));
        next.is_none_or(|(next, model)| next == model)
    }

    /// A conversation is gone on with.
    pub(super) fn ask(&mut self, conversation: ConversationId) {
        if let Some((pool, model)) = self.asked.get(&conversation) {
            let pool = &mut self.pools[*pool];
            pool.in_use = Some(*model);
            pool.since.remove(model);
        }
    }
}

impl Pool {
    fn look(&mut self, now: Instant, ready: &BTreeSet<usize>) {
        // a model waits from when it was left: two that have much to do take turns, each for so long
        self.since.retain(|model, _| ready.contains(model));
        for model in ready {
            if self.in_use.is_some_and(|in_use| in_use != *model) {
                self.since.entry(*model).or_insert(now);
            }
        }
        let longest = self.since.iter().min_by_key(|(_, since)| **since);
        let waited = longest.map(|(model, since)| (*model, now.saturating_duration_since(*since)));
        let overdue = waited.filter(|(_, waited)| *waited >= PATIENCE).map(|(model, _)| model);
        self.next = overdue.or(self.in_use.filter(|model| ready.contains(model)));
    }
}
