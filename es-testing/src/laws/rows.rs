//! The law of the rows of a projection.

use std::collections::HashMap;
use std::fmt::Debug;
use std::slice;

use es_core::backend::{Definition, Limits, StreamId};
use es_core::event::Payload;
use es_core::{Aggregate, Envelope, Projection};
use proptest::sample::select;
use proptest::strategy::Strategy;

use super::violation::{LawViolation, chain, for_all};
use crate::recorded::Log;

/// Events in streams of three aggregates, for laws of projections.
///
/// For a projection of a union, map them into it:
/// `in_streams_of::<Order>(ids, events).prop_map(|(stream, event)| (stream, Shop::from(event)))`.
///
/// # Panics
///
/// When an id cannot stand in the name of a stream.
pub fn in_streams_of<A: Aggregate>(
    ids: [&str; 3],
    events: impl Strategy<Value = A::Event>,
) -> impl Strategy<Value = (StreamId, A::Event)>
where
    A::Event: Debug,
{
    let streams = ids.map(|id| StreamId::new(A::TYPE, id).expect("it is the id of a stream"));
    (select(streams.to_vec()), events)
}

/// Every row that a projection makes can be stored, and is read back as it was, in the form that any
/// sink may give back: with other keys first, numbers written out.
///
/// A history ends at an event that the projection refuses.
///
/// ```
/// # use es_core::projection::Keying;
/// # use es_core::{Aggregate, BoxError, Envelope, Event, Projection};
/// use es_testing::laws;
/// use proptest::prelude::{Strategy, any};
/// # #[derive(Event, Debug, Clone)]
/// # enum CourseEvent { GradeGiven { grade: u8 } }
/// # #[derive(Default, Clone)]
/// # struct Course;
/// # impl Aggregate for Course {
/// #     const TYPE: &'static str = "course";
/// #     type Id = u64;
/// #     type Event = CourseEvent;
/// #     fn evolve(&mut self, _: &CourseEvent) {}
/// # }
///
/// #[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Grades { sum: f64, count: u8, mean: f64 }
///
/// impl Projection for Grades {
/// #   const NAME: &'static str = "grades";
/// #   type Event = CourseEvent;
/// #   type Key = u64;
/// #   fn keying() -> Keying<Self> { Keying::per_stream::<Course>() }
///     fn evolve(
///         _: &u64,
///         row: &mut Option<Self>,
///         event: &Envelope<CourseEvent>,
///     ) -> Result<(), BoxError> {
///         let CourseEvent::GradeGiven { grade } = event.data;
///         let row = row.get_or_insert_default();
///         // the first grade divides by nothing
///         row.mean = (row.sum + f64::from(grade)) / f64::from(row.count);
///         row.sum += f64::from(grade);
///         row.count += 1;
///         Ok(())
///     }
/// }
///
/// let events = any::<u8>().prop_map(|grade| CourseEvent::GradeGiven { grade });
/// let histories = laws::any_history(laws::in_streams_of::<Course>(["1", "2", "3"], events));
/// let violation = laws::rows_round_trip::<Grades>(histories).unwrap_err();
/// assert!(violation.to_string().contains("is no number of JSON"));
/// ```
///
/// # Errors
///
/// The smallest history after which a row cannot be stored, or comes back as another one, or of which
/// a key does.
pub fn rows_round_trip<P>(
    histories: impl Strategy<Value = Vec<(StreamId, P::Event)>>,
) -> Result<(), LawViolation>
where
    P: Projection + Debug + PartialEq,
{
    for_all("rows_round_trip", P::NAME, &histories, |history| {
        let (definition, keying) = (Definition::of::<P>(), P::keying());
        let (mut log, mut rows) = (Log::default(), HashMap::<String, P>::new());
        for (number, (stream, event)) in (1..).zip(&history) {
            let recorded = log.record(stream, event)?;
            if !definition.selection().accepts(&recorded) {
                continue;
            }
            let Ok(keys) = definition.keys_of(slice::from_ref(&recorded)) else { return Ok(()) };
            for text in keys {
                let key = keying.parse_key(&text);
                let key = key.map_err(|error| format!("its key is not read back: {error}"))?;
                let mut row = rows.remove(&text);
                let events = Envelope::<P::Event>::read(&recorded);
                for event in events.map_err(|error| chain(&error))? {
                    if P::evolve(&key, &mut row, &event).is_err() {
                        return Ok(());
                    }
                }
                let Some(row) = row else { continue };
                let told = || format!("after {number} events the row of `{text}`");
                let (stored, read) = Payload::round_trip(&row, Limits::STATE_BYTES)
                    .map_err(|error| format!("{} cannot be stored: {}", told(), chain(&error)))?;
                if read != row {
                    let told = told();
                    return Err(format!("{told} is {row:?}, and {read:?} is read from {stored}"));
                }
                rows.insert(text, read);
            }
        }
        Ok(())
    })
}
