//! What belongs together across streams, as a tree by causation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use es_core::event::{EventId, RecordedEvent};
use es_core::execution::StoreError;

use crate::store::Store;

/// The events of one correlation, each below its cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Every event once, in the order of the tree: an event, then what it caused, and so on down;
    /// of one cause in the order of the log.
    pub nodes: Vec<Node>,
}

/// One event in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// How many causes above it are in the tree.
    pub depth: usize,
    /// Where its cause is.
    pub cause: CauseOf,
    /// The event.
    pub event: RecordedEvent,
}

/// Where the cause of an event is.
#[derive(Debug, Clone, PartialEq)]
pub enum CauseOf {
    /// It has none.
    None,
    /// It stands above it in the tree.
    Above,
    /// It is in the store, but belongs to another correlation or to none.
    Elsewhere(Box<RecordedEvent>),
    /// No event of the store has this id.
    Missing(EventId),
    /// It is the event itself, or one that the event led to; nothing else in its circle could stand
    /// above it.
    Circular(EventId),
}

/// Gathers the events of a correlation.
///
/// # Errors
///
/// When the store fails.
pub async fn trace(store: &Store, correlation_id: &str) -> Result<Trace, StoreError> {
    let events = store.correlated(correlation_id).await?;
    let known: BTreeSet<_> = events.iter().map(|event| event.event_id).collect();
    let causes = events.iter().filter_map(|event| event.metadata.causation_id);
    let outside = causes.filter(|cause| !known.contains(cause)).collect();
    let elsewhere = store.events_of(&outside).await?;
    Ok(Trace::new(events, elsewhere))
}

impl Trace {
    /// The tree of `events`, which are in the order of the log; `elsewhere` has causes of them that
    /// do not belong to them.
    pub fn new(events: Vec<RecordedEvent>, elsewhere: Vec<RecordedEvent>) -> Self {
        let elsewhere: HashMap<_, _> =
            elsewhere.into_iter().map(|event| (event.event_id, event)).collect();
        let places: HashMap<_, _> =
            events.iter().enumerate().map(|(place, event)| (event.event_id, place)).collect();
        let mut effects: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut roots = Vec::new();
        for (place, event) in events.iter().enumerate() {
            let cause = event.metadata.causation_id;
            match cause.and_then(|cause| places.get(&cause)) {
                Some(above) => effects.entry(*above).or_default().push(place),
                None => {
                    let cause = match cause {
                        None => CauseOf::None,
                        Some(id) => elsewhere.get(&id).map_or(CauseOf::Missing(id), |event| {
                            CauseOf::Elsewhere(Box::new(event.clone()))
                        }),
                    };
                    roots.push((place, cause));
                }
            }
        }
        let mut placed: Vec<Option<(usize, CauseOf)>> = vec![None; events.len()];
        let mut order = Vec::with_capacity(events.len());
        for (root, cause) in roots {
            place_below(root, cause, &effects, &mut placed, &mut order);
        }
        // who is in no tree so far is in a circle or below one, which begins at its first event
        for place in 0..events.len() {
            if placed[place].is_none() {
                let start = circle_of(place, &events, &places);
                let cause = events[start].metadata.causation_id;
                let cause = cause.map_or(CauseOf::None, CauseOf::Circular);
                place_below(start, cause, &effects, &mut placed, &mut order);
            }
        }
        let mut events: Vec<_> = events.into_iter().map(Some).collect();
        let node = |place: usize| {
            let (depth, cause) = placed[place].take()?;
            Some(Node { depth, cause, event: events[place].take()? })
        };
        Self { nodes: order.into_iter().filter_map(node).collect() }
    }

    /// The causes that no event of the store is, each once.
    pub fn missing(&self) -> BTreeSet<EventId> {
        let missing = self.nodes.iter().filter_map(|node| match node.cause {
            CauseOf::Missing(id) => Some(id),
            _ => None,
        });
        missing.collect()
    }
}

/// Puts an event into the tree, and all below it that is not there yet.
fn place_below(
    root: usize,
    cause: CauseOf,
    effects: &BTreeMap<usize, Vec<usize>>,
    placed: &mut [Option<(usize, CauseOf)>],
    order: &mut Vec<usize>,
) {
    // a stack of its own: chains may be long
    let mut waiting = vec![(root, 0, cause)];
    while let Some((place, depth, cause)) = waiting.pop() {
        if placed[place].is_some() {
            continue;
        }
        placed[place] = Some((depth, cause));
        order.push(place);
        let below = effects.get(&place).into_iter().flatten().rev();
        waiting.extend(below.map(|below| (*below, depth + 1, CauseOf::Above)));
    }
}

/// The first event of the circle that the causes of an event lead into.
fn circle_of(place: usize, events: &[RecordedEvent], places: &HashMap<EventId, usize>) -> usize {
    let above = |place: usize| {
        let cause = events[place].metadata.causation_id?;
        places.get(&cause).copied()
    };
    let mut seen = BTreeSet::new();
    let mut on_circle = place;
    while seen.insert(on_circle) {
        match above(on_circle) {
            Some(next) => on_circle = next,
            None => return on_circle,
        }
    }
    let (mut first, mut next) = (on_circle, above(on_circle));
    while let Some(place) = next.filter(|place| *place != on_circle) {
        first = first.min(place);
        next = above(place);
    }
    first
}

#[cfg(test)]
mod tests;
