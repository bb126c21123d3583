//! A posting and what is done with it, without a store.

use es_core::Aggregate;
use es_core::event::Timestamp;
use serde_json::{Map, Value};
use turing_domain::{
    Attempt, Completion, Failure, FailureType, InputValues, LlmUsage, Posting, PostingEvent,
    PostingId, PostingRejection, RunId, Workflow,
};
use uuid::Uuid;

use super::generate::{Act, Answer, completed, imported};

pub(crate) fn run_id(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

/// One posting on its way.
pub(crate) struct Game<'a> {
    workflow: &'a Workflow,
    mark: String,
    run: u128,
    posting: Posting,
    history: Vec<PostingEvent>,
    inputs: Vec<String>,
}

impl<'a> Game<'a> {
    pub(crate) fn new(workflow: &'a Workflow) -> Self {
        Self::marked(workflow, "")
    }

    /// A game all of whose outputs end in `mark`.
    pub(crate) fn marked(workflow: &'a Workflow, mark: &str) -> Self {
        Self {
            workflow,
            mark: mark.to_owned(),
            run: 1,
            posting: Posting::default(),
            history: Vec::new(),
            inputs: Vec::new(),
        }
    }

    pub(crate) fn posting(&self) -> Posting {
        self.posting.clone()
    }

    pub(crate) fn history(&self) -> &[PostingEvent] {
        &self.history
    }

    /// What the actors were given.
    pub(crate) fn inputs(&self) -> &[String] {
        &self.inputs
    }

    pub(crate) fn play(&mut self, act: &Act) {
        match act {
            Act::EnterRun => self.enter(),
            Act::NextRun => {
                if self.posting.run().is_some() {
                    let abandoned = self.posting.abandon_run(run_id(self.run));
                    self.record(abandoned);
                }
                // an import takes it out of the run in which it ended, too
                if self.posting.ended_in(run_id(self.run)).is_some() {
                    self.run += 1;
                }
                self.enter();
            }
            Act::Report(pick, result) => {
                if let Some(attempt) = self.pick(*pick) {
                    self.read_input(attempt);
                    let events = self.decide(attempt, result);
                    self.record(events);
                }
            }
            Act::ReportStale(pick, result) => {
                if let Some(attempt) = self.pick(*pick) {
                    for stale in [
                        Attempt { execution: attempt.execution + 1, ..attempt },
                        Attempt { retries: attempt.retries + 1, ..attempt },
                        Attempt { run_id: run_id(self.run + 1), ..attempt },
                    ] {
                        assert!(self.decide(stale, result).is_err(), "{stale} is not waited for");
                    }
                }
            }
            Act::RecordOnly(pick, output) => {
                if let Some(attempt) = self.pick(*pick) {
                    let output = Value::from(format!("{output}{}", self.mark));
                    let id = attempt.conversation_id.into();
                    self.record(Ok(vec![completed(id, None.into(), output)]));
                }
            }
            Act::Settle => {
                let events = self.posting.settle(self.workflow, Timestamp::EPOCH, 0.5);
                self.record(events);
            }
            Act::Claim(pick, keeps) => {
                if let Some(attempt) = self.pick(*pick) {
                    self.claim(attempt, *keeps);
                }
            }
            Act::Import(how, output) => {
                let output = Value::from(format!("{output}{}", self.mark));
                self.record(Ok(vec![imported(1, *how, output)]));
            }
            Act::Move => {
                if self.posting.run().is_some() {
                    let run_id = run_id(self.run);
                    let before = self.posting();
                    let moved = self.posting.move_to_definition(self.workflow, run_id, "other");
                    self.record(moved);
                    assert_eq!(self.posting, before, "where it stands and what was counted stays");
                }
            }
        }
    }

    fn enter(&mut self) {
        let events = self.posting.enter_run(self.workflow, run_id(self.run));
        self.record(events);
    }

    fn pick(&self, pick: proptest::sample::Index) -> Option<Attempt> {
        let steps = self.posting.ready(self.workflow);
        (!steps.is_empty()).then(|| pick.get(&steps).attempt)
    }

    /// Who claims a task moves nothing.
    fn claim(&mut self, attempt: Attempt, keeps: bool) {
        let conversation = self.workflow.conversation(attempt.conversation_id);
        if self.workflow.person_at(conversation.expect("it was ready")).is_none() {
            return;
        }
        let before = self.posting.clone();
        let (by, id) = ("anna".to_owned(), attempt.conversation_id);
        self.record(Ok(vec![PostingEvent::HumanTaskClaimed {
            by: by.clone().into(),
            taken_from: None.into(),
            reason: None.into(),
            conversation_id: id.into(),
            run_id: attempt.run_id.into(),
        }]));
        if !keeps {
            self.record(Ok(vec![PostingEvent::HumanTaskReleased {
                by: by.into(),
                conversation_id: id.into(),
                run_id: attempt.run_id.into(),
            }]));
        }
        assert_eq!(self.posting, before);
    }

    fn read_input(&mut self, attempt: Attempt) {
        let data = Map::new();
        let values = InputValues {
            posting_id: PostingId(1),
            workflow_id: self.workflow.id,
            data: &data,
            posting: &self.posting,
        };
        let conversation = self.workflow.conversation(attempt.conversation_id);
        let conversation = conversation.expect("it was ready");
        for name in conversation.input.placeholders() {
            self.inputs.extend(values.value_of(name).map(|value| value.into_owned()));
        }
    }

    fn decide(
        &self,
        attempt: Attempt,
        result: &Answer,
    ) -> Result<Vec<PostingEvent>, PostingRejection> {
        match result {
            Ok(output) => {
                let output = format!("{output}{}", self.mark);
                self.posting.complete(self.workflow, &answer(attempt, &output))
            }
            Err(failure_type) => {
                let failure = failure(attempt, failure_type.clone());
                self.posting.fail(self.workflow, &failure)
            }
        }
    }

    fn record(&mut self, events: Result<Vec<PostingEvent>, PostingRejection>) {
        for event in events.expect("only what is allowed is recorded") {
            self.posting.evolve(&event);
            self.history.push(event);
        }
    }
}

pub(crate) fn answer(attempt: Attempt, output: &str) -> Completion {
    Completion { attempt, output: output.to_owned(), duration: None, llm: LlmUsage::default() }
}

pub(crate) fn failure(attempt: Attempt, failure_type: FailureType) -> Failure {
    Failure {
        attempt,
        breaker_opened: (attempt.retries == 1).then_some(5),
        failure_type,
        error: "broken".to_owned(),
        stderr: None,
        llm: LlmUsage::default(),
        is_final: false,
        duration: None,
        retry_after: None,
        now: Timestamp::EPOCH,
        jitter: 0.5,
    }
}
