//! The switch of reads, measured before and behind it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use es_core::execution::StoreError;
use es_postgres::sqlx::Connection;
use serde::Serialize;
use turing_domain::{Cutover, CutoverPhase, ReadTimes};

use super::Mover;
use super::error::CutoverError;
use super::progress::Progress;
use super::spelled::Spelled;
use super::statements::query;
use super::validate::Round;
use super::work::{Work, patiently};

/// How many postings are read by the old name, to measure that.
const SAMPLE: i64 = 20;

/// For how long reads are measured while others wait for the switch.
const MOMENT: Duration = Duration::from_millis(25);

/// What the switch came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Switched {
    /// The round of comparisons before it.
    pub round: Round,
    /// The median of reads of one posting by the old name before it, in microseconds.
    pub before_us: u64,
    /// The same behind it.
    pub after_us: u64,
    /// How many reads there are of each.
    pub sample: u32,
}

impl Mover {
    /// Shows the state that is folded from events to who reads the old name, behind a round of
    /// comparisons that finds nothing; both sides are written as before.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or discrepancies are open.
    pub async fn switch_reads(
        &self,
        mut go_on: impl FnMut(&Progress) -> ControlFlow<()> + Send,
    ) -> Result<Switched, CutoverError> {
        let hold = self.hold().await?;
        let may = |cutover: &Cutover| cutover.may_switch_reads(0);
        let round = self.compare_before(may, &mut go_on).await?;
        let times = patiently(async || self.try_switch().await).await?;
        hold.give_back().await;
        let ReadTimes { before_us, after_us, sample } = times;
        Ok(Switched { round, before_us, after_us, sample })
    }

    async fn try_switch(&self) -> Result<ReadTimes, CutoverError> {
        let mut work = self.begin("switching reads").await?;
        let known = self.known_with_table(&mut work).await?;
        let open = self.open_discrepancies(&mut work).await?;
        known.cutover.may_switch_reads(open)?;
        let spelled = Spelled::look(&mut work).await?;
        let sample = spelled.sample(&mut work, SAMPLE).await?;
        let mut before = measure(&mut work, &spelled.read, &sample, Duration::MAX).await?;
        work.carry_out("switch-reads").await?;
        // an older program's write may have been refused by the events until nobody wrote any more
        let open = self.open_discrepancies(&mut work).await?;
        known.cutover.may_switch_reads(open)?;
        // what was prepared is of the table
        let cleared = work.connection.clear_cached_statements().await;
        cleared.map_err(|error| work.failed(error))?;
        self.enter(&mut work, CutoverPhase::ReadsSwitched).await?;
        // everybody waits for the end of this
        let after = measure(&mut work, &spelled.read, &sample, MOMENT).await?;
        before.truncate(after.len());
        let sample = u32::try_from(after.len()).unwrap_or(u32::MAX);
        let (before_us, after_us) = (median(before), median(after));
        let times = ReadTimes { before_us, after_us, sample };
        let decided = self.decided(|cutover| cutover.switch_reads(open, times, &self.who)).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok(times)
    }
}

/// How long it takes to read each of these, in microseconds; not all are read if that takes longer than
/// `longest`.
async fn measure(
    work: &mut Work,
    read: &str,
    sample: &[i32],
    longest: Duration,
) -> Result<Vec<u64>, StoreError> {
    let mut times = Vec::with_capacity(sample.len());
    let first = Instant::now();
    for posting in sample {
        let began = Instant::now();
        // prepared once, as programs do it
        work.rows(query(read).persistent(true).bind(*posting)).await?;
        times.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        if first.elapsed() > longest {
            break;
        }
    }
    Ok(times)
}

/// The one in the middle; 0 if there is none.
fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        for (times, expected) in [(vec![], 0), (vec![7], 7), (vec![9, 1, 5], 5), (vec![4, 2], 4)] {
            assert_eq!(median(times), expected);
        }
    }
}
