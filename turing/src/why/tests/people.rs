//! Postings that wait for people: since when, and until when.

use super::*;

/// A person at conversation 60, who waits for the group and has a hundred seconds.
fn signed() -> Scene {
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
    Scene { definition: Ok(toml::from_str(&text).unwrap()), ..Scene::new() }
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
    let told = signed().ask(&events[..4]).sentence;
    assert!(
        told.starts_with("ready at conversation 20 (left) since 2025-11-24T16:00:02Z"),
        "{told}"
    );
    let waits = "waits at conversation 60 (sign) for a person, actor 3 (Ana) since";
    let due = format!("{waits} 2025-11-24T16:00:04Z; due 2025-11-24T16:01:44Z");
    signed().says(&events, &due);
    // what had finished before it was opened changes nothing
    let events = [&events[..3], &events[4..]].concat();
    signed().says(&events, &due);
}

#[test]
fn a_person_whose_time_is_over_is_waited_for_until_a_run_records_that() {
    let events = [entered_at(60)];
    let waits =
        "waits at conversation 60 (sign) for a person, actor 3 (Ana) since 2025-11-24T16:00:00Z";
    let due = format!("{waits}; due 2025-11-24T16:01:40Z");
    Scene { now: after(99), ..signed() }.says(&events, &due);
    let overdue = format!(
        "{waits}; overdue since 2025-11-24T16:01:40Z, which the run records when it goes on; nobody \
         works on this run: {RESUME}"
    );
    let interrupted = Scene { worked: Scene::held_by(&Holder::Nobody).worked, ..signed() };
    Scene { now: after(100), ..interrupted }.says(&events, &overdue);
    // the run goes on there before anybody has answered
    let both = [entered_at(10), done(10), taken(10, Some(60)), taken(10, Some(50))];
    let told = Scene { now: after(200), ..signed() }.ask(&both);
    let at: Vec<_> = told.positions.iter().map(|position| position.conversation_id.0).collect();
    assert_eq!(at, [60, 50]);
}
