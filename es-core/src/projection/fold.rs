//! The fold of a projection, without its type.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::envelope::RecordedEvent;
use crate::error::BoxError;
use crate::limits::Limits;
use crate::payload::Payload;

use super::error::OddRow;
use super::worker::chain;
use super::{RawKeying, RowChange};

/// What became of the events of one key.
pub(super) struct Folded {
    /// The row after the events before the failed one, or after all.
    pub(super) row: Option<Payload>,
    /// Which of the events could not be taken, and why.
    pub(super) failed: Option<(usize, BoxError)>,
}

/// What becomes of JSON rows, whatever they are made of.
pub(super) trait Fold: Send + Sync {
    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, BoxError>;

    /// Takes the events into the row, as far as possible. Never panics.
    fn fold(&self, key: &str, row: Option<&Payload>, events: &[&RecordedEvent]) -> Folded;

    /// No rows yet, for many events.
    fn open_rows(self: Arc<Self>) -> Box<dyn OpenRows>;
}

/// Rows that stay decoded while events are folded into them. After a failure they are worth nothing.
pub(super) trait OpenRows: Send + Sync {
    /// How many rows there are, those included that do not exist in the model.
    fn len(&self) -> usize;

    /// How many bytes they have, as they were added or told last and as they are to be told.
    fn bytes(&self) -> usize;

    fn has(&self, key: &str) -> bool;

    /// Adds a row as it is stored; `None` if there is none.
    fn add(&mut self, key: String, stored: Option<Payload>) -> Result<(), BoxError>;

    /// Takes an event into a row that was added, and judges the row. Never panics.
    fn apply(&mut self, key: &str, event: &RecordedEvent) -> Result<(), BoxError>;

    /// What became of the rows since they were added or this was asked last.
    fn changes(&mut self) -> Vec<RowChange>;

    /// Forgets all rows.
    fn clear(&mut self);
}

/// A row of a model.
pub(super) trait Row: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<R: Serialize + DeserializeOwned + Send + Sync + 'static> Row for R {}

/// The row under a key after an event.
type Evolve<R> =
    dyn Fn(&str, Option<R>, &RecordedEvent) -> Result<Option<R>, BoxError> + Send + Sync;

/// A fold over rows of one type.
pub(super) struct Typed<R> {
    keying: RawKeying,
    evolve: Box<Evolve<R>>,
}

impl<R: Row> Typed<R> {
    pub(super) fn new(
        keying: RawKeying,
        evolve: impl Fn(&str, Option<R>, &RecordedEvent) -> Result<Option<R>, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { keying, evolve: Box::new(evolve) }
    }

    /// True if nothing is concerned by the events of two streams.
    pub(super) fn is_by_stream(&self) -> bool {
        matches!(self.keying, RawKeying::Streams)
    }
}

/// The open rows of a model.
struct TypedRows<R> {
    fold: Arc<Typed<R>>,
    rows: HashMap<String, OpenRow<R>>,
    bytes: usize,
}

struct OpenRow<R> {
    row: Option<R>,
    /// As it was loaded or told last.
    stored: Option<Payload>,
    /// What is to be stored, if an event was taken.
    new: Option<Option<Payload>>,
}

fn size(stored: Option<&Payload>) -> usize {
    stored.map_or(0, |row| row.as_str().len())
}

impl<R: Row> OpenRows for TypedRows<R> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn has(&self, key: &str) -> bool {
        self.rows.contains_key(key)
    }

    fn add(&mut self, key: String, stored: Option<Payload>) -> Result<(), BoxError> {
        let row = guarded(|| Typed::<R>::decoded(stored.as_ref()))?;
        self.bytes += size(stored.as_ref());
        self.rows.insert(key, OpenRow { row, stored, new: None });
        Ok(())
    }

    fn apply(&mut self, key: &str, event: &RecordedEvent) -> Result<(), BoxError> {
        let open = self.rows.get_mut(key).ok_or("the row was not opened")?;
        let (new, row) = self.fold.applied(key, open.row.take(), event)?;
        self.bytes += size(new.as_ref());
        open.row = row;
        let before = open.new.replace(new).flatten();
        self.bytes -= size(before.as_ref());
        Ok(())
    }

    fn changes(&mut self) -> Vec<RowChange> {
        let mut changes = Vec::new();
        for (key, open) in &mut self.rows {
            let Some(value) = open.new.take() else { continue };
            if value.as_ref().map(Payload::as_str) == open.stored.as_ref().map(Payload::as_str) {
                self.bytes -= size(value.as_ref());
            } else {
                self.bytes -= size(open.stored.as_ref());
                open.stored.clone_from(&value);
                changes.push(RowChange { key: key.clone(), value });
            }
        }
        changes
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.bytes = 0;
    }
}

/// A row as it is stored, and as it is read back.
type Applied<R> = (Option<Payload>, Option<R>);

impl<R: Row> Typed<R> {
    fn decoded(row: Option<&Payload>) -> Result<Option<R>, BoxError> {
        Ok(row.map(Payload::decode).transpose()?)
    }

    /// The row after an event, in the form that every store may give back.
    ///
    /// It is judged and read back after each event: a model must not depend on which events were
    /// committed together, nor on how often its rows were read.
    pub(super) fn applied(
        &self,
        key: &str,
        row: Option<R>,
        event: &RecordedEvent,
    ) -> Result<Applied<R>, BoxError> {
        guarded(|| {
            let Some(row) = (self.evolve)(key, row, event)? else {
                return Ok((None, None));
            };
            let (stored, row) = Payload::round_trip(&row, Limits::STATE_BYTES).map_err(|error| {
                format!(
                    "the row `{key}` cannot be stored: {}; keep less of each event in the row, or \
                     discard the event",
                    chain(&error)
                )
            })?;
            Ok((Some(stored), Some(row)))
        })
    }
}

impl<R: Row> Fold for Typed<R> {
    fn open_rows(self: Arc<Self>) -> Box<dyn OpenRows> {
        Box::new(TypedRows { fold: self, rows: HashMap::new(), bytes: 0 })
    }

    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, BoxError> {
        let mut keys = match &self.keying {
            RawKeying::Streams => {
                let (of, id) = (event.stream.aggregate_type(), event.stream.aggregate_id());
                return Ok(vec![[of, "/", id].concat()]);
            }
            RawKeying::Across(keys) => guarded(|| keys(event))?,
        };
        keys.sort_unstable();
        keys.dedup();
        keys.iter().try_for_each(|key| check_key(key))?;
        Ok(keys)
    }

    fn fold(&self, key: &str, row: Option<&Payload>, events: &[&RecordedEvent]) -> Folded {
        let mut stored = row.cloned();
        let mut open = match guarded(|| Self::decoded(row)) {
            Ok(open) => open,
            // no event is at fault: keep the row as it is stored, take nothing
            Err(error) => {
                let failed = Some((0, OddRow::new(key, &error).into()));
                return Folded { row: stored, failed };
            }
        };
        for (index, event) in events.iter().enumerate() {
            match self.applied(key, open, event) {
                Ok(after) => (stored, open) = after,
                Err(error) => return Folded { row: stored, failed: Some((index, error)) },
            }
        }
        Folded { row: stored, failed: None }
    }
}

const MAX_KEY_BYTES: usize = 512;

/// What the events of a stream wait under behind one of which the keys cannot be told, before the
/// stream's name.
const UNKEYED: &str = "unkeyed:";

/// The key under which an event waits whose own keys cannot be told.
pub(super) fn unkeyed(event: &RecordedEvent) -> String {
    format!("{UNKEYED}{}", event.stream)
}

pub(super) fn is_unkeyed(key: &str) -> bool {
    key.starts_with(UNKEYED)
}

pub(super) fn check_key(key: &str) -> Result<(), BoxError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains('\0') {
        let why =
            format!("key {key:?} is no key: keys have 1 to {MAX_KEY_BYTES} bytes without U+0000");
        return Err(why.into());
    }
    if is_unkeyed(key) {
        return Err(
            format!("key {key:?} is no key: {UNKEYED} is kept for events without keys").into()
        );
    }
    Ok(())
}

/// Calls the user's code; a panic of it is a failure.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> BoxError {
    format!("the projection panicked: {}", panic_text(panic)).into()
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::EventId;
    use crate::metadata::Metadata;
    use crate::position::Position;
    use crate::timestamp::Timestamp;
    use crate::version::StreamVersion;

    fn event(number: u64) -> RecordedEvent {
        let position = Position::from_sequence(number);
        RecordedEvent {
            event_id: EventId::stand_in(position),
            stream: "order/1".parse().unwrap(),
            version: StreamVersion::new(number),
            position,
            event_type: "order_paid".into(),
            payload: Payload::parse("12345".to_owned()).unwrap(),
            metadata: Metadata::default(),
            recorded_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn open_rows_have_the_bytes_of_what_they_were_and_of_what_they_are_to_be() {
        let place =
            |_: &str, _: Option<u64>, event: &RecordedEvent| Ok(Some(event.position.to_sequence()));
        let mut rows = Arc::new(Typed::<u64>::new(RawKeying::Streams, place)).open_rows();
        let stored = Payload::parse("12345".to_owned()).unwrap();
        rows.add("a".to_owned(), Some(stored)).unwrap();
        assert_eq!(rows.bytes(), 5);
        for (number, bytes) in [(7, 5 + 1), (1_234_567, 5 + 7), (12, 5 + 2)] {
            rows.apply("a", &event(number)).unwrap();
            assert_eq!(rows.bytes(), bytes);
        }
        assert_eq!((rows.changes().len(), rows.bytes()), (1, 2));
        rows.apply("a", &event(12)).unwrap();
        assert_eq!((rows.bytes(), rows.changes().len(), rows.bytes()), (4, 0, 2));
        rows.clear();
        assert_eq!(rows.bytes(), 0);
    }
}
