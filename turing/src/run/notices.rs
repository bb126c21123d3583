//! What the tasks of a run have to tell, until whoever waits for them tells it.

use std::future::Future;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Observer, Preparation};
use crate::breakers::OpenBreaker;
use crate::lock::ABSENCE;

/// Something to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// An attempt waits because the system cannot start its script now, for this reason.
    WaitsToStart(String),
    /// The store cannot be used now, for this reason, and is waited for.
    StoreAway(String),
    /// The store can be used again.
    StoreBack,
    /// A circuit breaker has opened.
    BreakerOpened(OpenBreaker),
    /// So many postings, of so many, have come through this.
    Prepares(Preparation, usize, usize),
}

impl Notice {
    fn tell(&self, observer: &mut dyn Observer) {
        match self {
            Self::WaitsToStart(reason) => observer.waits_to_start(reason),
            Self::StoreAway(reason) => observer.store_away(reason, ABSENCE),
            Self::StoreBack => observer.store_back(),
            Self::BreakerOpened(breaker) => observer.breaker_open(breaker),
            Self::Prepares(what, done, of) => observer.prepares(*what, *done, *of),
        }
    }
}

/// Where tasks leave it.
pub(super) type Notifier = UnboundedSender<Notice>;

/// What was left and is not told.
#[derive(Debug)]
pub(super) struct Notices(UnboundedReceiver<Notice>);

impl Notices {
    pub(super) fn new() -> (Notifier, Self) {
        let (notifier, left) = unbounded_channel();
        (notifier, Self(left))
    }

    /// Does some work, and tells meanwhile.
    pub(super) async fn telling<T>(
        &mut self,
        observer: &mut dyn Observer,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = Box::pin(work);
        let done = loop {
            tokio::select! {
                biased;
                Some(notice) = self.0.recv() => notice.tell(observer),
                done = &mut work => break done,
            }
        };
        while let Some(notice) = self.take() {
            notice.tell(observer);
        }
        done
    }

    /// The next that was left, if there is one.
    pub(super) fn take(&mut self) -> Option<Notice> {
        self.0.try_recv().ok()
    }
}
