//! The contract suite over a table whose ids are numbers, as Turing's are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, EventReference, EventStore, Limits,
    LogPage, PageBuilder, PageLimit, Position, ReadLog, ReadStream, Snapshot, SnapshotAndTail,
    SnapshotStore, SnapshotSummary, StoreError, StreamId, StreamPage,
};
use es_core::event::RecordedEvent;
use es_core::execution::{Conflict, IdempotencyKey, StreamVersion};
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::fixture::Store;

/// Gives the names of the scenarios numbers on the way in, and names on the way out.
struct Numbered {
    store: PostgresStore,
    names: Arc<Mutex<Names>>,
}

#[derive(Default)]
struct Names {
    numbers: HashMap<String, i32>,
    names: HashMap<i32, String>,
}

impl Names {
    /// Numbers of every length, the least and the greatest among the first.
    fn next(&self) -> i32 {
        let count = i32::try_from(self.names.len()).unwrap();
        match [0, -1, i32::MIN, i32::MAX].get(self.names.len()) {
            Some(number) => *number,
            // odd, so that all are different
            None => count.wrapping_mul(-1_640_531_527),
        }
    }
}

impl Numbered {
    fn number(&self, stream: &StreamId) -> StreamId {
        let mut known = self.names.lock().unwrap();
        let (id, next) = (stream.aggregate_id().to_owned(), known.next());
        let number = *known.numbers.entry(id.clone()).or_insert(next);
        known.names.entry(number).or_insert(id);
        StreamId::new(stream.aggregate_type(), &number.to_string()).unwrap()
    }

    fn name(&self, stream: &StreamId) -> StreamId {
        let number: i32 = stream.aggregate_id().parse().unwrap();
        let name = &self.names.lock().unwrap().names[&number];
        StreamId::new(stream.aggregate_type(), name).unwrap()
    }

    fn named(&self, mut appended: Appended) -> Appended {
        for part in &mut appended.streams {
            part.stream = self.name(&part.stream);
        }
        appended
    }

    /// A page of those whose names begin with something: their numbers do not.
    async fn page_of_names(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let (mut rest, mut after) = (Vec::new(), read.after);
        loop {
            let page = self.store.read_log(&ReadLog::after(after)).await?;
            rest.extend(self.named_events(page.events));
            after = page.next;
            if page.at_end {
                break;
            }
        }
        let mut page = PageBuilder::new(read.limit);
        for event in rest.iter().filter(|event| read.filter.accepts(event)) {
            if !page.admits(event.payload.as_str().len()) {
                let next = page.last().map_or(read.after, |last| last.position);
                let last = page.last().map(EventReference::from);
                return Ok(LogPage::new(page.into_events(), next, last, false));
            }
            page.push(event.clone());
        }
        let last = rest.iter().rfind(|event| read.filter.shows(&event.stream));
        let last = last.map(EventReference::from);
        Ok(LogPage::new(page.into_events(), after, last, true))
    }

    fn named_events(&self, mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
        for event in &mut events {
            event.stream = self.name(&event.stream);
        }
        events
    }
}

#[async_trait]
impl EventStore for Numbered {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        request.check(&Limits::default())?;
        let (key, time) = (request.idempotency_key().cloned(), request.original_time());
        let mut parts = request.into_streams().into_iter();
        let first = parts.next().unwrap();
        let first = AppendRequest::to(self.number(&first.stream), first.expected, first.events);
        let mut numbered = parts.fold(first, |request, part| {
            request.and(self.number(&part.stream), part.expected, part.events)
        });
        if let Some(key) = key {
            numbered = numbered.with_key(key);
        }
        if let Some(time) = time {
            numbered = numbered.recorded_at(time);
        }
        let answer = self.store.append(numbered).await;
        answer.map(|appended| self.named(appended)).map_err(|error| match error {
            AppendError::Conflict(conflict) => {
                Conflict { stream: self.name(&conflict.stream), ..conflict }.into()
            }
            AppendError::KeyReused { key, stream, difference } => {
                AppendError::KeyReused { key, stream: self.name(&stream), difference }
            }
            other => other,
        })
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        let found = self.store.find_append(&self.number(stream), key).await?;
        Ok(found.map(|appended| self.named(appended)))
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut read = read.clone();
        read.stream = self.number(&read.stream);
        let mut page = self.store.read_stream(&read).await?;
        page.events = self.named_events(page.events);
        Ok(page)
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        if read.filter.id_prefix.is_some() {
            return self.page_of_names(read).await;
        }
        let mut page = self.store.read_log(read).await?;
        let named =
            |last: EventReference| EventReference { stream: self.name(&last.stream), ..last };
        (page.events, page.last) = (self.named_events(page.events), page.last.map(named));
        Ok(page)
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.store.end_of_log().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.store.wait_past(position).await
    }

    /// Without models: those of the store know streams by their numbers.
    fn capabilities(self: Arc<Self>) -> Capabilities {
        let inner = Arc::new(self.store.clone()).capabilities();
        Capabilities::of(inner.identity, inner.system).snapshots(self)
    }
}

#[async_trait]
impl SnapshotStore for Numbered {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        let found = self.store.latest_snapshot(&self.number(stream), up_to).await?;
        Ok(found.map(|snapshot| of(stream, snapshot)))
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        let stream = self.number(&snapshot.stream);
        self.store.save_snapshot(of(&stream, snapshot)).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.store.delete_snapshots(&self.number(stream)).await
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        self.store.prune_snapshots(&self.number(stream), keep).await
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        let numbered = |after: &SnapshotSummary| SnapshotSummary {
            stream: self.number(&after.stream),
            ..after.clone()
        };
        let found = self.store.list_snapshots(after.map(numbered).as_ref(), limit).await?;
        let named =
            |found: SnapshotSummary| SnapshotSummary { stream: self.name(&found.stream), ..found };
        Ok(found.into_iter().map(named).collect())
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        let found = self.store.latest_with_tail(&self.number(stream), up_to, limit).await?;
        Ok(found.map(|SnapshotAndTail { snapshot, mut tail }| {
            tail.events = self.named_events(tail.events);
            SnapshotAndTail { snapshot: snapshot.map(|found| of(stream, found)), tail }
        }))
    }
}

/// The snapshot as one of this stream.
fn of(stream: &StreamId, mut snapshot: Snapshot) -> Snapshot {
    snapshot.stream = stream.clone();
    snapshot
}

async fn ints() -> Store {
    let database = crate::support::database(IdType::Int).await;
    let config =
        PostgresConfig::new(database.options()).layout(crate::support::layout(IdType::Int));
    let names = Arc::new(Mutex::new(Names::default()));
    let view = move |store| {
        let numbered = Arc::new(Numbered { store, names: Arc::clone(&names) });
        (numbered.clone() as Arc<dyn EventStore>, numbered as _)
    };
    Store::smaller(config, view, database).await
}

es_testing::contract_suite!(v1, ints);
