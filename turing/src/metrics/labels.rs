//! The names that labels say: those of the definition, short, different, and not too many.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Uri;
use turing_domain::{Actor, ActorId, ActorKind, ConversationId, Workflow};

/// How many actors have series of their own; all further ones have some together.
const MOST: usize = 100;

/// How long a name is at most, in characters.
const LONGEST: usize = 60;

/// The name of actors that have no series of their own.
const OTHER: &str = "other";

/// The names of a workflow and its actors.
#[derive(Debug)]
pub(super) struct Labels {
    /// What people call the workflow.
    pub(super) workflow: String,
    /// What is said of actors; several may be told together.
    pub(super) actors: Vec<ActorLabel>,
    places: BTreeMap<ConversationId, (ActorId, usize)>,
    people: BTreeSet<ConversationId>,
}

/// What is said of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActorLabel {
    pub(super) ids: Vec<ActorId>,
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// Where a language model is asked: host and port, without what else an address may hold.
    pub(super) endpoint: String,
    /// Which language model is asked, if it is one.
    pub(super) model: Option<String>,
}

impl Labels {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let mut taken = BTreeSet::new();
        if workflow.actors.len() > MOST {
            taken.insert(OTHER.to_owned());
        }
        let mut actors: Vec<ActorLabel> = Vec::new();
        for actor in &workflow.actors {
            if actors.len() < MOST {
                actors.push(label(actor, &mut taken));
            } else if let Some(together) = actors.get_mut(MOST) {
                together.ids.push(actor.id);
            } else {
                actors.push(other(actor));
            }
        }
        let of_actor = |id: ActorId| actors.iter().position(|label| label.ids.contains(&id));
        let place = |(conversation, actor): (ConversationId, ActorId)| {
            Some((conversation, (actor, of_actor(actor)?)))
        };
        let conversations = workflow.conversations.iter().map(|one| (one.id, one.actor));
        let places = conversations.filter_map(place).collect();
        let people = workflow.conversations.iter().filter(|one| workflow.person_at(one).is_some());
        let people = people.map(|one| one.id).collect();
        Self { workflow: shortened(&workflow.name), actors, places, people }
    }

    /// Who works at a conversation, and which of the labels is that actor's.
    pub(super) fn at(&self, conversation: ConversationId) -> Option<(ActorId, usize)> {
        self.places.get(&conversation).copied()
    }

    /// Whether a person is asked at a conversation.
    pub(super) fn is_persons(&self, conversation: ConversationId) -> bool {
        self.people.contains(&conversation)
    }
}

fn label(actor: &Actor, taken: &mut BTreeSet<String>) -> ActorLabel {
    let mut name = shortened(&actor.name);
    // two actors may have one name, and no two series may have the same labels
    while name.is_empty() || !taken.insert(name.clone()) {
        name = format!("{name} ({})", actor.id);
    }
    let (kind, endpoint, model) = match &actor.kind {
        ActorKind::Script(_) => ("script", String::new(), None),
        ActorKind::Llm(llm) => ("llm", host_of(&llm.endpoint), Some(shortened(&llm.model))),
        ActorKind::Human(_) => ("human", String::new(), None),
    };
    ActorLabel { ids: vec![actor.id], name, kind, endpoint, model }
}

fn other(actor: &Actor) -> ActorLabel {
    let (name, endpoint) = (OTHER.to_owned(), String::new());
    ActorLabel { ids: vec![actor.id], name, kind: OTHER, endpoint, model: Some(OTHER.to_owned()) }
}

/// The beginning of a name, on one line.
fn shortened(name: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    name.chars().map(plain).take(LONGEST).collect()
}

/// Host and port of an address; nothing of one that has none.
fn host_of(endpoint: &str) -> String {
    let uri = endpoint.parse::<Uri>().unwrap_or_default();
    match (uri.host(), uri.port_u16()) {
        (Some(host), Some(port)) => shortened(&format!("{host}:{port}")),
        (Some(host), None) => shortened(host),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn workflow(actors: &[(usize, &str)]) -> Workflow {
        let mut text = "[workflow]\nid = 1\nname = \"w\"\nentry = 1\n".to_owned();
        for (id, name) in actors {
            write!(
                text,
                "[[actors]]\nid = {id}\nname = {name:?}\ntype = \"script\"\ncommand = [\"true\"]\n\
                 [[conversations]]\nid = {id}\nname = \"c\"\nactor = {id}\n\
                 [[conversations.branches]]\n"
            )
            .unwrap();
        }
        toml::from_str(&text).unwrap()
    }

    fn names(workflow: &Workflow) -> Vec<String> {
        Labels::of(workflow).actors.into_iter().map(|label| label.name).collect()
    }

    #[test]
    fn actors_of_one_name_have_series_of_their_own() {
        let long = "x".repeat(200);
        let named = names(&workflow(&[(1, "a"), (2, "a"), (3, "a (2)"), (4, &long), (5, &long)]));
        let short = "x".repeat(LONGEST);
        let again = format!("{short} (5)");
        let expected = ["a", "a (2)", "a (2) (3)", short.as_str(), again.as_str()];
        assert_eq!(named, expected);
    }

    #[test]
    fn actors_beyond_the_bound_are_told_together() {
        let all: Vec<_> = (1..=MOST + 20).map(|id| (id, format!("actor {id}"))).collect();
        let all: Vec<_> = all.iter().map(|(id, name)| (*id, name.as_str())).collect();
        let labels = Labels::of(&workflow(&all));
        assert_eq!(labels.actors.len(), MOST + 1);
        assert_eq!(labels.actors[MOST].name, OTHER);
        assert_eq!(labels.actors[MOST].ids.len(), 20);
        let last = i32::try_from(MOST + 20).unwrap();
        assert_eq!(labels.at(ConversationId(last)), Some((ActorId(last), MOST)));
        assert_eq!(labels.at(ConversationId(1)), Some((ActorId(1), 0)));
    }

    #[test]
    fn of_an_address_only_host_and_port_are_told() {
        for (address, told) in [
            ("http://localhost:11434/path", "localhost:11434"),
            ("https://user:secret@models.example/v1?key=secret", "models.example"),
            ("http://[::1]:80", "[::1]:80"),
            ("no address", ""),
        ] {
            assert_eq!(host_of(address), told);
        }
    }
}
