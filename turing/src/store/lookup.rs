//! Finding events across streams.

use std::collections::BTreeSet;
use std::time::Duration;

use es_core::event::{
    EventId, EventStoreExt, Position, ReadLog, ReadStream, RecordedEvent, StreamId,
};
use es_core::execution::{StoreError, StreamVersion};
use es_postgres::sqlx::postgres::PgRow;
use es_postgres::sqlx::{self, AssertSqlSafe, Connection, Row};
use es_postgres::{PostgresConfig, store_error};
use futures_util::{StreamExt, TryStreamExt};

use super::{Opened, Store};

/// What is looked for.
enum Wanted<'a> {
    Correlation { id: &'a str, first: Option<EventId> },
    Ids(&'a BTreeSet<EventId>),
}

impl Wanted<'_> {
    fn accepts(&self, event: &RecordedEvent) -> bool {
        match self {
            Self::Correlation { id, first } => {
                let of_event = event.metadata.correlation_id.as_deref();
                of_event == Some(id) || *first == Some(event.event_id)
            }
            Self::Ids(ids) => ids.contains(&event.event_id),
        }
    }
}

impl Store {
    /// The events of all streams that belong to a correlation, in the order of the log; an event
    /// without a correlation belongs to the one that is named by its own id.
    ///
    /// On PostgreSQL the database finds them: by an index on `metadata ->> 'correlation_id'` if there
    /// is one. On SQLite and in memory the whole log is read.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn correlated(&self, id: &str) -> Result<Vec<RecordedEvent>, StoreError> {
        self.find(Wanted::Correlation { id, first: id.parse().ok() }).await
    }

    /// Those of the events that are in the store, in the order of the log. Found as by
    /// [`correlated`](Self::correlated), on PostgreSQL by the primary key.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn events_of(
        &self,
        ids: &BTreeSet<EventId>,
    ) -> Result<Vec<RecordedEvent>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.find(Wanted::Ids(ids)).await
    }

    async fn find(&self, wanted: Wanted<'_>) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut found = Vec::new();
        match &self.opened {
            Opened::Postgres { store, .. } => {
                for place in places(store.config(), &wanted).await? {
                    let mut events = match place {
                        Place::Stream(read) => self.events.events(read),
                        Place::Log(read) => self.events.log(read).take(1).boxed(),
                    };
                    while let Some(event) = events.try_next().await? {
                        if wanted.accepts(&event) {
                            found.push(event);
                        }
                    }
                }
                found.sort_by_key(|event| event.position.to_sequence());
            }
            Opened::Elsewhere | Opened::Sqlite(_) => {
                let mut events = self.events.log(ReadLog::from_start());
                while let Some(event) = events.try_next().await? {
                    if wanted.accepts(&event) {
                        found.push(event);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Where something is that is wanted.
enum Place {
    /// A part of a stream.
    Stream(ReadStream),
    /// The next event of the log: what somebody wrote under a name that is none is in no stream.
    Log(ReadLog),
}

/// Which parts of which streams hold what is wanted, by the database's own search.
async fn places(config: &PostgresConfig, wanted: &Wanted<'_>) -> Result<Vec<Place>, StoreError> {
    let failed = |error| store_error("looking for events", &config.place(), error);
    let layout = config.names();
    // the names of a layout are identifiers, which cannot change a statement
    let fill = |text: &str| {
        let text = text.replace("{schema}", layout.schema.as_str());
        AssertSqlSafe(text.replace("{events}", layout.events.as_str()))
    };
    let query = match wanted {
        Wanted::Correlation { id, first } => {
            sqlx::query(fill(include_str!("lookup/places_by_correlation.sql")))
                .bind((*id).to_owned())
                .bind(first.map(EventId::as_uuid))
        }
        Wanted::Ids(ids) => sqlx::query(fill(include_str!("lookup/places_by_id.sql")))
            .bind(ids.iter().map(|id| id.as_uuid()).collect::<Vec<_>>()),
    };
    let config = config.clone().statement_timeout(Duration::MAX);
    let mut connection = config.connect().await?;
    let read = async {
        let mut transaction = connection.begin_with(config.begin_pinned()).await?;
        let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await.map(|()| rows)
    };
    let rows = read.await;
    // the server notices in any case
    let _ = connection.close().await;
    let places = |row: &PgRow| -> Result<Vec<Place>, sqlx::Error> {
        let Ok(stream) = StreamId::new(row.try_get(0)?, row.try_get(1)?) else {
            let positions = row.try_get::<Vec<i64>, _>(4)?.into_iter();
            let before = positions.map(|it| it.saturating_sub(1).max(0).unsigned_abs());
            let read = |before| Place::Log(ReadLog::after(Position::from_sequence(before)));
            return Ok(before.map(read).collect());
        };
        let version = |index| -> Result<StreamVersion, sqlx::Error> {
            Ok(StreamVersion::new(row.try_get::<i32, _>(index)?.max(0).unsigned_abs().into()))
        };
        let read = ReadStream::new(stream).from_version(version(2)?).to_version(version(3)?);
        Ok(vec![Place::Stream(read)])
    };
    let found = rows.map_err(failed)?;
    let found: Vec<_> = found.iter().map(places).collect::<Result<_, _>>().map_err(failed)?;
    Ok(found.into_iter().flatten().collect())
}
