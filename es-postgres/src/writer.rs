//! Appends: one at once if a connection is free, otherwise all that wait together.
//!
//! They are sent by tasks of the store's own, so that a caller who is not polled holds up nobody and
//! one who goes leaves all or nothing. What arrives while all connections are busy waits, and the
//! connection that becomes free next takes it along in one statement: the busier the store, the larger
//! the batches. A connection that was shared answers before it goes on, and lets those whom it has
//! answered come again: no timer runs, and where others are idle nobody waits for that. A stream is under
//! way on one connection only, so that the appends of one process do not race one another.
//!
//! What other transactions hold up waits for no more than a moment there, and then in the
//! [slow lane](lane), so that it holds up nobody else; what comes later for its streams waits
//! [behind it](held). Until it is known what is held up, the requests that came together with it are
//! suspects: they are tried few at a time, in turn with the others.
//!
//! Where the server gives no further connection, all goes over [those that there are](slots).

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use es_core::backend::{AppendError, AppendRequest, Appended, StreamId};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::append::{Appender, Locked, SUSPECTS, streams};
use crate::connection::Slot;
use crate::error::{closed, is_none_free, outcome_unknown};

mod beginning;
mod held;
pub(crate) mod lane;
mod slots;
mod suspects;
#[cfg(test)]
mod tests;

use beginning::Work;
use held::Held;
pub(crate) use lane::Lane;
use slots::{Slots, Turn};

/// A batch takes no further requests when it has so many of them or of their events.
const BATCH_REQUESTS: usize = 512;
const BATCH_EVENTS: usize = 1_000;
/// Nor when its payloads have so many bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// So many streams are not divided between connections.
const SHARE: usize = 8;

type Answer = Result<Appended, AppendError>;

/// The writing connections and what waits for them.
pub(crate) struct Writer {
    appender: Appender,
    runtime: Handle,
    state: Mutex<State>,
    /// Told when a connection becomes idle.
    idle: Notify,
    lane: Lane,
}

struct State {
    slots: Slots,
    /// What waits for a connection, in the order in which it came.
    waiting: VecDeque<Waiting>,
    /// So many of them are looked at for a batch.
    window: usize,
    /// When so many wait, those are dropped first whose callers have gone.
    purge_at: usize,
    /// Whose turn it is, if there are both.
    is_for_suspects: bool,
    /// The streams that are being written to.
    busy: HashSet<StreamId>,
    /// What others hold up, and what waits for that.
    held: Held,
    /// The connection for that, unless it is in use.
    lane: Option<Slot>,
    is_closed: bool,
}

/// What is to be written together.
struct Taken {
    batch: Vec<Waiting>,
    /// There is more that another connection could write now.
    is_more: bool,
}

/// A request, and somebody who waits for its answer.
struct Waiting {
    request: AppendRequest,
    ticket: Ticket,
    /// Something that it came together with is held up, so it may be, too.
    is_suspect: bool,
}

/// Somebody who waits for an answer.
struct Ticket {
    reply: oneshot::Sender<Answer>,
    /// When it was asked for.
    since: Instant,
}

impl Waiting {
    /// How large its payloads are.
    fn bytes(&self) -> usize {
        let events = self.request.streams().iter().flat_map(|part| &part.events);
        events.map(|event| event.payload.as_str().len()).sum()
    }
}

impl Ticket {
    fn tell(self, answer: Answer) {
        // who has gone does not need it
        let _ = self.reply.send(answer);
    }
}

impl Writer {
    pub(crate) fn new(
        appender: Appender,
        lane: Lane,
        runtime: Handle,
        connections: usize,
        queue: usize,
    ) -> Self {
        let state = Mutex::new(State::new(connections, queue));
        Self { appender, runtime, state, idle: Notify::new(), lane }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) -> AppendError {
        closed(self.appender.place()).into()
    }

    /// Writes a request that was checked.
    ///
    /// The caller holds nothing that others need, because nobody knows when it is polled again.
    pub(crate) async fn append(self: &Arc<Self>, request: AppendRequest) -> Answer {
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { reply, since: Instant::now() };
        self.queue(Waiting { request, ticket, is_suspect: false });
        self.answered(answer).await
    }

    fn queue(self: &Arc<Self>, waiting: Waiting) {
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            waiting.ticket.tell(Err(self.closed()));
            return;
        }
        if state.held.is_for(&waiting.request) {
            let refused = state.held.wait_behind(waiting);
            drop(state);
            self.refuse(refused);
            return;
        }
        state.push(waiting);
        let idle = state.slots.take_idle();
        drop(state);
        if let Some(slot) = idle {
            self.begin(slot, Work::Waiting);
        }
    }

    async fn answered(&self, answer: oneshot::Receiver<Answer>) -> Answer {
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(outcome_unknown("appending", self.appender.place()).into()),
        }
    }

    /// Writes what can be written now; after it the connection goes to those who wait still.
    async fn write_what_waits(self: Arc<Self>, slot: Slot) {
        let mut turn = Turn::new(&self, slot);
        let reached = turn.reach().await;
        if reached.as_ref().is_err_and(is_none_free) {
            let Some(left) = turn.leave_to_others() else { return };
            turn = left;
        }
        let Taken { batch, is_more } = {
            let mut state = self.state();
            let taken = state.take_batch();
            if taken.batch.is_empty() {
                turn.rest(state);
                return;
            }
            taken
        };
        turn.streams = batch.iter().flat_map(|waiting| streams(&waiting.request)).collect();
        if is_more {
            self.wake();
        }
        if let Err(error) = reached {
            for waiting in batch {
                waiting.ticket.tell(Err(error.clone().into()));
            }
            return;
        }
        let is_brief = batch.iter().any(|waiting| waiting.is_suspect);
        let (requests, mut tickets): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.request, Some(waiting.ticket))).unzip();
        let asked: Vec<_> = requests.iter().collect();
        let mut early = |index: usize, answer| {
            if let Some(ticket) = tickets.get_mut(index).and_then(Option::take) {
                ticket.tell(answer);
            }
        };
        let answers = self.appender.write(turn.slot(), &asked, is_brief, &mut early).await;
        let mut done = Vec::with_capacity(tickets.len());
        let (mut stalled, mut suspects) = (Vec::new(), Vec::new());
        for ((request, ticket), answer) in requests.into_iter().zip(tickets).zip(answers) {
            match (ticket, answer) {
                (Some(ticket), Some(Ok(answer))) => done.push((ticket, answer)),
                (Some(ticket), Some(Err(Locked::Held))) => {
                    stalled.push(Waiting { request, ticket, is_suspect: false });
                }
                (Some(ticket), Some(Err(Locked::Suspect))) => {
                    suspects.push(Waiting { request, ticket, is_suspect: true });
                }
                _ => {}
            }
        }
        turn.hand_back(stalled, suspects);
        let turn = turn.keep_for_callers(done.len());
        for (ticket, answer) in done {
            ticket.tell(answer);
        }
        if turn.is_some() {
            after_those_who_are_ready().await;
        }
    }

    /// Refuses further appends, and closes the connections when what waits has been written.
    pub(crate) async fn close(&self) {
        self.state().is_closed = true;
        loop {
            let became_idle = self.idle.notified();
            tokio::pin!(became_idle);
            became_idle.as_mut().enable();
            let slots = {
                let mut state = self.state();
                if state.slots.are_closed() {
                    return;
                }
                let is_done =
                    state.slots.are_idle() && state.waiting.is_empty() && state.lane.is_some();
                is_done.then(|| {
                    let lane = state.lane.take();
                    state.slots.take_all().into_iter().chain(lane).collect::<Vec<_>>()
                })
            };
            if let Some(slots) = slots {
                // others who close it need not wait
                self.idle.notify_waiters();
                for slot in slots {
                    slot.close().await;
                }
                return;
            }
            became_idle.await;
        }
    }
}

/// Lets all run first that can run now. Another thread can take this over if one of those is at work for
/// long, unlike the yield of tokio.
async fn after_those_who_are_ready() {
    let mut is_over = false;
    poll_fn(|context| match std::mem::replace(&mut is_over, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl State {
    fn new(connections: usize, queue: usize) -> Self {
        Self {
            slots: Slots::new(connections),
            waiting: VecDeque::new(),
            window: queue,
            purge_at: queue,
            is_for_suspects: false,
            busy: HashSet::new(),
            held: Held::default(),
            lane: Some(Slot::empty()),
            is_closed: false,
        }
    }

    fn push(&mut self, waiting: Waiting) {
        if self.waiting.len() >= self.purge_at {
            self.waiting.retain(|waiting| !waiting.ticket.reply.is_closed());
            self.purge_at = self.window.max(self.waiting.len().saturating_mul(2));
        }
        self.waiting.push_back(waiting);
    }

    /// How many streams a batch has at most, so that no connection has nearly all of them for good: who is
    /// answered tends to come again to the connection that has answered.
    fn fair_share(&self) -> usize {
        let all = self.waiting.len() + self.busy.len();
        all.div_ceil(self.slots.usable().max(1)).max(SHARE)
    }

    /// What can be written together now, in the order in which it came; marks its streams as busy.
    fn take_batch(&mut self) -> Taken {
        let mut batch = Vec::new();
        let mut is_more = false;
        let (mut events, mut bytes) = (0, 0);
        // a request must not overtake another of the same stream
        let mut passed: HashSet<StreamId> = HashSet::new();
        let mut taken: HashSet<StreamId> = HashSet::new();
        let mut keys = HashSet::new();
        let mut kept = VecDeque::new();
        self.waiting.retain(|waiting| !waiting.ticket.reply.is_closed());
        let share = self.fair_share();
        let of_suspects = self.is_turn_of_suspects();
        let most = if of_suspects { SUSPECTS } else { BATCH_REQUESTS };
        for _ in 0..self.window {
            let Some(waiting) = self.waiting.pop_front() else { break };
            let request = &waiting.request;
            let streams = || request.streams().iter().map(|part| &part.stream);
            let size = request.event_count();
            let weight = waiting.bytes();
            // a statement has one time for all of its events, and an import has its own
            let is_import = request.original_time().is_some();
            let is_small = events + size <= BATCH_EVENTS && bytes + weight <= BATCH_BYTES;
            let fits = batch.is_empty() || (is_small && !is_import);
            let is_in_turn = waiting.is_suspect == of_suspects;
            let is_free = is_in_turn
                && streams().all(|stream| {
                    !passed.contains(stream)
                        && (taken.contains(stream) || !self.busy.contains(stream))
                });
            // of two with one key the second must see what the first has recorded
            let key = request.idempotency_key();
            let is_first_of_key = key.is_none_or(|key| {
                streams().all(|stream| !keys.contains(&(stream.clone(), key.clone())))
            });
            let is_in_share = taken.len() < share || streams().all(|stream| taken.contains(stream));
            if !(fits && is_free && is_first_of_key && is_in_share) {
                is_more |= is_free && !(fits && is_in_share);
                passed.extend(streams().filter(|stream| !self.busy.contains(*stream)).cloned());
                kept.push_back(waiting);
                // what is further behind is looked at next time
                if is_in_turn && !fits {
                    break;
                }
                continue;
            }
            (events, bytes) = (events + size, bytes + weight);
            for stream in streams() {
                taken.insert(stream.clone());
                if let Some(key) = key {
                    keys.insert((stream.clone(), key.clone()));
                }
            }
            batch.push(waiting);
            if is_import || batch.len() == most {
                is_more |= !self.waiting.is_empty();
                break;
            }
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        self.busy.extend(taken);
        Taken { batch, is_more }
    }
}
