//! Loads: one at once if a connection is free, otherwise all that wait together.
//!
//! What arrives while all connections are busy waits, and the connection that becomes free next reads the
//! first page of each by one statement. Nobody joins a statement that was sent, so a load sees what was
//! acknowledged before it. No timer runs. Only where more come than there are connections, a task that has
//! one lets those come first that are ready, or callers who were answered together would take all
//! connections one by one.
//!
//! That statement is for many short streams. Of a long one it reads the beginning, and the rest is read
//! alone, into the same page. If it fails, or has more to send than it should, whoever has no answer yet
//! reads alone, as without it: so each has the error that is its own, and nobody that of a stranger.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use es_core::backend::{StoreError, StoreErrorKind, StreamId};
use sqlx::postgres::{PgBindIterExt, PgRow};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::{OfStream, bind_stream, one_more};
use crate::config::IdType;
use crate::connection::{Borrowed, Bound, Connections, Doing, Rows};
use crate::error::{closed, is_none_free};
use crate::sql::Statement;

mod call;
#[cfg(test)]
mod tests;
mod together;

use call::Call;
use together::Together;

/// A statement takes no more streams.
const STREAMS: usize = 64;
/// So many are not divided between connections.
const SHARE: usize = 8;
/// Of each it reads no more events.
const EVENTS: usize = 64;
/// It takes no more streams than had so many bytes together lately.
const BYTES: usize = 8 * 1024 * 1024;
/// And is given up if they have so many.
const MOST_BYTES: usize = 2 * BYTES;
/// How many bytes a load is thought to have before there was one.
const FIRST: usize = 4 * 1024;

/// A page; nothing if the load is to be read alone.
type Answer<P> = Result<Option<P>, StoreError>;

/// What a load is filled with.
pub(crate) trait Page: Rows {
    /// The column that tells which of the streams of a statement a row is of, from 1 on.
    const NUMBER: usize;

    /// The events.
    fn tail(&self) -> &OfStream;

    /// The same.
    fn tail_mut(&mut self) -> &mut OfStream;
}

/// The versions that are wanted, and how many events of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) most: usize,
}

/// Loads of one kind, and what of them waits for a connection.
pub(crate) struct Loads<P> {
    connections: Connections,
    /// Reads several streams.
    together: Statement,
    /// Reads the rest of a page.
    rest: Statement,
    ids: IdType,
    place: Arc<str>,
    state: Mutex<State<P>>,
    /// Tells whenever a [task](Call) has ended.
    ended: Notify,
}

struct State<P> {
    waiting: VecDeque<Load<P>>,
    /// A [task](Call) has been called for what waits.
    is_called: bool,
    /// More loads came lately than there are connections.
    is_crowded: bool,
    /// No more loads are taken.
    is_closed: bool,
    /// How many bytes a load had lately.
    usual: usize,
    /// Held by each load that waits or is under way.
    each: Arc<()>,
}

/// A load that waits, and what it is read by if it waits alone.
struct Load<P> {
    range: Range,
    alone: Bound<'static>,
    page: P,
    reply: oneshot::Sender<Answer<P>>,
    since: Instant,
    _counted: Arc<()>,
}

impl<P> Load<P> {
    fn tell(self, answer: Answer<P>) {
        // who has gone does not need it
        let _ = self.reply.send(answer);
    }
}

impl<P> State<P> {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            is_called: false,
            is_crowded: false,
            is_closed: false,
            usual: FIRST,
            each: Arc::new(()),
        }
    }

    /// What one of so many connections reads next.
    fn take(&mut self, connections: usize) -> Vec<Load<P>> {
        let all = Arc::strong_count(&self.each) - 1;
        let most = (BYTES / self.usual.max(1)).clamp(1, STREAMS);
        let share = all.div_ceil(connections.max(1)).max(SHARE).min(most);
        let mut batch = Vec::with_capacity(share.min(self.waiting.len()));
        while batch.len() < share
            && let Some(load) = self.waiting.pop_front()
        {
            if !load.reply.is_closed() {
                batch.push(load);
            }
        }
        self.is_called = !self.waiting.is_empty();
        self.is_crowded = all > connections;
        if batch.len() == 1 {
            // what is read alone is not measured, and streams do not stay large for ever
            self.usual -= self.usual / 8;
        }
        batch
    }

    /// Takes those who have waited for so long.
    fn take_overdue(&mut self, patience: Duration, now: Instant) -> Vec<Load<P>> {
        let is_overdue = |load: &&Load<P>| now.saturating_duration_since(load.since) >= patience;
        let count = self.waiting.iter().take_while(is_overdue).count();
        let overdue = self.waiting.drain(..count).collect();
        self.is_called = !self.waiting.is_empty();
        overdue
    }

    fn learn(&mut self, bytes: usize, streams: usize) {
        self.usual = (self.usual + bytes / streams.max(1)) / 2;
    }
}

impl<P: Page> Loads<P> {
    pub(crate) fn new(
        connections: &Connections,
        together: &Statement,
        rest: &Statement,
        ids: IdType,
    ) -> Arc<Self> {
        Arc::new(Self {
            connections: connections.clone(),
            together: together.clone(),
            rest: rest.clone(),
            ids,
            place: connections.connector().place.as_str().into(),
            state: Mutex::new(State::new()),
            ended: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a page of a stream, by `alone` if it is read alone.
    pub(crate) async fn load(
        self: &Arc<Self>,
        stream: &StreamId,
        range: Range,
        mut alone: impl FnMut() -> Bound<'static>,
        page: impl Fn() -> P,
    ) -> Result<P, StoreError> {
        let doing = Doing("reading", Some(stream));
        if let Some(free) = self.free() {
            let read = self.connections.each_row_on(Some(free), doing, &mut alone, page()).await;
            match read {
                // those that the server gave read for all
                Err(error) if is_none_free(&error) && self.connections.has_any() => {}
                read => return read,
            }
        }
        let answer = self.queue(range, alone(), page()).await.unwrap_or_else(|error| {
            let text = format!("{doing} in {}: the store's own task ended", self.place);
            Err(StoreError::new(StoreErrorKind::Other, text).caused_by(error))
        });
        match answer? {
            Some(page) => self.with_rest(stream, range, page).await,
            None => self.connections.each_row(doing, alone, page()).await,
        }
    }

    /// A connection for one load alone, unless others come with it.
    fn free(&self) -> Option<Borrowed> {
        let state = self.state();
        let is_shared = state.is_called || state.is_crowded;
        drop(state);
        if is_shared { None } else { self.connections.try_loan() }
    }

    /// Puts a load behind those that wait.
    fn queue(
        self: &Arc<Self>,
        range: Range,
        alone: Bound<'static>,
        page: P,
    ) -> oneshot::Receiver<Answer<P>> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state();
        if state.is_closed {
            let _ = reply.send(Err(closed(&self.place)));
            return answer;
        }
        let (since, _counted) = (Instant::now(), Arc::clone(&state.each));
        state.waiting.push_back(Load { range, alone, page, reply, since, _counted });
        let is_called = std::mem::replace(&mut state.is_called, true);
        drop(state);
        if !is_called {
            self.call();
        }
        answer
    }

    /// Calls a task for what waits. Nobody may hold the state meanwhile: what waits is dropped at once if the
    /// runtime has ended.
    fn call(self: &Arc<Self>) {
        self.connections.spawn(Call::new(self).serve());
    }

    /// Refuses further loads, and waits until all others have a connection.
    pub(crate) async fn close(&self) {
        self.state().is_closed = true;
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if !self.state().is_called {
                return;
            }
            ended.await;
        }
    }

    /// The page with what there was no room for beside others.
    async fn with_rest(
        &self,
        stream: &StreamId,
        range: Range,
        mut page: P,
    ) -> Result<P, StoreError> {
        let Some((from, more)) = page.tail_mut().widen(range.most) else { return Ok(page) };
        let statement = || {
            bind_stream(sqlx::query(self.rest.sql()), self.ids, stream)
                .expect("the id was checked")
                .bind(from)
                .bind(range.to)
                .bind(one_more(more))
                .bind(true)
        };
        let doing = Doing("reading", Some(stream));
        let read = self.connections.each_row(doing, statement, Rest(page)).await?;
        Ok(read.0)
    }

    async fn read_alone(&self, on: Borrowed, load: Load<P>) {
        let Load { alone, mut page, reply, .. } = load;
        let stream = page.tail().stream().clone();
        let doing = Doing("reading", Some(&stream));
        let done = self.connections.attempt(Some(on), doing, alone, &mut page).await;
        let _ = reply.send(done.map(|is_done| is_done.then_some(page)));
    }

    async fn read_together(&self, on: Borrowed, mut loads: Vec<Load<P>>) {
        for load in &mut loads {
            load.page.tail_mut().narrow(EVENTS);
        }
        let statement = self.bind(&loads);
        let mut rows = Together::new(loads, &self.place);
        let doing = Doing("reading several streams", None);
        let done = self.connections.attempt(Some(on), doing, statement, &mut rows).await;
        if rows.number > 0 {
            self.state().learn(rows.bytes, rows.number);
        }
        rows.end(done);
    }

    fn bind(&self, loads: &[Load<P>]) -> Bound<'static> {
        let streams = || loads.iter().map(|load| load.page.tail().stream());
        let query = sqlx::query(self.together.sql())
            .bind(streams().map(StreamId::aggregate_type).bind_iter());
        let query = match self.ids {
            IdType::Text => query.bind(streams().map(StreamId::aggregate_id).bind_iter()),
            IdType::Int => query.bind(
                streams()
                    .map(|stream| IdType::number(stream.aggregate_id()).unwrap_or_default())
                    .bind_iter(),
            ),
        };
        query
            .bind(loads.iter().map(|load| load.range.from).bind_iter())
            .bind(loads.iter().map(|load| load.range.to).bind_iter())
            .bind(loads.iter().map(|load| one_more(load.range.most.min(EVENTS))).bind_iter())
    }
}

/// The rest of a page, which the statement for one stream reads.
struct Rest<P>(P);

impl<P: Page> Rows for Rest<P> {
    fn take(&mut self, row: PgRow) -> Result<ControlFlow<()>, StoreError> {
        self.0.tail_mut().take(row)
    }

    fn cut_off(&mut self) -> bool {
        self.0.tail_mut().cut_off()
    }
}
