//! Where exactly a problem is.

use super::Place;
use crate::definition::{Actor, Conversation, Workflow};

/// A part of a definition, told apart from another one of the same id.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) index: usize,
    pub(super) setting: Option<&'static str>,
}

impl Spot {
    pub(super) const WORKFLOW: Self = Self { place: Place::Workflow, index: 0, setting: None };

    fn at(place: Place, index: usize) -> Self {
        Self { place, index, setting: None }
    }

    /// The branch of this number in the conversation.
    pub(super) fn branch(self, number: u32) -> Self {
        match self.place {
            Place::Conversation(id) => Self { place: Place::Branch(id, number), ..self },
            _ => self,
        }
    }

    /// The key there.
    pub(super) fn setting(self, setting: &'static str) -> Self {
        Self { setting: Some(setting), ..self }
    }
}

/// The actors with their spots, in the order of the definition.
pub(super) fn actors(workflow: &Workflow) -> impl Iterator<Item = (Spot, &Actor)> {
    let actors = workflow.actors.iter().enumerate();
    actors.map(|(index, one)| (Spot::at(Place::Actor(one.id), index), one))
}

/// The conversations with their spots, in the order of the definition.
pub(super) fn conversations(workflow: &Workflow) -> impl Iterator<Item = (Spot, &Conversation)> {
    let conversations = workflow.conversations.iter().enumerate();
    conversations.map(|(index, one)| (Spot::at(Place::Conversation(one.id), index), one))
}
