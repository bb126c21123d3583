//! Streams and the log, a page at a time.

use std::sync::Arc;

use es_core::read::PageBuilder;
use es_core::{
    Appended, AppendedStream, Direction, EventFilter, IdempotencyKey, LogPage, PageLimit, Position,
    ReadLog, ReadStream, RecordedEvent, StoreError, StreamId, StreamPage, StreamVersion, Timestamp,
};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::config::IdType;
use crate::connection::{Bound, Connections, Doing};
use crate::log::Log;
use crate::row::{EventRow, position};
use crate::sql::Statements;

/// How many events of the log a page may look at for those that its filter wants.
const LOOKED_AT: i64 = 10_000;

/// The events of the append that recorded a key, by stream.
pub(crate) type RecordedRequest = Vec<(StreamId, Vec<RecordedEvent>)>;

/// What reading needs.
pub(crate) struct Reader {
    pub(crate) connections: Connections,
    pub(crate) statements: Arc<Statements>,
    pub(crate) ids: IdType,
    pub(crate) log: Arc<Log>,
    pub(crate) place: String,
}

/// Binds the name of a stream; `None` if there can be no such stream, because the column cannot
/// hold its id.
pub(crate) fn bind_stream<'q>(
    statement: Bound<'q>,
    ids: IdType,
    stream: &StreamId,
) -> Option<Bound<'q>> {
    let statement = statement.bind(stream.aggregate_type().to_owned());
    Some(match ids {
        IdType::Text => statement.bind(stream.aggregate_id().to_owned()),
        IdType::Int => statement.bind(IdType::number(stream.aggregate_id())?),
    })
}

/// True if the column of ids can hold that of the stream.
fn is_possible(ids: IdType, stream: &StreamId) -> bool {
    ids == IdType::Text || IdType::number(stream.aggregate_id()).is_some()
}

/// Gathers the rows of a recorded request by stream.
pub(crate) fn recorded_request(rows: &[PgRow], place: &str) -> Result<RecordedRequest, StoreError> {
    let mut request = RecordedRequest::new();
    for row in rows {
        let row = EventRow::new(row, place);
        let event = row.event(row.stream()?)?;
        match request.iter_mut().find(|(stream, _)| *stream == event.stream) {
            Some((_, events)) => events.push(event),
            None => request.push((event.stream.clone(), vec![event])),
        }
    }
    Ok(request)
}

/// The numbers that a statement takes for a page: how many events to send, one more than wanted so
/// that it is known whether more follow, and a size as stored after which the wanted ones are
/// certainly complete. A payload is stored in at most six times the bytes of its text and a few.
fn bounds(limit: PageLimit) -> (i64, i64) {
    let events = limit.events.max(1);
    let bytes = limit.bytes.saturating_mul(8).saturating_add(events.saturating_mul(64));
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    (number(events).saturating_add(1), number(bytes))
}

/// A version as the column takes it.
fn int(version: StreamVersion) -> i32 {
    i32::try_from(version.as_u64()).unwrap_or(i32::MAX)
}

impl Reader {
    pub(crate) async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        if !is_possible(self.ids, stream) {
            return Ok(None);
        }
        let rows = self
            .connections
            .rows(Doing("looking up a key of", Some(stream)), || {
                let statement = sqlx::query(self.statements.find_request.sql());
                let statement = bind_stream(statement, self.ids, stream);
                statement.expect("the id was checked").bind(key.as_str().to_owned())
            })
            .await?;
        let request = recorded_request(&rows, &self.place)?;
        if request.is_empty() {
            return Ok(None);
        }
        let streams = request.into_iter().map(|(stream, events)| AppendedStream {
            stream,
            events: events.iter().map(RecordedEvent::receipt).collect(),
        });
        Ok(Some(Appended { streams: streams.collect(), repeated: true }))
    }

    pub(crate) async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let stream = &read.stream;
        if !is_possible(self.ids, stream) {
            let stream_version = StreamVersion::EMPTY;
            return Ok(StreamPage { events: Vec::new(), stream_version, has_more: false });
        }
        let to = match read.until {
            Some(instant) => read.to.min(self.version_until(stream, instant).await?),
            None => read.to,
        };
        let statement = match read.direction {
            Direction::Forwards => &self.statements.read_stream_forwards,
            Direction::Backwards => &self.statements.read_stream_backwards,
        };
        let (events, bytes) = bounds(read.limit);
        let rows = self
            .connections
            .rows(Doing("reading", Some(stream)), || {
                bind_stream(sqlx::query(statement.sql()), self.ids, stream)
                    .expect("the id was checked")
                    .bind(int(read.from))
                    .bind(int(to))
                    .bind(events)
                    .bind(bytes)
            })
            .await?;
        let mut page = PageBuilder::new(read.limit);
        let mut has_more = false;
        let mut stream_version = 0;
        for row in &rows {
            stream_version = row.try_get(7).map_err(|error| self.unreadable(error))?;
            let row = EventRow::new(row, &self.place);
            if row.is_empty()? {
                break;
            }
            if !page.admits(row.payload_bytes()?) {
                has_more = true;
                break;
            }
            page.push(row.event(stream.clone())?);
        }
        let stream_version = StreamVersion::new(i64::max(stream_version, 0).unsigned_abs());
        Ok(StreamPage { events: page.into_events(), stream_version, has_more })
    }

    /// The version before the first event that was recorded later than `instant`.
    async fn version_until(
        &self,
        stream: &StreamId,
        instant: Timestamp,
    ) -> Result<StreamVersion, StoreError> {
        let rows = self
            .connections
            .rows(Doing("reading", Some(stream)), || {
                bind_stream(sqlx::query(self.statements.version_until.sql()), self.ids, stream)
                    .expect("the id was checked")
                    .bind(chrono::DateTime::<chrono::Utc>::from(instant))
            })
            .await?;
        let version: i32 = match rows.first() {
            Some(row) => row.try_get(0).map_err(|error| self.unreadable(error))?,
            None => 0,
        };
        Ok(crate::row::version(version))
    }

    pub(crate) async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let is_filtered = read.filter != EventFilter::all();
        let known = self.log.known();
        // far behind the end there is no need to know how far it has moved
        let reach = if is_filtered { LOOKED_AT } else { bounds(read.limit).0 };
        let far = read.after.to_sequence().saturating_add(reach.unsigned_abs());
        let (end, is_fresh) = match known.to_sequence() > far {
            true => (known, false),
            false => (self.log.look().await?, true),
        };
        if end.to_sequence() <= read.after.to_sequence() {
            return Ok(LogPage { events: Vec::new(), next: read.after, at_end: true });
        }
        let rows = self.log_rows(read, end, is_filtered).await?;
        let mut page = PageBuilder::new(read.limit);
        let mut reached = end;
        for row in &rows {
            if is_filtered {
                reached = position(row.try_get(9).map_err(|error| self.unreadable(error))?);
            }
            let row = EventRow::new(row, &self.place);
            if row.is_empty()? {
                break;
            }
            if !page.admits(row.payload_bytes()?) {
                let next = page.last().map_or(read.after, |last| last.position);
                return Ok(LogPage { events: page.into_events(), next, at_end: false });
            }
            page.push(row.event(row.stream()?)?);
        }
        let at_end = is_fresh && reached == end;
        Ok(LogPage { events: page.into_events(), next: reached, at_end })
    }

    async fn log_rows(
        &self,
        read: &ReadLog,
        end: Position,
        is_filtered: bool,
    ) -> Result<Vec<PgRow>, StoreError> {
        let number = |position: Position| i64::try_from(position.to_sequence()).unwrap_or(i64::MAX);
        let (events, bytes) = bounds(read.limit);
        let names = |names: Vec<String>| (!names.is_empty()).then_some(names);
        self.connections
            .rows(Doing("reading the log", None), || {
                let statement = match is_filtered {
                    true => &self.statements.read_log_filtered,
                    false => &self.statements.read_log,
                };
                let statement = sqlx::query(statement.sql())
                    .bind(number(read.after))
                    .bind(number(end))
                    .bind(events)
                    .bind(bytes);
                if !is_filtered {
                    return statement;
                }
                let filter = &read.filter;
                statement
                    .bind(names(filter.aggregate_types.iter().cloned().collect()))
                    .bind(names(filter.event_types.iter().map(ToString::to_string).collect()))
                    .bind(LOOKED_AT)
            })
            .await
    }

    fn unreadable(&self, error: sqlx::Error) -> StoreError {
        crate::error::store_error("reading events", &self.place, error)
    }
}
