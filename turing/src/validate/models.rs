//! What programs keep beside the events of any store: the states of postings, and snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use es_core::backend::{Slot, SnapshotSummary, check_history};
use es_core::event::{EventId, EventStoreExt, Payload, Position, ReadLog, ReadStream, StreamId};
use es_core::execution::{LoadError, Snapshotted, StoreError, StoreErrorKind};
use es_core::projection::{GenerationStatus, Parked as ParkedEvent, SinkError, Subscription};
use es_core::{Aggregate, Projection, Repository};
use futures_util::TryStreamExt;
use turing_domain::{Posting, PostingEvent, PostingId};

use super::{FindingSeverity, StoreFinding, usable_id};
use crate::proposal::{command, quoted};
use crate::read_models::PostingRow;
use crate::store::Store;

/// Compares the read model of postings with their events, as far as it has come: rows that differ,
/// that are missing, that no event explains, and that stay behind because an event is parked which
/// programs can read. The model may go on meanwhile, and be replaced by one that was rebuilt.
///
/// The whole model is folded in memory.
///
/// # Errors
///
/// When the store fails.
pub async fn validate_posting_states(store: &Store) -> Result<Vec<StoreFinding>, SinkError> {
    let states = Subscription::projection::<PostingRow>(&store.events);
    let Some(mut model) = active(&states).await? else {
        // what was never filled does not differ
        return Ok(Vec::new());
    };
    let (rows, parked, from, to) = loop {
        let parked = parked(&states).await?;
        let rows = states.rows(Slot::Active).try_collect::<Vec<_>>().await?;
        let Some(now) = active(&states).await? else { return Ok(Vec::new()) };
        if now.generation == model.generation {
            break (rows, parked, model.checkpoint().position, now.checkpoint().position);
        }
        model = now;
    };
    let mut expected = fold(store, from, to, &parked.discarded).await?;
    let mut findings = Vec::new();
    let mut found = |kind: &str, key: &str, detail: &str| {
        findings.push(match parked.waiting.get(key) {
            Some(waiting) => waiting_finding(key, waiting),
            None => row_finding(kind, key, detail),
        });
    };
    for row in rows {
        match expected.remove(&row.key) {
            Some(values) if values.contains(&Some(row.value)) => {}
            Some(_) => found(
                "projection_differs",
                &row.key,
                "the row is not what the events of the posting fold to",
            ),
            None => found(
                "projection_phantom",
                &row.key,
                "there is a row, and no event that it could come of",
            ),
        }
    }
    for (key, values) in expected {
        if !values.contains(&None) {
            found("projection_missing", &key, "there is no row");
        }
    }
    Ok(findings)
}

/// The model that is read, if there is one.
async fn active(states: &Subscription) -> Result<Option<GenerationStatus>, SinkError> {
    Ok(states.status().await?.and_then(|status| status.active))
}

/// What is not in the rows.
#[derive(Default)]
struct Parked {
    /// The events that somebody decided to go without.
    discarded: BTreeSet<EventId>,
    /// Of each key how many events wait, and the first of them.
    waiting: BTreeMap<String, (u64, ParkedEvent)>,
}

async fn parked(states: &Subscription) -> Result<Parked, SinkError> {
    let mut out = Parked::default();
    let mut parked = states.parked();
    while let Some(entry) = parked.try_next().await? {
        if entry.is_waiting() {
            out.waiting.entry(entry.key.clone()).or_insert((0, entry)).0 += 1;
        } else {
            out.discarded.insert(entry.event.event_id);
        }
    }
    Ok(out)
}

/// What the rows may be while the model goes on from one position to another, without the events that
/// were discarded: as they are at the first, and after each event that comes then. A row stands before
/// the first event that programs cannot read, as one does whose events are parked.
async fn fold(
    store: &Store,
    from: Position,
    to: Position,
    discarded: &BTreeSet<EventId>,
) -> Result<BTreeMap<String, Vec<Option<Payload>>>, SinkError> {
    let (mut folded, mut stuck) = (BTreeMap::new(), BTreeSet::new());
    let mut before: BTreeMap<String, Vec<Option<Payload>>> = BTreeMap::new();
    let payload = |row: &_| Payload::of(row).ok();
    let read = ReadLog::from_start().filter(PostingRow::selection());
    let mut events = store.events.log(read);
    while let Some(event) = events.try_next().await? {
        if event.position > to {
            break;
        }
        let key = event.stream.to_string();
        if discarded.contains(&event.event_id) || stuck.contains(&key) {
            continue;
        }
        let posting = event.aggregate_id::<Posting>();
        let (Ok(posting), Ok(_)) = (posting, event.decode::<PostingEvent>()) else {
            // told of the stream, or of the events, already
            stuck.insert(key);
            continue;
        };
        let mut row = folded.remove(&key);
        if event.position > from {
            before.entry(key.clone()).or_default().push(row.as_ref().and_then(payload));
        }
        if PostingRow::take(&mut row, posting, &event).is_ok()
            && let Some(row) = row
        {
            folded.insert(key, row);
        }
    }
    for (key, row) in folded {
        before.entry(key).or_default().push(payload(&row));
    }
    Ok(before)
}

/// A row that stays behind what programs could fold.
fn waiting_finding(key: &str, (count, first): &(u64, ParkedEvent)) -> StoreFinding {
    let detail = format!(
        "{count} of its events, the first of them at {}, are parked and not in the row: {}",
        first.event.position, first.reason
    );
    let repair = command(format_args!("projection retry {} {}", PostingRow::NAME, quoted(key)));
    StoreFinding { repair: Some(repair), ..row_finding("projection_stale", key, &detail) }
}

/// The read models that were made of another history than the store holds.
///
/// # Errors
///
/// When the store fails.
pub async fn validate_histories(store: &Store) -> Result<Vec<StoreFinding>, SinkError> {
    let mut findings = Vec::new();
    for status in store.models()?.status(None).await? {
        let name = status.projection;
        let Some(active) = status.active else { continue };
        match check_history(&*store.events, &name, active.checkpoint()).await {
            Err(error @ SinkError::Diverged { .. }) => findings.push(StoreFinding {
                kind: "projection_of_another_history".to_owned(),
                severity: FindingSeverity::Error,
                aggregate_type: None,
                aggregate_id: None,
                detail: error.to_string(),
                repair: Some(rebuild(&name)),
            }),
            answer => answer?,
        }
    }
    Ok(findings)
}

/// The command that makes a read model anew.
fn rebuild(name: &str) -> String {
    command(format_args!("projection rebuild {name} --switch"))
}

fn row_finding(kind: &str, key: &str, detail: &str) -> StoreFinding {
    let (aggregate_type, id) = key.split_once('/').unwrap_or((key, ""));
    let repair = format!("projection rebuild {} --posting {}", PostingRow::NAME, quoted(id));
    StoreFinding {
        kind: kind.to_owned(),
        severity: FindingSeverity::Error,
        aggregate_type: Some(aggregate_type.to_owned()),
        aggregate_id: Some(id.to_owned()),
        detail: detail.to_owned(),
        repair: Some(command(repair)),
    }
}

/// Rows of a read model that programs cannot read.
///
/// # Errors
///
/// When the store fails.
pub async fn validate_rows<P: Projection>(store: &Store) -> Result<Vec<StoreFinding>, SinkError> {
    let mut findings = Vec::new();
    let model = Subscription::projection::<P>(&store.events);
    let mut rows = model.rows(Slot::Active);
    loop {
        let row = match rows.try_next().await {
            Ok(Some(row)) => row,
            // what was never filled has no rows
            Ok(None) | Err(SinkError::NoModel { .. }) => return Ok(findings),
            Err(error) => return Err(error),
        };
        if let Err(error) = row.value.decode::<P>() {
            findings.push(StoreFinding {
                kind: "row_unreadable".to_owned(),
                severity: FindingSeverity::Error,
                aggregate_type: None,
                aggregate_id: None,
                detail: format!("row `{}` of {} cannot be read: {error}", row.key, P::NAME),
                repair: Some(rebuild(P::NAME)),
            });
        }
    }
}

/// Compares the kept states of postings with their events: states that differ, that are newer than
/// the posting, that cannot be read, and those of another program version or of another history,
/// which are not used and only told.
///
/// # Errors
///
/// When the store fails.
pub async fn validate_snapshots(store: &Store) -> Result<Vec<StoreFinding>, StoreError> {
    const PAGE: usize = 500;
    let repository = Repository::<Posting>::new(store.events.clone());
    let mut findings = Vec::new();
    let mut after: Option<SnapshotSummary> = None;
    loop {
        let page = store.snapshots()?.list_snapshots(after.as_ref(), PAGE).await?;
        let Some(last) = page.last().cloned() else { return Ok(findings) };
        for kept in page.iter().filter(|kept| kept.stream.aggregate_type() == Posting::TYPE) {
            findings.extend(snapshot_finding(store, &repository, kept).await?);
        }
        after = Some(last);
    }
}

async fn snapshot_finding(
    store: &Store,
    repository: &Repository<Posting>,
    kept: &SnapshotSummary,
) -> Result<Option<StoreFinding>, StoreError> {
    if kept.schema != Posting::fingerprint() {
        let detail = format!("the kept state after {} events is of another form", kept.version);
        let finding = (FindingSeverity::Warning, "snapshot_of_another_schema", detail);
        return Ok(Some(kept_finding(finding, &kept.stream)));
    }
    let Some(id) = usable_id(&kept.stream).map(PostingId) else {
        let detail = "a state is kept under an id that no program can ask for".to_owned();
        let finding = (FindingSeverity::Warning, "snapshot_of_unusable_id", detail);
        return Ok(Some(kept_finding(finding, &kept.stream)));
    };
    let folded = match repository.load_at(&id, kept.version).await {
        Ok(folded) => folded,
        Err(LoadError::Store(error)) => return Err(error),
        // told of the events already
        Err(_) => return Ok(None),
    };
    if folded.version < kept.version {
        let detail = format!(
            "a state is kept after {} events, and there are {}",
            kept.version, folded.version
        );
        return Ok(Some(kept_finding(
            (FindingSeverity::Error, "snapshot_newer_than_stream", detail),
            &kept.stream,
        )));
    }
    let read = ReadStream::new(kept.stream.clone()).from_version(kept.version);
    let page = store.events.read_stream(&read.to_version(kept.version)).await?;
    let last_event = page.events.first().map(|event| event.event_id);
    if kept.last_event != last_event {
        let detail = format!(
            "the kept state after {} events ends with another event than these, or does not tell it",
            kept.version
        );
        return Ok(Some(kept_finding(
            (FindingSeverity::Warning, "snapshot_of_another_history", detail),
            &kept.stream,
        )));
    }
    let found = match store.snapshots()?.latest_snapshot(&kept.stream, kept.version).await {
        Err(error) if error.kind() == StoreErrorKind::Corrupt => {
            let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
            let finding =
                (FindingSeverity::Error, "snapshot_unreadable", format!("{error}{cause}"));
            return Ok(Some(kept_finding(finding, &kept.stream)));
        }
        found => found?.filter(|found| found.version == kept.version),
    };
    let is_equal = found
        .is_none_or(|found| Payload::of(&folded.state).is_ok_and(|state| state == found.state));
    let detail = format!("the kept state after {} events is not what they fold to", kept.version);
    Ok((!is_equal)
        .then(|| kept_finding((FindingSeverity::Error, "snapshot_differs", detail), &kept.stream)))
}

fn kept_finding(
    (severity, kind, detail): (FindingSeverity, &str, String),
    stream: &StreamId,
) -> StoreFinding {
    StoreFinding {
        kind: kind.to_owned(),
        severity,
        aggregate_type: Some(stream.aggregate_type().to_owned()),
        aggregate_id: Some(stream.aggregate_id().to_owned()),
        detail,
        repair: Some(command("snapshot prune --keep 0")),
    }
}
