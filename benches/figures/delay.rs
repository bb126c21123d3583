//! How soon a follower has an event that another process appends.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use es_benches::Workload;
use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, EventStoreExt, Position, ReadLog};
use es_core::event::{Metadata, MetadataField};
use futures_util::TryStreamExt;
use tokio::process::Command;

use crate::postgres::{Opened, Postgres};
use crate::samples::Sample;
use crate::{APPEND, Failure, Plan};

/// The field of the metadata that tells when the append began, in microseconds.
const SENT: MetadataField<u64> = MetadataField::new("sent_at_us");

fn now() -> Result<u64, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_micros())?)
}

/// The other process: appends so many events that tell when their append began.
pub(crate) async fn append_and_tell(url: &str, events: u64) -> Result<(), Failure> {
    let opened = Opened::at(url).await?;
    let mut workload = Workload::seeded(77);
    let mut chance = fastrand::Rng::with_seed(77);
    for _ in 0..events {
        let mut event = workload.event();
        event.metadata = Metadata::new().with(SENT, now()?);
        let stream = "delay/1".parse()?;
        opened.store.append(AppendRequest::to(stream, ExpectedVersion::Any, vec![event])).await?;
        tokio::time::sleep(Duration::from_micros(chance.u64(5_000..25_000))).await;
    }
    opened.close().await;
    Ok(())
}

/// Follows the log while another process appends: what events took from before their append to their
/// follower.
pub(crate) async fn across_processes(postgres: &Postgres, plan: &Plan) -> Result<Sample, Failure> {
    let (url, events) = (postgres.with_store("bench").await?, plan.calls(400));
    let opened = Opened::at(&url).await?;
    let mut other = Command::new(std::env::current_exe()?);
    other.args([APPEND, &url, &events.to_string()]).stdin(Stdio::null()).kill_on_drop(true);
    let mut other = other.spawn()?;
    let mut delays = Vec::new();
    let mut tail = opened.store.tail(ReadLog::after(Position::START));
    while (delays.len() as u64) < events {
        let Some(event) = tail.try_next().await? else { break };
        let sent = event.metadata.get(SENT);
        let sent = sent.ok_or("an event of somebody else")?;
        delays.push(Duration::from_micros(now()?.saturating_sub(sent)));
    }
    drop(tail);
    if !other.wait().await?.success() {
        return Err("the other process failed".into());
    }
    opened.close().await;
    Ok(Sample::of_calls(delays))
}
