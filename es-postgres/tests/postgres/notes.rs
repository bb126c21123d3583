//! A table of what was written, for tests of what becomes of a table.

use es_core::backend::TableChange;
use es_core::projection::{Changes, TableRow};
use es_core::{BoxError, Envelope, Event, TableProjection};

/// What tests write.
#[derive(Event)]
pub(crate) enum Written {
    ScriptExecutionCompleted,
}

/// The stream of an event, by its place in the log.
#[derive(TableRow)]
#[table(name = "notes")]
pub(crate) struct Note {
    #[table(key)]
    pub(crate) place: i64,
    pub(crate) stream: String,
}

impl TableProjection for Note {
    type Event = Written;
    type Tables = Self;

    fn project(event: &Envelope<'_, Written>, rows: &mut Changes) -> Result<(), BoxError> {
        let place = i64::try_from(event.position.to_sequence())?;
        rows.upsert(Self { place, stream: event.stream.to_string() });
        Ok(())
    }
}

/// Writes one.
pub(crate) fn noting(place: u64) -> TableChange {
    let (place, stream) = (i64::try_from(place).unwrap(), "account/a".to_owned());
    let values = Note { place, stream }.into_values();
    TableChange::Upsert { table: &Note::SCHEMA, values, set: None }
}
