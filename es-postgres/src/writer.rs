//! Appends: one at once if a connection is free, otherwise all that wait together.
//!
//! They are sent by tasks of the store's own, so that a caller who is not polled holds up nobody and
//! one who goes leaves all or nothing. What arrives while all connections are busy waits, and the
//! connection that becomes free next takes it along in one statement: the busier the store, the larger
//! the batches. A connection that was shared answers before it goes on, and lets those whom it has
//! answered come again: no timer runs, and where others are idle nobody waits for that. A stream is under
//! way on one connection only, so that the appends of one process do not race one another, and what
//! waits for one that is costs nobody [a look](queue).
//!
//! What other transactions hold up waits for no more than a moment there, and then in the
//! [slow lane](lane), so that it holds up nobody else; what comes later for its streams waits
//! [behind it](held). Until it is known what is held up, the requests that came together with it are
//! suspects: they are tried few at a time, in turn with the others.
//!
//! Where the server gives no further connection, all goes over [those that there are](slots).

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use es_core::backend::{AppendError, AppendRequest, Appended};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::append::{Appender, Locked, streams};
use crate::connection::Slot;
use crate::error::{closed, is_none_free, outcome_unknown};

mod beginning;
mod held;
pub(crate) mod lane;
mod queue;
mod slots;
mod suspects;
#[cfg(test)]
mod tests;

use beginning::Work;
use held::Held;
pub(crate) use lane::Lane;
use queue::Queue;
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
    /// What waits for a connection.
    waiting: Queue,
    /// So many of those that can be written are looked at for a batch.
    window: usize,
    /// When so many wait, those are dropped first whose callers have gone.
    purge_at: usize,
    /// Whose turn it is, if there are both.
    is_for_suspects: bool,
    /// What others hold up, and what waits for that.
    held: Held,
    /// The connection for that, unless it is in use.
    lane: Option<Slot>,
    is_closed: bool,
}

/// A request, and somebody who waits for its answer.
struct Waiting {
    request: AppendRequest,
    ticket: Ticket,
    /// How large its payloads are.
    bytes: usize,
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
    fn new(request: AppendRequest, ticket: Ticket) -> Self {
        let events = request.streams().iter().flat_map(|part| &part.events);
        let bytes = events.map(|event| event.payload.as_str().len()).sum();
        Self { request, ticket, bytes, is_suspect: false }
    }

    /// True if nobody waits for the answer.
    fn is_gone(&self) -> bool {
        self.ticket.reply.is_closed()
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
        self.queue(Waiting::new(request, ticket));
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
        let idle = state.take_idle();
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
        if let Err(error) = turn.reach().await {
            let left = if is_none_free(&error) { turn.leave_to_others() } else { Some(turn) };
            // the connection is on loan until all are told
            let Some(_turn) = left else { return };
            // at once: each further try could take as long as this one
            let all = self.state().waiting.take_all_ready();
            for waiting in all {
                waiting.ticket.tell(Err(error.clone().into()));
            }
            return;
        }
        let (batch, is_more) = {
            let mut state = self.state();
            (state.take_batch(), state.waiting.is_any_ready())
        };
        if batch.is_empty() {
            return;
        }
        turn.streams = batch.iter().flat_map(|waiting| streams(&waiting.request)).collect();
        if is_more {
            self.wake();
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
                    stalled.push(Waiting::new(request, ticket));
                }
                (Some(ticket), Some(Err(Locked::Suspect))) => {
                    suspects.push(Waiting { is_suspect: true, ..Waiting::new(request, ticket) });
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
pub(crate) async fn after_those_who_are_ready() {
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
            waiting: Queue::default(),
            window: queue,
            purge_at: queue,
            is_for_suspects: false,
            held: Held::default(),
            lane: Some(Slot::empty()),
            is_closed: false,
        }
    }

    fn push(&mut self, waiting: Waiting) {
        if self.waiting.len() >= self.purge_at {
            self.waiting.purge();
            self.purge_at = self.window.max(self.waiting.len().saturating_mul(2));
        }
        self.waiting.push_back(waiting);
    }

    /// A connection for what waits, if something of it can be written now.
    fn take_idle(&mut self) -> Option<Slot> {
        if self.waiting.is_any_ready() { self.slots.take_idle() } else { None }
    }

    /// What can be written together now; marks its streams as busy.
    fn take_batch(&mut self) -> Vec<Waiting> {
        let are_suspects = self.is_turn_of_suspects();
        // no connection has nearly all streams for good: who is answered tends to come again to the one
        // that has answered
        let all = self.waiting.ready(are_suspects) + self.waiting.busy();
        let share = all.div_ceil(self.slots.usable().max(1)).max(SHARE);
        self.waiting.take(are_suspects, share, self.window)
    }
}
