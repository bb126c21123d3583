//! Spans and metrics of what is asked of a store, with OpenTelemetry's names for databases.

mod call;
mod models;
mod snapshots;

use std::sync::Arc;

use async_trait::async_trait;

use self::call::Call;
use self::models::Models;
use self::snapshots::Snapshots;
use super::{Layered, LayeredSink, LayeredSnapshots, StoreLayer};
use crate::append::{AppendError, AppendRequest, Appended, IdempotencyKey};
use crate::error::StoreError;
use crate::measure;
use crate::position::Position;
use crate::read::{LogPage, ReadLog, ReadStream, StreamPage};
use crate::store::{Capabilities, EventStore, Store};
use crate::stream::StreamId;

/// The store, with a span and a measured duration for each call of its events, its snapshots and its
/// models. What waits has neither.
///
/// A span is a client's, named `{method} {system}`, such as `append sqlite` (`otel.name`, `otel.kind`),
/// at the level of information. Its fields:
///
/// | field | what |
/// |---|---|
/// | `db.system.name` | `sqlite`, `postgresql`, `es.memory` |
/// | `db.operation.name` | the method |
/// | `db.collection.name` | the aggregate type, if the call is of one only; the projection |
/// | `db.operation.batch.size` | how many events are written, if more than one |
/// | `db.response.returned_rows` | how many events, snapshots or rows are answered |
/// | `error.type` | the kind of the refusal or failure, such as `conflict`, `busy`; `cancelled`, if whoever called did not wait for the answer |
/// | `otel.status_code` | `ERROR`, if there is an `error.type` |
///
/// The metrics are those of the `metrics` facade:
///
/// | metric | unit | labels |
/// |---|---|---|
/// | `db.client.operation.duration`, a histogram | s | `db.system.name`, `db.operation.name`, `error.type` |
/// | `es.append.events`, a counter of what was written | events | `db.system.name` |
///
/// Never is an id, a key, a payload or a value of metadata among them.
///
/// ```
/// # use std::sync::Arc;
/// # use es_core::Store;
/// # use es_core::backend::EventStore;
/// # fn example(sqlite: Arc<dyn EventStore>) -> Store {
/// es_core::layer::traced(sqlite)
/// # }
/// ```
pub fn traced(store: impl Into<Store>) -> Store {
    Layered(Events(store.into())).into()
}

struct Events(Store);

impl Events {
    fn call(&self, operation: &'static str) -> Call {
        Call::new(self.0.capabilities().system, operation)
    }
}

#[async_trait]
impl StoreLayer for Events {
    fn inner(&self) -> &Arc<dyn EventStore> {
        self.0.event_store()
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let count = request.event_count() as u64;
        let types = request.streams().iter().map(|part| part.stream.aggregate_type());
        let call = self.call("append").on_one_of(types).batch(count);
        let appended = call.made(self.0.append(request)).await?;
        if !appended.repeated {
            let system = self.0.capabilities().system;
            measure::count("es.append.events", [("db.system.name", system.into())], count);
        }
        Ok(appended)
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let call = self.call("find_append").on(stream.aggregate_type());
        let events = |found: &Option<Appended>| {
            let streams = found.iter().flat_map(|appended| &appended.streams);
            streams.map(|part| part.events.len()).sum::<usize>()
        };
        call.answers(self.0.find_append(stream, key), events).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let call = self.call("read_stream").on(read.stream.aggregate_type());
        call.answers(self.0.read_stream(read), |page| page.events.len()).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let types = read.filter.aggregate_types.iter().map(String::as_str);
        let call = self.call("read_log").on_one_of(types);
        call.answers(self.0.read_log(read), |page| page.events.len()).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.call("end_of_log").made(self.0.end_of_log()).await
    }

    fn capabilities(&self, _: Capabilities) -> Capabilities {
        // those of the handle, which may name others than its events do; what is joined stays so
        let own = self.0.capabilities().clone();
        let system = own.system;
        Capabilities {
            snapshots: own
                .snapshots
                .map(|inner| Arc::new(LayeredSnapshots(Snapshots { inner, system })) as _),
            models: own.models.map(|inner| Arc::new(LayeredSink(Models { inner, system })) as _),
            ..own
        }
    }
}
