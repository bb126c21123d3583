//! A sink to which the connection is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use es_core::backend::{
    Batch, Claim, Lease, Renewal, Renewed, SinkError, StoreError, StoreErrorKind,
};
use es_core::layer::{LayeredSink, SinkLayer};

use super::parts::Sink;

/// On which side of a call the cut is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Side {
    /// The call never arrives.
    Before,
    /// The call has its effect, and its answer is lost.
    After,
}

/// Cuts one call that writes, and all that follow.
struct Cut {
    inner: Sink,
    calls: AtomicU64,
    at: u64,
    side: Side,
}

/// The sink as a process sees it that is cut off at its call number `at`, from 0.
pub(super) fn cut(inner: &Sink, at: u64, side: Side) -> Sink {
    Arc::new(LayeredSink(Cut { inner: inner.clone(), calls: AtomicU64::new(0), at, side }))
}

impl Cut {
    /// Whether this call is the one, or a later one.
    fn side(&self) -> Option<Side> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match call {
            call if call < self.at => None,
            call if call == self.at => Some(self.side),
            _ => Some(Side::Before),
        }
    }

    /// Nothing that passes: the process is gone.
    fn error() -> SinkError {
        StoreError::new(StoreErrorKind::Closed, "the connection was cut").into()
    }
}

#[async_trait]
impl SinkLayer for Cut {
    fn inner(&self) -> &Sink {
        &self.inner
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        match self.side() {
            None => self.inner.acquire(claim).await,
            Some(Side::Before) => Err(Self::error()),
            Some(Side::After) => self.inner.acquire(claim).await.and(Err(Self::error())),
        }
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        match self.side() {
            None => self.inner.renew(lease, renewal).await,
            Some(Side::Before) => Err(Self::error()),
            Some(Side::After) => self.inner.renew(lease, renewal).await.and(Err(Self::error())),
        }
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        match self.side() {
            None => self.inner.commit(lease, batch).await,
            Some(Side::Before) => Err(Self::error()),
            Some(Side::After) => self.inner.commit(lease, batch).await.and(Err(Self::error())),
        }
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        match self.side() {
            None => self.inner.switch(lease).await,
            Some(Side::Before) => Err(Self::error()),
            Some(Side::After) => self.inner.switch(lease).await.and(Err(Self::error())),
        }
    }
}
