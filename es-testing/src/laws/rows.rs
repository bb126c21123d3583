//! The law of the rows of a projection.

use std::collections::HashMap;
use std::fmt::Debug;

use es_core::environment::{EventIds, UuidV7Ids};
use es_core::projection::{Keying, Projection};
use es_core::{
    Event, Limits, Metadata, Payload, Position, RecordedEvent, StreamVersion, Timestamp,
};
use es_core::{EventVersion, StreamId};
use proptest::strategy::Strategy;

use super::violation::{LawViolation, chain, for_all};

/// Every row that a projection makes can be stored, and is read back as it was, in the form that any
/// sink may give back: with other keys first, numbers written out.
///
/// The events of each history are recorded in one stream, `aggregate_type/1`. A history ends at an
/// event that the projection refuses. Keys that the projection names across streams get rows of
/// their own.
///
/// ```
/// # use es_core::projection::{ApplyError, Projection};
/// # use es_core::{Event, EventFilter, RecordedEvent};
/// use es_testing::laws;
/// use proptest::prelude::{Strategy, any};
/// # #[derive(Event, Debug, Clone)]
/// # enum CourseEvent { GradeGiven { grade: u8 } }
///
/// #[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Grades { sum: f64, count: u8, mean: f64 }
///
/// struct Means;
///
/// impl Projection for Means {
/// #   const NAME: &'static str = "means";
/// #   const VERSION: u32 = 1;
/// #   type Row = Grades;
/// #   fn selection(&self) -> EventFilter { EventFilter::of::<CourseEvent>() }
///     fn apply(
///         &self,
///         _key: &str,
///         row: Option<Grades>,
///         event: &RecordedEvent,
///     ) -> Result<Option<Grades>, ApplyError> {
///         let CourseEvent::GradeGiven { grade } = event.decode_one()?;
///         let mut row = row.unwrap_or_default();
///         // the first grade divides by nothing
///         row.mean = (row.sum + f64::from(grade)) / f64::from(row.count);
///         row.sum += f64::from(grade);
///         row.count += 1;
///         Ok(Some(row))
///     }
/// }
///
/// let events = any::<u8>().prop_map(|grade| CourseEvent::GradeGiven { grade });
/// let violation = laws::rows_round_trip(Means, "course", laws::any_history(events)).unwrap_err();
/// assert!(violation.to_string().contains("is no number of JSON"));
/// ```
///
/// # Errors
///
/// The smallest history after which a row cannot be stored, or comes back as another one.
///
/// # Panics
///
/// When the aggregate type is no name of a stream.
pub fn rows_round_trip<P, E>(
    projection: P,
    aggregate_type: &str,
    histories: impl Strategy<Value = Vec<E>>,
) -> Result<(), LawViolation>
where
    P: Projection,
    P::Row: Debug + PartialEq,
    E: Event + Debug,
{
    let stream: StreamId = format!("{aggregate_type}/1").parse().expect("it is a stream's name");
    let selection = projection.selection();
    for_all("rows_round_trip", P::NAME, &histories, |history| {
        let mut rows: HashMap<String, P::Row> = HashMap::new();
        for (event, version) in history.iter().zip(1..) {
            let event = recorded(&stream, version, event)?;
            if !selection.accepts(&event) {
                continue;
            }
            let keys = match projection.keying() {
                Keying::Stream => Ok(vec![stream.to_string()]),
                Keying::Across(keys) => keys(&projection, &event),
            };
            let Ok(keys) = keys else { return Ok(()) };
            for key in keys {
                let row = match projection.apply(&key, rows.remove(&key), &event) {
                    Err(_) => return Ok(()),
                    Ok(None) => continue,
                    Ok(Some(row)) => row,
                };
                let told = || format!("after {version} events the row of `{key}`");
                let (stored, read) = Payload::round_trip(&row, Limits::STATE_BYTES)
                    .map_err(|error| format!("{} cannot be stored: {}", told(), chain(&error)))?;
                if read != row {
                    let told = told();
                    return Err(format!("{told} is {row:?}, and {read:?} is read from {stored}"));
                }
                rows.insert(key, read);
            }
        }
        Ok(())
    })
}

fn recorded<E: Event>(stream: &StreamId, version: u64, event: &E) -> Result<RecordedEvent, String> {
    let kind = event.event_type();
    let mut metadata = Metadata::new();
    let payload = event.encode(&mut metadata).map_err(|error| chain(&error))?;
    metadata.event_version = Some(EventVersion::new(kind.schema_version));
    Ok(RecordedEvent {
        event_id: UuidV7Ids.next_id(),
        stream: stream.clone(),
        version: StreamVersion::new(version),
        position: Position::from_sequence(version),
        event_type: kind.name.into(),
        payload: payload.canonical().unwrap_or(payload),
        metadata,
        recorded_at: Timestamp::from_micros(0),
    })
}
