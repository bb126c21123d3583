//! One slice of a rebuild.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::envelope::{EventId, RecordedEvent};
use crate::environment::breathe;
use crate::error::StoreError;
use crate::read::{LogPage, ReadLog};
use crate::store::EventStore;
use crate::stream::slice_of;

use super::super::worker::{Parking, Worker};
use super::super::{Checkpoint, LastResort, StopCause};
use super::Watch;

/// A page of the log, for all slices.
pub(super) struct Page {
    from: Checkpoint,
    events: Vec<RecordedEvent>,
    pub(super) to: Checkpoint,
    /// True if the log ended there.
    pub(super) at_end: bool,
}

impl Page {
    /// Reads a page.
    pub(super) async fn read(
        store: &dyn EventStore,
        from: Checkpoint,
        read: ReadLog,
    ) -> Result<Self, StoreError> {
        let page = store.read_log(&ReadLog { after: from.position, ..read }).await?;
        let to = from.after(&page);
        let LogPage { events, at_end, .. } = page;
        Ok(Self { from, events, to, at_end })
    }

    /// The page without what stands behind `end`.
    fn until(mut self, end: &Checkpoint) -> Self {
        if self.to.position > end.position {
            self.events.retain(|event| event.position <= end.position);
            (self.to, self.at_end) = (end.clone(), false);
        }
        self
    }
}

/// The streams of which the hash falls to one worker.
pub(super) struct Slice {
    worker: Worker,
    count: u32,
    /// The event that could not be taken, and how often it was tried.
    attempts: Option<(EventId, u32)>,
}

impl Slice {
    pub(super) fn new(worker: Worker, count: u32) -> Self {
        Self { worker, count, attempts: None }
    }

    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.worker.checkpoint
    }

    /// Takes its part of each page, until no more come.
    pub(super) async fn run(
        mut self,
        mut pages: mpsc::Receiver<Arc<Page>>,
        watch: Watch,
    ) -> Result<Self, StopCause> {
        while let Some(page) = pages.recv().await {
            let before = self.worker.done;
            self.take(&page).await?;
            let here = self.worker.checkpoint.position;
            watch.count(self.worker.slice, self.worker.done - before, here);
        }
        self.worker.flush().await?;
        Ok(self)
    }

    /// Takes the events up to the end of the page, the earlier ones included if they are wanted again.
    async fn take(&mut self, page: &Page) -> Result<(), StopCause> {
        loop {
            self.take_up_to(page).await?;
            if page.at_end {
                self.worker.flush().await?;
            }
            // what could not be committed is taken again
            if self.worker.reached().position >= page.to.position {
                return Ok(());
            }
        }
    }

    async fn take_up_to(&mut self, page: &Page) -> Result<(), StopCause> {
        while self.worker.reached().position < page.to.position {
            let here = self.worker.reached().clone();
            if here.position >= page.from.position {
                self.take_page(page).await?;
            } else {
                let selection = self.worker.definition.selection().clone();
                let read = ReadLog::from_start().filter(selection);
                let read = read.limit(self.worker.limit.page(self.count as usize));
                let again = Page::read(&*self.worker.store, here, read).await?;
                self.take_page(&again.until(&page.from)).await?;
            }
        }
        Ok(())
    }

    /// Takes the events of a page that begins where the slice stands, or before.
    async fn take_page(&mut self, page: &Page) -> Result<(), StopCause> {
        // a slice that is further than others has dealt with the beginning of the log already
        while (page.from.position..page.to.position).contains(&self.worker.reached().position) {
            breathe().await;
            let here = self.worker.reached().position;
            let events = page.events.iter().filter(|event| {
                event.position > here
                    && slice_of(&event.stream, self.count.into()) == u64::from(self.worker.slice)
            });
            let events: Vec<_> = events.collect();
            self.worker.parking = self.parking();
            match self.worker.advance(&events, &page.to, page.at_end).await {
                Ok(()) => self.attempts = None,
                Err(cause) if let Some(id) = cause.untaken() => {
                    let tried = self.attempts.filter(|(last, _)| *last == id);
                    let attempts = tried.map_or(0, |(_, attempts)| attempts).saturating_add(1);
                    self.attempts = Some((id, attempts));
                    let policy = self.worker.definition.policy();
                    let retry = policy.retry;
                    if attempts <= retry.retries {
                        let environment = &self.worker.environment;
                        let delay = retry.delay(attempts, environment.jitter.fraction());
                        environment.runtime.sleep(delay).await;
                    } else if policy.then == LastResort::Stop {
                        return Err(cause);
                    }
                }
                Err(halt) => return Err(halt),
            }
        }
        Ok(())
    }

    fn parking(&self) -> Parking {
        self.worker.definition.policy().parking(self.attempts)
    }
}
