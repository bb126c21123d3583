//! Who asks the store for what a reason needs, and for what many postings share only now and then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use es_core::environment::{Clock, SystemClock};
use es_core::execution::{LoadError, StoreError, StoreErrorKind};
use es_core::{Aggregate, Repository};
use futures_util::TryStreamExt;
use turing_domain::{
    ActorBreaker, ActorId, Posting, PostingId, RunId, RunStatus, Workflow, WorkflowId, WorkflowRun,
    WorkflowRuns,
};

use super::places::Worked;
use super::reason::Seen;
use super::story::Story;
use super::{PostingWhy, Why};
use crate::definition::{RecordedError, recorded};
use crate::left_out::reason_of;
use crate::lock::Holder;
use crate::store::Store;

/// For how long it is not asked again who works on a run, how far it is, and how a breaker is.
const LATELY: Duration = Duration::from_secs(2);

/// So many definitions are kept at most.
const DEFINITIONS: usize = 16;

/// Asks why postings are where they are, one after the other; what they share is read once in a while.
#[derive(Debug)]
pub struct Asker<'a> {
    store: &'a Store,
    postings: Repository<Posting>,
    since: Instant,
    workflows: HashMap<WorkflowId, Known>,
    pub(super) breakers: BTreeMap<ActorId, ActorBreaker>,
    definitions: HashMap<String, Result<Arc<Workflow>, String>>,
}

/// What is known of a workflow.
#[derive(Debug)]
struct Known {
    holder: Holder,
    /// Its runs, or why they cannot be read.
    runs: Result<WorkflowRuns, Why>,
}

impl Known {
    /// True if what is known is all that there is to know of a run.
    fn has(&self, run_id: RunId) -> bool {
        self.runs.as_ref().is_ok_and(|runs| runs.run(run_id).is_some()) || self.runs.is_err()
    }
}

impl<'a> Asker<'a> {
    /// Of a store of which nothing is known yet.
    pub fn new(store: &'a Store) -> Self {
        Self {
            store,
            postings: Repository::new(store.events.clone()),
            since: Instant::now(),
            workflows: HashMap::new(),
            breakers: BTreeMap::new(),
            definitions: HashMap::new(),
        }
    }

    /// Why a posting is where it is; with a run, in that.
    ///
    /// # Errors
    ///
    /// When the store fails. What cannot be read is an answer.
    pub async fn ask(
        &mut self,
        posting: PostingId,
        wanted: Option<RunId>,
    ) -> Result<PostingWhy, StoreError> {
        if self.since.elapsed() > LATELY {
            self.workflows.clear();
            self.breakers.clear();
            self.since = Instant::now();
        }
        let told = |why: Why| Ok(PostingWhy::alone(posting, why));
        let mut story = match self.story(posting).await? {
            Ok(story) => story,
            Err(why) => return told(*why),
        };
        if story.is_empty() && !self.is_registered(posting).await? {
            return told(Why::Unregistered);
        }
        let workflow = story.open_run(wanted).ok().map(|run| run.workflow_id());
        if let Some(workflow) = workflow
            && self.look(workflow).await?
        {
            // whoever carried the run out may have ended it since its events were read
            story = match self.story(posting).await? {
                Ok(story) => story,
                Err(why) => return told(*why),
            };
        }
        let run = match story.open_run(wanted) {
            Ok(run) => run,
            Err(why) => return told(*why),
        };
        let (run_id, workflow, now) = (run.run_id(), run.workflow_id(), SystemClock.now());
        // a run that has begun since, or of another workflow
        if !self.workflows.get(&workflow).is_some_and(|known| known.has(run_id)) {
            self.workflows.remove(&workflow);
            self.look(workflow).await?;
        }
        let (record, worked) = match self.workflows.get(&workflow) {
            Some(Known { runs: Err(why), .. }) => return told(why.clone()),
            Some(Known { runs: Ok(runs), holder }) => {
                let last_event = story.last_event().unwrap_or(now);
                (runs.run(run_id).cloned(), Worked::of(holder, run_id, last_event, now))
            }
            None => (None, Worked::Unknown),
        };
        let record = match record.as_ref().map(|record| (&record.status, record)) {
            Some((RunStatus::Open, record)) => record,
            over => {
                let outcome = match over {
                    None => "has no beginning in this store".to_owned(),
                    Some((RunStatus::Failed(why), _)) if !why.is_empty() => {
                        format!("is over (failed: {why})")
                    }
                    Some((RunStatus::Failed(_), _)) => "is over (failed)".to_owned(),
                    Some(_) => "is over (completed)".to_owned(),
                };
                return told(Why::RunOver { run_id, outcome });
            }
        };
        let definition = self.definition(record).await?;
        if let Ok(workflow) = &definition {
            let open = run.open().keys().filter_map(|id| workflow.conversation(*id));
            let actors: Vec<_> = open.map(|conversation| conversation.actor).collect();
            self.look_at_breakers(actors).await?;
        }
        let definition = definition.as_deref().map_err(String::as_str);
        let (worked, breakers, record) = (&worked, &self.breakers, Some(record));
        let seen = Seen { definition, worked, breakers, record, now };
        Ok(story.why_in(posting, run, &seen))
    }

    /// What the events of a posting tell, or which of them cannot be read.
    async fn story(&self, posting: PostingId) -> Result<Result<Story, Box<Why>>, StoreError> {
        let mut history = self.postings.history(&posting);
        let mut story = Story::default();
        loop {
            match history.try_next().await {
                Ok(Some((recorded, event))) => story.take(recorded.recorded_at, &event),
                Ok(None) => return Ok(Ok(story)),
                Err(error) => return Ok(Err(Box::new(unreadable::<Posting>(error)?))),
            }
        }
    }

    async fn is_registered(&self, posting: PostingId) -> Result<bool, StoreError> {
        match self.store.postings.data(posting).await {
            Ok(data) => Ok(data.is_some()),
            // it is there, with data that no program reads
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Asks who works on a workflow and which runs it has, unless that is known; true if it was not.
    async fn look(&mut self, workflow: WorkflowId) -> Result<bool, StoreError> {
        if self.workflows.contains_key(&workflow) {
            return Ok(false);
        }
        let holder = self.store.run_holder(workflow).await;
        let runs = Repository::<WorkflowRuns>::new(self.store.events.clone());
        let runs = match runs.load(&workflow).await {
            Ok(loaded) => Ok(loaded.state),
            Err(error) => Err(unreadable::<WorkflowRuns>(error)?),
        };
        self.workflows.insert(workflow, Known { holder, runs });
        Ok(true)
    }

    /// The definition of a run, or why it cannot be had.
    pub(super) async fn definition(
        &mut self,
        run: &WorkflowRun,
    ) -> Result<Result<Arc<Workflow>, String>, StoreError> {
        let Some(digest) = &run.definition_digest else {
            return Ok(
                Err("its run does not say by which definition it is carried out".to_owned()),
            );
        };
        if let Some(known) = self.definitions.get(digest) {
            return Ok(known.clone());
        }
        let found = match Box::pin(recorded(self.store, digest)).await {
            Ok(Some(recorded)) => Ok(Arc::new(recorded.workflow)),
            // it is recorded as soon as the run goes on, so this is not kept
            Ok(None) => {
                let beginning = digest.get(..16).unwrap_or(digest);
                return Ok(Err(format!(
                    "the definition of its run is not in this store, since the run began before \
                     definitions were kept there; the SHA-256 of its file begins with {beginning}"
                )));
            }
            Err(RecordedError::Store(error)) => return Err(error),
            Err(error) => Err(error.to_string()),
        };
        if self.definitions.len() >= DEFINITIONS {
            self.definitions.clear();
        }
        self.definitions.insert(digest.clone(), found.clone());
        Ok(found)
    }

    /// Asks how the breakers of these actors are, unless that is known. One whose events cannot be read
    /// is none: runs go without it.
    pub(super) async fn look_at_breakers(
        &mut self,
        actors: impl IntoIterator<Item = ActorId>,
    ) -> Result<(), StoreError> {
        let breakers = Repository::<ActorBreaker>::new(self.store.events.clone());
        for actor in actors {
            if self.breakers.contains_key(&actor) {
                continue;
            }
            let breaker = match breakers.load(&actor).await {
                Ok(loaded) => loaded.state,
                Err(LoadError::Store(error)) => return Err(error),
                Err(_) => ActorBreaker::default(),
            };
            self.breakers.insert(actor, breaker);
        }
        Ok(())
    }

    /// The run as its workflow has it, if that can be read.
    pub(super) async fn record_of(
        &self,
        workflow: WorkflowId,
        run_id: RunId,
    ) -> Result<Option<WorkflowRun>, StoreError> {
        let runs = Repository::<WorkflowRuns>::new(self.store.events.clone());
        match runs.load(&workflow).await {
            Ok(loaded) => Ok(loaded.state.run(run_id).cloned()),
            Err(LoadError::Store(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// Which event cannot be read; a failure of the store is no answer.
fn unreadable<A: Aggregate>(error: LoadError) -> Result<Why, StoreError> {
    match error {
        LoadError::Store(error) => Err(error),
        LoadError::Decode { stream, version, source } => {
            Ok(Why::Unreadable { stream, version, reason: reason_of(&source) })
        }
        LoadError::Gap { stream, version, .. } => {
            Ok(Why::Unreadable { stream, version, reason: "it is missing".to_owned() })
        }
        other => {
            let text = format!("loading a {}", A::TYPE);
            Err(StoreError::new(StoreErrorKind::Other, text).caused_by(other))
        }
    }
}
