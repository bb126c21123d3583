//! A projection without its type, as the engine works with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::append::is_key;
use crate::envelope::RecordedEvent;
use crate::error::BoxError;
use crate::payload::Payload;
use crate::reaction::{Reaction, Start};
use crate::read::EventFilter;

use super::fold::{Fold, Row, Typed, guarded};
use super::table::{self, Project, TypedProject};
use super::typed::Asked;
use super::worker::chain;
use super::{
    FailurePolicy, Projection, RowChange, SinkError, TableChange, TableProjection, TableSchema,
    TableSet,
};

/// What the engine must know of a projection: its name, its fingerprint, its selection, and how an
/// event gets into the model. Cloning is cheap.
#[derive(Clone)]
pub struct Definition {
    name: Arc<str>,
    fingerprint: Arc<str>,
    selection: Arc<EventFilter>,
    is_by_stream: bool,
    /// Whether what is in the log before its first run is none of its business.
    begins_now: bool,
    policy: FailurePolicy,
    /// Why it cannot be run.
    problem: Option<Arc<str>>,
    pub(super) kind: Kind,
}

/// How an event gets into the model.
#[derive(Clone)]
pub(super) enum Kind {
    /// The engine folds rows.
    Fold(Arc<dyn Fold>),
    /// The sink carries changes of tables out.
    Tables(Arc<dyn Project>),
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
type KeysOf = dyn Fn(&RecordedEvent) -> Result<Vec<String>, BoxError> + Send + Sync;

impl fmt::Debug for RawKeying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Streams => "Streams",
            Self::Across(_) => "Across",
        })
    }
}

impl Kind {
    /// The keys of the rows that an event concerns, or the one under which an event is parked that is
    /// for tables. Never panics.
    pub(super) fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, BoxError> {
        match self {
            Self::Fold(fold) => fold.keys(event),
            Self::Tables(_) => Ok(vec![event.stream.to_string()]),
        }
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Definition").field(&self.fingerprint).finish()
    }
}

impl Definition {
    /// The definition of a projection.
    ///
    /// One whose selection or keying panics is defined, and refused wherever it is to be run: see
    /// [`check`](Self::check).
    pub fn of<P: Projection>() -> Self {
        let (said, selection, fold, problem) = match Asked::<P>::ask() {
            Ok(asked) => (asked.said.clone(), asked.selection.clone(), asked.fold(), None),
            Err(error) => {
                let problem: Arc<str> = chain(&*error).into();
                let told = problem.to_string();
                let fold =
                    Typed::<P>::new(RawKeying::Streams, move |_, _, _| Err(told.clone().into()));
                (EventFilter::all(), EventFilter::all(), fold, Some(problem))
            }
        };
        let form = format!("rows {}", P::ROW_REVISION);
        let fingerprint = fingerprint(P::NAME, P::VERSION, &form, &said);
        let definition = Self::folding(P::NAME, fingerprint, selection, fold);
        Self { policy: P::ON_FAILURE, problem, ..definition }
    }

    /// The definition of rows by functions over events as they are recorded, for tools and suites; in
    /// code that stays, a [`Projection`] says more and leaves less to be done.
    ///
    /// `evolve` answers the row under a key after an event. What the functions hold is in no
    /// fingerprint: `version` is to be raised with the meaning of either. An event that cannot be
    /// taken stops the projection; see [`on_failure`](Self::on_failure).
    pub fn rows<R>(
        name: &str,
        version: u32,
        selection: EventFilter,
        keying: RawKeying,
        evolve: impl Fn(&str, Option<R>, &RecordedEvent) -> Result<Option<R>, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        R: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let fingerprint = fingerprint(name, version, "rows 1", &selection);
        Self::folding(name, fingerprint, selection, Typed::new(keying, evolve))
    }

    /// The definition of a reaction: a model that has no rows of events. It does not change with the
    /// selection, so that new kinds of events are reacted to from where the reaction stands.
    pub(crate) fn reaction<R: Reaction>() -> Self {
        let (selection, panicked) = match guarded(|| Ok(R::selection())) {
            Ok(selection) => (selection, None),
            Err(error) => (EventFilter::all(), Some(chain(&*error))),
        };
        let is_name = (1..=Self::REACTION_NAME_BYTES).contains(&R::NAME.len()) && is_key(R::NAME);
        let misnamed = (!is_name).then(|| {
            let max = Self::REACTION_NAME_BYTES;
            format!("a reaction's name has 1 to {max} bytes without control characters")
        });
        let fold = Typed::<()>::new(RawKeying::Streams, |_, _, _| {
            Err("a reaction has no rows that events could be folded into".into())
        });
        let fingerprint = reaction_fingerprint(R::NAME);
        let definition = Self::folding(R::NAME, fingerprint, selection, fold);
        let begins_now = R::START == Start::Now;
        Self { begins_now, problem: panicked.or(misnamed).map(Into::into), ..definition }
    }

    /// What else a reaction asks for; if it panics, it gets the default, and is refused where it is to
    /// be run.
    pub(crate) fn asked<T: Default>(&mut self, ask: impl FnOnce() -> T) -> T {
        match guarded(|| Ok(ask())) {
            Ok(answer) => answer,
            Err(error) => {
                self.problem.get_or_insert_with(|| chain(&*error).into());
                T::default()
            }
        }
    }

    const REACTION_NAME_BYTES: usize = 100;

    /// Refuses what a reaction cannot do; the model of its name has this fingerprint.
    pub(crate) fn check_projection(&self, fingerprint: &str, what: &str) -> Result<(), SinkError> {
        if fingerprint != reaction_fingerprint(&self.name) {
            return Ok(());
        }
        let (projection, reason) = (self.name.to_string(), format!("it is a reaction, and {what}"));
        Err(SinkError::Unusable { projection, reason })
    }

    fn folding<R: Row>(
        name: &str,
        fingerprint: String,
        selection: EventFilter,
        fold: Typed<R>,
    ) -> Self {
        Self {
            name: name.into(),
            fingerprint: fingerprint.into(),
            selection: Arc::new(selection),
            is_by_stream: fold.is_by_stream(),
            begins_now: false,
            policy: FailurePolicy::stop(),
            problem: None,
            kind: Kind::Fold(Arc::new(fold)),
        }
    }

    /// The definition of a projection into tables. Its events are parked by stream, and a rebuild takes
    /// it in one slice.
    ///
    /// One whose selection panics, or whose tables cannot be made, is defined and refused as others
    /// are: see [`check`](Self::check).
    pub fn table<P: TableProjection>() -> Self {
        let tables: Arc<[TableSchema]> = <P::Tables as TableSet>::schemas().into();
        let asked = guarded(|| {
            table::problem(&tables)?;
            Ok(P::selection())
        });
        let (selection, problem) = match asked {
            Ok(selection) => (selection, None),
            Err(error) => (EventFilter::all(), Some(Arc::from(chain(&*error)))),
        };
        let form = format!("tables [{}]", table::described(&tables));
        Self {
            name: P::NAME.into(),
            fingerprint: fingerprint(P::NAME, P::VERSION, &form, &selection).into(),
            kind: Kind::Tables(Arc::new(TypedProject::<P>::new(tables, &selection))),
            selection: Arc::new(selection),
            is_by_stream: false,
            begins_now: false,
            policy: P::ON_FAILURE,
            problem,
        }
    }

    /// Replaces what becomes of an event that cannot be taken.
    #[must_use]
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Refuses a projection that cannot be run.
    ///
    /// # Errors
    ///
    /// [`SinkError::Unusable`] if it panicked when it was asked what it wants, or if its tables cannot
    /// be made.
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
    /// rows or the tables, and selection.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Which events it takes.
    pub fn selection(&self) -> &EventFilter {
        &self.selection
    }

    /// The tables that it writes, for a [`Claim`](super::Claim); most projections have none.
    pub fn tables(&self) -> Arc<[TableSchema]> {
        match &self.kind {
            Kind::Tables(project) => project.tables().clone(),
            Kind::Fold(_) => Arc::default(),
        }
    }

    /// What becomes of an event that cannot be taken.
    pub(super) fn policy(&self) -> FailurePolicy {
        self.policy
    }

    /// True of a reaction that passes over what is in the log before its first run.
    pub(super) fn begins_now(&self) -> bool {
        self.begins_now
    }

    /// True if a rebuild may divide the work by streams: nothing is concerned by the events of two.
    pub(super) fn is_by_stream(&self) -> bool {
        self.is_by_stream
    }
}

/// For backends, to keep a model within the transaction of an append.
impl Definition {
    /// True if it writes tables, so that there are no rows to be folded.
    pub fn has_tables(&self) -> bool {
        matches!(self.kind, Kind::Tables(_))
    }

    /// What the events change in its tables; they must be selected ones.
    ///
    /// # Errors
    ///
    /// When the projection cannot take one of the events, and for one without tables.
    pub fn table_changes(&self, events: &[RecordedEvent]) -> Result<Vec<TableChange>, BoxError> {
        let Kind::Tables(project) = &self.kind else {
            return Err(format!("projection `{}` has no tables", self.name).into());
        };
        let mut changes = Vec::new();
        for event in events {
            changes.extend(project.project(event)?);
        }
        Ok(changes)
    }

    /// The keys of the rows that the events concern, each once.
    ///
    /// # Errors
    ///
    /// When the keys of an event are none, and for a projection with tables, which has no rows.
    pub fn keys_of(&self, events: &[RecordedEvent]) -> Result<Vec<String>, BoxError> {
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
    ) -> Result<Vec<RowChange>, BoxError> {
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

    fn fold(&self) -> Result<&dyn Fold, BoxError> {
        match &self.kind {
            Kind::Fold(fold) => Ok(&**fold),
            Kind::Tables(_) => Err(format!("projection `{}` has no rows", self.name).into()),
        }
    }
}

/// What the fingerprint of a reaction ends with, and no other.
const OF_REACTION: &str = " reaction";

fn reaction_fingerprint(name: &str) -> String {
    format!("{name}{OF_REACTION}")
}

pub(super) fn is_of_reaction(fingerprint: &str) -> bool {
    fingerprint.ends_with(OF_REACTION)
}

fn fingerprint(name: &str, version: u32, form: &str, selection: &EventFilter) -> String {
    let list = |names: Vec<&str>| if names.is_empty() { "*".to_owned() } else { names.join(", ") };
    let streams = list(selection.aggregate_types.iter().map(String::as_str).collect());
    let events = list(selection.event_types.iter().map(|name| name.as_str()).collect());
    let ids = selection.id_prefix.as_ref().map(|prefix| format!(" [{prefix}*]"));
    format!("{name} v{version} {form} [{streams}] [{events}]{}", ids.unwrap_or_default())
}
