//! Streams and the log, a page at a time.

use std::sync::Arc;

use es_core::backend::rules::{RecordedRequest, whole_result};
use es_core::backend::{
    Appended, Direction, Limits, LogPage, PageBuilder, PageLimit, Position, ReadLog, ReadStream,
    StoreError, StoreErrorKind, StreamId, StreamPage, Timestamp,
};
use es_core::event::EventFilter;
use es_core::execution::{IdempotencyKey, StreamVersion};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::config::{IdType, Layout};
use crate::connection::{Bound, Connections, Doing};
use crate::log::Log;
use crate::row::{EventRow, Reached};
use crate::snapshot::{Table, WithTail};
use crate::sql::Statements;

mod filling;
mod loads;

pub(crate) use filling::{Filling, OfStream, Sizes, out_of_order};
use filling::{OfLog, unreadable};
pub(crate) use loads::{Loads, Page, Range};

/// How many positions of the log a page may look at, from the first event on, for what its filter
/// wants. To bound the events instead they had to be counted, for each page of any log; so a log with
/// gaps of this size has pages of one event, which is right, and slow.
pub(crate) const LOOKED_AT: i64 = 10_000;

/// What reading needs.
pub(crate) struct Reader {
    pub(crate) connections: Connections,
    /// For snapshots: a cache must not take those who read events their connections.
    pub(crate) snapshots: Connections,
    pub(crate) statements: Arc<Statements>,
    /// What reads streams forwards, and together with their snapshots.
    streams: Arc<Loads<OfStream>>,
    pub(crate) tails: Arc<Loads<WithTail>>,
    /// The aggregate type whose snapshots have a table of the application's.
    pub(crate) table: Option<Table>,
    pub(crate) ids: IdType,
    pub(crate) log: Arc<Log>,
    place: Arc<str>,
    pub(crate) sizes: Sizes,
}

/// Binds the name of a stream; `None` if there can be no such stream, because the column cannot
/// hold its id.
pub(crate) fn bind_stream<'q>(
    statement: Bound<'q>,
    ids: IdType,
    stream: &StreamId,
) -> Option<Bound<'q>> {
    bind_id(statement.bind(stream.aggregate_type().to_owned()), ids, stream)
}

/// Binds the id of a stream alone; `None` as [`bind_stream`].
pub(crate) fn bind_id<'q>(
    statement: Bound<'q>,
    ids: IdType,
    stream: &StreamId,
) -> Option<Bound<'q>> {
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
    if rows.len() > Limits::APPEND_EVENTS {
        let text = format!(
            "a key in {place} names more events than any append has; it was written by hand"
        );
        return Err(StoreError::new(StoreErrorKind::Corrupt, text));
    }
    let (mut request, alone) = (RecordedRequest::new(), PageBuilder::new(PageLimit::default()));
    for row in rows {
        let event = EventRow::of(row, place)?.event(None, &alone)?;
        match request.iter_mut().find(|(stream, _)| *stream == event.stream) {
            Some((_, events)) => events.push(event),
            None => request.push((event.stream.clone(), vec![event])),
        }
    }
    Ok(request)
}

/// A number of events as a statement takes it: one more than wanted, so that it is known whether
/// more follow.
pub(crate) fn one_more(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX).saturating_add(1)
}

/// A version as the column takes it.
pub(crate) fn int(version: StreamVersion) -> i32 {
    i32::try_from(version.as_u64()).unwrap_or(i32::MAX)
}

impl Reader {
    pub(crate) fn new(
        [connections, snapshots]: [Connections; 2],
        statements: Arc<Statements>,
        layout: &Layout,
        log: Arc<Log>,
        place: &str,
    ) -> Self {
        let sizes = Sizes::new();
        let (ids, place) = (layout.ids, Arc::from(place));
        let (rest, together) = (&statements.read_stream_forwards, &statements.read_streams);
        let streams = Loads::new(&connections, together, rest, ids);
        let tails = Loads::new(&snapshots, &statements.latest_with_tails, rest, ids);
        let table = Table::of(layout, &snapshots, rest);
        Self { connections, snapshots, statements, streams, tails, table, ids, log, place, sizes }
    }

    /// Refuses further use and closes the connections, when the loads that wait have theirs.
    pub(crate) async fn close(&self) {
        self.streams.close().await;
        self.tails.close().await;
        if let Some(table) = &self.table {
            table.tails.close().await;
        }
        self.connections.close().await;
        self.snapshots.close().await;
    }

    /// Where the store is, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

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
        Ok((!request.is_empty()).then(|| whole_result(request)))
    }

    pub(crate) async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let stream = &read.stream;
        if !is_possible(self.ids, stream) {
            return Ok(StreamPage::new(Vec::new(), StreamVersion::EMPTY, false));
        }
        let to = match read.until {
            Some(instant) => read.to.min(self.version_until(stream, instant).await?),
            None => read.to,
        };
        let statement = match read.direction {
            Direction::Forwards => &self.statements.read_stream_forwards,
            Direction::Backwards => &self.statements.read_stream_backwards,
        };
        let most = self.sizes.page_of(read.limit);
        let bound = |most, is_whole: bool| {
            bind_stream(sqlx::query(statement.sql()), self.ids, stream)
                .expect("the id was checked")
                .bind(int(read.from))
                .bind(int(to))
                .bind(one_more(most))
                .bind(is_whole)
        };
        let doing = Doing("reading", Some(stream));
        let page =
            |filling: Filling| OfStream::new(filling.in_direction(read.direction), stream.clone());
        let whole = || page(Filling::new(read.limit, most, &self.place));
        let statement = || bound(most, true);
        let read_page = match read.direction {
            Direction::Forwards => {
                let range = Range { from: int(read.from), to: int(to), most };
                self.streams.load(stream, range, statement, whole).await?
            }
            Direction::Backwards => self.connections.each_row(doing, statement, whole()).await?,
        };
        if !read_page.is_cut_at_once() {
            return Ok(read_page.end(&self.sizes));
        }
        let bare = page(Filling::bare(read.limit, &self.place));
        let read_page = self.connections.each_row(doing, || bound(1, false), bare).await?;
        Ok(read_page.end(&self.sizes))
    }

    /// An empty page of the beginning of a stream, for no more than so many events.
    pub(crate) fn page_of(&self, stream: &StreamId, limit: PageLimit, most: usize) -> OfStream {
        let filling = Filling::new(limit, most, &self.place);
        OfStream::new(filling, stream.clone())
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
        let most = self.sizes.page_of(read.limit);
        let reach = if is_filtered { LOOKED_AT } else { one_more(most) };
        let far = read.after.to_sequence().saturating_add(reach.unsigned_abs());
        let (end, is_fresh) = match known.to_sequence() > far {
            true => (known, false),
            false => (self.log.look().await?, true),
        };
        if end.to_sequence() <= read.after.to_sequence() {
            self.check_cursor(read.after, end).await?;
            return Ok(LogPage::new(Vec::new(), read.after, None, true));
        }
        let doing = Doing("reading the log", None);
        let bound = |most, is_whole| self.bind_log(read, end, most, is_whole);
        let page = |filling| OfLog { filling, is_filtered, found: Reached::default() };
        let whole = page(Filling::new(read.limit, most, &self.place));
        let mut read_page = self.connections.each_row(doing, || bound(most, true), whole).await?;
        if read_page.filling.is_cut_at_once() {
            let bare = page(Filling::bare(read.limit, &self.place));
            read_page = self.connections.each_row(doing, || bound(1, false), bare).await?;
        }
        let OfLog { filling, found, .. } = read_page;
        let mut reached = found.position.unwrap_or(end);
        if filling.is_full {
            reached = filling.page.last().map_or(read.after, |last| last.position);
        }
        let at_end = is_fresh && reached == end && !filling.is_full;
        if !is_fresh && reached == end {
            // no event says that the end which was known is still there
            self.log.look().await?;
        }
        let last = match filling.page.last() {
            Some(last) if !is_filtered || last.position == reached => Some(last.into()),
            _ => found.event,
        };
        let events = filling.page.into_events();
        self.sizes.learn(&events);
        Ok(LogPage::new(events, reached, last, at_end))
    }

    /// That a cursor which is not before the known end is one of this log.
    pub(crate) async fn check_cursor(
        &self,
        after: Position,
        end: Position,
    ) -> Result<(), StoreError> {
        if after.to_sequence() <= end.to_sequence() {
            return Ok(());
        }
        // an event beyond the end is there if somebody holds the log back
        if let Ok(place) = i64::try_from(after.to_sequence()) {
            let statement = || sqlx::query(self.statements.is_within.sql()).bind(place);
            let rows = self.connections.rows(Doing("looking up a cursor", None), statement).await?;
            let is_within = rows.first().map(|row| row.try_get(0)).transpose();
            if is_within.map_err(|error| self.unreadable(error))?.unwrap_or(false) {
                return Ok(());
            }
        }
        Err(StoreError::beyond_the_end(after, end))
    }

    fn bind_log(
        &self,
        read: &ReadLog,
        end: Position,
        most: usize,
        is_whole: bool,
    ) -> Bound<'static> {
        let is_filtered = read.filter != EventFilter::all();
        let number = |position: Position| i64::try_from(position.to_sequence()).unwrap_or(i64::MAX);
        let names = |names: Vec<String>| (!names.is_empty()).then_some(names);
        let statement = match is_filtered {
            true => &self.statements.read_log_filtered,
            false => &self.statements.read_log,
        };
        let statement = sqlx::query(statement.sql())
            .bind(number(read.after))
            .bind(number(end))
            .bind(one_more(most));
        if !is_filtered {
            return statement.bind(is_whole);
        }
        let filter = &read.filter;
        statement
            .bind(names(filter.aggregate_types.iter().cloned().collect()))
            .bind(names(filter.event_types.iter().map(ToString::to_string).collect()))
            .bind(LOOKED_AT)
            .bind(is_whole)
            .bind(filter.id_prefix.as_deref().map(str::to_owned))
    }

    pub(crate) fn unreadable(&self, error: sqlx::Error) -> StoreError {
        unreadable(&self.place, error)
    }
}
