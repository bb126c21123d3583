//! What a run has done and where its postings stand, as it is counted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use turing_domain::{
    ActorId, Attempt, ConversationId, EndReason, FailureType, LlmUsage, PostingId,
};

use super::labels::Labels;
use super::text::Histogram;
use crate::run::{ActorNow, HeldBy, Sight};

/// What stands for a stored name that this program does not know.
const OTHER: &str = "other";

/// All that is counted of a run.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Whether a run is in progress.
    pub(super) is_running: bool,
    /// How many postings it has.
    pub(super) postings: usize,
    /// How many postings ended, by reason.
    pub(super) ended: BTreeMap<EndReason, u64>,
    /// How many attempts ended in which way, by label of their actor; `None` if well.
    pub(super) attempts: BTreeMap<(usize, Option<FailureType>), u64>,
    /// How long actors worked, by label.
    pub(super) durations: BTreeMap<usize, Histogram>,
    /// Tokens of inputs and of answers, by model.
    pub(super) tokens: BTreeMap<String, [u64; 2]>,
    /// How many events were recorded.
    pub(super) events: u64,
    /// Whether the store is away.
    pub(super) is_away: bool,
    /// How often it was.
    pub(super) absences: u64,
    /// How actors were when they were last looked at.
    pub(super) actors: BTreeMap<ActorId, ActorNow>,
    sight: Option<Sight>,
    /// The conversations that were paused when that was last looked at.
    paused: BTreeSet<ConversationId>,
    standing: HashMap<PostingId, Vec<Place>>,
    at_work: HashMap<PostingId, ConversationId>,
    apart: HashSet<PostingId>,
}

/// Where a posting stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    attempt: Attempt,
    /// From when it may be attempted, as far as the posting is concerned.
    from: Instant,
}

/// The open positions of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places {
    pub(super) ready: u64,
    /// Whose wait before a repeat is not over.
    pub(super) repeat: u64,
    /// Whose actor gets no call, because its circuit breaker is open.
    pub(super) breaker: u64,
    /// Whose actor asked for a pause.
    pub(super) pause: u64,
    /// That somebody has paused: there, the run, or the actor.
    pub(super) paused: u64,
    /// That wait for a person.
    pub(super) person: u64,
    /// For which nothing can be recorded now.
    pub(super) store: u64,
    pub(super) in_progress: u64,
    /// For how long one has not been attempted that may be, as far as its posting is concerned; those of
    /// people never are.
    pub(super) oldest: Duration,
}

impl Board {
    /// Looks at the run, if it can be seen.
    pub(super) fn look(&mut self, labels: &Labels) {
        let Some(sight) = &self.sight else { return };
        // a counter never falls
        self.events = self.events.max(sight.events().unwrap_or_default());
        if let Some(paused) = sight.paused() {
            self.paused = paused;
        }
        for actor in labels.actors.iter().flat_map(|label| &label.ids) {
            if let Some(now) = sight.actor(*actor) {
                self.actors.insert(*actor, now);
            }
        }
    }

    pub(super) fn sees(&mut self, sight: Sight) {
        self.sight = Some(sight);
    }

    pub(super) fn begins(&mut self, postings: usize) {
        (self.is_running, self.postings) = (true, postings);
    }

    pub(super) fn ends(&mut self, labels: &Labels) {
        self.look(labels);
        self.is_running = false;
        self.sight = None;
        self.paused.clear();
        self.at_work.clear();
    }

    pub(super) fn attempt_begins(&mut self, conversation: ConversationId, posting: PostingId) {
        self.at_work.insert(posting, conversation);
    }

    pub(super) fn attempt_ends(&mut self, posting: PostingId) {
        self.at_work.remove(&posting);
    }

    pub(super) fn attempted(
        &mut self,
        labels: &Labels,
        conversation: ConversationId,
        failure: Option<&FailureType>,
        worked: Duration,
        usage: &LlmUsage,
    ) {
        let Some((_, label)) = labels.at(conversation) else { return };
        let failure = failure.map(|failure| match failure {
            FailureType::Other(_) => FailureType::Other(OTHER.to_owned()),
            known => known.clone(),
        });
        *self.attempts.entry((label, failure)).or_default() += 1;
        self.durations.entry(label).or_default().add(worked);
        if let Some(model) = &labels.actors[label].model {
            let [prompt, completion] = self.tokens.entry(model.clone()).or_default();
            *prompt = prompt.saturating_add(usage.prompt_tokens.unwrap_or_default());
            *completion = completion.saturating_add(usage.completion_tokens.unwrap_or_default());
        }
    }

    /// A posting stands here, and nowhere else. What was known of a place is still so.
    pub(super) fn stands(&mut self, posting: PostingId, at: &[(Attempt, Instant)]) {
        self.apart.remove(&posting);
        let before = self.standing.remove(&posting).unwrap_or_default();
        if at.is_empty() {
            return;
        }
        let place = |(attempt, from): &(Attempt, Instant)| {
            let known = before.iter().find(|place| place.attempt == *attempt).copied();
            known.unwrap_or(Place { attempt: *attempt, from: *from })
        };
        self.standing.insert(posting, at.iter().map(place).collect());
    }

    pub(super) fn stands_apart(&mut self, posting: PostingId) {
        self.apart.insert(posting);
    }

    pub(super) fn posting_ends(&mut self, reason: &EndReason) {
        let reason = match reason {
            EndReason::Other(_) => EndReason::Other(OTHER.to_owned()),
            known => known.clone(),
        };
        *self.ended.entry(reason).or_default() += 1;
    }

    pub(super) fn store_away(&mut self) {
        self.is_away = true;
        self.absences += 1;
    }

    pub(super) fn store_back(&mut self) {
        self.is_away = false;
    }

    /// The open positions, by label of their actor.
    pub(super) fn places(&self, labels: &Labels, now: Instant) -> Vec<Places> {
        let mut counted = vec![Places::default(); labels.actors.len()];
        for (posting, places) in &self.standing {
            let (works_at, is_apart) = (self.at_work.get(posting), self.apart.contains(posting));
            for Place { attempt, from } in places {
                let Some((actor, label)) = labels.at(attempt.conversation_id) else { continue };
                let of_actor = &mut counted[label];
                if works_at == Some(&attempt.conversation_id) {
                    of_actor.in_progress += 1;
                    continue;
                }
                let is_persons = labels.is_persons(attempt.conversation_id);
                let held = self.actors.get(&actor).and_then(|actor| actor.held);
                let count = match held {
                    _ if is_apart => &mut of_actor.store,
                    _ if is_persons => &mut of_actor.person,
                    _ if self.paused.contains(&attempt.conversation_id) => &mut of_actor.paused,
                    _ if *from > now => &mut of_actor.repeat,
                    _ if self.is_away => &mut of_actor.store,
                    Some(HeldBy::Breaker) => &mut of_actor.breaker,
                    Some(HeldBy::Pause) => &mut of_actor.pause,
                    Some(HeldBy::Operator) => &mut of_actor.paused,
                    None => &mut of_actor.ready,
                };
                *count += 1;
                if !is_apart && !is_persons {
                    let age = now.saturating_duration_since(*from);
                    of_actor.oldest = of_actor.oldest.max(age);
                }
            }
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use turing_domain::{BreakerStatus, RunId, Workflow};

    use super::*;

    const WORKFLOW: &str = "[workflow]\nid = 1\nname = \"w\"\nentry = 10\n\
        [[actors]]\nid = 1\nname = \"a\"\ntype = \"llm\"\nmodel = \"small\"\n\
        endpoint = \"http://localhost:1\"\n\
        [[conversations]]\nid = 10\nname = \"c\"\nactor = 1\n[[conversations.branches]]\n";

    fn scene() -> (Labels, Board, Instant) {
        let workflow: Workflow = toml::from_str(WORKFLOW).unwrap();
        (Labels::of(&workflow), Board::default(), Instant::now())
    }

    fn attempt(retries: u32) -> Attempt {
        let run_id: RunId = "0193a1d4-0000-7000-8000-000000000001".parse().unwrap();
        Attempt { run_id, conversation_id: ConversationId(10), execution: 1, retries }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_open_position_is_counted_once_by_what_it_waits_for() {
        let (labels, mut board, now) = scene();
        for posting in 1..=4 {
            board.stands(PostingId(posting), &[(attempt(0), now)]);
        }
        board.stands(PostingId(5), &[(attempt(1), now + seconds(60))]);
        board.attempt_begins(ConversationId(10), PostingId(1));
        board.stands_apart(PostingId(2));
        let later = now + seconds(20);
        let counted = board.places(&labels, later)[0];
        let expected = Places {
            ready: 2,
            repeat: 1,
            store: 1,
            in_progress: 1,
            oldest: seconds(20),
            ..Places::default()
        };
        assert_eq!(counted, expected);

        let mut actor = ActorNow {
            breaker: BreakerStatus::Closed,
            paused_until: None,
            held: Some(HeldBy::Pause),
        };
        board.actors.insert(ActorId(1), actor);
        let paused = board.places(&labels, later)[0];
        assert_eq!(paused, Places { ready: 0, pause: 2, ..expected });
        actor.held = Some(HeldBy::Breaker);
        board.actors.insert(ActorId(1), actor);
        let broken = board.places(&labels, later)[0];
        assert_eq!(broken, Places { ready: 0, breaker: 2, ..expected });
        board.paused.insert(ConversationId(10));
        let held = board.places(&labels, later)[0];
        assert_eq!(held, Places { ready: 0, repeat: 0, paused: 3, ..expected });
        board.paused.clear();
        board.store_away();
        let away = board.places(&labels, later)[0];
        assert_eq!(away, Places { ready: 0, store: 3, ..expected });
    }

    #[test]
    fn what_waits_for_a_person_is_neither_ready_nor_old() {
        let text = "[workflow]\nid = 1\nname = \"w\"\nentry = 10\n\
            [[actors]]\nid = 1\nname = \"a\"\ntype = \"human\"\n\
            [[conversations]]\nid = 10\nname = \"c\"\nactor = 1\n[[conversations.branches]]\n";
        let workflow: Workflow = toml::from_str(text).unwrap();
        let (labels, mut board, now) = (Labels::of(&workflow), Board::default(), Instant::now());
        board.stands(PostingId(1), &[(attempt(0), now)]);
        let waiting = Places { person: 1, ..Places::default() };
        assert_eq!(board.places(&labels, now + seconds(86_400)), [waiting]);
        board.store_away();
        assert_eq!(board.places(&labels, now), [waiting], "the store is not what it waits for");
        board.stands(PostingId(1), &[]);
        assert_eq!(board.places(&labels, now), [Places::default()]);
    }

    #[test]
    fn a_place_that_is_told_again_has_not_begun_anew() {
        let (labels, mut board, now) = scene();
        board.stands(PostingId(1), &[(attempt(0), now)]);
        board.stands(PostingId(1), &[(attempt(0), now + seconds(5))]);
        assert_eq!(board.places(&labels, now + seconds(9))[0].oldest, seconds(9));
        // the next attempt is another one
        board.stands(PostingId(1), &[(attempt(1), now + seconds(5))]);
        assert_eq!(board.places(&labels, now + seconds(9))[0].oldest, seconds(4));
        board.stands(PostingId(1), &[]);
        assert_eq!(board.places(&labels, now + seconds(9))[0], Places::default());
    }

    #[test]
    fn tokens_are_those_of_the_model_that_was_asked_and_unknown_names_are_one() {
        let (labels, mut board, _) = scene();
        let usage = |model: &str| LlmUsage {
            model: Some(model.to_owned()),
            prompt_tokens: Some(12),
            completion_tokens: None,
            ..LlmUsage::default()
        };
        let mut ends = |failure: Option<&str>, model| {
            let failure = failure.map(FailureType::from);
            let (at, usage) = (ConversationId(10), usage(model));
            board.attempted(&labels, at, failure.as_ref(), seconds(1), &usage);
        };
        ends(None, "small-2026-01");
        ends(None, "small-2026-02");
        ends(Some("cosmic_ray"), "small");
        ends(Some("solar_wind"), "small");
        assert_eq!(board.tokens, BTreeMap::from([("small".to_owned(), [48, 0])]));
        let other = Some(FailureType::Other(OTHER.to_owned()));
        assert_eq!(board.attempts, BTreeMap::from([((0, None), 2), ((0, other), 2)]));
    }
}
