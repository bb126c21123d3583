//! Rows and their typed forms.

use std::str::FromStr;

use es_core::{EventFilter, EventId, Metadata, Payload, Position, RecordedEvent};
use es_core::{StoreError, StoreErrorKind, StreamId, StreamVersion, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::error::Doing;

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

    pub(crate) fn position(&self) -> Result<Position, StoreError> {
        self.number(column::POSITION, "position").map(Position::from_sequence)
    }

    pub(crate) fn version(&self) -> Result<StreamVersion, StoreError> {
        self.number(column::AGGREGATE_VERSION, "aggregate_version").map(StreamVersion::new)
    }

    /// [`EventFilter::accepts`] on a row.
    pub(crate) fn is_wanted(&self, filter: &EventFilter) -> Result<bool, StoreError> {
        let types = &filter.aggregate_types;
        if !types.is_empty()
            && !types.contains(self.text(column::AGGREGATE_TYPE, "aggregate_type")?)
        {
            return Ok(false);
        }
        let names = &filter.event_types;
        if names.is_empty() {
            return Ok(true);
        }
        let name = self.text(column::EVENT_TYPE, "event_type")?;
        Ok(names.iter().any(|wanted| wanted == name))
    }

    pub(crate) fn payload_bytes(&self) -> Result<usize, StoreError> {
        self.text(column::EVENT_DATA, "event_data").map(str::len)
    }

    pub(crate) fn stream(&self) -> Result<StreamId, StoreError> {
        StreamId::new(
            self.text(column::AGGREGATE_TYPE, "aggregate_type")?,
            self.text(column::AGGREGATE_ID, "aggregate_id")?,
        )
        .map_err(|error| self.corrupt("aggregate_id").caused_by(error))
    }

    pub(crate) fn event(&self, stream: StreamId) -> Result<RecordedEvent, StoreError> {
        let metadata = match self.value(column::METADATA, "metadata")? {
            ValueRef::Null => Metadata::default(),
            _ => serde_json::from_str(self.text(column::METADATA, "metadata")?)
                .map_err(|error| self.corrupt("metadata").caused_by(error))?,
        };
        Ok(RecordedEvent {
            event_id: self.parsed(column::EVENT_ID, "event_id", EventId::from_str)?,
            stream,
            version: self.version()?,
            position: self.position()?,
            event_type: self.text(column::EVENT_TYPE, "event_type")?.into(),
            payload: self
                .parsed(column::EVENT_DATA, "event_data", |text| Payload::parse(text.to_owned()))?,
            metadata,
            recorded_at: self.parsed(column::CREATED_AT, "created_at", parse_time)?,
        })
    }

    fn value(&self, index: usize, name: &str) -> Result<ValueRef<'a>, StoreError> {
        self.row.get_ref(index).doing(self.connection, format_args!("reading {name} in"))
    }

    fn number(&self, index: usize, name: &str) -> Result<u64, StoreError> {
        self.value(index, name)?
            .as_i64()
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(|| self.corrupt(name))
    }

    fn text(&self, index: usize, name: &str) -> Result<&'a str, StoreError> {
        self.value(index, name)?.as_str().map_err(|error| self.corrupt(name).caused_by(error))
    }

    fn parsed<T, E: std::error::Error + Send + Sync + 'static>(
        &self,
        index: usize,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        parse(self.text(index, name)?).map_err(|error| self.corrupt(name).caused_by(error))
    }

    /// The row named as well as it can be, whatever is in it.
    fn corrupt(&self, name: &str) -> StoreError {
        let shown = |index| match self.row.get_ref(index) {
            Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).escape_debug().to_string(),
            Ok(ValueRef::Integer(number)) => number.to_string(),
            _ => "?".to_owned(),
        };
        StoreError::new(
            StoreErrorKind::Corrupt,
            format!(
                "{name} of event {} of stream {}/{} at position {} in {} cannot be read",
                shown(column::AGGREGATE_VERSION),
                shown(column::AGGREGATE_TYPE),
                shown(column::AGGREGATE_ID),
                shown(column::POSITION),
                self.connection.path().unwrap_or("the store"),
            ),
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
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, es_core::TimestampError> {
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
