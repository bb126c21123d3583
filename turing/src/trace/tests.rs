//! The tree, whatever causes whatever.

use es_core::backend::NewEvent;
use es_core::event::{Payload, Position, Timestamp};
use es_core::execution::StreamVersion;
use proptest::prelude::*;

use super::*;

/// The id with this number.
fn id_of(number: usize) -> EventId {
    format!("00000000-0000-7000-8000-{number:012x}").parse().unwrap()
}

/// Event `number` with a cause of this number.
fn event(number: usize, cause: Option<usize>) -> RecordedEvent {
    let mut new = NewEvent::new(id_of(number), "posting_terminal", Payload::of(&()).unwrap());
    new.metadata.causation_id = cause.map(id_of);
    let place = number as u64 + 1;
    let (version, position) = (StreamVersion::new(place), Position::from_sequence(place));
    RecordedEvent::new(new, "posting/1".parse().unwrap(), version, position, Timestamp::EPOCH)
}

/// The tree of events with these causes, as numbers with depths.
fn tree(causes: &[Option<usize>]) -> Vec<(usize, usize, CauseOf)> {
    let events = causes.iter().enumerate().map(|(number, cause)| event(number, *cause)).collect();
    let elsewhere = vec![event(100, None)];
    let number = |id: EventId| (0..=200).find(|number| id_of(*number) == id).unwrap();
    let nodes = Trace::new(events, elsewhere).nodes;
    nodes.into_iter().map(|node| (number(node.event.event_id), node.depth, node.cause)).collect()
}

#[test]
fn effects_stand_below_their_cause_in_the_order_of_the_log() {
    use CauseOf::{Above, None as Nothing};
    let found = tree(&[None, Some(0), Some(0), Some(1), None, Some(4), Some(1)]);
    let expected = [
        (0, 0, Nothing),
        (1, 1, Above),
        (3, 2, Above),
        (6, 2, Above),
        (2, 1, Above),
        (4, 0, Nothing),
        (5, 1, Above),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_cause_that_is_elsewhere_or_nowhere_is_told() {
    let found = tree(&[Some(100), Some(150), Some(1)]);
    let elsewhere = CauseOf::Elsewhere(Box::new(event(100, None)));
    let expected =
        [(0, 0, elsewhere), (1, 0, CauseOf::Missing(id_of(150))), (2, 1, CauseOf::Above)];
    assert_eq!(found, expected);
    let events = vec![event(0, Some(150)), event(1, Some(150)), event(2, Some(1))];
    assert_eq!(Trace::new(events, Vec::new()).missing(), BTreeSet::from([id_of(150)]));
}

#[test]
fn circles_begin_at_their_first_event_and_end() {
    let itself = tree(&[Some(0), Some(0)]);
    let expected = [(0, 0, CauseOf::Circular(id_of(0))), (1, 1, CauseOf::Above)];
    assert_eq!(itself, expected);
    // 0 hangs below the circle of 1, 2 and 3
    let circle = tree(&[Some(2), Some(3), Some(1), Some(2)]);
    let expected = [
        (1, 0, CauseOf::Circular(id_of(3))),
        (2, 1, CauseOf::Above),
        (0, 2, CauseOf::Above),
        (3, 2, CauseOf::Above),
    ];
    assert_eq!(circle, expected);
}

#[test]
fn a_chain_of_any_length_is_no_burden() {
    let events: Vec<_> =
        (0..100_000).map(|number: usize| event(number, number.checked_sub(1))).collect();
    let trace = Trace::new(events, Vec::new());
    assert_eq!(trace.nodes.last().unwrap().depth, 99_999);
}

proptest! {
    #[test]
    fn every_event_stands_in_the_tree_once_and_directly_below_its_cause(
        causes in proptest::collection::vec(proptest::option::of(0_usize..20), 0..16)
    ) {
        let found = tree(&causes);
        let mut numbers: Vec<_> = found.iter().map(|(number, ..)| *number).collect();
        numbers.sort_unstable();
        prop_assert_eq!(numbers, (0..causes.len()).collect::<Vec<_>>());
        let mut above: Vec<usize> = Vec::new();
        for (number, depth, cause) in found {
            prop_assert!(depth <= above.len());
            above.truncate(depth);
            let stands_below = above.last().copied();
            above.push(number);
            match cause {
                CauseOf::Above => prop_assert_eq!(stands_below, causes[number]),
                _ => prop_assert_eq!(depth, 0),
            }
            match cause {
                CauseOf::None => prop_assert_eq!(causes[number], None),
                CauseOf::Missing(id) | CauseOf::Circular(id) => {
                    prop_assert_eq!(Some(id), causes[number].map(id_of));
                    let is_missing = causes[number].unwrap() >= causes.len();
                    prop_assert_eq!(matches!(cause, CauseOf::Missing(_)), is_missing);
                }
                CauseOf::Above | CauseOf::Elsewhere(_) => {}
            }
        }
    }
}
