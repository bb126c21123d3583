//! The posting as an entity with its repository.

use es_entity::{
    EntityEvents, EntityEventsBuilder, EntityHydrationError, EsEntity, EsEvent, EsRepo, FromCaller,
    IntoEvents, TryFromEvents,
};
use peers_harness::{Execution, Posting as State};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

es_entity::entity_id! { PostingId }

/// The event with what is known of it: its context is for who did it.
#[derive(Debug, EsEvent, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[es_event(id = "PostingId")]
pub(crate) enum PostingEvent {
    ScriptExecutionCompleted { execution: Execution },
}

#[derive(EsEntity)]
pub(crate) struct Posting {
    pub(crate) id: PostingId,
    state: State,
    events: EntityEvents<PostingEvent>,
}

#[derive(Debug, thiserror::Error)]
#[error("the posting is terminal")]
pub(crate) struct PostingClosed;

impl Posting {
    pub(crate) fn record(&mut self, executions: Vec<Execution>) -> Result<(), PostingClosed> {
        if self.state.is_terminal() {
            return Err(PostingClosed);
        }
        for execution in executions {
            self.state.evolve(execution.conversation_id, &execution.output);
            self.events.push(PostingEvent::ScriptExecutionCompleted { execution });
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> u64 {
        self.state.events
    }
}

impl TryFromEvents<PostingEvent> for Posting {
    fn try_from_events(events: EntityEvents<PostingEvent>) -> Result<Self, EntityHydrationError> {
        let mut state = State::default();
        for event in events.iter_all() {
            let PostingEvent::ScriptExecutionCompleted { execution } = event;
            state.evolve(execution.conversation_id, &execution.output);
        }
        let mut hydrator = Posting::hydrator();
        hydrator.id(*events.id()).state(state);
        hydrator.build(events)
    }
}

pub(crate) struct NewPosting {
    pub(crate) id: PostingId,
    pub(crate) executions: Vec<Execution>,
}

impl IntoEvents<PostingEvent> for NewPosting {
    type IdSource = FromCaller;

    fn into_events(
        self,
        builder: EntityEventsBuilder<PostingEvent, FromCaller>,
    ) -> EntityEvents<PostingEvent> {
        let events = self.executions.into_iter();
        builder.initial_events(
            self.id,
            events.map(|execution| PostingEvent::ScriptExecutionCompleted { execution }),
        )
    }
}

#[derive(EsRepo)]
#[es_repo(entity = "Posting", id(ty = "PostingId", source = caller))]
pub(crate) struct Postings {
    pool: PgPool,
}

impl Postings {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}
