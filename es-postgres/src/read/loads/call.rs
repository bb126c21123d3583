//! The task that gets a connection for what waits.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use es_core::backend::StoreError;
use tokio::time::{Instant, timeout};

use super::{Load, Loads, Page};
use crate::connection::{Borrowed, Doing};
use crate::error::is_none_free;
use crate::writer::after_those_who_are_ready;

/// A task that is to read what waits. There is one as long as nobody has begun with it; if it ends without,
/// by a panic or with the runtime, what waits is dropped, and so told.
pub(super) struct Call<P: Page> {
    loads: Arc<Loads<P>>,
    is_over: bool,
}

impl<P: Page> Call<P> {
    pub(super) fn new(loads: &Arc<Loads<P>>) -> Self {
        Self { loads: Arc::clone(loads), is_over: false }
    }

    pub(super) async fn serve(mut self) {
        let borrowed = match self.reached().await {
            Ok(Some(borrowed)) => borrowed,
            Ok(None) => return,
            Err(error) => {
                // at once: each further try could take as long as this one
                for load in self.take_all() {
                    load.tell(Err(error.clone()));
                }
                return;
            }
        };
        after_those_who_are_ready().await;
        let mut batch = self.take();
        match batch.len() {
            0 => {}
            1 => {
                let load = batch.pop().expect("there is one");
                self.loads.read_alone(borrowed, load).await;
            }
            _ => self.loads.read_together(borrowed, batch).await,
        }
    }

    /// A connection that is there, unless nobody waits for it any longer. Where the server gives no further
    /// one, those that it gave read for all.
    async fn reached(&mut self) -> Result<Option<Borrowed>, StoreError> {
        // places that nothing else waits for a connection in
        let mut empty = Vec::new();
        loop {
            let Some(mut borrowed) = self.lent().await? else { return Ok(None) };
            // one refusal is enough, as long as there are others
            if empty.is_empty() || borrowed.is_used() || !borrowed.has_others() {
                match borrowed.reach().await {
                    Ok(()) => return Ok(Some(borrowed)),
                    Err(error) if is_none_free(&error) && borrowed.has_others() => {}
                    Err(error) => return Err(error),
                }
            }
            empty.push(borrowed);
        }
    }

    /// A place for a connection. Who has waited for one for too long is told so, and who came later waits
    /// on; nothing if nobody does.
    async fn lent(&mut self) -> Result<Option<Borrowed>, StoreError> {
        let loads = Arc::clone(&self.loads);
        let patience = loads.connections.connector().connect_timeout();
        let mut next = pin!(loads.connections.next_loan());
        loop {
            let since = loads.state().waiting.front().map(|first| first.since);
            let waited = since.map_or(patience, |since| since.elapsed());
            if let Ok(lent) = timeout(patience.saturating_sub(waited), next.as_mut()).await {
                return lent.map(Some);
            }
            if self.refuse_overdue(patience) {
                return Ok(None);
            }
        }
    }

    /// Answers whether nobody waits after that.
    fn refuse_overdue(&mut self, patience: Duration) -> bool {
        let mut state = self.loads.state();
        let overdue = state.take_overdue(patience, Instant::now());
        self.is_over = !state.is_called;
        drop(state);
        for load in overdue {
            let doing = Doing("reading", Some(load.page.tail().stream()));
            let error = self.loads.connections.none_in_time(doing);
            load.tell(Err(error));
        }
        self.is_over
    }

    /// Takes what a connection reads next, and leaves the rest to another.
    fn take(&mut self) -> Vec<Load<P>> {
        let mut state = self.loads.state();
        let batch = state.take(self.loads.connections.count());
        let is_more = state.is_called;
        self.is_over = true;
        drop(state);
        if is_more {
            self.loads.call();
        }
        batch
    }

    fn take_all(&mut self) -> VecDeque<Load<P>> {
        let mut state = self.loads.state();
        self.is_over = true;
        state.is_called = false;
        std::mem::take(&mut state.waiting)
    }
}

impl<P: Page> Drop for Call<P> {
    fn drop(&mut self) {
        if !self.is_over {
            drop(self.take_all());
        }
        self.loads.ended.notify_waiters();
    }
}
