//! Tasks of people: who has claimed one, and what is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::Aggregate;
use es_core::event::Timestamp;

use crate::definition::Workflow;
use crate::ids::{ConversationId, PostingId, RunId};
use crate::names::FailureType;
use crate::noted::Noted;
use crate::posting::command::{Attempt, Completion, Failure, LlmUsage};
use crate::posting::event::PostingEvent;
use crate::posting::rejection::PostingRejection;
use crate::posting::state::Posting;

/// So many characters a name of a person has at most.
pub const MAX_NAME_CHARS: usize = 200;

/// A posting and who has claimed its tasks of people.
///
/// An aggregate of its own over the posting's stream, for those decisions that ask who somebody is: the
/// state of the posting, which others keep, knows no claims.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HumanTasks {
    posting: Posting,
    claims: BTreeMap<ConversationId, (Attempt, String)>,
}

/// Who speaks of which task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The task.
    pub attempt: Attempt,
    /// The name.
    pub by: String,
    /// Why the task is taken from whoever has claimed it; `None`: it is not.
    pub take_over: Option<String>,
}

/// What a person answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HumanAnswer {
    /// It is done; this is the output.
    Done(String),
    /// It cannot be done.
    Failed {
        /// The kind of failure, which decides what follows; none is repeated.
        failure_type: FailureType,
        /// Why not, for people.
        error: String,
    },
}

/// Why a task refuses what a person wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HumanTaskRejection {
    /// The posting does not wait for it, or not any more.
    #[error(transparent)]
    Posting(#[from] PostingRejection),
    /// The conversation is no person's.
    #[error("conversation {conversation_id} is not a person's; the run executes it")]
    NotAPersons {
        /// The conversation.
        conversation_id: ConversationId,
    },
    /// Somebody else has claimed it.
    #[error("{by} has claimed the task; ask them to release it, or take it over with a reason")]
    Claimed {
        /// Who.
        by: String,
    },
    /// Nobody can be called so.
    #[error(
        "a name has 1 to {MAX_NAME_CHARS} characters, and no line breaks or other control characters"
    )]
    Name,
}

impl HumanTasks {
    /// The posting.
    pub fn posting(&self) -> &Posting {
        &self.posting
    }

    /// Who has claimed the task that is open at a conversation.
    pub fn claimant(&self, conversation: ConversationId) -> Option<&str> {
        let (attempt, by) = self.claims.get(&conversation)?;
        let open = self.open_at(None, Some(conversation));
        (open == Some(*attempt)).then_some(by.as_str())
    }

    /// Claims a task for somebody. Nothing happens if they have it.
    ///
    /// # Errors
    ///
    /// [`HumanTaskRejection`]; above all, somebody else has it.
    pub fn claim(
        &self,
        workflow: &Workflow,
        speaker: &Speaker,
    ) -> Result<Vec<PostingEvent>, HumanTaskRejection> {
        self.check(workflow, speaker)?;
        let holder = self.claimant(speaker.attempt.conversation_id);
        if holder == Some(speaker.by.as_str()) {
            return Ok(Vec::new());
        }
        Ok(vec![claimed(speaker, self.taken_from(speaker)?)])
    }

    /// Gives a claimed task back. Nothing happens if nobody has it.
    ///
    /// # Errors
    ///
    /// [`HumanTaskRejection`]; above all, somebody else has it.
    pub fn release(
        &self,
        workflow: &Workflow,
        speaker: &Speaker,
    ) -> Result<Vec<PostingEvent>, HumanTaskRejection> {
        self.check(workflow, speaker)?;
        let conversation = speaker.attempt.conversation_id;
        if self.claimant(conversation).is_none() {
            return Ok(Vec::new());
        }
        self.taken_from(speaker)?;
        Ok(vec![PostingEvent::HumanTaskReleased {
            by: speaker.by.clone().into(),
            conversation_id: conversation.into(),
            run_id: speaker.attempt.run_id.into(),
        }])
    }

    /// Records an answer and what follows from it; a task that is taken over is claimed before.
    ///
    /// `open_for` is how long the task was open.
    ///
    /// # Errors
    ///
    /// [`HumanTaskRejection`]; above all, the posting does not wait for it any more, or somebody else
    /// has claimed it.
    pub fn answer(
        &self,
        workflow: &Workflow,
        speaker: &Speaker,
        answer: &HumanAnswer,
        open_for: Option<Duration>,
        now: Timestamp,
    ) -> Result<Vec<PostingEvent>, HumanTaskRejection> {
        self.check(workflow, speaker)?;
        let from = self.taken_from(speaker)?;
        let attempt = speaker.attempt;
        let mut answered = match answer {
            HumanAnswer::Done(output) => {
                let (output, llm) = (output.clone(), LlmUsage::default());
                let completion = Completion { attempt, output, duration: open_for, llm };
                self.posting.complete(workflow, &completion)?
            }
            HumanAnswer::Failed { failure_type, error } => {
                let failure = failure_of(attempt, failure_type.clone(), error, open_for, now);
                self.posting.fail(workflow, &failure)?
            }
        };
        if let Some(
            PostingEvent::HumanTaskCompleted { by, .. } | PostingEvent::HumanTaskFailed { by, .. },
        ) = answered.first_mut()
        {
            *by = speaker.by.clone().into();
        }
        let mut events = Vec::new();
        events.extend(from.map(|from| claimed(speaker, Some(from))));
        events.append(&mut answered);
        Ok(events)
    }

    /// Refuses a name that is none, and a task that is not open or no person's.
    fn check(&self, workflow: &Workflow, speaker: &Speaker) -> Result<(), HumanTaskRejection> {
        let by = &speaker.by;
        let is_long = by.chars().nth(MAX_NAME_CHARS).is_some();
        if by.trim().is_empty() || is_long || by.chars().any(char::is_control) {
            return Err(HumanTaskRejection::Name);
        }
        let (_, conversation) = self.posting.attempted(workflow, speaker.attempt)?;
        match workflow.person_at(conversation) {
            Some(_) => Ok(()),
            None => Err(HumanTaskRejection::NotAPersons { conversation_id: conversation.id }),
        }
    }

    /// Who has claimed the task and loses it now.
    fn taken_from(&self, speaker: &Speaker) -> Result<Option<String>, HumanTaskRejection> {
        match self.claimant(speaker.attempt.conversation_id) {
            Some(holder) if holder != speaker.by => match speaker.take_over {
                Some(_) => Ok(Some(holder.to_owned())),
                None => Err(HumanTaskRejection::Claimed { by: holder.to_owned() }),
            },
            _ => Ok(None),
        }
    }

    /// The attempt that is open at a conversation, if what is said of a run is of this one.
    fn open_at(
        &self,
        run_id: Option<RunId>,
        conversation: Option<ConversationId>,
    ) -> Option<Attempt> {
        let run = self.posting.run()?;
        match run_id.is_none_or(|run_id| run_id == run.run_id()) {
            true => run.attempt_at(conversation?),
            false => None,
        }
    }
}

/// That a task was not answered in time, as its failure.
pub fn overdue(attempt: Attempt, limit: Duration, now: Timestamp) -> Failure {
    let error = format!("nobody answered within {} s", limit.as_secs_f64());
    failure_of(attempt, FailureType::Overdue, &error, Some(limit), now)
}

fn failure_of(
    attempt: Attempt,
    failure_type: FailureType,
    error: &str,
    open_for: Option<Duration>,
    now: Timestamp,
) -> Failure {
    Failure {
        attempt,
        failure_type,
        error: error.to_owned(),
        stderr: None,
        llm: LlmUsage::default(),
        is_final: true,
        duration: open_for,
        retry_after: None,
        now,
        jitter: 0.0,
        breaker_opened: None,
    }
}

fn claimed(speaker: &Speaker, taken_from: Option<String>) -> PostingEvent {
    let reason = speaker.take_over.as_ref().filter(|_| taken_from.is_some());
    PostingEvent::HumanTaskClaimed {
        by: speaker.by.clone().into(),
        reason: Noted(reason.map(|reason| reason.replace('\0', "\u{fffd}"))),
        taken_from: taken_from.into(),
        conversation_id: speaker.attempt.conversation_id.into(),
        run_id: speaker.attempt.run_id.into(),
    }
}

impl Aggregate for HumanTasks {
    const TYPE: &'static str = Posting::TYPE;
    type Id = PostingId;
    type Event = PostingEvent;

    fn evolve(&mut self, event: &PostingEvent) {
        self.posting.evolve(event);
        match event {
            PostingEvent::HumanTaskClaimed { by, conversation_id, run_id, .. } => {
                let open = self.open_at(run_id.0, conversation_id.0);
                if let (Some(attempt), Some(by)) = (open, &by.0) {
                    self.claims.insert(attempt.conversation_id, (attempt, by.clone()));
                }
            }
            PostingEvent::HumanTaskReleased { conversation_id, run_id, .. } => {
                if let Some(attempt) = self.open_at(run_id.0, conversation_id.0) {
                    self.claims.remove(&attempt.conversation_id);
                }
            }
            _ => {}
        }
    }
}
