//! Rows of the projections' tables and their typed forms.

use std::error::Error;

use es_core::projection::{
    Checkpoint, EventReference, Holder, ModelRow, Parked, ParkedState, Slot, Trouble,
};
use es_core::{Payload, Position, StoreError, StoreErrorKind, StreamId, StreamVersion, Timestamp};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row};

use crate::error::Doing;
use crate::row::parse_time;

/// Reads columns, and says of which projection they are if they cannot be read.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) connection: &'a Connection,
    pub(super) row: &'a Row<'a>,
}

impl Columns<'_> {
    pub(super) fn get<T: FromSql>(&self, name: &str) -> Result<T, StoreError> {
        self.row.get(name).doing(self.connection, format_args!("reading {name} of a projection in"))
    }

    fn corrupt(&self, name: &str, error: impl Error + Send + Sync + 'static) -> StoreError {
        let path = self.connection.path().unwrap_or("the store");
        let text = format!("{name} of a projection in {path} cannot be read; rebuild it");
        StoreError::new(StoreErrorKind::Corrupt, text).caused_by(error)
    }

    pub(super) fn position(&self, name: &str) -> Result<Position, StoreError> {
        self.get::<i64>(name).map(|number| Position::from_sequence(number.max(0).unsigned_abs()))
    }

    pub(super) fn count(&self, name: &str) -> Result<u64, StoreError> {
        self.get::<i64>(name).map(|number| number.max(0).unsigned_abs())
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let text: Option<String> = self.get(name)?;
        let time = text.map(|text| parse_time(&text)).transpose();
        time.map_err(|error| self.corrupt(name, error))
    }

    fn time_of(&self, name: &str) -> Result<Timestamp, StoreError> {
        Ok(self.time(name)?.unwrap_or(Timestamp::EPOCH))
    }

    pub(super) fn slot(&self) -> Result<Slot, StoreError> {
        let text: String = self.get("slot")?;
        Ok(if text == Slot::Shadow.as_str() { Slot::Shadow } else { Slot::Active })
    }

    pub(super) fn holder(&self) -> Result<Option<Holder>, StoreError> {
        let name: Option<String> = self.get("holder")?;
        let holder = |name| {
            Ok(Holder { name, expires_at: self.time_of("expires_at")?, rate: self.get("rate")? })
        };
        name.map(holder).transpose()
    }

    pub(super) fn trouble(&self) -> Result<Option<Trouble>, StoreError> {
        let message: Option<String> = self.get("trouble")?;
        let trouble = |message| Ok(Trouble { message, at: self.time_of("trouble_at")? });
        message.map(trouble).transpose()
    }

    fn event(&self, position: Position) -> Result<EventReference, StoreError> {
        let id: String = self.get("event_id")?;
        let (kind, stream): (String, String) =
            (self.get("aggregate_type")?, self.get("aggregate_id")?);
        Ok(EventReference {
            position,
            event_id: id.parse().map_err(|error| self.corrupt("event_id", error))?,
            stream: StreamId::new(&kind, &stream)
                .map_err(|error| self.corrupt("aggregate_id", error))?,
            version: StreamVersion::new(self.count("aggregate_version")?),
        })
    }

    pub(super) fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let event = match self.get::<Option<i64>>("event_position")? {
            Some(_) => Some(self.event(self.position("event_position")?)?),
            None => None,
        };
        Ok(Checkpoint { position: self.position("position")?, event })
    }

    pub(super) fn model_row(&self) -> Result<ModelRow, StoreError> {
        let value: String = self.get("value")?;
        let value = Payload::parse(value).map_err(|error| self.corrupt("a row", error))?;
        Ok(ModelRow { key: self.get("key")?, value })
    }

    pub(super) fn parked(&self) -> Result<Parked, StoreError> {
        let state = match self.get::<String>("state")?.as_str() {
            "discarded" => ParkedState::Discarded {
                reason: self.get("discard_reason")?,
                at: self.time_of("discarded_at")?,
            },
            state => ParkedState::Waiting { is_due: state == "due" },
        };
        Ok(Parked {
            event: self.event(self.position("position")?)?,
            key: self.get("key")?,
            reason: self.get("reason")?,
            attempts: self.get("attempts")?,
            parked_at: self.time_of("parked_at")?,
            state,
        })
    }
}
