//! Snapshots of aggregates.

use std::ops::ControlFlow;
use std::sync::Arc;

use es_core::backend::{
    PageLimit, ReadStream, Snapshot, SnapshotAndTail, SnapshotSummary, StoreError, StoreErrorKind,
    StreamId, StreamPage,
};
use es_core::event::{EventId, Payload};
use es_core::execution::StreamVersion;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use crate::config::{IdType, Layout};
use crate::connection::{Bound, Connections, Doing, Rows};
use crate::error::store_error;
use crate::read::{
    Loads, OfStream, Page, Range, Reader, bind_id, bind_stream, int, one_more, out_of_order,
};
use crate::row::{Instant, Json as JsonText};
use crate::sql::{Statement, TableStatements};

/// A table of the application's for the snapshots of one aggregate type.
pub(crate) struct Table {
    aggregate_type: String,
    statements: TableStatements,
    pub(crate) tails: Arc<Loads<WithTail>>,
}

impl Table {
    /// The one that a layout names; `rest` reads the rest of a stream.
    pub(crate) fn of(layout: &Layout, connections: &Connections, rest: &Statement) -> Option<Self> {
        let aggregate_type = layout.snapshots.as_ref()?.aggregate_type.clone();
        let statements = TableStatements::new(layout);
        let together = &statements.latest_with_tails_of_type;
        let tails = Loads::new(connections, together, rest, layout.ids);
        Some(Self { aggregate_type, statements, tails })
    }
}

impl Reader {
    /// The table of the application's that has the snapshots of this stream.
    fn table_of(&self, stream: &StreamId) -> Option<&Table> {
        self.table.as_ref().filter(|table| table.aggregate_type == stream.aggregate_type())
    }

    /// A statement on the snapshots of this stream with its name bound, which is the id alone in a
    /// table of the application's; `None` if the column cannot hold the id.
    fn on_snapshots(
        &self,
        stream: &StreamId,
        general: &Statement,
        of_table: impl Fn(&TableStatements) -> &Statement,
    ) -> Option<Bound<'static>> {
        match self.table_of(stream) {
            Some(table) => {
                bind_id(sqlx::query(of_table(&table.statements).sql()), self.ids, stream)
            }
            None => bind_stream(sqlx::query(general.sql()), self.ids, stream),
        }
    }

    /// The newest snapshot at or below a version.
    pub(crate) async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        let statement = || {
            self.on_snapshots(stream, &self.statements.latest_snapshot, |table| {
                &table.latest_snapshot_of_type
            })
        };
        if statement().is_none() {
            return Ok(None);
        }
        let rows = self
            .snapshots
            .rows(Doing("reading a snapshot of", Some(stream)), || {
                statement().expect("the id was checked").bind(up_to.as_i64())
            })
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let read = || -> Result<Snapshot, sqlx::Error> {
            let state: JsonText<'_> = row.try_get(3)?;
            Ok(Snapshot::new(
                stream.clone(),
                StreamVersion::new(row.try_get::<i64, _>(0)?.max(0).unsigned_abs()),
                EventId::from_uuid(row.try_get(4)?),
                row.try_get::<String, _>(1)?,
                payload(state)?,
                row.try_get::<Instant, _>(2)?.0,
            ))
        };
        read().map(Some).map_err(|error| corrupt(stream, self.place(), error))
    }

    /// Keeps a snapshot, in place of one of the same version.
    pub(crate) async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        snapshot.check()?;
        let stream = &snapshot.stream;
        let statement = || {
            self.on_snapshots(stream, &self.statements.save_snapshot, |table| {
                &table.save_snapshot_of_type
            })
        };
        if statement().is_none() {
            let text = format!("a snapshot of {stream} cannot be kept: the id is no whole number");
            return Err(StoreError::new(StoreErrorKind::Other, text));
        }
        self.snapshots
            .rows(Doing("saving a snapshot of", Some(stream)), || {
                statement()
                    .expect("the id was checked")
                    .bind(snapshot.version.as_i64())
                    .bind(snapshot.schema.clone())
                    .bind(chrono::DateTime::<chrono::Utc>::from(snapshot.taken_at))
                    .bind(Json(snapshot.state.as_raw().to_owned()))
                    .bind(snapshot.last_event.as_uuid())
            })
            .await
            .map(drop)
    }

    /// Removes all snapshots of a stream.
    pub(crate) async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        let statement = || {
            self.on_snapshots(stream, &self.statements.delete_snapshots, |table| {
                &table.delete_snapshots_of_type
            })
        };
        if statement().is_none() {
            return Ok(());
        }
        self.snapshots
            .rows(Doing("deleting the snapshots of", Some(stream)), || {
                statement().expect("the id was checked")
            })
            .await
            .map(drop)
    }

    /// Removes all snapshots of a stream but the newest, and answers how many those were.
    pub(crate) async fn prune_snapshots(
        &self,
        stream: &StreamId,
        keep: u64,
    ) -> Result<u64, StoreError> {
        let statement = || {
            self.on_snapshots(stream, &self.statements.prune_snapshots, |table| {
                &table.prune_snapshots_of_type
            })
        };
        if statement().is_none() {
            return Ok(0);
        }
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let rows = self
            .snapshots
            .rows(Doing("removing old snapshots of", Some(stream)), || {
                statement().expect("the id was checked").bind(keep)
            })
            .await?;
        let removed = rows.first().map_or(Ok(0), |row| row.try_get::<i64, _>(0));
        removed
            .map(|removed| removed.max(0).unsigned_abs())
            .map_err(|error| store_error("removing old snapshots", self.place(), error))
    }

    /// A page of all snapshots, without their states.
    pub(crate) async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        // before every type there is
        let (aggregate_type, id, version) = after.map_or(("", "", 0), |after| {
            let stream = &after.stream;
            (stream.aggregate_type(), stream.aggregate_id(), after.version.as_i64())
        });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .snapshots
            .rows(Doing("listing the snapshots", None), || {
                let which = match &self.table {
                    Some(table) => &table.statements.list_snapshots_of_all,
                    None => &self.statements.list_snapshots,
                };
                let statement = sqlx::query(which.sql()).bind(aggregate_type.to_owned());
                let statement = match self.ids {
                    IdType::Text => statement.bind(id.to_owned()),
                    IdType::Int => statement.bind(IdType::number(id).unwrap_or(i32::MIN)),
                };
                let statement = statement.bind(version).bind(limit);
                match &self.table {
                    Some(table) => statement.bind(table.aggregate_type.clone()),
                    None => statement,
                }
            })
            .await?;
        let summary = |row: &PgRow| -> Result<SnapshotSummary, sqlx::Error> {
            let stream = StreamId::new(row.try_get(0)?, row.try_get(1)?)
                .map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok(SnapshotSummary {
                stream,
                version: StreamVersion::new(row.try_get::<i64, _>(2)?.max(0).unsigned_abs()),
                last_event: row.try_get::<Option<_>, _>(6)?.map(EventId::from_uuid),
                schema: row.try_get(3)?,
                taken_at: row.try_get::<Instant, _>(4)?.0,
                bytes: row.try_get::<i64, _>(5)?.max(0).unsigned_abs(),
            })
        };
        let summaries: Result<_, _> = rows.iter().map(summary).collect();
        summaries.map_err(|error| {
            let text = format!("a snapshot in {} cannot be read", self.place());
            StoreError::new(StoreErrorKind::Corrupt, text).caused_by(error)
        })
    }

    /// The newest snapshot at or below a version, and the first page of what follows it, in one
    /// statement and so of one moment.
    pub(crate) async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<SnapshotAndTail, StoreError> {
        let (which, loads) = match self.table_of(stream) {
            Some(table) => (&table.statements.latest_with_tail_of_type, &table.tails),
            None => (&self.statements.latest_with_tail, &self.tails),
        };
        let statement = || bind_stream(sqlx::query(which.sql()), self.ids, stream);
        if statement().is_none() {
            let tail = StreamPage::new(Vec::new(), StreamVersion::EMPTY, false);
            return Ok(SnapshotAndTail { snapshot: None, tail });
        }
        let most = self.sizes.page_of(limit);
        let bound = || {
            let statement = statement().expect("the id was checked");
            statement.bind(int(up_to)).bind(one_more(most))
        };
        let rows = || {
            let (page, place) = (self.page_of(stream, limit, most), self.place().into());
            WithTail { stream: stream.clone(), page, snapshot: None, place }
        };
        let range = Range { from: int(StreamVersion::FIRST), to: int(up_to), most };
        let rows = loads.load(stream, range, bound, rows).await?;
        if rows.page.is_cut_at_once() {
            // the snapshot or the first event is too large to be sent: the events alone tell which
            let read = ReadStream::new(stream.clone()).to_version(up_to).limit(limit);
            return Ok(SnapshotAndTail { snapshot: None, tail: self.read_stream(&read).await? });
        }
        Ok(SnapshotAndTail { snapshot: rows.snapshot, tail: rows.page.end(&self.sizes) })
    }
}

/// A snapshot, if there is one, and a page of what follows it.
pub(crate) struct WithTail {
    stream: StreamId,
    snapshot: Option<Snapshot>,
    page: OfStream,
    place: Arc<str>,
}

impl Rows for WithTail {
    fn take(&mut self, row: PgRow) -> Result<ControlFlow<()>, StoreError> {
        let is_snapshot = row.try_get(8);
        if !is_snapshot.map_err(|error| store_error("reading events", &self.place, error))? {
            return self.page.take(row);
        }
        if self.page.is_begun() {
            return Err(out_of_order(&self.place));
        }
        let read = with_tail(&row, &self.stream);
        self.snapshot = Some(read.map_err(|error| corrupt(&self.stream, &self.place, error))?);
        Ok(ControlFlow::Continue(()))
    }

    fn cut_off(&mut self) -> bool {
        self.page.cut_off()
    }
}

impl Page for WithTail {
    const NUMBER: usize = 9;

    fn tail(&self) -> &OfStream {
        &self.page
    }

    fn tail_mut(&mut self) -> &mut OfStream {
        &mut self.page
    }
}

fn corrupt(stream: &StreamId, place: &str, error: sqlx::Error) -> StoreError {
    let text = format!("a snapshot of {stream} in {place} cannot be read");
    StoreError::new(StoreErrorKind::Corrupt, text).caused_by(error)
}

/// The snapshot in a row of the statement that reads its tail as well.
fn with_tail(row: &PgRow, stream: &StreamId) -> Result<Snapshot, sqlx::Error> {
    let state: JsonText<'_> = row.try_get(6)?;
    Ok(Snapshot::new(
        stream.clone(),
        crate::row::version(row.try_get(2)?),
        EventId::from_uuid(row.try_get(1)?),
        row.try_get::<String, _>(3)?,
        payload(state)?,
        row.try_get::<Instant, _>(4)?.0,
    ))
}

fn payload(state: JsonText<'_>) -> Result<Payload, sqlx::Error> {
    Payload::parse(state.0.to_owned()).map_err(|error| sqlx::Error::Decode(error.into()))
}
