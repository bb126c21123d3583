//! Rows of the projections' tables and their typed forms, whatever somebody wrote into them.

use es_core::backend::{
    Checkpoint, EventReference, ModelRow, Position, Slot, StoreError, StreamId, Timestamp,
};
use es_core::event::{EventId, Payload};
use es_core::execution::StreamVersion;
use es_core::projection::{Holder, Parked, ParkedState, Trouble};
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

    pub(super) fn position(&self, name: &str) -> Result<Position, StoreError> {
        self.get::<i64>(name).map(|number| Position::from_sequence(number.max(0).unsigned_abs()))
    }

    pub(super) fn count(&self, name: &str) -> Result<u64, StoreError> {
        self.get::<i64>(name).map(|number| number.max(0).unsigned_abs())
    }

    /// A time; the earliest if it cannot be read.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let text: Option<String> = self.get(name)?;
        Ok(text.map(|text| parse_time(&text).unwrap_or(Timestamp::from_micros(i64::MIN))))
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

    /// The reference to an event; one that cannot be read is to an event that no log holds.
    fn event(&self, position: Position) -> Result<EventReference, StoreError> {
        let id: String = self.get("event_id")?;
        let (kind, stream): (String, String) =
            (self.get("aggregate_type")?, self.get("aggregate_id")?);
        Ok(EventReference {
            position,
            event_id: id.parse().unwrap_or_else(|_| EventId::stand_in(position)),
            stream: StreamId::new(&kind, &stream)
                .unwrap_or_else(|_| StreamId::stand_in(&kind, &stream)),
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
        let key: String = self.get("key")?;
        let value = self.row.get_ref("value").doing(self.connection, "reading a projection in")?;
        let value = value.as_str().ok().and_then(|text| Payload::from_stored(text).ok());
        let value = value.unwrap_or_else(|| Payload::unreadable("its value is no JSON"));
        Ok(ModelRow { key, value })
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
