//! A projection without its type, as the engine works with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::envelope::RecordedEvent;
use crate::payload::Payload;
use crate::read::EventFilter;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fold::{Fold, Row, Typed, check_key, guarded};
use super::worker::chain;
use super::{ApplyError, Keying, Projection, RowChange, SinkError, Slicing};

/// What the engine must know of a projection: its name, its fingerprint, its selection, and how an
/// event gets into the model. Cloning is cheap.
#[derive(Clone)]
pub struct Definition {
    name: Arc<str>,
    fingerprint: Arc<str>,
    selection: Arc<EventFilter>,
    slicing: Slicing,
    /// Why it cannot be run.
    problem: Option<Arc<str>>,
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

/// Which rows an event concerns, by their keys as texts.
#[derive(Clone)]
pub enum RawKeying {
    /// The row of its stream, under the stream's name. A rebuild may divide the work by streams.
    Streams,
    /// The rows that the function names, which events of other streams may concern as well. A rebuild
    /// has one slice.
    Across(Arc<KeysOf>),
}

/// Tells the keys of the rows that an event concerns.
type KeysOf = dyn Fn(&RecordedEvent) -> Result<Vec<String>, ApplyError> + Send + Sync;

impl fmt::Debug for RawKeying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Streams => "Streams",
            Self::Across(_) => "Across",
        })
    }
}

type KeyOf = dyn Fn(&RecordedEvent) -> Result<String, ApplyError> + Send + Sync;

impl Kind {
    /// The keys of the rows that an event concerns, or the one under which a handler's event is
    /// parked. Never panics.
    pub(super) fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError> {
        match self {
            Self::Fold(fold) => fold.keys(event),
            Self::Handler(key) => {
                let key = guarded(|| key(event))?;
                check_key(&key)?;
                Ok(vec![key])
            }
        }
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Definition").field(&self.fingerprint).finish()
    }
}

impl Definition {
    /// The definition of a backend-neutral projection.
    ///
    /// One whose selection or keying panics is defined, and refused wherever it is to be run: see
    /// [`check`](Self::check).
    pub fn of<P: Projection>(projection: P) -> Self {
        let asked = guarded(|| Ok((projection.selection(), projection.keying())));
        let (selection, keying, problem) = match asked {
            Ok((selection, keying)) => (selection, keying, None),
            Err(error) => (EventFilter::all(), Keying::Stream, Some(chain(&*error).into())),
        };
        let fingerprint = fingerprint(P::NAME, P::VERSION, Some(P::ROW_REVISION), &selection);
        let projection = Arc::new(projection);
        let keying = keying.raw(&projection);
        let evolve = move |key: &str, row: Option<P::Row>, event: &RecordedEvent| {
            projection.apply(key, row, event)
        };
        let definition = Self::folding(P::NAME, fingerprint, selection, keying, evolve);
        Self { problem, ..definition }
    }

    /// The definition of rows by functions over events as they are recorded, for tools and suites; in
    /// code that stays, a [`Projection`] says more and has less to be done.
    ///
    /// `evolve` answers the row under a key after an event, and what a function holds is in no
    /// fingerprint: `version` is to be raised with the meaning of either.
    pub fn rows<R>(
        name: &str,
        version: u32,
        selection: EventFilter,
        keying: RawKeying,
        evolve: impl Fn(&str, Option<R>, &RecordedEvent) -> Result<Option<R>, ApplyError>
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        R: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let fingerprint = fingerprint(name, version, Some(1), &selection);
        Self::folding(name, fingerprint, selection, keying, evolve)
    }

    fn folding<R: Row>(
        name: &str,
        fingerprint: String,
        selection: EventFilter,
        keying: RawKeying,
        evolve: impl Fn(&str, Option<R>, &RecordedEvent) -> Result<Option<R>, ApplyError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            fingerprint: fingerprint.into(),
            selection: Arc::new(selection),
            slicing: match keying {
                RawKeying::Streams => Slicing::ByStream,
                RawKeying::Across(_) => Slicing::Whole,
            },
            problem: None,
            kind: Kind::Fold(Arc::new(Typed::new(keying, evolve))),
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
            problem: None,
            kind: Kind::Handler(Arc::new(|event| Ok(event.stream.to_string()))),
        }
    }

    /// Replaces the key under which a handler's event is parked; a projection of rows keeps its own.
    /// An event of which it cannot be told is one that the projection cannot take.
    #[must_use]
    pub fn keyed_by(
        mut self,
        key: impl Fn(&RecordedEvent) -> Result<String, ApplyError> + Send + Sync + 'static,
    ) -> Self {
        if let Kind::Handler(of) = &mut self.kind {
            *of = Arc::new(key);
        }
        self
    }

    /// Replaces how a rebuild may divide the work of a handler; that of a projection of rows follows
    /// from its [`Keying`].
    #[must_use]
    pub fn sliced(mut self, slicing: Slicing) -> Self {
        if self.has_handler() {
            self.slicing = slicing;
        }
        self
    }

    /// Refuses a projection that cannot be run.
    ///
    /// # Errors
    ///
    /// [`SinkError::Unusable`] if it panicked when it was asked what it wants.
    pub fn check(&self) -> Result<(), SinkError> {
        let Some(problem) = &self.problem else { return Ok(()) };
        let (projection, reason) = (self.name.to_string(), problem.to_string());
        Err(SinkError::Unusable { projection, reason })
    }

    /// The refusal of a model that was built by other code.
    pub(super) fn changed(&self, stored: String) -> SinkError {
        let (projection, offered) = (self.name.to_string(), self.fingerprint.to_string());
        SinkError::Changed { projection, stored, offered }
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
    /// True if a handler takes the events, so that there are no rows to be folded.
    pub fn has_handler(&self) -> bool {
        matches!(self.kind, Kind::Handler(_))
    }

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
