//! Work of the writer that begins in a task of its own, or never if the runtime has ended.

use std::sync::Arc;

use super::Writer;
use crate::connection::Slot;
use crate::error::runtime_ended;

/// What a connection is to be used for.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// What waits for any connection.
    Waiting,
    /// What others hold up.
    Stalled,
}

/// Work that has not begun; it never will if this is dropped with its connection, because the runtime
/// has ended.
struct Beginning {
    writer: Arc<Writer>,
    slot: Option<Slot>,
    work: Work,
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.writer.abandon(slot, self.work);
        }
    }
}

impl Writer {
    /// Begins work on a connection, in a task of its own. Nobody may hold the state meanwhile: the work
    /// is given up at once if the runtime has ended.
    pub(super) fn begin(self: &Arc<Self>, slot: Slot, work: Work) {
        let mut beginning = Beginning { writer: Arc::clone(self), slot: Some(slot), work };
        self.runtime.spawn(async move {
            let Some(slot) = beginning.slot.take() else { return };
            let writer = Arc::clone(&beginning.writer);
            match work {
                Work::Waiting => writer.write_what_waits(slot).await,
                Work::Stalled => Box::pin(writer.try_what_is_stalled(slot)).await,
            }
        });
    }

    /// Answers all who wait, because nobody else will; what they wait for was not written.
    fn abandon(&self, slot: Slot, work: Work) {
        let mut state = self.state();
        state.is_closed = true;
        match work {
            Work::Waiting => state.slots.put_back(slot),
            Work::Stalled => state.lane = Some(slot),
        }
        let mut left = state.held.take_all();
        left.extend(state.waiting.take_all());
        drop(state);
        self.idle.notify_waiters();
        for waiting in left {
            waiting.ticket.tell(Err(runtime_ended(self.appender.place()).into()));
        }
    }
}
