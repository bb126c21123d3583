//! Postings that wait for people: since when, and until when.

use super::*;

/// The sentence of the posting when it waits for a person at conversation 60, behind the group.
fn at_the_person(events: &[PostingEvent]) -> String {
    let boss = "
        [[conversations]]
        id = 60
        name = \"sign\"
        actor = 3
        wait_for_group = \"graders\"
        timeout_seconds = 100
    ";
    // tables of an array may follow those that are there
    let text = format!("{WORKFLOW}{boss}");
    let scene = Scene { definition: Ok(toml::from_str(&text).unwrap()), ..Scene::new() };
    scene.ask(events).sentence
}

#[test]
fn a_person_behind_a_group_is_waited_for_since_the_group_has_finished() {
    let events = [
        entered_at(10),
        done(10),
        taken(10, Some(20)),
        taken(10, Some(60)),
        done(20),
        taken(20, Some(60)),
    ];
    let told = at_the_person(&events[..4]);
    assert!(told.starts_with("ready at conversation 20 (left) since 2025-11-24T16:00:02Z"), "{told}");
    let waits = "waits at conversation 60 (sign) for a person, actor 3 (Ana) since";
    let told = at_the_person(&events);
    assert_eq!(told, format!("{waits} 2025-11-24T16:00:04Z; due 2025-11-24T16:01:44Z"));
    // what had finished before it was opened changes nothing
    let events = [&events[..3], &events[4..]].concat();
    let told = at_the_person(&events);
    assert_eq!(told, format!("{waits} 2025-11-24T16:00:04Z; due 2025-11-24T16:01:44Z"));
}
