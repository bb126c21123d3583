//! What is looked at when the lease was taken: the log, where to begin, and what is parked.

use serde::Serialize;

use super::super::Start;
use super::super::window::Window;
use super::held::Held;
use crate::error::StoreError;
use crate::payload::Payload;
use crate::position::Position;
use crate::projection::{
    Batch, Checkpoint, Content, ListParked, Means, ProjectionSink, RowChange, SinkError, Slot,
    StopCause, check_history, forget_passed_trouble,
};
use crate::read::{PageLimit, ReadLog};
use crate::store::Store;

/// The key of the one row that a reaction has.
const START: &str = "start";

/// Where it began.
#[derive(Serialize)]
struct Began {
    from: &'static str,
    position: Position,
}

/// Whether it is recorded where a reaction began.
pub(crate) async fn has_begun(
    sink: &dyn ProjectionSink,
    reaction: &str,
) -> Result<bool, SinkError> {
    let key = [START.to_owned()];
    Ok(!sink.load(reaction, Slot::Active, &key).await?.is_empty())
}

impl Held {
    pub(super) async fn begin(&mut self, means: &Means) -> Result<(), StopCause> {
        let (of, sink, lease) = (self.of.clone(), self.sink.clone(), self.lease.clone());
        let (name, here) = (of.definition.name(), self.reached.clone());
        self.asked(means, check_history(&*means.store, name, &here)).await?;
        self.asked(means, forget_passed_trouble(&*sink, &lease)).await?;
        self.keep_lease(means).await?;
        if !self.asked(means, has_begun(&*sink, name)).await? {
            self.begin_for_the_first_time(means).await?;
        }
        let mut list = ListParked { waiting_only: true, ..ListParked::default() };
        let mut streams = Vec::new();
        loop {
            self.keep_lease(means).await?;
            let page = self.asked(means, sink.parked(name, Slot::Active, &list)).await?;
            let Some(last) = page.last() else { break };
            list.after = Some(last.id());
            streams.extend(self.streams(page.iter().map(|entry| &entry.key)));
        }
        self.window = Window::new(of.policy, self.reached.clone(), streams);
        // what was told until now was told to a window that knew no streams
        self.is_to_renew = true;
        Ok(())
    }

    /// Records where it begins, so that this is decided once: also by two at the same time, of which
    /// one loses the lease, and also on an empty log, where the place alone says nothing.
    async fn begin_for_the_first_time(&mut self, means: &Means) -> Result<(), StopCause> {
        let (sink, lease, here) = (self.sink.clone(), self.lease.clone(), self.reached.clone());
        let (from, to) = match self.of.start {
            Start::Beginning => ("beginning", here.clone()),
            Start::Now => ("now", self.asked(means, end_of(&means.store)).await?),
        };
        self.keep_lease(means).await?;
        let value = Payload::of(&Began { from, position: to.position });
        let value = value.expect("a word and a place are JSON");
        let rows = vec![RowChange { key: START.to_owned(), value: Some(value) }];
        let batch = Batch::moving(0, here, to.clone()).content(Content::Rows(rows));
        self.asked(means, sink.commit(&lease, &batch)).await?;
        self.reached = to;
        if self.of.start == Start::Now {
            self.tell_what_is_passed_over(means).await?;
        }
        Ok(())
    }

    /// Whoever meant something else is to notice it: this is said once, when it is decided.
    async fn tell_what_is_passed_over(&mut self, means: &Means) -> Result<(), StopCause> {
        let selection = self.of.definition.selection().clone();
        let read = ReadLog::from_start().filter(selection).limit(PageLimit::events(1));
        let page = self.asked(means, means.store.read_log(&read)).await?;
        let here = self.reached.position;
        if page.events.first().is_some_and(|first| first.position <= here) {
            let reaction = self.name();
            tracing::warn!(
                reaction,
                position = %here,
                "it begins now: what the log holds up to this position is never given to it, also \
                 what was recorded since this program started; `Start::Beginning` gives it"
            );
        }
        Ok(())
    }
}

/// Behind the last event that can be seen.
async fn end_of(store: &Store) -> Result<Checkpoint, StoreError> {
    let end = store.end_of_log().await?;
    // that event is read, because by it the log is known again
    let before = Position::from_sequence(end.to_sequence().saturating_sub(1));
    let read = ReadLog::after(before).limit(PageLimit::events(1));
    Ok(Checkpoint::START.after(&store.read_log(&read).await?))
}
