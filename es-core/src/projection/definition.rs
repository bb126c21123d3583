//! A projection without its type, as the engine works with it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::content::check_json;
use crate::envelope::RecordedEvent;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::read::EventFilter;

use super::{ApplyError, Projection, RowChange, Slicing};

/// What the engine must know of a projection: its name, its fingerprint, its selection, and how an
/// event gets into the model. Cloning is cheap.
#[derive(Clone)]
pub struct Definition {
    name: Arc<str>,
    fingerprint: Arc<str>,
    selection: Arc<EventFilter>,
    slicing: Slicing,
    pub(super) kind: Kind,
}

/// How an event gets into the model.
#[derive(Clone)]
pub(super) enum Kind {
    /// The engine folds rows.
    Fold(Arc<dyn Fold>),
    /// The sink calls its handler; the function tells the key that an event is parked under.
    Handler(Arc<KeyOf>),
}

type KeyOf = dyn Fn(&RecordedEvent) -> String + Send + Sync;

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Definition").field(&self.fingerprint).finish()
    }
}

impl Definition {
    /// The definition of a backend-neutral projection.
    pub fn of<P: Projection>(projection: P) -> Self {
        let selection = projection.selection();
        let fingerprint = fingerprint(P::NAME, P::VERSION, Some(P::ROW_REVISION), &selection);
        Self {
            name: P::NAME.into(),
            fingerprint: fingerprint.into(),
            selection: Arc::new(selection),
            slicing: projection.slicing(),
            kind: Kind::Fold(Arc::new(Typed(projection))),
        }
    }

    /// The definition of a projection whose handler is registered with the sink under this name.
    ///
    /// Its events are parked by stream, and a rebuild takes it in one slice; see
    /// [`keyed_by`](Self::keyed_by) and [`sliced`](Self::sliced).
    pub fn handled(name: &str, version: u32, selection: EventFilter) -> Self {
        Self {
            name: name.into(),
            fingerprint: fingerprint(name, version, None, &selection).into(),
            selection: Arc::new(selection),
            slicing: Slicing::Whole,
            kind: Kind::Handler(Arc::new(|event| event.stream.to_string())),
        }
    }

    /// Replaces the key under which a handler's event is parked; a projection of rows keeps its own.
    #[must_use]
    pub fn keyed_by(
        mut self,
        key: impl Fn(&RecordedEvent) -> String + Send + Sync + 'static,
    ) -> Self {
        if let Kind::Handler(of) = &mut self.kind {
            *of = Arc::new(key);
        }
        self
    }

    /// Replaces how a rebuild may divide the work.
    #[must_use]
    pub fn sliced(mut self, slicing: Slicing) -> Self {
        self.slicing = slicing;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a model must carry so that this code goes on with it: name, version, revision of the
    /// rows, and selection.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Which events it takes.
    pub fn selection(&self) -> &EventFilter {
        &self.selection
    }

    /// How a rebuild may divide the work.
    pub fn slicing(&self) -> Slicing {
        self.slicing
    }
}

/// For backends, to keep a model within the transaction of an append.
impl Definition {
    /// The keys of the rows that the events concern, each once.
    ///
    /// # Errors
    ///
    /// When the keys of an event are none, and for a projection with a handler, which has no rows.
    pub fn keys_of(&self, events: &[RecordedEvent]) -> Result<Vec<String>, ApplyError> {
        let fold = self.fold()?;
        let mut all = BTreeSet::new();
        for event in events {
            all.extend(fold.keys(event)?);
        }
        Ok(all.into_iter().collect())
    }

    /// What becomes of the rows, of which `rows` has those that exist among
    /// [`keys_of`](Self::keys_of).
    ///
    /// The events are all of one append, in order, and must be selected ones.
    ///
    /// # Errors
    ///
    /// When the projection cannot take one of the events; then it must take none of them.
    pub fn changes(
        &self,
        events: &[RecordedEvent],
        rows: &HashMap<String, Payload>,
    ) -> Result<Vec<RowChange>, ApplyError> {
        let fold = self.fold()?;
        let mut by_key: BTreeMap<String, Vec<&RecordedEvent>> = BTreeMap::new();
        for event in events {
            for key in fold.keys(event)? {
                by_key.entry(key).or_default().push(event);
            }
        }
        let mut changes = Vec::with_capacity(by_key.len());
        for (key, events) in by_key {
            let folded = fold.fold(&key, rows.get(&key), &events);
            if let Some((_, error)) = folded.failed {
                return Err(error);
            }
            changes.push(RowChange { key, value: folded.row });
        }
        Ok(changes)
    }

    fn fold(&self) -> Result<&dyn Fold, ApplyError> {
        match &self.kind {
            Kind::Fold(fold) => Ok(&**fold),
            Kind::Handler(_) => {
                Err(format!("projection `{}` has a handler and no rows", self.name).into())
            }
        }
    }
}

impl<P: Projection> From<P> for Definition {
    fn from(projection: P) -> Self {
        Self::of(projection)
    }
}

fn fingerprint(name: &str, version: u32, rows: Option<u32>, selection: &EventFilter) -> String {
    let list = |names: Vec<&str>| if names.is_empty() { "*".to_owned() } else { names.join(", ") };
    let streams = list(selection.aggregate_types.iter().map(String::as_str).collect());
    let events = list(selection.event_types.iter().map(|name| name.as_str()).collect());
    let rows = rows.map_or_else(|| "handler".to_owned(), |revision| format!("rows {revision}"));
    format!("{name} v{version} {rows} [{streams}] [{events}]")
}

/// What became of the events of one key.
pub(super) struct Folded {
    /// The row after the events before the failed one, or after all.
    pub(super) row: Option<Payload>,
    /// Which of the events could not be taken, and why.
    pub(super) failed: Option<(usize, ApplyError)>,
}

/// A [`Projection`] over JSON rows.
pub(super) trait Fold: Send + Sync {
    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError>;

    /// Takes the events into the row, as far as possible. Never panics.
    fn fold(&self, key: &str, row: Option<&Payload>, events: &[&RecordedEvent]) -> Folded;
}

struct Typed<P>(P);

/// A row, or why it could not be had.
type Row<P> = Result<Option<<P as Projection>::Row>, ApplyError>;

impl<P: Projection> Typed<P> {
    fn decoded(row: Option<&Payload>) -> Row<P> {
        Ok(row.map(Payload::decode).transpose()?)
    }

    fn applied(&self, key: &str, row: Option<P::Row>, event: &RecordedEvent) -> Row<P> {
        let call = AssertUnwindSafe(|| self.0.apply(key, row, event));
        catch_unwind(call).unwrap_or_else(|panic| Err(panicked(&*panic)))
    }

    fn encoded(row: Option<&P::Row>) -> Result<Option<Payload>, ApplyError> {
        let row = row.map(Payload::of).transpose()?;
        if let Some(row) = &row {
            let limits = Limits::default();
            check_json(row.as_str(), limits.payload_bytes, limits.depth)?;
        }
        Ok(row)
    }

    /// Folds all events, or tells which failed.
    fn attempt(
        &self,
        key: &str,
        row: Option<&Payload>,
        events: &[&RecordedEvent],
    ) -> Result<Option<Payload>, (usize, ApplyError)> {
        let mut row = Self::decoded(row).map_err(|error| (0, error))?;
        for (index, event) in events.iter().enumerate() {
            row = self.applied(key, row, event).map_err(|error| (index, error))?;
        }
        Self::encoded(row.as_ref()).map_err(|error| (events.len().saturating_sub(1), error))
    }
}

impl<P: Projection> Fold for Typed<P> {
    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError> {
        let call = AssertUnwindSafe(|| self.0.keys(event));
        let mut keys = catch_unwind(call).map_err(|panic| panicked(&*panic))?;
        keys.sort_unstable();
        keys.dedup();
        match keys.iter().find(|key| !is_storable(key)) {
            Some(key) => Err(format!(
                "key {key:?} is no key: keys have 1 to {MAX_KEY_BYTES} bytes without U+0000"
            )
            .into()),
            None => Ok(keys),
        }
    }

    fn fold(&self, key: &str, row: Option<&Payload>, events: &[&RecordedEvent]) -> Folded {
        let mut failed = None;
        let mut good = events;
        loop {
            // the row was moved into the call that failed; folding is pure, so it is folded again
            match self.attempt(key, row, good) {
                Ok(folded) => return Folded { row: folded, failed },
                Err((_, error)) if good.is_empty() => {
                    // what is stored cannot be read or written: keep it, take nothing
                    let failed = failed.or(Some((0, error)));
                    return Folded { row: row.cloned(), failed };
                }
                Err((index, error)) => {
                    failed = Some((index, error));
                    good = &good[..index];
                }
            }
        }
    }
}

const MAX_KEY_BYTES: usize = 512;

pub(super) fn is_storable(key: &str) -> bool {
    !key.is_empty() && key.len() <= MAX_KEY_BYTES && !key.contains('\0')
}

fn panicked(panic: &(dyn Any + Send)) -> ApplyError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    format!("the projection panicked: {text}").into()
}
