//! Names by chance come back unchanged, and apart from those that look like them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use es_core::backend::{
    AppendError, AppendRequest, Limits, NewEvent, Position, ReadLog, Snapshot, SnapshotStore,
    StreamId, Timestamp,
};
use es_core::event::{EventFilter, EventId, Metadata, MetadataField, RecordedEvent};
use es_core::execution::{IdempotencyKey, StreamVersion};
use serde_json::json;

use super::names;
use super::parts::*;
use crate::fixture::Fixture;

/// Chance, and what it began with.
struct Chance {
    rng: fastrand::Rng,
    seed: u64,
}

/// One event of a stream of its own.
#[derive(Clone)]
struct Written {
    stream: StreamId,
    event: NewEvent,
}

/// Streams that nobody has used yet, each with an event; what no store takes is refused.
async fn generated(
    chance: &mut Chance,
    store: &Store,
    limits: &Limits,
    used: &mut BTreeSet<StreamId>,
) -> Vec<Written> {
    const BATCH: usize = 60;
    let Chance { rng, seed } = chance;
    let mut batch: Vec<Written> = Vec::new();
    // whatever chance brings, these are told apart
    let mut alike = if used.is_empty() { &names::ALIKE[..] } else { &[] }.iter();
    let (mut kind, mut id) = ("alike".to_owned(), String::new());
    let mut event_type = "alike".to_owned();
    while batch.len() < BATCH.min(limits.events) {
        if let Some(next) = alike.next() {
            id = (*next).to_owned();
        } else {
            match rng.u8(..4) {
                0 | 1 => id = names::like(rng, &id),
                2 => (kind, id) = names::stream(rng),
                _ => kind = names::snake_case(rng, Limits::AGGREGATE_TYPE_BYTES),
            }
            event_type = match rng.u8(..4) {
                0 => format!("{event_type}_"),
                1 => event_type.replace('_', "a"),
                _ => names::snake_case(rng, Limits::EVENT_TYPE_BYTES),
            };
        }
        let Ok(stream) = StreamId::new(&kind, &id) else { continue };
        if used.contains(&stream) {
            continue;
        }
        let mut metadata = Metadata::new().with(MetadataField::new("number"), rng.i64(..));
        metadata.correlation_id = Some(id.clone());
        let event = typed_event(&event_type, batch.len() as u64).with_metadata(metadata);
        let request = AppendRequest::to(stream.clone(), NONE, vec![event.clone()]);
        match request.check(limits) {
            Ok(()) => {
                used.insert(stream.clone());
                batch.push(Written { stream, event });
            }
            Err(expected) => match store.append(request).await {
                Err(AppendError::Invalid(found)) if found == expected => {}
                other => panic!("seed {seed}: {event_type:?} is {expected}, but {other:?}"),
            },
        }
    }
    batch
}

/// A key, and another one that looks like it.
fn keys(rng: &mut fastrand::Rng) -> (IdempotencyKey, IdempotencyKey) {
    loop {
        let text = names::text(rng, Limits::IDEMPOTENCY_KEY_BYTES);
        let like = names::like(rng, &text);
        if let (Ok(key), Ok(like)) = (IdempotencyKey::new(&text), IdempotencyKey::new(&like))
            && key != like
        {
            return (key, like);
        }
    }
}

/// Writes all in one append, under a key.
async fn write(chance: &mut Chance, store: &Store, written: &[Written]) {
    let Chance { rng, seed } = chance;
    let Some((first, rest)) = written.split_first() else { return };
    let (key, like) = keys(rng);
    let first = AppendRequest::to(first.stream.clone(), NONE, vec![first.event.clone()]);
    let request = rest.iter().fold(first, |request, written| {
        request.and(written.stream.clone(), NONE, vec![written.event.clone()])
    });
    let request = request.with_key(key.clone());
    let answer = accepted(store, request.clone()).await;
    let streams: Vec<_> = answer.streams.iter().map(|part| &part.stream).collect();
    let expected: Vec<_> = written.iter().map(|written| &written.stream).collect();
    assert_eq!(streams, expected, "seed {seed}: the answer names the streams");
    assert!(accepted(store, request).await.repeated, "seed {seed}: the key {key:?} is known");
    let stream = expected[rng.usize(..expected.len())];
    for (key, is_known) in [(&key, true), (&like, false)] {
        match store.find_append(stream, key).await {
            Ok(found) => {
                assert_eq!(found.is_some(), is_known, "seed {seed}: {key:?} of {stream:?}")
            }
            Err(error) => panic!("seed {seed}: looking for {key:?} of {stream:?} failed: {error}"),
        }
    }
}

fn same(found: &RecordedEvent, written: &Written, seed: u64) {
    let Written { stream, event } = written;
    assert_eq!(found.stream, *stream, "seed {seed}: the stream comes back");
    assert_eq!(found.event_id, event.event_id, "seed {seed}: the event of {stream:?}");
    assert_eq!(found.event_type, event.event_type, "seed {seed}: the event type of {stream:?}");
    assert_eq!(found.metadata, event.metadata, "seed {seed}: the metadata of {stream:?}");
}

/// The events of a log, one for each that was written.
fn all_of<'a>(
    log: &[RecordedEvent],
    written: impl Iterator<Item = &'a Written>,
    what: &str,
    seed: u64,
) {
    let mut written: HashMap<EventId, _> =
        written.map(|written| (written.event.event_id, written)).collect();
    for found in log {
        let written = written.remove(&found.event_id);
        let Some(written) = written else {
            panic!("seed {seed}: {what}: {found:?} does not belong there")
        };
        same(found, written, seed);
    }
    let missing: Vec<_> = written.values().map(|written| &written.stream).collect();
    assert!(missing.is_empty(), "seed {seed}: {what}: there is no event of {missing:?}");
}

/// What the log shows of the events, whole and by type.
async fn check_log(chance: &mut Chance, store: &Store, after: Position, batch: &[Written]) {
    let Chance { rng, seed } = chance;
    all_of(&read_log_after(store, after).await, batch.iter(), "the log", *seed);
    let one = &batch[rng.usize(..batch.len())];
    let kind = |written: &&Written| written.stream.aggregate_type() == one.stream.aggregate_type();
    let name = |written: &&Written| written.event.event_type == one.event.event_type;
    let (of_kind, named) = (one.stream.aggregate_type(), one.event.event_type.as_str());
    let all = EventFilter::all;
    let selected = async |filter| read_selected(store, ReadLog::after(after).filter(filter)).await;
    let found = selected(all().stored_aggregate_type(of_kind)).await;
    all_of(&found, batch.iter().filter(kind), of_kind, *seed);
    let found = selected(all().stored_name(named)).await;
    all_of(&found, batch.iter().filter(name), named, *seed);
    let found = selected(all().stored_aggregate_type(of_kind).stored_name(named)).await;
    all_of(&found, batch.iter().filter(kind).filter(name), named, *seed);
}

fn kept(written: &Written) -> Snapshot {
    Snapshot::new(
        written.stream.clone(),
        StreamVersion::FIRST,
        written.event.event_id,
        written.stream.aggregate_id(),
        payload(&json!(written.event.event_id.to_string())),
        Timestamp::from_micros(1_763_546_400_123_456),
    )
}

async fn check_snapshots(snapshots: &Arc<dyn SnapshotStore>, batch: &[Written], seed: u64) {
    for written in batch {
        let saved = snapshots.save_snapshot(kept(written)).await;
        assert!(
            saved.is_ok(),
            "seed {seed}: a state of {:?} is kept, but {saved:?}",
            written.stream
        );
    }
    for written in batch {
        match snapshots.latest_snapshot(&written.stream, StreamVersion::MAX).await {
            Ok(found) => {
                assert_eq!(found, Some(kept(written)), "seed {seed}: its state comes back")
            }
            Err(error) => panic!("asking for a state of {:?} failed: {error}", written.stream),
        }
    }
}

/// Every stream with a kept state, in pages.
async fn listed(snapshots: &Arc<dyn SnapshotStore>) -> BTreeMap<StreamId, usize> {
    const PAGE: usize = 97;
    let mut found = BTreeMap::new();
    let mut after = None;
    loop {
        let page = snapshots.list_snapshots(after.as_ref(), PAGE).await;
        let page = page.unwrap_or_else(|error| panic!("listing snapshots failed: {error}"));
        for one in &page {
            *found.entry(one.stream.clone()).or_default() += 1;
            assert_eq!(found[&one.stream], 1, "{:?} is listed once", one.stream);
        }
        if page.len() < PAGE {
            return found;
        }
        after = page.into_iter().last();
    }
}

/// Generated names of streams, events and keys: each comes back as it was written from every face,
/// or is refused as the rules say, and none is taken for another that looks like it.
pub(super) async fn generated_names_come_back_or_are_refused(fixture: &dyn Fixture) {
    let (store, limits, seed) = (fixture.store(), fixture.limits(), seed());
    let mut chance = Chance { rng: fastrand::Rng::with_seed(seed), seed };
    let (mut used, mut all) = (BTreeSet::new(), Vec::new());
    // in full 25,200 streams, each with four names and a number
    for _ in 0..rounds(4, 420) {
        let after = end_of_log(&store).await;
        let batch = generated(&mut chance, &store, &limits, &mut used).await;
        // some alone, which may take another way
        let (alone, together) = batch.split_at(5);
        for written in alone.chunks(1).chain([together]) {
            write(&mut chance, &store, written).await;
        }
        for written in &batch {
            let found = read(&store, &written.stream).await;
            all_of(&found, [written].into_iter(), "its stream", seed);
        }
        check_log(&mut chance, &store, after, &batch).await;
        if let Some(snapshots) = fixture.snapshots() {
            check_snapshots(&snapshots, &batch, seed).await;
        }
        all.extend(batch);
    }
    if let Some(snapshots) = fixture.snapshots() {
        let listed: BTreeSet<_> = listed(&snapshots).await.into_keys().collect();
        assert!(listed == used, "seed {seed}: the streams with kept states are listed");
    }
    drop(store);
    if fixture.reopen().await {
        all_of(&read_log(&fixture.store()).await, all.iter(), "opened again", seed);
    }
}
