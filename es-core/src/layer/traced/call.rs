//! One call: its span, and how long it took.

use std::time::Instant;

use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::append::AppendError;
use crate::environment::{Runtime, SystemRuntime};
use crate::error::StoreError;
use crate::measure;
use crate::projection::SinkError;

pub(super) struct Call {
    system: &'static str,
    operation: &'static str,
    span: Span,
}

impl Call {
    pub(super) fn new(system: &'static str, operation: &'static str) -> Self {
        let span = tracing::info_span!(
            "es.store",
            otel.name = %format_args!("{operation} {system}"),
            otel.kind = "client",
            db.system.name = system,
            db.operation.name = operation,
            db.collection.name = Empty,
            db.operation.batch.size = Empty,
            db.response.returned_rows = Empty,
            error.r#type = Empty,
            otel.status_code = Empty,
        );
        Self { system, operation, span }
    }

    pub(super) fn on(self, collection: &str) -> Self {
        self.span.record("db.collection.name", collection);
        self
    }

    /// On what all of these are, if there is one such.
    pub(super) fn on_one_of<'a>(self, mut collections: impl Iterator<Item = &'a str>) -> Self {
        match collections.next() {
            Some(first) if collections.all(|other| other == first) => self.on(first),
            _ => self,
        }
    }

    pub(super) fn batch(self, size: u64) -> Self {
        if size > 1 {
            self.span.record("db.operation.batch.size", size);
        }
        self
    }

    pub(super) async fn made<T, E: ErrorType>(
        self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let span = self.span.clone();
        let mut call = UnderWay { call: self, began: SystemRuntime.now(), is_ended: false };
        let answer = work.instrument(span).await;
        call.is_ended = true;
        call.tell(answer.as_ref().err().map(ErrorType::error_type));
        answer
    }

    /// As [`made`](Self::made), and tells how many rows were answered.
    pub(super) async fn answers<T, E: ErrorType>(
        self,
        work: impl Future<Output = Result<T, E>>,
        rows: impl FnOnce(&T) -> usize,
    ) -> Result<T, E> {
        let span = self.span.clone();
        let answer = self.made(work).await?;
        span.record("db.response.returned_rows", rows(&answer) as u64);
        Ok(answer)
    }
}

/// A call that was begun; that its caller dropped it is told, too.
struct UnderWay {
    call: Call,
    began: Instant,
    is_ended: bool,
}

impl UnderWay {
    fn tell(&self, error: Option<&'static str>) {
        let took = SystemRuntime.now().duration_since(self.began);
        let Call { system, operation, span } = &self.call;
        if let Some(error) = error {
            span.record("error.type", error);
            span.record("otel.status_code", "ERROR");
        }
        let labels = [
            Some(("db.system.name", *system)),
            Some(("db.operation.name", *operation)),
            error.map(|error| ("error.type", error)),
        ];
        let labels = labels.into_iter().flatten().map(|(name, value)| (name, value.into()));
        measure::record("db.client.operation.duration", labels, took.as_secs_f64());
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_ended {
            self.tell(Some("cancelled"));
        }
    }
}

/// What a refusal or a failure is called.
pub(super) trait ErrorType {
    fn error_type(&self) -> &'static str;
}

impl ErrorType for StoreError {
    fn error_type(&self) -> &'static str {
        self.kind().as_str()
    }
}

impl ErrorType for AppendError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::DuplicateEvent { .. } => "duplicate_event",
            Self::KeyReused { .. } => "key_reused",
            Self::Invalid(_) => "invalid",
            Self::Store(error) => error.error_type(),
        }
    }
}

impl ErrorType for SinkError {
    fn error_type(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
            Self::RebuildRunning { .. } => "rebuild_running",
            Self::LeaseLost { .. } => "lease_lost",
            Self::Changed { .. } => "changed",
            Self::NotCaughtUp { .. } => "not_caught_up",
            Self::NoModel { .. } => "no_model",
            Self::NothingParked { .. } => "nothing_parked",
            Self::ParkedChanged { .. } => "parked_changed",
            Self::Unusable { .. } => "unusable",
            Self::Refused { .. } => "refused",
            Self::Diverged { .. } => "diverged",
            Self::Store(error) => error.error_type(),
        }
    }
}
