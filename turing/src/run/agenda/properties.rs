//! Whatever is placed, begun, put back and let through: nothing that is ready is left lying.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use turing_domain::{RunId, Workflow};

use super::pools::PATIENCE;
use super::*;

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Two models of one endpoint by turns, one of another endpoint, and a script in between.
static WORKFLOW: LazyLock<Workflow> = LazyLock::new(|| {
    let mut text = "[workflow]\nid = 1\nname = \"w\"\nentry = 1\n".to_owned();
    for (id, model, endpoint) in
        [(1, "a", "http://one"), (2, "b", "http://one/"), (3, "a", "http://two")]
    {
        text += &format!(
            "[[actors]]\nid = {id}\nname = \"{id}\"\ntype = \"llm\"\nmodel = \"{model}\"\n\
             endpoint = \"{endpoint}\"\n"
        );
    }
    text += "[[actors]]\nid = 4\nname = \"4\"\ntype = \"script\"\ncommand = [\"./a\"]\n";
    for (id, actor, order) in [(1, 1, 5), (2, 2, 4), (3, 1, 3), (4, 2, 2), (5, 3, 1), (6, 4, 3)] {
        text += &format!(
            "[[conversations]]\nid = {id}\nname = \"{id}\"\nactor = {actor}\n\
             execution_order = {order}\n"
        );
    }
    toml::from_str(&text).unwrap()
});

const CONVERSATIONS: i32 = 6;

/// The model of the first endpoint that a conversation asks.
fn model(conversation: ConversationId) -> Option<char> {
    match conversation.0 {
        1 | 3 => Some('a'),
        2 | 4 => Some('b'),
        _ => None,
    }
}

/// Where a posting stands: there, after so many attempts, until a second in which it waits.
type Position = (i32, u32, Option<u64>);

#[derive(Debug, Clone)]
enum Act {
    /// A posting stands there now, and no attempt of it is in progress.
    Place(i32, Vec<Position>),
    /// One more attempt is begun if one can be, where these conversations are shut.
    Begin(BTreeSet<i32>),
    /// The same, and it is put back.
    PutBack,
    /// So many seconds go by.
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let position = (0..3_u32, prop::option::of(0..900_u64));
    let positions = prop::collection::btree_map(1..=CONVERSATIONS, position, 0..4);
    let place = (1..8_i32, positions).prop_map(|(posting, positions)| {
        let position = |(id, (retries, due)): (i32, (u32, Option<u64>))| (id, retries, due);
        Act::Place(posting, positions.into_iter().map(position).collect())
    });
    let shut = prop::collection::btree_set(1..=CONVERSATIONS, 0..4);
    let act = prop_oneof![
        4 => place,
        6 => shut.prop_map(Act::Begin),
        1 => Just(Act::PutBack),
        2 => (0..200_u64).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 0..80)
}

/// What an agenda must know.
#[derive(Default)]
struct Known {
    now: u64,
    /// The positions of each posting, ready or not.
    positions: BTreeMap<i32, Vec<Position>>,
    busy: BTreeSet<i32>,
    in_use: Option<char>,
    /// Since when the other model could have been asked, each time that one was chosen.
    since: Option<u64>,
}

impl Known {
    fn instant(&self) -> Instant {
        *BEGINNING + Duration::from_secs(self.now)
    }

    /// What could be begun, in order.
    fn open(&self, shut: &BTreeSet<i32>) -> BTreeSet<(i32, i32, u32, i32)> {
        let idle = self.positions.iter().filter(|(posting, _)| !self.busy.contains(posting));
        let all = idle.flat_map(|(posting, at)| at.iter().map(move |at| (*posting, *at)));
        let open = all.filter(|(_, (id, _, due))| {
            !shut.contains(id) && due.is_none_or(|due| due <= self.now)
        });
        let order = |id| WORKFLOW.conversation(ConversationId(id)).unwrap().execution_order;
        open.map(|(posting, (id, retries, _))| (order(id), id, retries, posting)).collect()
    }

    fn place(&mut self, agenda: &mut Agenda, posting: i32, at: &[Position]) {
        let step = |(id, retries, due): &Position| {
            let conversation = WORKFLOW.conversation(ConversationId(*id)).unwrap();
            let run_id = "0193a1d4-0000-7000-8000-000000000001".parse::<RunId>().unwrap();
            let (conversation_id, retries) = (conversation.id, *retries);
            let attempt = Attempt { run_id, conversation_id, execution: 1, retries };
            let due_at = due.map(|due| Timestamp::EPOCH.plus(Duration::from_secs(due)));
            Step { conversation, attempt, due_at }
        };
        let steps: Vec<_> = at.iter().map(step).collect();
        let until = |due: Timestamp| *BEGINNING + due.since(Timestamp::EPOCH);
        agenda.place(PostingId(posting), &steps, until, |_| None);
        self.busy.remove(&posting);
        self.positions.insert(posting, at.to_vec());
    }

    /// Begins what the agenda chooses, and compares.
    fn begin(&mut self, agenda: &mut Agenda, shut: &BTreeSet<i32>) -> Option<Chosen> {
        let open = self.open(shut);
        let gate = |id: ConversationId| match shut.contains(&id.0) {
            true => Gate::Full,
            false => Gate::Wide,
        };
        agenda.wake(self.instant());
        let chosen = agenda.next(self.instant(), gate, |_| false);
        assert_eq!(chosen.is_some(), !open.is_empty(), "something is ready: {open:?}");
        let of_model = |wanted: Option<char>| {
            open.iter().filter(move |(_, id, ..)| model(ConversationId(*id)) == wanted)
        };
        let other = self.in_use.map(|in_use| if in_use == 'a' { 'b' } else { 'a' });
        let other_waits = other.is_some_and(|other| of_model(Some(other)).next().is_some());
        match other_waits {
            true => self.since = Some(self.since.unwrap_or(self.now)),
            false => self.since = None,
        }
        let chosen = chosen?;
        let Task { posting, attempt, .. } = chosen.task;
        let id = attempt.conversation_id;
        let is_overdue = self.since.is_some_and(|since| self.now - since >= PATIENCE.as_secs());
        let next = match is_overdue {
            true => other,
            false => self.in_use.filter(|in_use| of_model(Some(*in_use)).next().is_some()),
        };
        // of what is preferred, the first
        let is_preferred = |id: i32| {
            let model = model(ConversationId(id));
            model.is_none() || next.is_none() || model == next
        };
        let mut first = open.iter().find(|(_, id, ..)| is_preferred(*id)).unwrap();
        // whose posting can go on nowhere before
        let before = |at: &(i32, i32, u32, i32)| {
            open.iter().find(|it| it.3 == at.3 && (it.0, it.1) < (at.0, at.1))
        };
        while let Some(earlier) = before(first) {
            first = open.iter().find(|it| it.1 == earlier.1).unwrap();
        }
        assert_eq!((first.1, first.2, first.3), (id.0, attempt.retries, posting.0), "{open:?}");
        assert_eq!(chosen.standing, open.iter().filter(|(_, at, ..)| *at == id.0).count());
        if let Some(model) = model(id)
            && self.in_use != Some(model)
        {
            (self.in_use, self.since) = (Some(model), None);
        }
        self.busy.insert(posting.0);
        Some(chosen)
    }
}

proptest! {
    #[test]
    fn whatever_is_ready_and_let_through_is_begun_in_the_order_that_is_preferred(given in acts()) {
        let (mut agenda, mut known) = (Agenda::of(&WORKFLOW), Known::default());
        for act in given {
            match act {
                Act::Place(posting, at) => known.place(&mut agenda, posting, &at),
                Act::Begin(shut) => {
                    known.begin(&mut agenda, &shut);
                }
                Act::PutBack => {
                    if let Some(chosen) = known.begin(&mut agenda, &BTreeSet::new()) {
                        known.busy.remove(&chosen.task.posting.0);
                        agenda.put_back(chosen.task);
                    }
                }
                Act::Pass(seconds) => known.now += seconds,
            }
        }
        // what is in progress is forgotten with its posting, and nothing else
        let waits = |at: &Position| at.2.is_some_and(|due| due > known.now);
        agenda.wake(known.instant());
        prop_assert_eq!(agenda.ready(), known.open(&BTreeSet::new()).len());
        let waiting: usize =
            known.positions.values().map(|at| at.iter().filter(|at| waits(at)).count()).sum();
        prop_assert_eq!(agenda.waiting(), waiting);
        for posting in known.positions.keys() {
            agenda.remove(PostingId(*posting));
        }
        prop_assert_eq!((agenda.ready(), agenda.waiting(), agenda.busy.len()), (0, 0, 0));
    }
}

/// One attempt after the other, each of which takes so many seconds, of postings that go on from a model
/// to the other, whose conversation comes first; how often the model changes.
fn changes(postings: i32, seconds: u64, mut agenda: Agenda) -> usize {
    let mut known = Known::default();
    for posting in 1..=postings {
        known.place(&mut agenda, posting, &[(3, 0, None)]);
    }
    let mut asked = Vec::new();
    while let Some(Chosen { task, .. }) = agenda.next(known.instant(), |_| Gate::Wide, |_| false) {
        let (id, posting) = (task.attempt.conversation_id, task.posting.0);
        asked.extend(model(id));
        known.now += seconds;
        let onward: &[Position] = if id.0 == 3 { &[(4, 0, None)] } else { &[] };
        known.place(&mut agenda, posting, onward);
    }
    assert_eq!(asked.len(), 2 * postings as usize);
    asked.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

#[test]
fn a_model_is_asked_for_all_that_is_ready_before_another_one_is() {
    assert_eq!(changes(20, 1, Agenda::of(&WORKFLOW)), 1);
    // by order alone they take turns
    assert_eq!(changes(20, 1, Agenda::default()), 39);
}

#[test]
fn a_model_waits_for_another_one_for_so_long_and_no_longer() {
    // 200 attempts of a minute, five of which are as long as a model waits
    let changed = changes(100, 60, Agenda::of(&WORKFLOW));
    assert!((20..=40).contains(&changed), "{changed}");
}

#[test]
fn a_script_waits_for_no_model() {
    let (mut agenda, mut known) = (Agenda::of(&WORKFLOW), Known::default());
    known.place(&mut agenda, 1, &[(2, 0, None)]);
    known.place(&mut agenda, 2, &[(1, 0, None)]);
    assert_eq!(known.begin(&mut agenda, &BTreeSet::new()).unwrap().task.posting.0, 1);
    known.place(&mut agenda, 3, &[(2, 0, None)]);
    known.place(&mut agenda, 4, &[(6, 0, None)]);
    known.place(&mut agenda, 5, &[(5, 0, None)]);
    // nor does who asks another endpoint
    let order: Vec<_> = std::iter::from_fn(|| known.begin(&mut agenda, &BTreeSet::new()))
        .map(|chosen| chosen.task.posting.0)
        .collect();
    assert_eq!(order, [5, 4, 3, 2]);
}

#[test]
fn a_conversation_that_goes_on_comes_before_others() {
    let (mut agenda, mut known) = (Agenda::default(), Known::default());
    known.place(&mut agenda, 1, &[(5, 0, None)]);
    known.place(&mut agenda, 2, &[(1, 0, None)]);
    let goes_on = |id: ConversationId| id.0 == 1;
    let mut next = || agenda.next(known.instant(), |_| Gate::Wide, goes_on);
    assert_eq!(next().unwrap().task.posting, PostingId(2));
    assert_eq!(next().unwrap().task.posting, PostingId(1));
}
