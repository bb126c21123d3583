//! Whatever happens to what is held up, its order and its bounds hold.

use es_core::backend::AppendRequest;
use tokio::sync::oneshot;

use super::super::Answer;
use super::super::tests::{request, waiting};
use super::*;

const STREAMS: usize = 4;
const STEPS: usize = 60;
const CASES: u64 = 300;

fn number(waiting: &Waiting) -> usize {
    let text = waiting.request.streams()[0].events[0].payload.as_str();
    text.trim_start_matches("{\"number\":").trim_end_matches('}').parse().unwrap()
}

/// The state, what is under way beside it, and what was done in which order.
struct Model {
    state: State,
    tried: Option<Waiting>,
    under_way: Vec<Waiting>,
    callers: Vec<Option<oneshot::Receiver<Answer>>>,
    written: Vec<(StreamId, usize)>,
    refused: usize,
}

impl Model {
    fn new(most: (usize, usize)) -> Self {
        let held = Held { most, ..Held::default() };
        let state = State { held, ..State::new(0, 100) };
        Self {
            state,
            tried: None,
            under_way: Vec::new(),
            callers: Vec::new(),
            written: Vec::new(),
            refused: 0,
        }
    }

    fn come(&mut self, request: AppendRequest) {
        let (waiting, caller) = waiting(request);
        self.callers.push(Some(caller));
        if self.state.held.is_for(&waiting.request) {
            self.refused += self.state.held.wait_behind(waiting).len();
        } else {
            self.state.push(waiting);
        }
    }

    fn write(&mut self, waiting: &Waiting) {
        let number = number(waiting);
        self.written.extend(streams(&waiting.request).map(|stream| (stream, number)));
    }

    /// A turn of a shared connection begins.
    fn begin_turn(&mut self) {
        if self.under_way.is_empty() {
            self.under_way = self.state.take_batch();
        }
    }

    /// It ends, and has met locks of these streams; from one request on they are suspects.
    fn end_turn(&mut self, is_locked: impl Fn(&StreamId) -> bool, suspects_from: usize) {
        let mut batch = std::mem::take(&mut self.under_way);
        let under_way: HashSet<_> =
            batch.iter().flat_map(|waiting| streams(&waiting.request)).collect();
        self.state.waiting.free(under_way);
        for mut suspect in batch.split_off(suspects_from.min(batch.len())).into_iter().rev() {
            suspect.is_suspect = true;
            self.state.waiting.push_front(suspect);
        }
        let mut locked = HashSet::new();
        let mut stalled = Vec::new();
        for waiting in batch {
            let is_held =
                streams(&waiting.request).any(|it| is_locked(&it) || locked.contains(&it));
            if is_held {
                locked.extend(streams(&waiting.request));
                stalled.push(waiting);
            } else {
                self.write(&waiting);
            }
        }
        self.refused += self.state.stall(stalled).len();
    }

    fn turn(&mut self, is_locked: impl Fn(&StreamId) -> bool) {
        self.begin_turn();
        self.end_turn(is_locked, usize::MAX);
    }

    /// A try of the lane, from its beginning to its end.
    fn try_next(&mut self) {
        self.tried = self.state.held.next();
    }

    fn end_try(&mut self, is_locked: bool) {
        let Some(tried) = self.tried.take() else { return };
        if is_locked {
            self.state.held.put_back(tried);
            return;
        }
        if tried.ticket.reply.is_closed() {
            self.state.leave(&Share::of(&tried), false);
            return;
        }
        self.write(&tried);
        self.state.leave(&Share::of(&tried), true);
    }

    fn check(&self) {
        self.state.waiting.check();
        let held = &self.state.held;
        let all = || held.stalled.iter().chain(&self.tried).chain(&held.behind);
        let mut heads = HashSet::new();
        for stream in held.stalled.iter().chain(&self.tried).flat_map(|it| streams(&it.request)) {
            assert!(heads.insert(stream), "two are tried for one stream");
        }
        let mut ahead = heads;
        for waiting in &held.behind {
            assert!(is_any_of(&waiting.request, &ahead), "it waits for nothing");
            ahead.extend(streams(&waiting.request));
        }
        assert!(self.state.waiting.iter().all(|it| !is_any_of(&it.request, &self.tried_streams())));
        let mut counts = HashMap::new();
        all()
            .flat_map(|it| streams(&it.request))
            .for_each(|it| *counts.entry(it).or_default() += 1);
        assert_eq!(held.streams, counts);
        assert_eq!((held.requests, held.bytes), (all().count(), all().map(|it| it.bytes).sum()));
        let (requests, bytes) = held.most;
        assert!(held.requests <= 1 || held.requests <= requests && held.bytes <= bytes);
    }

    fn tried_streams(&self) -> HashSet<StreamId> {
        self.tried.iter().flat_map(|it| streams(&it.request)).collect()
    }
}

fn campaign(most: (usize, usize)) -> usize {
    let mut refused = 0;
    for seed in 0..CASES {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut model = Model::new(most);
        let mut locked = [false; STREAMS];
        for step in 0..STEPS {
            match chance.usize(..10) {
                0..3 => {
                    let count = chance.usize(1..=2);
                    let of = (0..count).map(|_| chance.usize(..STREAMS)).collect();
                    model.come(request(step, of));
                }
                3 => model.begin_turn(),
                4 => {
                    let is = |it: &StreamId| locked[it.aggregate_id().parse::<usize>().unwrap()];
                    let suspects_from = if chance.bool() { chance.usize(..4) } else { usize::MAX };
                    model.end_turn(is, suspects_from);
                }
                5 => {
                    if model.tried.is_none() {
                        model.try_next();
                    }
                }
                6 => {
                    let is_locked = chance.bool();
                    model.end_try(is_locked);
                }
                7 if model.tried.is_none() => {
                    // one of the callers goes
                    if let Some(caller) = chance.choice(&mut model.callers) {
                        *caller = None;
                    }
                    assert!(model.state.take_overdue(Duration::from_secs(60)).is_empty());
                }
                _ => {
                    let stream = chance.usize(..STREAMS);
                    locked[stream] = chance.bool();
                }
            }
            model.check();
        }
        while !model.under_way.is_empty()
            || !model.state.waiting.is_empty()
            || model.state.held.requests > 0
        {
            model.turn(|_| false);
            model.end_try(false);
            model.try_next();
            model.check();
        }
        let mut last = HashMap::new();
        for (stream, number) in &model.written {
            let before = last.insert(stream, *number);
            assert!(before < Some(*number), "{stream}: {before:?} was overtaken by {number}");
        }
        let answered: HashSet<_> = model.written.iter().map(|(_, number)| *number).collect();
        let gone = model.callers.iter().filter(|caller| caller.is_none()).count();
        let ended = answered.len() + model.refused;
        assert!(ended <= model.callers.len(), "one was written twice");
        assert!(ended + gone >= model.callers.len(), "one was lost");
        refused += model.refused;
    }
    refused
}

#[test]
fn what_is_held_up_keeps_the_order_of_each_stream() {
    assert_eq!(campaign((usize::MAX, usize::MAX)), 0);
}

#[test]
fn what_is_too_much_is_refused_and_the_rest_keeps_its_order() {
    assert!(campaign((3, usize::MAX)) > 0);
    assert!(campaign((usize::MAX, 40)) > 0);
}

#[test]
fn who_is_overdue_or_gone_makes_room_for_who_is_behind() {
    let mut model = Model::new((usize::MAX, usize::MAX));
    for number in 0..3 {
        model.come(request(number, vec![0]));
    }
    model.turn(|_| true);
    model.come(request(3, vec![0, 1]));
    assert!(model.state.take_overdue(Duration::from_secs(60)).is_empty());
    // the first two callers go
    model.callers.drain(..2);
    assert!(model.state.take_overdue(Duration::from_secs(60)).is_empty());
    model.check();
    assert_eq!(model.state.held.stalled.iter().map(number).collect::<Vec<_>>(), [2]);
    let overdue = model.state.take_overdue(Duration::ZERO);
    assert_eq!(overdue.iter().map(number).collect::<Vec<_>>(), [2, 3]);
    model.check();
    assert!(model.state.held.streams.is_empty());
}
