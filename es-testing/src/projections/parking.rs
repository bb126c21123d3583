//! Events that could not be taken.

use es_core::backend::{Lease, ListParked, Renewal, SinkError, Slot};
use es_core::projection::ParkedState;

use super::ProjectionFixture;
use super::parts::*;

/// A model with some parked events: of `p` the first failed and two follow, of `q` one failed.
async fn some_parked(fixture: &dyn ProjectionFixture) -> (Sink, Lease) {
    let (sink, lease) = started(fixture).await;
    commit(&sink, &lease, park(10, 12, vec![parked(12, "q", 1), parked(11, "p", 1)])).await;
    commit(&sink, &lease, park(12, 14, vec![parked(13, "p", 0), parked(14, "p", 0)])).await;
    (sink, lease)
}

async fn due(sink: &Sink, lease: &Lease) -> Vec<String> {
    told(sink, lease, Renewal::lasting(TTL)).await
}

async fn told(sink: &Sink, lease: &Lease, renewal: Renewal) -> Vec<String> {
    match sink.renew(lease, &renewal).await {
        Ok(renewed) => {
            let mut due = renewed.due;
            due.sort_unstable();
            due
        }
        Err(error) => panic!("renewing failed: {error}"),
    }
}

fn named(numbers: &[(u64, &str)]) -> Vec<(u64, String)> {
    numbers.iter().map(|(number, key)| (*number, (*key).to_owned())).collect()
}

pub(super) async fn entries_are_listed_in_order(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = some_parked(fixture).await;
    commit(&sink, &lease, park(14, 15, vec![parked(15, "q", 0), parked(15, "p", 0)])).await;
    let all = [(11, "p"), (12, "q"), (13, "p"), (14, "p"), (15, "p"), (15, "q")];
    assert_eq!(ids(&sink, &ListParked::default()).await, named(&all));
    for limit in [0, 1, 2, 100] {
        let (mut seen, mut list) = (Vec::new(), ListParked { limit, ..ListParked::default() });
        loop {
            let page = listed(&sink, Slot::Active, &list).await;
            assert!(page.len() <= limit.max(1), "a page keeps its limit");
            let Some(last) = page.last() else { break };
            list.after = Some(last.id());
            seen.extend(page.into_iter().map(|it| (it.event.position.to_sequence(), it.key)));
        }
        assert_eq!(seen, named(&all), "pages of {limit} join to all entries");
    }
    let of_q = ids(&sink, &ListParked::waiting("q")).await;
    assert_eq!(of_q, named(&[(12, "q"), (15, "q")]));
    let entry = listed(&sink, Slot::Active, &ListParked::waiting("p")).await.remove(0);
    assert_eq!(entry, parked(11, "p", 1), "an entry comes back as it was parked");
}

pub(super) async fn an_entry_is_replaced(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = some_parked(fixture).await;
    let mut again = parked(11, "p", 2);
    again.reason = "it failed again".to_owned();
    commit(&sink, &lease, park(14, 14, vec![again.clone()])).await;
    let entries = listed(&sink, Slot::Active, &ListParked::waiting("p")).await;
    assert_eq!(entries.len(), 3, "the same event under the same key is one entry");
    assert_eq!(entries[0], again);
}

pub(super) async fn taking_out_what_does_not_wait_is_refused(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = some_parked(fixture).await;
    commit(&sink, &lease, unpark(14, vec![id(12, "q")], vec![set("q", 12)])).await;
    let left = [(11, "p"), (13, "p"), (14, "p")];
    assert_eq!(ids(&sink, &ListParked::default()).await, named(&left));
    sink.discard("totals", Slot::Active, &id(13, "p"), "why").await.expect("it waits");
    let before = status(&sink, "totals").await;
    for gone in [id(12, "q"), id(13, "p"), id(11, "q"), id(99, "p")] {
        let batch = unpark(14, vec![id(11, "p"), gone.clone()], vec![set("z", 1)]);
        let answer = sink.commit(&lease, &batch).await;
        assert!(
            matches!(answer, Err(SinkError::ParkedChanged { .. })),
            "{gone:?} does not wait, but: {answer:?}"
        );
    }
    assert_eq!(status(&sink, "totals").await, before, "a refused commit writes nothing");
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 1), ("q", 12)]));
}

pub(super) async fn what_was_discarded_is_not_replaced(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = some_parked(fixture).await;
    let again = |number, key| {
        let mut batch = unpark(14, vec![id(number, key)], vec![]);
        batch.park = vec![parked(number, key, 2)];
        batch
    };
    commit(&sink, &lease, again(11, "p")).await;
    let entries = listed(&sink, Slot::Active, &ListParked::waiting("p")).await;
    assert_eq!(entries.first(), Some(&parked(11, "p", 2)), "one that waits is replaced");
    assert_eq!(entries.len(), 3, "and stays one entry");
    let discarded = sink.discard("totals", Slot::Active, &id(12, "q"), "sold twice").await;
    assert!(discarded.is_ok(), "it waits: {discarded:?}");
    let before = listed(&sink, Slot::Active, &ListParked::default()).await;
    let answer = sink.commit(&lease, &again(12, "q")).await;
    assert!(matches!(answer, Err(SinkError::ParkedChanged { .. })), "but: {answer:?}");
    let after = listed(&sink, Slot::Active, &ListParked::default()).await;
    assert_eq!(after, before, "what was decided stays");
}

pub(super) async fn a_retry_makes_the_key_due(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = some_parked(fixture).await;
    assert_eq!(due(&sink, &lease).await, [""; 0], "what failed is not due by itself");
    retried(&sink, "totals", "p").await;
    assert_eq!(due(&sink, &lease).await, ["p"]);
    // it fails again
    commit(&sink, &lease, park(14, 14, vec![parked(11, "p", 2)])).await;
    assert_eq!(due(&sink, &lease).await, [""; 0], "another attempt must be asked for again");
    let answer = sink.request_retry("totals", Slot::Active, "r").await;
    assert!(matches!(answer, Err(SinkError::NothingParked { .. })), "but: {answer:?}");
    // the first is taken, the next was never tried
    commit(&sink, &lease, unpark(14, vec![id(11, "p")], vec![])).await;
    assert_eq!(due(&sink, &lease).await, ["p"], "what waited behind is due");
    commit(&sink, &lease, unpark(14, vec![id(13, "p"), id(14, "p")], vec![])).await;
    assert_eq!(due(&sink, &lease).await, [""; 0]);
}

pub(super) async fn a_discarded_entry_stays_as_a_record(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = some_parked(fixture).await;
    let now = es_core::environment::Clock::now(&fixture.clock());
    let discarded = sink.discard("totals", Slot::Active, &id(12, "q"), "sold twice").await;
    assert!(discarded.is_ok(), "it waits: {discarded:?}");
    let entries = listed(&sink, Slot::Active, &ListParked::default()).await;
    let entry = entries.iter().find(|entry| entry.key == "q").expect("the record stays");
    assert_eq!(entry.state, ParkedState::Discarded { reason: "sold twice".to_owned(), at: now });
    assert_eq!(entry.event, reference(12), "the record still tells which event it was");
    assert_eq!(ids(&sink, &ListParked::waiting("q")).await, [], "it does not wait any more");
    let active = status(&sink, "totals").await.and_then(|status| status.active);
    let active = active.expect("the model is there");
    assert_eq!((active.waiting, active.discarded), (3, 1));
    for gone in [id(12, "q"), id(99, "q")] {
        let answer = sink.discard("totals", Slot::Active, &gone, "again").await;
        assert!(matches!(answer, Err(SinkError::NothingParked { .. })), "but: {answer:?}");
    }
    let answer = sink.request_retry("totals", Slot::Active, "q").await;
    assert!(matches!(answer, Err(SinkError::NothingParked { .. })), "but: {answer:?}");
}

pub(super) async fn who_followed_a_discarded_entry_is_due(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = some_parked(fixture).await;
    let discarded = sink.discard("totals", Slot::Active, &id(11, "p"), "why").await;
    assert!(discarded.is_ok(), "it waits: {discarded:?}");
    assert_eq!(due(&sink, &lease).await, ["p"], "the next of the key is due");
}

pub(super) async fn so_many_keys_are_told_as_are_asked_for(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let keys = ["p", "q", "r", "s"];
    // much that waits under a key makes it no other one
    let entries = (0..40).map(|number| parked(11 + number, keys[number as usize % 4], 0));
    commit(&sink, &lease, park(10, 50, entries.collect())).await;
    for limit in 0..=5 {
        let renewal = Renewal { limit, ..Renewal::lasting(TTL) };
        let told = told(&sink, &lease, renewal).await;
        assert_eq!(told.len(), limit.clamp(1, 4), "{told:?} of {limit}");
        assert!(told.iter().all(|key| keys.contains(&&**key)), "{told:?}");
        assert!(told.is_sorted_by(|one, next| one < next), "each once: {told:?}");
    }
    // who asks again when it has dealt with some is told of the others
    let mut left = keys.to_vec();
    while !left.is_empty() {
        let renewal = Renewal { limit: 1, ..Renewal::lasting(TTL) };
        let told = told(&sink, &lease, renewal).await;
        let [key] = &told[..] else { panic!("{left:?} are due, and {told:?} is told") };
        let waiting = listed(&sink, Slot::Active, &ListParked::waiting(key)).await;
        let dealt_with = waiting.iter().map(|entry| entry.id()).collect();
        commit(&sink, &lease, unpark(50, dealt_with, vec![])).await;
        assert!(left.contains(&&**key), "{key} was dealt with");
        left.retain(|left| left != key);
    }
    assert_eq!(due(&sink, &lease).await, [""; 0]);
}
