//! Commands in memory, without a server and a disk.

use es_benches::Backend;

use crate::calls::{self, Shape, WARM_UP, commands};
use crate::postgres::Postgres;
use crate::samples::{Figures, Sample};
use crate::writes::{FEW, counted};
use crate::{Failure, Plan};

async fn command(postgres: &Postgres, plan: &Plan, callers: usize) -> Result<Sample, Failure> {
    let opened = Backend::Memory.open().await;
    let postings = calls::repository(&opened.store);
    let each = plan.calls(240_000 / callers as u64);
    let lists = commands(0, callers, each, Shape::SINGLE);
    calls::command(&postings, commands(WARM_UP, callers, 100, Shape::SINGLE)).await;
    let meter = postgres.meter_as_it_is()?;
    let calls = calls::command(&postings, lists).await;
    let sample = meter.stop(callers as u64 * each, Some(calls.took))?.timed(calls.each);
    opened.close().await;
    Ok(sample)
}

/// One round.
pub(crate) async fn round(
    postgres: &Postgres,
    plan: &Plan,
    figures: &mut Figures,
) -> Result<(), Failure> {
    for count in FEW {
        let name = format!("in memory: command, {}", counted(count, "caller"));
        figures.take(&name, async || command(postgres, plan, count).await).await?;
    }
    Ok(())
}
