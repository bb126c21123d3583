//! Models that are kept within the append.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::backend::{
    AppendError, AppendRequest, Batch, Checkpoint, Claim, Content, Definition, EventReference,
    Lease, Position, RowChange, SinkError, Slot,
};
use es_core::event::Payload;
use es_core::projection::{HealthState, Rebuild, TroubleKind};

use super::ProjectionFixture;
use super::models::{
    CLOSED, Crossing, PANIC, POISON, Poison, Seen, SeenRow, health, lives, numbers_of, runner,
    stored,
};
use super::parts::*;
use super::tables::entries::{Entries, entries, entries_in};

/// The event type of which tables have the entries.
const PAID: &str = "amount_paid_in";

fn to(account: &str, kind: &str, number: u64) -> AppendRequest {
    AppendRequest::to(stream(account), ANY, vec![typed_event(kind, number)])
}

async fn kept(fixture: &dyn ProjectionFixture, projection: Definition) {
    let sink = fixture.sink();
    let keeping = sink.keep_inline(projection);
    if let Err(error) = soon("a projection is kept inline", keeping).await {
        panic!("nothing keeps the projection from being kept inline, but: {error}");
    }
}

async fn seen(sink: &Sink) -> BTreeMap<String, SeenRow> {
    stored(sink, "seen", Slot::Active).await
}

fn rows_of(rows: &[(&str, &[u64])]) -> BTreeMap<String, SeenRow> {
    let row =
        |(account, numbers): &(&str, &[u64])| (stream(account).to_string(), numbers_of(numbers));
    rows.iter().map(row).collect()
}

/// The request is refused by a failure that wrote nothing.
async fn refused(store: &Store, request: AppendRequest) {
    let end = end_of_log(store).await;
    match soon("an append is refused", store.append(request)).await {
        Err(AppendError::Store(error)) => {
            assert!(!error.is_outcome_unknown(), "it is certain that nothing was written: {error}");
        }
        other => panic!("the projection cannot take an event of it, but the answer is {other:?}"),
    }
    assert_eq!(end_of_log(store).await, end, "a refused append writes nothing");
}

pub(super) async fn an_append_is_in_the_model_when_it_is_answered(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Seen::model()).await;
    accepted(&store, to("1", "paid", 1)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1])]));
    let elsewhere = typed_stream("audit", "1");
    let request = to("2", "paid", 2).and(stream("1"), ANY, events(3..=4)).and(
        elsewhere.clone(),
        ANY,
        vec![event(5)],
    );
    let appended = accepted(&store, request).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 3, 4]), ("2", &[2])]));
    // the checkpoint has come as far, also past what was not selected
    let places = appended.streams.iter().flat_map(|it| &it.events).map(|event| event.position);
    let last = places.fold(Position::START, Position::merge);
    assert_eq!(checkpoint_of(&sink, "seen").await, last);
    let reached = soon("a wait for one's own append ends", sink.wait_reached("seen", last)).await;
    assert!(reached.is_ok(), "{reached:?}");
    let clock = fixture.clock();
    let health = health(&store, &sink, &clock, &Seen::model()).await;
    assert_eq!(health.map(|health| health.state).ok(), Some(HealthState::Idle));
}

async fn checkpoint_of(sink: &Sink, projection: &str) -> Position {
    let active = status(sink, projection).await.and_then(|status| status.active);
    active.expect("the model is there").checkpoint().position
}

pub(super) async fn what_is_in_the_log_is_taken_first(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=3)).await;
    append(&store, &stream("2"), NONE, vec![typed_event(POISON, 4)]).await;
    let poison = Poison::refused(u32::MAX);
    let answer = fixture.sink().keep_inline(Seen::failing(poison.clone())).await;
    assert!(matches!(answer, Err(SinkError::Store(_))), "the log has poison, but: {answer:?}");
    // and it is not kept: appends go on without it
    accepted(&store, to("2", POISON, 5)).await;
    poison.heal();
    kept(fixture, Seen::failing(poison)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 2, 3]), ("2", &[4, 5])]));
    accepted(&store, to("1", "paid", 6)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 2, 3, 6]), ("2", &[4, 5])]));
}

pub(super) async fn an_event_that_cannot_be_taken_refuses_its_append(
    fixture: &dyn ProjectionFixture,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Crossing::model()).await;
    kept(fixture, Seen::failing(Poison::refused(u32::MAX))).await;
    accepted(&store, to("1", "paid", 1)).await;
    let poisoned = to("1", "paid", 2).and(stream("2"), ANY, vec![event(3), typed_event(POISON, 4)]);
    refused(&store, poisoned).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1])]), "nothing of it was taken");
    let crossing = stored(&sink, "crossing", Slot::Active).await;
    assert_eq!(crossing["all"], numbers_of(&[1]), "nor by another projection");
    accepted(&store, to("1", "paid", 5)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 5])]));
}

pub(super) async fn a_refused_append_refuses_no_other(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Seen::failing(Poison::refused(u32::MAX))).await;
    let calls = (0..60).map(|number| {
        let kind = if number % 3 == 0 { POISON } else { "paid" };
        let (store, request) = (store.clone(), to(&(number % 2).to_string(), kind, number));
        tokio::spawn(async move { store.append(request).await.is_ok() })
    });
    let calls: Vec<_> = calls.collect();
    for (number, call) in calls.into_iter().enumerate() {
        let is_written = soon("an append is answered", call).await.expect("it does not panic");
        assert_eq!(is_written, number % 3 != 0, "append {number}");
    }
    assert_eq!(seen(&sink).await, lives(&store, Seen::model()).await);
    assert_eq!(read_log(&store).await.len(), 40);
}

pub(super) async fn a_repeat_is_taken_once(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Seen::model()).await;
    let request = to("1", "paid", 1).with_key(key("pay"));
    for _ in 0..3 {
        accepted(&store, request.clone()).await;
        assert_eq!(seen(&sink).await, rows_of(&[("1", &[1])]));
    }
    // nor do two of the same request that race
    let request = to("1", "paid", 2).with_key(key("race"));
    let racing = |_| {
        let (store, request) = (store.clone(), request.clone());
        tokio::spawn(async move { store.append(request).await.is_ok() })
    };
    for call in (0..8).map(racing).collect::<Vec<_>>() {
        assert!(soon("a repeat is answered", call).await.expect("it does not panic"));
    }
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 2])]));
}

pub(super) async fn no_runner_takes_what_appends_keep(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Seen::model()).await;
    accepted(&store, to("1", "paid", 1)).await;
    let mut runner = runner(&store, &sink, "a runner").definition(Seen::model());
    // however long ago it was taken, by whatever clock
    for step in [Duration::ZERO, Lease::LONGEST * 2] {
        fixture.clock().step(step);
        let answer = soon("a runner is refused", runner.catch_up()).await;
        let told = answer.expect_err("appends have the lease").to_string();
        assert!(told.contains("the append"), "the refusal says who has it: {told}");
    }
    accepted(&store, to("1", "paid", 2)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 2])]));
}

pub(super) async fn a_model_of_another_history_is_not_kept(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=3)).await;
    let end = end_of_log(&store).await;
    let beyond = Position::from_sequence(end.to_sequence() + 10);
    let places = [
        // of a log that holds another event there, of one that went further, and of one whose events
        // there were not told
        Checkpoint { position: end, event: Some(EventReference { position: end, ..reference(3) }) },
        Checkpoint { position: beyond, event: Some(reference(beyond.to_sequence())) },
        Checkpoint { position: beyond, event: None },
    ];
    let definition = Seen::model();
    for place in places {
        let mut claim = claim_of("seen", "before");
        claim.fingerprint = definition.fingerprint().to_owned();
        let lease = acquired(&sink, &claim).await;
        let row = RowChange { key: "account/1".to_owned(), value: Some(row_of(&[7])) };
        let from = lease.checkpoints[0].clone();
        let batch = Batch::moving(0, from, place.clone()).content(Content::Rows(vec![row]));
        commit(&sink, &lease, batch).await;
        assert!(sink.release(&lease).await.is_ok());
        let answer = fixture.sink().keep_inline(definition.clone()).await;
        match &answer {
            Err(SinkError::Diverged { projection, .. }) => assert_eq!(projection, "seen"),
            other => panic!("{place:?} is of another log, but: {other:?}"),
        }
        accepted(&store, to("1", "paid", 4)).await;
        assert_eq!(seen(&sink).await, rows_of(&[("1", &[7])]), "nobody writes it");
        let clock = fixture.clock();
        let health = health(&store, &sink, &clock, &definition).await;
        let trouble = health.map(|health| health.trouble.map(|trouble| trouble.kind()));
        assert_eq!(trouble.ok(), Some(Some(TroubleKind::Diverged)), "and whoever asks is told");
    }
}

fn row_of(numbers: &[u64]) -> Payload {
    Payload::of(&numbers_of(numbers)).expect("a row is JSON")
}

pub(super) async fn a_switch_goes_on_within_the_append(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Seen::model()).await;
    accepted(&store, to("1", "paid", 1)).await;
    let mut rebuild =
        Rebuild::definition(with_models(&store, &sink), Seen::model()).holder("a rebuild");
    let filled = soon("the shadow is filled", rebuild.fill()).await;
    assert!(filled.is_ok(), "{filled:?}");
    accepted(&store, to("2", "paid", 2)).await;
    let switched = soon("the shadow is switched to", rebuild.switch()).await;
    assert!(switched.is_ok(), "{switched:?}");
    let answer = sink.acquire(&claim_of("seen", "a runner")).await;
    assert!(
        matches!(&answer, Err(SinkError::Held { holder, .. }) if holder == "the append"),
        "appends have the new model, too, but: {answer:?}"
    );
    accepted(&store, to("1", "paid", 3)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 3]), ("2", &[2])]));
}

pub(super) async fn what_appends_keep_is_the_fold_of_the_log(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Seen::model()).await;
    kept(fixture, Crossing::model()).await;
    let writers = (0..4_u64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..rounds(15, 150) {
                let request = to(&(number % 3).to_string(), "paid", writer * 1_000 + number);
                accepted(&store, request.and(stream("all"), ANY, vec![event(number)])).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("every append is accepted");
    }
    assert_eq!(seen(&sink).await, lives(&store, Seen::model()).await);
    assert_eq!(
        stored(&sink, "crossing", Slot::Active).await,
        lives(&store, Crossing::model()).await,
        "rows across streams are in the order of the log"
    );
    assert_eq!(checkpoint_of(&sink, "seen").await, end_of_log(&store).await);
}

pub(super) async fn tables_are_kept_within_the_append(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=2)).await;
    kept(fixture, Definition::table::<Entries>()).await;
    assert_eq!(entries(&sink, Slot::Active).await, entries_in(&read_log(&store).await));
    let request = to("1", PAID, 3).and(typed_stream("audit", "1"), ANY, vec![event(4)]);
    accepted(&store, request.and(stream("2"), ANY, events(5..=6))).await;
    let log = read_log(&store).await;
    let seen = entries(&sink, Slot::Active).await;
    assert_eq!(seen, entries_in(&log), "each event is in the table, and no other");
    assert_eq!(seen.len(), 5);
    accepted(&store, to("1", CLOSED, 2)).await;
    assert_eq!(entries(&sink, Slot::Active).await, entries_in(&read_log(&store).await));
}

pub(super) async fn a_refused_change_refuses_its_append(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    kept(fixture, Definition::table::<Entries>()).await;
    for number in 1..=3 {
        accepted(&store, to("1", PAID, number)).await;
        let seen = entries(&sink, Slot::Active).await;
        assert_eq!(seen.len() as u64, number, "it is in the table");
        let failing = to("1", PAID, 9).and(stream("2"), ANY, vec![poison(9)]);
        refused(&store, failing).await;
        refused(&store, to("1", PANIC, 9)).await;
        assert_eq!(entries(&sink, Slot::Active).await, seen, "nothing of it was carried out");
    }
}

pub(super) async fn what_appends_kept_is_left_to_a_runner(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let answer = soon("a release ends", sink.release_inline("seen")).await;
    assert!(matches!(answer, Err(SinkError::NoModel { .. })), "there is no model: {answer:?}");
    kept(fixture, Seen::model()).await;
    let first = accepted(&store, to("1", "paid", 1)).await.position();
    released(&sink).await;
    accepted(&store, to("1", "paid", 2)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1])]), "an append leaves the model as it is");
    assert_eq!(checkpoint_of(&sink, "seen").await, first);
    let mut runner = runner(&store, &sink, "a runner").definition(Seen::model());
    let answer = soon("a runner goes on", runner.catch_up()).await;
    assert!(answer.is_ok(), "appends have let it go, but: {answer:?}");
    accepted(&store, to("2", "paid", 3)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 2])]));
    let answer = fixture.sink().keep_inline(Seen::model()).await;
    assert!(matches!(answer, Err(SinkError::Held { .. })), "the runner has it, but: {answer:?}");
    runner.release().await;
    kept(fixture, Seen::model()).await;
    accepted(&store, to("2", "paid", 4)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1, 2]), ("2", &[3, 4])]));
}

async fn released(sink: &Sink) {
    let answer = soon("a release ends", sink.release_inline("seen")).await;
    assert!(answer.is_ok(), "there is a model, but: {answer:?}");
}

pub(super) async fn no_lease_is_released_but_the_appends(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=1)).await;
    let claim = Claim::of_appends(&Seen::model());
    let mut claim = claim;
    claim.holder = "a runner".to_owned();
    let lease = acquired(&sink, &claim).await;
    released(&sink).await;
    let answer = sink.acquire(&claim_of("seen", "another")).await;
    assert!(
        matches!(&answer, Err(SinkError::Held { holder, .. }) if holder == "a runner"),
        "it was a runner's, but: {answer:?}"
    );
    assert!(sink.release(&lease).await.is_ok());
    // nor is anything kept or changed by releasing again and again what appends have let go
    kept(fixture, Seen::model()).await;
    released(&sink).await;
    released(&sink).await;
    accepted(&store, to("1", "paid", 2)).await;
    assert_eq!(seen(&sink).await, rows_of(&[("1", &[1])]));
}

fn poison(number: u64) -> es_core::backend::NewEvent {
    typed_event(POISON, number)
}
