//! How soon a follower has an event that another process appends.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use es_benches::Workload;
use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, EventStore, EventStoreExt, ReadLog};
use es_core::event::{Metadata, MetadataField};
use es_postgres::{PostgresConfig, PostgresStore};
use futures_util::TryStreamExt;
use tokio::process::Command;

use crate::Failure;

/// Events that are timed.
const EVENTS: usize = 400;
/// The field of the metadata that tells when the append began, in microseconds.
const SENT: MetadataField<u64> = MetadataField::new("sent_at_us");

fn now() -> Result<u64, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_micros())?)
}

/// The other process: appends events that tell when their append began.
pub(crate) async fn append_and_tell(url: &str) -> Result<(), Failure> {
    let store = PostgresStore::open(url.parse::<PostgresConfig>()?).await?;
    let mut workload = Workload::seeded(77);
    let mut chance = fastrand::Rng::with_seed(77);
    for _ in 0..EVENTS {
        let mut event = workload.event();
        event.metadata = Metadata::new().with(SENT, now()?);
        let stream = "delay/1".parse()?;
        store.append(AppendRequest::to(stream, ExpectedVersion::Any, vec![event])).await?;
        tokio::time::sleep(Duration::from_micros(chance.u64(5_000..25_000))).await;
    }
    store.close().await;
    Ok(())
}

/// Follows the log while another process appends, and says how long events took from before their
/// append to their follower.
pub(crate) async fn across_processes(
    config: &PostgresConfig,
    url: String,
) -> Result<String, Failure> {
    let store = PostgresStore::open(config.clone()).await?;
    let end = store.end_of_log().await?;

    let mut child = Command::new(std::env::current_exe()?)
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut delays = Vec::new();
    let mut tail = store.tail(ReadLog::after(end));
    while delays.len() < EVENTS {
        let Some(event) = tail.try_next().await? else { break };
        let sent = event.metadata.get(SENT);
        let sent = sent.ok_or("an event of somebody else")?;
        delays.push(now()?.saturating_sub(sent));
    }
    drop(tail);
    if !child.wait().await?.success() {
        return Err("the other process failed".into());
    }
    store.close().await;
    delays.sort_unstable();
    let at = |share: usize| delays[delays.len() * share / 100] as f64 / 1_000.0;
    Ok(format!(
        "from before the append in one process to the follower in another, {EVENTS} events: \
         median {:.1} ms, 95 of 100 within {:.1} ms (aim 20 ms)",
        at(50),
        at(95)
    ))
}
