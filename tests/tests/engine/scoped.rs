//! Tenants of one store: nothing of one is told to another.

mod scene;
mod sins;

use es_core::backend::{
    AppendError, AppendRequest, EventReference, EventStoreExt, InvalidRequest, InvalidStreamId,
    Position, ReadLog, ReadStream, SinkError, Slot, StoreErrorKind,
};
use es_core::event::EventFilter;
use es_core::execution::StreamVersion;
use es_core::layer::{Layered, scoped};
use es_core::{ExpectedVersion, Store};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};
use futures_util::{FutureExt, TryStreamExt};

use self::scene::{
    SECRET, Scene, blocker, event, fill, key, models, order, scene, snapshots, totals,
};
use self::sins::{EndsNoPrefix, NamesBlockers, ShowsAll, TakesRawNames, TellsAnyLast};

#[tokio::test]
async fn no_answer_to_a_tenant_has_a_byte_of_anothers() {
    let scene = scene().await;
    let told = scene.answers(&scene.acme).await;
    let mut methods: Vec<_> = told.iter().map(|(method, _)| *method).collect();
    methods.sort_unstable();
    methods.dedup();
    // those of the three traits, and of the streams
    assert_eq!(methods.len(), 6 + 6 + 17 + 3 + 1, "{methods:?}");
    for (method, answer) in told {
        assert!(!answer.contains(SECRET), "{method}: {answer}");
        assert!(!answer.contains("acme/"), "{method}, in the words of the store: {answer}");
    }
    let scene = self::scene().await;
    assert_eq!(scene.breaches(&scene.acme).await, Vec::<String>::new());
    // and others lost nothing by what it asked for
    for other in ["acme2", "acm", "zyx"] {
        let other = scoped(&scene.base, other).unwrap();
        assert_eq!(snapshots(&other).list_snapshots(None, 9).await.unwrap().len(), 1);
        let rows = models(&other).rows("totals", Slot::Active, None, 9).await.unwrap();
        assert_eq!(rows.len(), 1);
    }
}

#[tokio::test]
async fn who_keeps_tenants_apart_badly_is_caught() {
    type Sabotage = fn(Store, Store) -> Store;
    let saboteurs: [(&str, Sabotage); 5] = [
        ("does not filter the log", |acme, base| Layered(ShowsAll(acme, base)).into()),
        ("tells the last event as it is", |acme, base| Layered(TellsAnyLast(acme, base)).into()),
        ("does not end its prefix", |acme, base| Layered(EndsNoPrefix(acme, base)).into()),
        ("takes raw names", |acme, base| Layered(TakesRawNames(acme, base)).into()),
        ("names other sessions", |acme, base| Layered(NamesBlockers(acme, base)).into()),
    ];
    for (sin, sabotage) in saboteurs {
        let scene = scene().await;
        let sinner = sabotage(scene.acme.clone(), scene.base.clone());
        assert!(!scene.breaches(&sinner).await.is_empty(), "who {sin} is not caught");
    }
}

#[tokio::test]
async fn that_the_log_is_held_back_is_told_and_by_whom_is_not() {
    let scene = scene().await;
    let (own, all) = (blocker(&scene.acme).await, blocker(&scene.base).await);
    assert_eq!((own.session.as_str(), own.open_for), ("another session", all.open_for));
    assert!(all.session.contains(SECRET) && all.open_for.is_some(), "{all:?}");
}

#[tokio::test]
async fn a_page_ends_at_the_last_event_of_the_tenant() {
    let Scene { base, acme, own, .. } = scene().await;
    let whole = acme.read_log(&ReadLog::from_start()).await.unwrap();
    assert_eq!((&whole.events, &whole.last), (&own, &Some(EventReference::from(&own[2]))));
    assert_eq!(whole.next, base.end_of_log().await.unwrap(), "behind what others wrote");
    assert_eq!(acme.end_of_log().await.unwrap(), whole.next, "positions are those of the one log");
    // others have written since: a checkpoint keeps the event that it has
    let rest = acme.read_log(&ReadLog::after(own[2].position)).await.unwrap();
    assert_eq!((rest.events, rest.last, rest.next, rest.at_end), (vec![], None, whole.next, true));
    // one that is not wanted is the last all the same
    let filter = EventFilter::all().stored_name("never_happened");
    let unwanted = acme.read_log(&ReadLog::from_start().filter(filter)).await.unwrap();
    assert_eq!((unwanted.events, unwanted.last), (vec![], whole.last));
}

#[tokio::test]
async fn a_wait_ends_with_the_tenants_own_event() {
    let Scene { base, acme, .. } = scene().await;
    let other = scoped(&base, "acme2").unwrap();
    let end = acme.end_of_log().await.unwrap();
    let mut wait = acme.wait_past(end);
    for _ in 0..3 {
        assert!((&mut wait).now_or_never().is_none());
        let theirs = AppendRequest::to(order("1"), ExpectedVersion::Any, vec![event(SECRET)]);
        other.append(theirs).await.unwrap();
    }
    assert!((&mut wait).now_or_never().is_none(), "nothing was written for this tenant");
    let ours = AppendRequest::to(order("1"), ExpectedVersion::NoStream, vec![event("own")]);
    acme.append(ours).await.unwrap();
    assert_eq!((&mut wait).now_or_never().map(|woken| woken.is_ok()), Some(true));
    let beyond = Position::from_sequence(100_000);
    let refused = acme.wait_past(beyond).now_or_never().unwrap().unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Diverged);
}

#[tokio::test]
async fn no_projection_of_a_tenant_is_kept_within_appends() {
    let acme = scoped(MemoryStore::new(), "acme").unwrap();
    match models(&acme).keep_inline(totals()).await {
        Err(SinkError::Unusable { projection, .. }) => assert_eq!(projection, "totals"),
        other => panic!("the store would keep it for all, but: {other:?}"),
    }
}

#[tokio::test]
async fn a_scope_has_scopes() {
    let base = Store::from(MemoryStore::new());
    let outer = scoped(&base, "acme").unwrap();
    let inner = scoped(&outer, "berlin").unwrap();
    assert!(inner.is(&scoped(scoped(&base, "acme").unwrap(), "berlin").unwrap()));
    assert!(!inner.is(&outer) && !inner.is(&scoped(&base, "berlin").unwrap()));
    let (written, _) = fill(&inner, "own").await;
    fill(&scoped(&outer, "ber").unwrap(), SECRET).await;
    let log = async |store: &Store| {
        store.log(ReadLog::from_start()).try_collect::<Vec<_>>().await.unwrap()
    };
    assert_eq!(log(&inner).await, written);
    assert_eq!(log(&outer).await[0].stream, order("berlin/own-1"));
    assert_eq!(log(&base).await[0].stream, order("acme/berlin/own-1"));
    let status = models(&base).status(None).await.unwrap();
    let names: Vec<_> = status.iter().map(|status| status.projection.as_str()).collect();
    assert_eq!(names, ["acme/ber/totals", "acme/berlin/totals"]);
}

#[tokio::test]
async fn an_id_that_is_too_long_with_the_name_is_of_no_stream() {
    let acme = scoped(MemoryStore::new(), "acme").unwrap();
    let long = order(&"x".repeat(251));
    let request = AppendRequest::to(long.clone(), ExpectedVersion::Any, vec![event("own")]);
    match acme.append(request).await {
        Err(AppendError::Invalid(InvalidRequest::Stream(InvalidStreamId::Id { max, .. }))) => {
            assert_eq!(max, 250);
        }
        other => panic!("the id is too long, but: {other:?}"),
    }
    let page = acme.read_stream(&ReadStream::new(long.clone())).await.unwrap();
    assert_eq!((page.events, page.stream_version), (vec![], StreamVersion::EMPTY));
    assert_eq!(acme.find_append(&long, &key("own")).await.unwrap(), None);
    let snapshots = snapshots(&acme);
    assert_eq!(snapshots.latest_snapshot(&long, StreamVersion::MAX).await.unwrap(), None);
    assert_eq!(snapshots.prune_snapshots(&long, 0).await.unwrap(), 0);
    let fits = order(&"x".repeat(250));
    let request = AppendRequest::to(fits.clone(), ExpectedVersion::Any, vec![event("own")]);
    let appended = acme.append(request).await.unwrap();
    assert_eq!(appended.streams[0].stream, fits);
}

#[tokio::test]
async fn a_failure_of_the_store_says_nothing_of_others() {
    let faults = Faults::new();
    let acme = scoped(faults.over(MemoryStore::new()), "acme").unwrap();
    faults.fail_all(Some(StoreErrorKind::Busy));
    let read = acme.read_log(&ReadLog::from_start()).await.unwrap_err();
    let status = models(&acme).status(None).await.unwrap_err();
    assert!(status.is_transient() && read.is_transient(), "{status}, {read}");
    for text in [read.to_string(), status.to_string()] {
        assert_eq!(text, "the store that tenant `acme` is kept in failed (busy)");
    }
    assert!(std::error::Error::source(&read).is_none());
    faults.fail_all(None);
    faults.lose_answer(Call::Append, 1);
    let request = AppendRequest::to(order("1"), ExpectedVersion::Any, vec![event("own")]);
    match acme.append(request).await {
        Err(AppendError::Store(error)) => assert!(error.is_outcome_unknown(), "{error}"),
        other => panic!("the answer was lost, but: {other:?}"),
    }
    for name in ["", "a/b", "Acme"] {
        assert!(scoped(MemoryStore::new(), name).is_err(), "{name}");
    }
}
