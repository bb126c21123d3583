//! Rows as events.

use es_core::backend::{
    EventReference, NewEvent, PageBuilder, Position, StoreError, StoreErrorKind, StreamId,
    Timestamp,
};
use es_core::event::{EventId, Metadata, Payload, RecordedEvent};
use es_core::execution::StreamVersion;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgRow, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Row, Type, ValueRef};
use uuid::Uuid;

/// The columns of the reading statements, in their order; the stream's name only where a statement
/// reads several.
mod column {
    pub(super) const POSITION: usize = 0;
    pub(super) const EVENT_ID: usize = 1;
    pub(super) const AGGREGATE_VERSION: usize = 2;
    pub(super) const EVENT_TYPE: usize = 3;
    pub(super) const CREATED_AT: usize = 4;
    pub(super) const METADATA: usize = 5;
    pub(super) const EVENT_DATA: usize = 6;
    pub(super) const AGGREGATE_TYPE: usize = 7;
    pub(super) const AGGREGATE_ID: usize = 8;
    pub(super) const REACHED: usize = 9;
    pub(super) const REACHED_EVENT: usize = 10;
    pub(super) const REACHED_VERSION: usize = 11;
    pub(super) const REACHED_TYPE: usize = 12;
    pub(super) const REACHED_ID: usize = 13;
    pub(super) const REACHED_PLACE: usize = 14;
}

/// One row of a reading statement. What says whether it has an event, and whether there is room for it,
/// is read at once, the rest with the event.
#[derive(Clone, Copy)]
pub(crate) struct EventRow<'a> {
    row: &'a PgRow,
    place: &'a str,
    /// None if the statement had no event for this row.
    pub(crate) position: Option<i64>,
    pub(crate) version: Option<i32>,
    payload: Option<&'a str>,
}

/// Where a page of the log ends.
#[derive(Default)]
pub(crate) struct Reached {
    pub(crate) position: Option<Position>,
    /// The last event in view up to there.
    pub(crate) event: Option<EventReference>,
}

impl Reached {
    /// Takes it from a row of a filtered page, which all tell the same.
    pub(crate) fn learn(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        if self.position.is_some() {
            return Ok(());
        }
        self.position = Some(position(row.try_get(column::REACHED)?));
        if let Some(number) = row.try_get::<Option<i32>, _>(column::REACHED_VERSION)? {
            let position = position(row.try_get(column::REACHED_PLACE)?);
            let kind: Option<&str> = row.try_get(column::REACHED_TYPE)?;
            let id: Option<&str> = row.try_get(column::REACHED_ID)?;
            let event_id = row.try_get::<Option<Uuid>, _>(column::REACHED_EVENT)?;
            self.event = Some(EventReference {
                position,
                event_id: event_id.map_or_else(|| EventId::stand_in(position), EventId::from_uuid),
                stream: stream_of(kind, id).unwrap_or_else(|stand_in| stand_in),
                version: version(number),
            });
        }
        Ok(())
    }
}

/// The name of a stream, or what stands in for one that is none.
fn stream_of(kind: Option<&str>, id: Option<&str>) -> Result<StreamId, StreamId> {
    let (kind, id) = (kind.unwrap_or_default(), id.unwrap_or_default());
    StreamId::new(kind, id).map_err(|_| StreamId::stand_in(kind, id))
}

impl<'a> EventRow<'a> {
    pub(crate) fn of(row: &'a PgRow, place: &'a str) -> Result<Self, StoreError> {
        let mut read = Self { row, place, position: None, version: None, payload: None };
        read.position = read.get(column::POSITION, "position")?;
        read.version = read.get(column::AGGREGATE_VERSION, "aggregate_version")?;
        let payload: Option<Json<'a>> = read.get(column::EVENT_DATA, "event_data")?;
        read.payload = payload.map(|json| json.0);
        Ok(read)
    }

    pub(crate) fn payload_bytes(self) -> usize {
        self.payload.map_or(0, str::len)
    }

    /// The event, of `stream` if that is known, for this page.
    ///
    /// A row in which somebody wrote what is no event is one whose payload is unreadable: readers of
    /// the log pass it, and who decodes it is told the event and the column. An error is one of the
    /// table, not of the row: a column of another type.
    pub(crate) fn event(
        self,
        stream: Option<&StreamId>,
        page: &PageBuilder,
    ) -> Result<RecordedEvent, StoreError> {
        let mut odd = None;
        let mut must = |name: &'static str, is_read: bool| {
            if !is_read && odd.is_none() {
                odd = Some(name);
            }
        };
        let stream = match stream {
            Some(stream) => stream.clone(),
            None => {
                let kind: Option<&str> = self.get(column::AGGREGATE_TYPE, "aggregate_type")?;
                let id: Option<&str> = self.get(column::AGGREGATE_ID, "aggregate_id")?;
                let (kind, id) = (kind.unwrap_or_default(), id.unwrap_or_default());
                let stream = page.stream_id(kind, id).map_err(|_| StreamId::stand_in(kind, id));
                must("aggregate_id", stream.is_ok());
                stream.unwrap_or_else(|stand_in| stand_in)
            }
        };
        let position = self.position.map_or(Position::START, self::position);
        must("aggregate_version", self.version.is_some_and(|number| number > 0));
        let event_id = self.get::<Option<Uuid>>(column::EVENT_ID, "event_id")?;
        must("event_id", event_id.is_some());
        let event_type = self.get::<Option<&str>>(column::EVENT_TYPE, "event_type")?;
        must("event_type", event_type.is_some());
        let metadata = match self.get::<Option<Json<'_>>>(column::METADATA, "metadata")? {
            Some(json) => Metadata::parse(json.0).ok(),
            None => Some(Metadata::default()),
        };
        must("metadata", metadata.is_some());
        let payload = self.payload.and_then(|text| Payload::parse(text.to_owned()).ok());
        must("event_data", payload.is_some());
        let payload = match (odd, payload) {
            (None, Some(payload)) => payload,
            (name, _) => Payload::unreadable(&self.unreadable(name.unwrap_or("event_data"))),
        };
        let event_id = event_id.map_or_else(|| EventId::stand_in(position), EventId::from_uuid);
        let event_type = page.event_name(event_type.unwrap_or_default());
        let event = NewEvent::named(event_id, event_type, payload)
            .with_metadata(metadata.unwrap_or_default());
        let recorded_at = self.get::<Instant>(column::CREATED_AT, "created_at")?.0;
        let version = version(self.version.unwrap_or(0));
        Ok(RecordedEvent::new(event, stream, version, position, recorded_at))
    }

    /// The event of a row that was read without what it says, because that is too large.
    pub(crate) fn bare_event(
        self,
        stream: Option<&StreamId>,
        page: &PageBuilder,
    ) -> Result<RecordedEvent, StoreError> {
        let reason = self.unreadable("event_data or metadata");
        let reason = format!("{reason}: its text is too large for the server to send");
        let mut event = self.event(stream, page)?;
        event.payload = Payload::unreadable(&reason);
        Ok(event)
    }

    fn get<T: Decode<'a, Postgres> + Type<Postgres>>(
        self,
        index: usize,
        name: &str,
    ) -> Result<T, StoreError> {
        self.row.try_get(index).map_err(|error| {
            StoreError::new(StoreErrorKind::Corrupt, self.unreadable(name)).caused_by(error)
        })
    }

    /// The row named as well as it can be, whatever is in it.
    fn unreadable(self, name: &str) -> String {
        let event = self.row.try_get::<Uuid, _>(column::EVENT_ID);
        let event = event.map_or_else(|_| "?".to_owned(), |id| id.to_string());
        let position = self.row.try_get::<i64, _>(column::POSITION);
        let position = position.map_or_else(|_| "?".to_owned(), |position| position.to_string());
        format!("{name} of event {event} at position {position} in {} cannot be read", self.place)
    }
}

pub(crate) fn position(number: i64) -> Position {
    Position::from_sequence(number.max(0).unsigned_abs())
}

pub(crate) fn version(number: i32) -> StreamVersion {
    StreamVersion::new(u64::try_from(number).unwrap_or(0))
}

/// A column of type `jsonb`, as text that is not copied.
pub(crate) struct Json<'a>(pub(crate) &'a str);

impl Type<Postgres> for Json<'_> {
    fn type_info() -> PgTypeInfo {
        <serde_json::Value as Type<Postgres>>::type_info()
    }
}

impl<'a> Decode<'a, Postgres> for Json<'a> {
    fn decode(value: PgValueRef<'a>) -> Result<Self, BoxDynError> {
        // in the binary form a byte with the version of the form comes first
        match value.as_bytes()?.split_first() {
            Some((1, text)) => Ok(Self(std::str::from_utf8(text)?)),
            _ => Err("an unknown form of jsonb".into()),
        }
    }
}

/// A column of type `timestamptz`. What lies outside of the years that es-core knows, infinity
/// included, is moved to their nearest end; a time that is not known is the earliest.
pub(crate) struct Instant(pub(crate) Timestamp);

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        <chrono::DateTime<chrono::Utc> as Type<Postgres>>::type_info()
    }
}

impl<'a> Decode<'a, Postgres> for Instant {
    fn decode(value: PgValueRef<'a>) -> Result<Self, BoxDynError> {
        /// From 1970 to 2000, from which PostgreSQL counts.
        const EPOCH: i64 = 946_684_800_000_000;
        if value.is_null() {
            return Ok(Self(Timestamp::from_micros(i64::MIN)));
        }
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(Timestamp::from_micros(micros.saturating_add(EPOCH))))
    }
}
