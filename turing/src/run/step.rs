//! One attempt of one posting at one conversation: render, execute, record.

use std::sync::Arc;
use std::time::Duration;

use es_core::event::EventId;
use es_core::execution::{IdempotencyKey, LoadError, Loaded, Member, Retry};
use es_core::{Aggregate, CommandError, Decided, transact};
use serde_json::{Map, Value};
use turing_domain::{
    ActorBreaker, ActorId, Attempt, Completion, Failure, FailureType, LlmUsage, Posting,
    PostingEvent, PostingId, PostingRejection,
};

use super::agenda::Task;
use super::apart::{Done, Recording};
use super::attempt::{Answer, Attempted, Executed, Problem, execute};
use super::clocks::Moment;
use super::enter::Entered;
use super::moved::{AttemptResult, Moved, opened_by};
use super::noted::Looked;
use super::people::standing;
use super::wave_record::WaveRecord;
use super::{RunError, Shared, StepError};
use crate::breakers::LastFailure;
use crate::lock::Standing;

/// How often recording a failure meets another writer before it gives up: its append meets every other
/// failure of the same actor.
const RETRY_WITH_ACTOR: Retry = Retry::times(30);

/// Makes the attempt and records its result together with everything that follows from it, behind the
/// beginning of its wave.
pub(super) async fn take_step(
    shared: Arc<Shared>,
    task: Task,
    wave: Arc<WaveRecord>,
) -> Result<Recording, RunError> {
    let Task { posting, attempt, .. } = task;
    let made = make(&shared, task).await;
    let seen = shared.clocks.moment();
    let has_result = matches!(made, Ok(Made::Here(..)));
    let begun = match has_result {
        true => wave.record_for_result(&shared).await,
        false => Ok(()),
    };
    let begun = match begun {
        Ok(()) | Err(RunError::NotBegun) => begun,
        // without its wave nothing can be recorded, which is no fault of this posting
        Err(error) => return Err(error),
    };
    let recorder = shared.clone();
    let recorded = async move {
        begun?;
        let moved = match made? {
            Made::Elsewhere(state) => Moved::elsewhere(state),
            Made::Here(made) => record(&recorder, task, made, seen).await?,
        };
        Ok(Done::Moved(attempt.conversation_id, moved, seen))
    };
    Ok(shared.recording(posting, recorded).await?)
}

/// An attempt that is to be recorded.
enum Made {
    /// Somebody else recorded it, or the run stops before its script could be started: the state says
    /// what is to be done instead.
    Elsewhere(Posting),
    /// It was made.
    Here(ByActor),
}

/// An attempt that this process made.
struct ByActor {
    actor: ActorId,
    attempted: Attempted,
    /// What was seen of the posting for it.
    looked: Looked,
}

async fn make(shared: &Shared, task: Task) -> Result<Made, RunError> {
    let Task { posting, attempt, .. } = task;
    let patience = &shared.patience;
    let mut start = shared.starts.begin();
    loop {
        // it may take long, as while the server is away
        let looking = patience.persist(|| look(shared, posting, attempt));
        let (state, actor) = patience.unless_stopped(looking).await?;
        let Some((actor, data, looked)) = actor else { return Ok(Made::Elsewhere(state)) };
        match execute(shared, posting, &state, &data, attempt).await? {
            Executed::Attempted(attempted) => {
                return Ok(Made::Here(ByActor { actor, attempted: *attempted, looked }));
            }
            Executed::NotStarted(reason) => {
                if !start.wait(reason).await? {
                    // it stays where it is until the run is continued
                    return Ok(Made::Elsewhere(state));
                }
            }
        }
    }
}

/// Makes sure of the lock, and looks at the posting: who makes the attempt, with which data, and when and
/// at which event that was, if the posting still waits for it.
async fn look(
    shared: &Shared,
    posting: PostingId,
    attempt: Attempt,
) -> Result<(Posting, Option<(ActorId, Arc<Map<String, Value>>, Looked)>), RunError> {
    let at = shared.clocks.timer.now();
    let locked = async { Ok::<_, RunError>(shared.lock.check_lately().await?) };
    // who has no lock needs nothing of the store, which may not answer either
    let found = async { Ok::<_, RunError>(loaded(shared, posting).await) };
    let read = async { Ok::<_, RunError>(data_of(shared, posting).await) };
    let (standing, found, data) = tokio::try_join!(locked, found, read)?;
    let Loaded { state, version, .. } = match standing {
        Standing::Kept => found?,
        // who had the lock in between may have made this attempt
        Standing::TakenAgain => loaded(shared, posting).await?,
    };
    let Some(actor) = actor_at(shared, &state, attempt) else { return Ok((state, None)) };
    Ok((state, Some((actor, data?, Looked { at, version }))))
}

/// The data of a posting, which are read for its first attempt.
async fn data_of(
    shared: &Shared,
    posting: PostingId,
) -> Result<Arc<Map<String, Value>>, StepError> {
    if let Some(data) = shared.data.get(posting) {
        return Ok(data);
    }
    let data = shared.store.postings.data(posting).await.map_err(StepError::Store)?;
    let data = data.ok_or(StepError::Unregistered { posting })?;
    Ok(shared.data.keep(posting, data))
}

async fn record(
    shared: &Shared,
    task: Task,
    made: ByActor,
    seen: Moment,
) -> Result<Moved, RunError> {
    let Task { posting, attempt, cause } = task;
    let ByActor { actor, attempted: Attempted { result, duration }, looked } = made;
    let pause = Duration::ZERO;
    let record = Record { shared, posting, attempt, actor, cause, looked, seen, pause };
    let recorded = match result {
        Ok(Answer { output, llm }) => {
            shared.pauses.answered(actor, seen.at);
            let completion = Completion { attempt, output, duration: Some(duration), llm };
            shared.patience.insist(|| record.completed(&completion, duration)).await
        }
        Err(Problem { failure_type, error, stderr, llm, is_final, retry_after }) => {
            let record = Record { pause: record.pause(&failure_type, retry_after), ..record };
            let failure = Failure {
                attempt,
                failure_type,
                error,
                stderr,
                llm,
                is_final,
                duration: Some(duration),
                retry_after,
                now: seen.wall,
                jitter: shared.environment.jitter.fraction(),
                breaker_opened: None,
            };
            shared.patience.insist(|| record.failed(&failure, duration)).await
        }
    };
    match recorded {
        // a person's answer has opened a member of the group again: it is made once more after that
        Err(RunError::Step(StepError::Rejected {
            source: PostingRejection::Waiting { .. },
            ..
        })) => {
            let looking = || standing(shared, posting, seen);
            let Entered { state, causes } = shared.patience.insist(looking).await?;
            Ok(Moved { causes, ..Moved::elsewhere(state) })
        }
        recorded => recorded,
    }
}

pub(super) async fn load(shared: &Shared, posting: PostingId) -> Result<Posting, StepError> {
    Ok(loaded(shared, posting).await?.state)
}

async fn loaded(shared: &Shared, posting: PostingId) -> Result<Loaded<Posting>, StepError> {
    let loaded = shared.postings.load(&posting).await;
    loaded.map_err(|source| StepError::Load { posting, source })
}

/// Who makes the attempt, if the posting is still waiting for it, and for no group first.
fn actor_at(shared: &Shared, state: &Posting, attempt: Attempt) -> Option<ActorId> {
    let steps = state.ready(&shared.definition.workflow);
    let step = steps.iter().find(|step| step.attempt == attempt)?;
    Some(step.conversation.actor)
}

/// Recording the result of one attempt.
#[derive(Clone, Copy)]
struct Record<'a> {
    shared: &'a Shared,
    posting: PostingId,
    attempt: Attempt,
    actor: ActorId,
    cause: Option<EventId>,
    looked: Looked,
    /// When the attempt ended.
    seen: Moment,
    /// How long the actor wants no call.
    pause: Duration,
}

impl Record<'_> {
    /// How long nobody is to call the actor, if it wants that; what is under way cannot be called
    /// back.
    fn pause(&self, failure_type: &FailureType, asked: Option<Duration>) -> Duration {
        let &Self { shared, attempt, actor, seen, .. } = self;
        let retry = &shared.definition.workflow.retry;
        let after = |before: u32| retry.pause(failure_type, before.max(attempt.retries), asked);
        match failure_type {
            FailureType::RateLimited => shared.pauses.begin(actor, seen.at, after),
            _ => {
                shared.pauses.answered(actor, seen.at);
                Duration::ZERO
            }
        }
    }

    fn key(&self) -> Result<IdempotencyKey, StepError> {
        let posting = self.posting;
        IdempotencyKey::new(&self.attempt.idempotency_key(posting))
            .map_err(|source| StepError::Invalid { posting, source })
    }

    /// Where the posting stands if another process made the same attempt, with another result, and
    /// recorded it first: the lock was lost while the attempt was in progress.
    async fn elsewhere(self) -> Result<Moved, RunError> {
        let Self { shared, posting, attempt, .. } = self;
        let state = load(shared, posting).await?;
        check_moved(posting, attempt, true, &state)?;
        Ok(Moved::elsewhere(state))
    }

    /// Records for the posting alone; `None` if another process was faster.
    async fn alone(
        &self,
        decide: impl Fn(&Posting) -> Result<Vec<PostingEvent>, PostingRejection> + Send + Sync,
    ) -> Result<Option<Decided<Member<Posting>>>, RunError> {
        let &Self { shared, posting, attempt, .. } = self;
        let recorded = shared
            .postings_looked_at(self.looked.at)
            .by_id(&posting)
            .decide(decide)
            .idempotency_key(self.key()?)
            .metadata(shared.attempt_metadata(posting, self.cause, self.looked))
            .await;
        let recorded = match recorded {
            Err(CommandError::KeyReused { .. }) => return Ok(None),
            recorded => recorded.map_err(|error| StepError::of(posting, error))?,
        };
        check_moved(posting, attempt, recorded.is_repeat(), &recorded.state)?;
        Ok(Some(recorded))
    }

    /// What is known now that it is recorded.
    fn moved(
        &self,
        recorded: Decided<Member<Posting>>,
        result: AttemptResult,
        duration: Duration,
    ) -> Moved {
        let Decided { state, events, appended, .. } = recorded;
        self.shared.count(events.len());
        let causes = appended.map_or_else(Vec::new, |appended| opened_by(&events, &appended));
        Moved { causes, state, result: Some(result), duration, usage: LlmUsage::default() }
    }

    async fn completed(
        self,
        completion: &Completion,
        duration: Duration,
    ) -> Result<Moved, RunError> {
        let workflow = &self.shared.definition.workflow;
        let recorded = self.alone(|posting| posting.complete(workflow, completion)).await?;
        let Some(recorded) = recorded else { return self.elsewhere().await };
        self.shared.breakers.succeeded(self.actor, self.shared.run_metadata()).await?;
        let usage = completion.llm.clone();
        Ok(Moved { usage, ..self.moved(recorded, Ok(()), duration) })
    }

    async fn failed(self, failure: &Failure, duration: Duration) -> Result<Moved, RunError> {
        let breakers = &self.shared.breakers;
        if breakers.guards(self.actor) {
            match self.failed_with_actor(failure, duration).await {
                Err(RunError::Step(StepError::Load {
                    source: LoadError::Decode { stream, .. },
                    ..
                })) if stream.aggregate_type() == ActorBreaker::TYPE => {
                    breakers.reload(self.actor).await?;
                }
                recorded => return recorded,
            }
        }
        let workflow = &self.shared.definition.workflow;
        let recorded = self.alone(|posting| posting.fail(workflow, failure)).await?;
        let Some(recorded) = recorded else { return self.elsewhere().await };
        Ok(self.moved(recorded, Err(failure.failure_type.clone()), duration))
    }

    /// The posting's failure and the actor's are one append, so that the breaker counts each
    /// failure once.
    async fn failed_with_actor(
        &self,
        failure: &Failure,
        duration: Duration,
    ) -> Result<Moved, RunError> {
        let &Self { shared, posting, attempt, actor, seen, pause, .. } = self;
        let workflow = &shared.definition.workflow;
        let failure_type = failure.failure_type.clone();
        let result = Some(Err(failure_type.clone()));
        let members = (shared.postings.by_id(&posting), shared.breakers.actors.by_id(&actor));
        let policy = &shared.breakers.policy;
        let decision = transact(members, |(posting, breaker)| {
            breaker.record(match failure_type.is_counted() && !failure.is_final {
                true => breaker.record_failure(policy, attempt, &failure_type, failure.now),
                false => breaker.give_back(failure.now.plus(pause)),
            });
            let breaker_opened = ActorBreaker::opened(breaker.recorded());
            let failure = Failure { breaker_opened, ..failure.clone() };
            posting.record(posting.fail(workflow, &failure)?);
            Ok::<_, PostingRejection>(breaker_opened.is_some())
        });
        let recorded = decision
            .idempotency_key(self.key()?)
            .metadata(shared.attempt_metadata(posting, self.cause, self.looked))
            .retry(RETRY_WITH_ACTOR)
            .await
            .map_err(|error| StepError::of(posting, error))?;
        let is_repeat = recorded.is_repeat();
        let (events, calls) = &recorded.events;
        let causes = match &recorded.appended {
            Some(appended) if !is_repeat => {
                shared.count(events.len() + calls.len());
                opened_by(events, appended)
            }
            _ => Vec::new(),
        };
        let opens = recorded.reply == Some(true);
        // a breaker that opened before is met only now
        let seen = if opens { seen } else { shared.clocks.moment() };
        let (state, breaker) = recorded.state;
        check_moved(posting, attempt, is_repeat, &state)?;
        if opens {
            let Failure { failure_type, error, stderr, .. } = failure;
            let last = LastFailure::new(failure_type.clone(), error, stderr.as_deref());
            shared.tell_opened(actor, &breaker, last);
        }
        shared.breakers.remember(actor, breaker, seen);
        Ok(Moved { causes, state, result, duration, usage: LlmUsage::default() })
    }
}

/// A repeat must not leave the posting where it was: the same attempt would be made for ever.
fn check_moved(
    posting: PostingId,
    attempt: Attempt,
    is_repeat: bool,
    state: &Posting,
) -> Result<(), StepError> {
    let waits = state.run().and_then(|run| run.attempt_at(attempt.conversation_id));
    match is_repeat && waits == Some(attempt) {
        true => Err(StepError::Repeated { posting, attempt }),
        false => Ok(()),
    }
}
