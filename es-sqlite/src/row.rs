//! Rows and their typed forms.

use std::borrow::Cow;
use std::str::FromStr;

use es_core::backend::{NewEvent, PageBuilder, Position, StreamId, Timestamp};
use es_core::event::{EventFilter, EventId, Metadata, Payload, RecordedEvent};
use es_core::execution::StreamVersion;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

/// The columns of the reading statements, in their order.
mod column {
    pub(super) const EVENT_ID: usize = 0;
    pub(super) const AGGREGATE_TYPE: usize = 1;
    pub(super) const AGGREGATE_ID: usize = 2;
    pub(super) const AGGREGATE_VERSION: usize = 3;
    pub(super) const POSITION: usize = 4;
    pub(super) const EVENT_TYPE: usize = 5;
    pub(super) const CREATED_AT: usize = 6;
    pub(super) const METADATA: usize = 7;
    pub(super) const EVENT_DATA: usize = 8;
}

/// One row of the log, read column by column, so that what is not wanted costs nothing.
pub(crate) struct EventRow<'a> {
    connection: &'a Connection,
    row: &'a Row<'a>,
}

impl<'a> EventRow<'a> {
    pub(crate) fn new(connection: &'a Connection, row: &'a Row<'a>) -> Self {
        Self { connection, row }
    }

    pub(crate) fn position(&self) -> Position {
        // SQLite keeps nothing but integers in a primary key that is one
        Position::from_sequence(self.number(column::POSITION).unwrap_or(0))
    }

    /// [`EventFilter::shows`] on a row.
    pub(crate) fn is_in_view(&self, filter: &EventFilter) -> bool {
        let prefix = filter.id_prefix.as_deref();
        prefix.is_none_or(|prefix| self.shown(column::AGGREGATE_ID).starts_with(prefix))
    }

    /// [`EventFilter::accepts`] on a row that is in the view.
    pub(crate) fn is_wanted(&self, filter: &EventFilter) -> bool {
        let (types, names) = (&filter.aggregate_types, &filter.event_types);
        (types.is_empty() || types.contains(&*self.shown(column::AGGREGATE_TYPE)))
            && (names.is_empty() || {
                let name = self.shown(column::EVENT_TYPE);
                names.iter().any(|wanted| wanted == &*name)
            })
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        // without a look at whether it is text, which is for who reads it
        self.value(column::EVENT_DATA).as_bytes().map_or(0, <[u8]>::len)
    }

    /// The event, of `stream` if that is known, for this page.
    ///
    /// A row in which somebody wrote what is no event is one whose payload is unreadable: readers of
    /// the log pass it, and who decodes it is told the event and the column. A time that cannot be
    /// read is the earliest.
    pub(crate) fn event(&self, stream: Option<&StreamId>, page: &PageBuilder) -> RecordedEvent {
        let mut odd = None;
        let mut must = |name: &'static str, is_read: bool| {
            if !is_read && odd.is_none() {
                odd = Some(name);
            }
        };
        let stream = stream.cloned().or_else(|| {
            let aggregate_type = self.text(column::AGGREGATE_TYPE)?;
            page.stream_id(aggregate_type, self.text(column::AGGREGATE_ID)?).ok()
        });
        must("aggregate_id", stream.is_some());
        let version = self.number(column::AGGREGATE_VERSION);
        must("aggregate_version", version.is_some());
        let event_id = self.text(column::EVENT_ID).and_then(|text| EventId::from_str(text).ok());
        must("event_id", event_id.is_some());
        must("event_type", self.text(column::EVENT_TYPE).is_some());
        let metadata = match self.value(column::METADATA) {
            ValueRef::Null => Some(Metadata::default()),
            metadata => metadata.as_str().ok().and_then(|text| Metadata::from_stored(text).ok()),
        };
        must("metadata", metadata.is_some());
        let payload = self.text(column::EVENT_DATA);
        let payload = payload.and_then(|text| Payload::from_stored(text).ok());
        must("event_data", payload.is_some());
        let payload = match (odd, payload) {
            (None, Some(payload)) => payload,
            (name, _) => Payload::unreadable(&self.unreadable(name.unwrap_or("event_data"))),
        };
        let position = self.position();
        let time = self.text(column::CREATED_AT).and_then(|text| parse_time(text).ok());
        let event_id = event_id.unwrap_or_else(|| EventId::stand_in(position));
        let event_type = page.event_name(&self.shown(column::EVENT_TYPE));
        let event = NewEvent::named(event_id, event_type, payload);
        let stream = stream.unwrap_or_else(|| {
            StreamId::stand_in(
                &self.shown(column::AGGREGATE_TYPE),
                &self.shown(column::AGGREGATE_ID),
            )
        });
        RecordedEvent::new(
            event.with_metadata(metadata.unwrap_or_default()),
            stream,
            StreamVersion::new(version.unwrap_or(0)),
            position,
            time.unwrap_or(Timestamp::from_micros(i64::MIN)),
        )
    }

    fn value(&self, index: usize) -> ValueRef<'a> {
        self.row.get_ref(index).unwrap_or(ValueRef::Null)
    }

    fn number(&self, index: usize) -> Option<u64> {
        u64::try_from(self.value(index).as_i64().ok()?).ok()
    }

    fn text(&self, index: usize) -> Option<&'a str> {
        self.value(index).as_str().ok()
    }

    /// What stands in a column, as text whatever it is.
    fn shown(&self, index: usize) -> Cow<'a, str> {
        match self.value(index) {
            ValueRef::Null => "".into(),
            ValueRef::Integer(number) => number.to_string().into(),
            ValueRef::Real(number) => number.to_string().into(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes),
        }
    }

    /// The row named as well as it can be, whatever is in it.
    fn unreadable(&self, name: &str) -> String {
        let stream = StreamId::stand_in(
            &self.shown(column::AGGREGATE_TYPE),
            &self.shown(column::AGGREGATE_ID),
        );
        format!(
            "{name} of event {} of stream {} at position {} in {} cannot be read",
            StreamId::stand_in(&self.shown(column::AGGREGATE_VERSION), "")
                .aggregate_id()
                .trim_end_matches('/'),
            stream.aggregate_id(),
            self.position(),
            self.connection.path().unwrap_or("the store"),
        )
    }
}

/// The length of a time with six digits of fraction.
const TIME_BYTES: usize = "2025-11-19 10:00:00.123456".len();

/// A time as `created_at` holds it: SQLite's own form, in UTC, with six digits of fraction, so that
/// texts sort by time and SQLite's date functions take them.
pub(crate) fn time_text(time: Timestamp) -> String {
    let mut text = time.to_string();
    text.pop();
    text.replace_range(10..11, " ");
    text
}

/// Reads what [`time_text`] or SQLite's date functions wrote.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, es_core::backend::TimestampError> {
    // on the stack, as it is done for every event that is read
    let mut zoned = [b'Z'; TIME_BYTES + 1];
    let zoned = match zoned.get_mut(..=text.len()) {
        Some(zoned) => {
            zoned[..text.len()].copy_from_slice(text.as_bytes());
            std::str::from_utf8(zoned).unwrap_or(text)
        }
        None => text,
    };
    zoned.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_and_sort_as_text() {
        let times = [i64::MIN, -1, 0, 1_764_000_000_000_000, 1_764_000_000_123_456, i64::MAX]
            .map(Timestamp::from_micros);
        for pair in times.windows(2) {
            assert!(time_text(pair[0]) < time_text(pair[1]));
        }
        for time in times {
            assert_eq!(parse_time(&time_text(time)), Ok(time));
        }
    }

    #[test]
    fn what_sqlites_date_functions_write_is_read() {
        let time = Timestamp::from_micros(1_764_000_000_500_000);
        for text in ["2025-11-24 16:00:00.5", "2025-11-24 16:00:00.500"] {
            assert_eq!(parse_time(text), Ok(time));
        }
        assert!(parse_time("2025-11-24 16:00:00").is_ok());
        assert!(parse_time("yesterday").is_err());
    }
}
