//! Streams and the log, a page at a time.

use es_core::backend::rules::{RecordedRequest, whole_result};
use es_core::backend::{
    Appended, Direction, EventReference, Limits, LogPage, PageBuilder, PageLimit, Position,
    ReadLog, ReadStream, StoreError, StoreErrorKind, StreamId, StreamPage, Timestamp,
};
use es_core::execution::{IdempotencyKey, StreamVersion};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Doing;
use crate::reader::in_transaction;
use crate::row::{EventRow, time_text};
use crate::sql;

/// How many events of the log one page may look at for those that its filter wants.
///
/// Bounds the time that a page takes, and with it how long the file's write-ahead log must be kept
/// for it.
pub(crate) const LOOKED_AT: u32 = 10_000;

/// The version of a stream now.
pub(crate) fn stream_version(
    connection: &Connection,
    stream: &StreamId,
) -> Result<StreamVersion, StoreError> {
    connection
        .prepare_cached(sql::STREAM_VERSION)
        .and_then(|mut statement| {
            let name = params![stream.aggregate_type(), stream.aggregate_id()];
            statement.query_row(name, |row| row.get::<_, i64>(0)).optional()
        })
        .map(|version| StreamVersion::new(version.unwrap_or(0).max(0).unsigned_abs()))
        .doing(connection, format_args!("reading the version of {stream} in"))
}

/// The position of the newest event.
pub(crate) fn end_of_log(connection: &Connection) -> Result<Position, StoreError> {
    connection
        .prepare_cached(sql::END_OF_LOG)
        .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
        .map(|position| Position::from_sequence(position.max(0).unsigned_abs()))
        .doing(connection, "reading the end of the log in")
}

/// Whether nothing of the stream is behind the last page: then a page is one statement, and needs no
/// transaction.
pub(crate) fn goes_to_the_end(read: &ReadStream) -> bool {
    read.direction == Direction::Forwards && read.to == StreamVersion::MAX && read.until.is_none()
}

/// One page of a stream, in a transaction unless it [goes to the end](goes_to_the_end).
pub(crate) fn read_stream(
    connection: &Connection,
    read: &ReadStream,
) -> Result<StreamPage, StoreError> {
    let to = match read.until {
        Some(instant) => read.to.min(last_until(connection, &read.stream, instant)?),
        None => read.to,
    };
    let is_to_the_end = goes_to_the_end(read);
    let (page, more) = stream_page(connection, read, to)?;
    let last = page.last().map(|last| last.version);
    let version = match (more, last) {
        (Some(version), _) => version,
        // of what is no number somebody has made 0
        (None, Some(last)) if is_to_the_end && !last.is_empty() => last,
        (None, None) if is_to_the_end && read.from <= StreamVersion::FIRST => StreamVersion::EMPTY,
        _ => stream_version(connection, &read.stream)?,
    };
    if is_to_the_end && last.is_none() && version >= read.from.max(StreamVersion::FIRST) {
        if connection.is_autocommit() {
            // the stream has come to the place meanwhile, so that the two answers are of two moments
            return in_transaction(connection, |connection| read_stream(connection, read));
        }
        let text = format!(
            "{} is at version {version}, and has no event from version {} on; the file is damaged",
            read.stream, read.from
        );
        return Err(StoreError::new(StoreErrorKind::Corrupt, text));
    }
    Ok(StreamPage::new(page.into_events(), version, more.is_some()))
}

/// The events of a page, and the version of the stream if there are more.
fn stream_page(
    connection: &Connection,
    read: &ReadStream,
    to: StreamVersion,
) -> Result<(PageBuilder, Option<StreamVersion>), StoreError> {
    let statement = match read.direction {
        Direction::Forwards => sql::READ_STREAM_FORWARDS,
        Direction::Backwards => sql::READ_STREAM_BACKWARDS,
    };
    let mut page = PageBuilder::new(read.limit);
    let mut more = None;
    let bounds = params![
        read.stream.aggregate_type(),
        read.stream.aggregate_id(),
        read.from.as_i64(),
        to.as_i64()
    ];
    each_event(connection, statement, bounds, |row| {
        if !page.admits(row.payload_bytes()) {
            // the state of one moment: the statement is still open
            more = Some(stream_version(connection, &read.stream)?);
            return Ok(false);
        }
        let event = row.event(Some(&read.stream), &page);
        page.push(event);
        Ok(true)
    })?;
    Ok((page, more))
}

/// The version before the first event that was recorded later than `instant`.
fn last_until(
    connection: &Connection,
    stream: &StreamId,
    instant: Timestamp,
) -> Result<StreamVersion, StoreError> {
    let first_later: Option<i64> = connection
        .prepare_cached(sql::FIRST_LATER_VERSION)
        .and_then(|mut statement| {
            statement
                .query_row(
                    params![stream.aggregate_type(), stream.aggregate_id(), time_text(instant)],
                    |row| row.get(0),
                )
                .optional()
        })
        .doing(connection, format_args!("reading {stream} in"))?;
    Ok(first_later.map_or(StreamVersion::MAX, |version| {
        StreamVersion::new(version.saturating_sub(1).max(0).unsigned_abs())
    }))
}

/// One page of the log.
pub(crate) fn read_log(connection: &Connection, read: &ReadLog) -> Result<LogPage, StoreError> {
    let mut page = PageBuilder::new(read.limit);
    let (mut next, mut in_view) = (read.after, read.after);
    let mut looked_at = 0;
    let mut is_full = false;
    let after = i64::try_from(read.after.to_sequence()).unwrap_or(i64::MAX);
    each_event(connection, sql::READ_LOG, params![after, LOOKED_AT], |row| {
        looked_at += 1;
        let is_in_view = row.is_in_view(&read.filter);
        if is_in_view && row.is_wanted(&read.filter) {
            if !page.admits(row.payload_bytes()) {
                is_full = true;
                return Ok(false);
            }
            let event = row.event(None, &page);
            page.push(event);
        }
        next = row.position();
        if is_in_view {
            in_view = next;
        }
        Ok(true)
    })?;
    if looked_at == 0 {
        check_cursor(read.after, end_of_log(connection)?)?;
    }
    let at_end = !is_full && looked_at < LOOKED_AT;
    let last = match page.last().filter(|last| last.position == in_view) {
        Some(last) => Some(last.into()),
        None if in_view == read.after => None,
        None => reference_at(connection, in_view)?,
    };
    Ok(LogPage::new(page.into_events(), next, last, at_end))
}

/// The event at a place of the log.
fn reference_at(
    connection: &Connection,
    place: Position,
) -> Result<Option<EventReference>, StoreError> {
    let before = i64::try_from(place.to_sequence()).unwrap_or(i64::MAX) - 1;
    let mut found = None;
    each_event(connection, sql::READ_LOG, params![before, 1], |row| {
        let event = row.event(None, &PageBuilder::new(PageLimit::default()));
        found = Some(EventReference::from(&event));
        Ok(false)
    })?;
    Ok(found)
}

/// Refuses a cursor beyond `end`, which was read after the cursor was handed out.
pub(crate) fn check_cursor(cursor: Position, end: Position) -> Result<(), StoreError> {
    if cursor > end {
        return Err(StoreError::beyond_the_end(cursor, end));
    }
    Ok(())
}

/// The append that recorded `key` under `stream`.
pub(crate) fn find_request(
    connection: &Connection,
    stream: &StreamId,
    key: &IdempotencyKey,
) -> Result<Option<RecordedRequest>, StoreError> {
    let positions: Option<(i64, i64)> = connection
        .prepare_cached(sql::FIND_KEY)
        .and_then(|mut statement| {
            statement
                .query_row(
                    params![stream.aggregate_type(), stream.aggregate_id(), key.as_str()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()
        })
        .doing(connection, format_args!("looking up a key of {stream} in"))?;
    let Some((first, last)) = positions else {
        return Ok(None);
    };
    let (mut request, mut count) = (RecordedRequest::new(), 0_usize);
    let alone = PageBuilder::new(PageLimit::default());
    each_event(connection, sql::READ_REQUEST, params![first, last], |row| {
        let event = row.event(None, &alone);
        match request.iter_mut().find(|(stream, _)| *stream == event.stream) {
            Some((_, events)) => events.push(event),
            None => request.push((event.stream.clone(), vec![event])),
        }
        count += 1;
        Ok(count <= Limits::APPEND_EVENTS)
    })?;
    if count > Limits::APPEND_EVENTS {
        let text = format!(
            "key {key} of {stream} names more events than any append has; it was written by hand"
        );
        return Err(StoreError::new(StoreErrorKind::Corrupt, text));
    }
    if !request.iter().any(|(part, _)| part == stream) {
        let text = format!("key {key} of {stream} names no event of it; it was written by hand");
        return Err(StoreError::new(StoreErrorKind::Corrupt, text));
    }
    Ok(Some(request))
}

/// The answer to `find_append`.
pub(crate) fn find_append(
    connection: &Connection,
    stream: &StreamId,
    key: &IdempotencyKey,
) -> Result<Option<Appended>, StoreError> {
    Ok(find_request(connection, stream, key)?.map(whole_result))
}

/// Steps through the rows of a reading statement until `take` answers that it has enough.
fn each_event(
    connection: &Connection,
    statement: &str,
    bounds: &[&dyn rusqlite::ToSql],
    mut take: impl FnMut(EventRow<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let what = "reading events in";
    let mut statement = connection.prepare_cached(statement).doing(connection, what)?;
    let mut rows = statement.query(bounds).doing(connection, what)?;
    while let Some(row) = rows.next().doing(connection, what)? {
        if !take(EventRow::new(connection, row))? {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_whose_events_are_not_found_where_they_are_is_damaged() {
        let connection = Connection::open_in_memory().unwrap();
        // the index is not in the order that it is said to have
        let damage = "CREATE TABLE execution_events (
                event_id, aggregate_type, aggregate_id, aggregate_version, position,
                event_type, created_at, metadata, event_data
            );
            CREATE INDEX versions
            ON execution_events (aggregate_type, aggregate_id, aggregate_version DESC);
            INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version)
            VALUES ('order', '1', 10), ('order', '1', 'x');
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = replace(sql, ' DESC', '');
            PRAGMA writable_schema = RESET;";
        connection.execute_batch(damage).unwrap();
        let stream = StreamId::new("order", "1").unwrap();
        assert_eq!(stream_version(&connection, &stream).unwrap(), StreamVersion::new(10));
        let read = ReadStream::new(stream).from_version(StreamVersion::new(2));
        let error = read_stream(&connection, &read).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("order"), "{error}");
        assert!(connection.is_autocommit());
    }
}
