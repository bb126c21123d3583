//! One append inside a transaction that somebody else has begun.

use es_core::backend::rules::judge_key;
use es_core::backend::{
    AppendError, AppendRequest, Appended, AppendedStream, EventReceipt, InvalidRequest, Limits,
    NewEvent, Position, StoreError, StoreErrorKind, StreamId, Timestamp,
};
use es_core::event::EventId;
use es_core::execution::StreamVersion;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, Row, params};

use crate::error::{Doing, Said};
use crate::projection::Inline;
use crate::row::time_text;
use crate::{read, sql};

/// A request that was checked, with everything encoded that can be before the writer has it.
pub(crate) struct CheckedAppend {
    request: AppendRequest,
    bytes: usize,
}

impl CheckedAppend {
    pub(crate) fn new(request: AppendRequest, limits: &Limits) -> Result<Self, InvalidRequest> {
        let request = request.checked(limits)?;
        let events = request.streams().iter().flat_map(|part| &part.events);
        let bytes = |event: &NewEvent| {
            event.payload.as_str().len() + event.metadata_document().as_str().len()
        };
        let bytes = events.map(bytes).sum();
        Ok(Self { request, bytes })
    }

    /// Bytes of all payloads and metadata.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Judges a request and writes it, all or nothing; one that fails and has the transaction for itself is
/// left in it, to be undone with it.
pub(crate) fn append(
    connection: &Connection,
    append: &CheckedAppend,
    now: Timestamp,
    inline: &Inline,
    is_only: bool,
) -> Result<Appended, AppendError> {
    let request = &append.request;
    let recorded_at = request.recording_time(now)?;
    let recorded = |stream: &_, key: &_| read::find_request(connection, stream, key);
    if let Some(first) = judge_key(request, recorded)?.answer()? {
        return Ok(first);
    }
    let mut versions = Vec::with_capacity(request.streams().len());
    for part in request.streams() {
        let version = read::stream_version(connection, &part.stream)?;
        part.expected.check(&part.stream, version)?;
        versions.push(version);
    }
    // a trigger with RAISE(FAIL) leaves in place what its statement has written
    let has_triggers = connection
        .db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER)
        .doing(connection, "writing to")?;
    let is_single = request.event_count() == 1 && request.idempotency_key().is_none();
    if is_single && !has_triggers && inline.is_empty() {
        return write(connection, request, &versions, recorded_at, has_triggers)
            .map_err(|failure| failure.explain(connection));
    }
    // SQLite copies each page that a savepoint may have to bring back
    if !is_only {
        run(connection, sql::BEGIN_REQUEST)?;
    }
    let written = write(connection, request, &versions, recorded_at, has_triggers)
        .and_then(|appended| Ok(inline.take(connection, now).map(|()| appended)?));
    // after some failures SQLite has ended the whole transaction already
    if !connection.is_autocommit() {
        match (&written, is_only) {
            (Ok(_), true) => {}
            (Err(_), true) => run(connection, sql::ROLLBACK)?,
            (written, false) => {
                if written.is_err() {
                    run(connection, sql::UNDO_REQUEST)?;
                }
                run(connection, sql::END_REQUEST)?;
            }
        }
    }
    written.map_err(|failure| failure.explain(connection))
}

/// Why a request could not be written.
enum Failure {
    /// SQLite did not take one of these events.
    Insert(Vec<EventId>, rusqlite::Error),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// The failure as an append's, once what was written of it is undone.
    ///
    /// SQLite says which constraint it was in words only, so the store looks for itself.
    fn explain(self, connection: &Connection) -> AppendError {
        let (event_ids, error) = match self {
            Self::Insert(event_ids, error) => (event_ids, error),
            Self::Store(error) => return AppendError::Store(error),
        };
        if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
            let exists = |event_id: &&EventId| {
                let exists = connection.prepare_cached(sql::HAS_EVENT).and_then(|mut statement| {
                    statement.query_row([event_id.to_string()], |row| row.get(0))
                });
                exists.unwrap_or(false)
            };
            if let Some(event_id) = event_ids.iter().find(exists) {
                return AppendError::DuplicateEvent { event_id: *event_id };
            }
        }
        let numbers = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull)
            && let Ok(mut statement) = connection.prepare_cached(sql::SEQUENCE)
            && let Ok((i64::MAX, newest)) = statement.query_row([], numbers)
        {
            return AppendError::Store(used_up(newest).caused_by(Said(error)));
        }
        let first = event_ids.first().map(EventId::to_string).unwrap_or_default();
        let behind = if event_ids.len() > 1 { ", or one behind it," } else { "" };
        let what = format!("writing event {first}{behind} to");
        AppendError::Store(
            Err::<(), _>(error).doing(connection, &what).expect_err("it is an error"),
        )
    }
}

/// The refusal at the end of the positions, which SQLite calls a want of room.
fn used_up(newest: i64) -> StoreError {
    let cure = match newest {
        i64::MAX => "copy the events into a new store".to_owned(),
        _ => format!(
            "its events end at {newest}, so somebody has set that by hand; set it back: UPDATE \
             sqlite_sequence SET seq = {newest} WHERE name = 'execution_events'"
        ),
    };
    let text = format!("the positions of this log are used up, the last is {}: {cure}", i64::MAX);
    StoreError::new(StoreErrorKind::Full, text)
}

/// Runs a statement without parameters or rows.
pub(crate) fn run(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .doing(connection, "working on")
}

/// The statements for several events, and how many each has.
const SEVERAL: [(usize, &str); 2] = [(32, sql::APPEND_MANY_EVENTS), (8, sql::APPEND_EVENTS)];

/// The events, as many at a time as one statement takes, with that: those for [`SEVERAL`], and each of
/// the rest alone. A trigger may write between two, so that they would not have the positions that follow
/// one another.
fn chunks(
    events: &[NewEvent],
    has_triggers: bool,
) -> impl Iterator<Item = (&'static str, &[NewEvent])> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut several = SEVERAL.into_iter();
        let fitting = several.find(|(count, _)| !has_triggers && *count <= rest.len());
        let (count, statement) = fitting.unwrap_or((1, sql::APPEND_EVENT));
        let (chunk, behind) = rest.split_at_checked(count)?;
        rest = behind;
        Some((statement, chunk))
    })
}

/// Inserts a chunk of several; answers the position of the last one.
fn insert_together(
    connection: &Connection,
    statement: &str,
    stream: &StreamId,
    before: StreamVersion,
    created_at: &str,
    events: &[NewEvent],
) -> rusqlite::Result<i64> {
    let mut insert = connection.prepare_cached(statement)?;
    insert.raw_bind_parameter(1, stream.aggregate_type())?;
    insert.raw_bind_parameter(2, stream.aggregate_id())?;
    insert.raw_bind_parameter(3, created_at)?;
    insert.raw_bind_parameter(4, before.as_i64())?;
    for (event, place) in events.iter().zip((5_usize..).step_by(4)) {
        insert.raw_bind_parameter(place, event.event_id.to_string())?;
        insert.raw_bind_parameter(place + 1, event.event_type.as_str())?;
        insert.raw_bind_parameter(place + 2, event.metadata_document().as_str())?;
        insert.raw_bind_parameter(place + 3, event.payload.as_str())?;
    }
    insert.raw_execute()?;
    Ok(connection.last_insert_rowid())
}

fn write(
    connection: &Connection,
    request: &AppendRequest,
    versions: &[StreamVersion],
    recorded_at: Timestamp,
    has_triggers: bool,
) -> Result<Appended, Failure> {
    let created_at = time_text(recorded_at);
    let mut streams = Vec::with_capacity(versions.len());
    let mut insert =
        connection.prepare_cached(sql::APPEND_EVENT).doing(connection, "writing to")?;
    for (part, version) in request.streams().iter().zip(versions) {
        let mut version = *version;
        let mut events = Vec::with_capacity(part.events.len());
        for (statement, chunk) in chunks(&part.events, has_triggers) {
            let inserted = match chunk {
                [event] => insert.insert(params![
                    event.event_id.to_string(),
                    part.stream.aggregate_type(),
                    part.stream.aggregate_id(),
                    version.next().as_i64(),
                    event.event_type.as_str(),
                    created_at,
                    event.metadata_document().as_str(),
                    event.payload.as_str(),
                ]),
                _ => {
                    let (stream, created_at) = (&part.stream, &created_at);
                    insert_together(connection, statement, stream, version, created_at, chunk)
                }
            };
            let last = inserted.map_err(|error| {
                Failure::Insert(chunk.iter().map(|event| event.event_id).collect(), error)
            })?;
            let first = (last.max(0).unsigned_abs() + 1).saturating_sub(chunk.len() as u64);
            for (event, position) in chunk.iter().zip(first..) {
                version = version.next();
                events.push(EventReceipt {
                    event_id: event.event_id,
                    version,
                    position: Position::from_sequence(position),
                    recorded_at,
                });
            }
        }
        streams.push(AppendedStream { stream: part.stream.clone(), events });
    }
    let appended = Appended { streams, repeated: false };
    record_key(connection, request, &appended)?;
    Ok(appended)
}

/// Records the request's key, if it has one, under each of its streams.
fn record_key(
    connection: &Connection,
    request: &AppendRequest,
    appended: &Appended,
) -> Result<(), StoreError> {
    let Some(key) = request.idempotency_key() else {
        return Ok(());
    };
    let mut positions = appended.streams.iter().flat_map(|part| &part.events);
    let first = positions.next().map_or(0, |event| event.position.to_sequence());
    let last = appended.position().to_sequence();
    if last - first + 1 != request.event_count() as u64 {
        return Err(StoreError::new(
            StoreErrorKind::Other,
            "a trigger of the application appends events between those of one request, \
             so that its key would not find them; let the trigger write to another table",
        ));
    }
    for part in request.streams() {
        connection
            .prepare_cached(sql::RECORD_KEY)
            .and_then(|mut statement| {
                statement.execute(params![
                    part.stream.aggregate_type(),
                    part.stream.aggregate_id(),
                    key.as_str(),
                    first.cast_signed(),
                    last.cast_signed(),
                ])
            })
            .doing(connection, format_args!("recording a key of {} in", part.stream))?;
    }
    Ok(())
}
