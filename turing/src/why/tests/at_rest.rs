//! Postings that stand nowhere: they have ended, or are in no run, or cannot be read.

use super::*;

#[test]
fn what_has_ended_says_how_and_by_which_rule() {
    let ended = |told: &str| format!("ended as {told}");
    let by_rule = [entered_at(10), done(10), taken(10, None), terminal(10, EndReason::Completed)];
    Scene::new().says(
        &by_rule,
        &ended("completed at 2025-11-24T16:00:03Z at conversation 10, by its rule 2"),
    );
    let after_failure = [
        entered_at(10),
        failed(10, FailureType::NotFound),
        taken(10, None),
        terminal(10, EndReason::Completed),
    ];
    Scene::new().says(
        &after_failure,
        &ended(
            "completed at 2025-11-24T16:00:03Z at conversation 10, by its rule 2; the last attempt \
             there failed: not_found",
        ),
    );
    let reasons = [
        (EndReason::NoMatchingBranch, None, None, ", of whose rules none matched"),
        (
            EndReason::IterationLimit,
            Some(2),
            Some(10),
            ", whose rule 2 had been taken as often as it may be",
        ),
        (
            EndReason::LoopGuard,
            Some(2),
            Some(20),
            ", since conversation 20 had been run as often as it may be",
        ),
        (
            EndReason::RunBudget,
            Some(2),
            Some(20),
            ", having run as many conversations as a posting may",
        ),
        (
            EndReason::ActorFailed,
            None,
            None,
            ": the last attempt there failed: timeout, and no failure rule matched",
        ),
    ];
    for (reason, rule, to, why) in reasons {
        let events = [
            entered_at(10),
            failed(10, FailureType::Timeout),
            path_ended(10, reason.clone(), rule, to),
            terminal(10, reason.clone()),
        ];
        let told = format!("{reason} at 2025-11-24T16:00:03Z at conversation 10{why}");
        Scene::new().says(&events, &ended(&told));
    }
    let given_up = [entered_at(10), terminal(10, EndReason::Abandoned)];
    let told = "abandoned at 2025-11-24T16:00:01Z at conversation 10, because its run was given up";
    Scene::new().says(&given_up, &ended(told));
}

#[test]
fn a_posting_ends_where_its_worst_path_did() {
    let events = [
        entered_at(10),
        done(10),
        taken(10, Some(20)),
        taken(10, Some(30)),
        done(20),
        path_ended(20, EndReason::NoMatchingBranch, None, None),
        done(30),
        taken(30, None),
        terminal(30, EndReason::NoMatchingBranch),
    ];
    let told = Scene::new().ask(&events).sentence;
    assert!(told.ends_with(" at conversation 20, of whose rules none matched"), "{told}");
}

#[test]
fn of_paths_that_end_alike_the_last_one_ended_the_posting() {
    let events = [
        entered_at(10),
        done(10),
        taken(10, Some(20)),
        taken(10, Some(30)),
        failed(20, FailureType::Refused),
        taken(20, None),
        done(30),
        taken(30, None),
        terminal(30, EndReason::Completed),
    ];
    let told = "ended as completed at 2025-11-24T16:00:08Z at conversation 30, by its rule 2";
    Scene::new().says(&events, told);
}

#[test]
fn what_is_in_no_run_or_in_another_one_is_told() {
    Scene::new().says(&[done(10)], "in no run, so that nothing is done with it");
    let told = Scene::new().ask(&[entered_at(10), imported(false)]).sentence;
    assert!(told.starts_with("in no run: its state was imported"), "{told}");
    let told = Scene::new().ask(&[entered_at(10), imported(true)]).sentence;
    assert_eq!(told, "in no run, and ended, as a state says that was imported");

    let open = story(&[entered_at(10)]);
    let why = open.open_run(Some(other_run())).unwrap_err();
    let told = format!("not in run {}, but in run {}", other_run(), run());
    assert_eq!(why.to_string(), told);
    assert!(open.open_run(Some(run())).is_ok());
    let ended = story(&[entered_at(10), terminal(10, EndReason::Completed)]);
    let why = ended.open_run(Some(other_run())).unwrap_err();
    assert_eq!(why.to_string(), format!("not in run {}", other_run()));
    // how it ended in a run is known when it is in the next one
    let again = PostingEvent::PostingEnteredRun {
        run_id: other_run(),
        workflow_id: WorkflowId(3001),
        entry_conversation_id: ConversationId(10),
    };
    let again = story(&[entered_at(10), terminal(10, EndReason::Completed), again]);
    let why = again.open_run(Some(run())).unwrap_err();
    assert!(matches!(&*why, Why::Ended { run_id, .. } if *run_id == Some(run())), "{why}");
    assert!(again.open_run(None).is_ok());
}

#[test]
fn what_is_not_there_or_cannot_be_read_is_not_found() {
    let alone = |why| PostingWhy::alone(POSTING, why);
    let unregistered = alone(Why::Unregistered);
    assert!(!unregistered.is_found());
    assert!(unregistered.sentence.starts_with("not in this store: "));
    let stream = StreamId::new("posting", "7").unwrap();
    let (version, reason) = (StreamVersion::new(2), "unknown event type `moon_rose`".to_owned());
    let unreadable = alone(Why::Unreadable { stream, version, reason });
    assert!(!unreadable.is_found());
    let told = "since event 2 of posting/7 cannot be read: unknown event type `moon_rose`";
    assert!(unreadable.sentence.ends_with(told), "{}", unreadable.sentence);
    let over = Why::RunOver { run_id: run(), outcome: "is over (failed: x)".to_owned() };
    let over = alone(over);
    assert!(over.is_found());
    assert!(over.sentence.contains(", which is over (failed: x): "), "{}", over.sentence);
}
