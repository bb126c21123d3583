//! Snapshots of aggregates.

use es_core::{Payload, Snapshot, StoreError, StoreErrorKind, StreamId, StreamVersion};
use sqlx::Row;
use sqlx::types::Json;

use crate::connection::Doing;
use crate::read::{Reader, bind_stream};
use crate::row::{Instant, Json as JsonText};

impl Reader {
    /// The newest snapshot at or below a version.
    pub(crate) async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        let statement =
            || bind_stream(sqlx::query(self.statements.latest_snapshot.sql()), self.ids, stream);
        if statement().is_none() {
            return Ok(None);
        }
        let rows = self
            .connections
            .rows(Doing("reading a snapshot of", Some(stream)), || {
                statement().expect("the id was checked").bind(up_to.as_i64())
            })
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let read = || -> Result<Snapshot, sqlx::Error> {
            let state: JsonText<'_> = row.try_get(3)?;
            Ok(Snapshot {
                stream: stream.clone(),
                version: StreamVersion::new(row.try_get::<i64, _>(0)?.max(0).unsigned_abs()),
                schema: row.try_get(1)?,
                state: Payload::parse(state.0.to_owned())
                    .map_err(|error| sqlx::Error::Decode(error.into()))?,
                taken_at: row.try_get::<Instant, _>(2)?.0,
            })
        };
        read().map(Some).map_err(|error| {
            let text = format!("a snapshot of {stream} in {} cannot be read", self.place());
            StoreError::new(StoreErrorKind::Corrupt, text).caused_by(error)
        })
    }

    /// Keeps a snapshot, in place of one of the same version.
    pub(crate) async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let stream = &snapshot.stream;
        let statement =
            || bind_stream(sqlx::query(self.statements.save_snapshot.sql()), self.ids, stream);
        if statement().is_none() {
            let text = format!("a snapshot of {stream} cannot be kept: the id is no whole number");
            return Err(StoreError::new(StoreErrorKind::Other, text));
        }
        self.connections
            .rows(Doing("saving a snapshot of", Some(stream)), || {
                statement()
                    .expect("the id was checked")
                    .bind(snapshot.version.as_i64())
                    .bind(snapshot.schema.clone())
                    .bind(chrono::DateTime::<chrono::Utc>::from(snapshot.taken_at))
                    .bind(Json(snapshot.state.as_raw().to_owned()))
            })
            .await
            .map(drop)
    }

    /// Removes all snapshots of a stream.
    pub(crate) async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        let statement =
            || bind_stream(sqlx::query(self.statements.delete_snapshots.sql()), self.ids, stream);
        if statement().is_none() {
            return Ok(());
        }
        self.connections
            .rows(Doing("deleting the snapshots of", Some(stream)), || {
                statement().expect("the id was checked")
            })
            .await
            .map(drop)
    }
}
