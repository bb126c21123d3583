//! Deciding which side counts where both differ.

use std::collections::BTreeMap;

use es_core::execution::StoreError;
use es_postgres::sqlx::{self, Row};
use serde::Serialize;
use turing_domain::{PostingId, Resolution, Resolved};

use super::Mover;
use super::error::CutoverError;
use super::statements::query;
use super::validate::count_of;
use super::work::{Work, patiently, told};

/// How many discrepancies are resolved in one transaction.
const AT_ONCE: i64 = 50;

/// The kind of discrepancies that rows have which cannot be read.
const UNREADABLE: &str = "row_unreadable";

/// Which discrepancies are to be resolved, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolving {
    /// Of this posting alone.
    pub posting: Option<PostingId>,
    /// Of this kind alone.
    pub kind: Option<String>,
    /// Which side counts.
    pub resolution: Resolution,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Settled {
    /// How many discrepancies are resolved.
    pub count: u64,
    /// Those that are not, because the side that counts could not be written to the other.
    pub refused: Vec<Unsettled>,
}

/// A discrepancy that could not be resolved so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unsettled {
    /// The posting.
    pub posting_id: PostingId,
    /// The kind of discrepancy.
    pub kind: String,
    /// Why not.
    pub reason: String,
}

/// Discrepancies of one kind of one posting.
type One = (i32, String);

impl Mover {
    /// Decides which side counts for open discrepancies. Who decides says why
    /// ([`Who::reason`](turing_domain::Who::reason)). What one of them is refused for keeps no other.
    ///
    /// # Errors
    ///
    /// When there is nothing to be compared in this phase.
    pub async fn resolve(&self, resolving: &Resolving) -> Result<Settled, CutoverError> {
        let hold = self.hold().await?;
        let mut work = self.begin("resolving discrepancies").await?;
        let known = self.known_with_table(&mut work).await?;
        work.undo().await?;
        known.cutover.resolve(resolving.resolved(0), &self.who)?;
        let mut settled = Settled::default();
        let mut after = None;
        loop {
            let (some, last) =
                patiently(async || self.try_resolve(resolving, after.clone()).await).await?;
            settled.count += some.count;
            settled.refused.extend(some.refused);
            if last.is_none() {
                break;
            }
            after = last;
        }
        if resolving.is_of_rows_without_posting() {
            let attempt = async || self.try_accept_rows_without_posting(resolving).await;
            settled.count += patiently(attempt).await?;
        }
        hold.give_back().await;
        Ok(settled)
    }

    /// Accepts rows whose key is no posting's id, and answers how many these were.
    async fn try_accept_rows_without_posting(
        &self,
        resolving: &Resolving,
    ) -> Result<u64, CutoverError> {
        let mut work = self.begin("accepting rows without a posting").await?;
        let open = work.count(query(&self.statements.open_without_posting)).await?;
        if open == 0 {
            work.undo().await?;
            return Ok(0);
        }
        let resolve = query(&self.statements.resolve)
            .bind(None::<i32>)
            .bind(UNREADABLE.to_owned())
            .bind(resolving.resolution.as_str().to_owned())
            .bind(self.who.reason.clone());
        let resolved: Option<i32> = work.value(resolve).await?;
        let count = count_of(resolved);
        let decided =
            self.decided(|cutover| cutover.resolve(resolving.resolved(count), &self.who)).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok(count)
    }

    /// Resolves the next ones, and answers the last of them.
    async fn try_resolve(
        &self,
        resolving: &Resolving,
        after: Option<One>,
    ) -> Result<(Settled, Option<One>), CutoverError> {
        let mut work = self.begin("resolving discrepancies").await?;
        let ones = self.open_ones(&mut work, resolving, after).await?;
        let mut settled = Settled::default();
        for (posting, kind) in &ones {
            // of a kind that nobody named all parts are written at once, as the table may want it; accepted
            // is only what was looked at
            let of_kind = match resolving.resolution {
                Resolution::Accepted => Some(kind.clone()),
                _ => resolving.kind.clone(),
            };
            match self.settle(&mut work, *posting, of_kind, &resolving.resolution).await? {
                Ok(count) => settled.count += count,
                Err(reason) => settled.refused.push(Unsettled {
                    posting_id: PostingId(*posting),
                    kind: kind.clone(),
                    reason,
                }),
            }
        }
        let count = settled.count;
        let decided =
            self.decided(|cutover| cutover.resolve(resolving.resolved(count), &self.who)).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok((settled, ones.into_iter().next_back()))
    }

    /// How many discrepancies of each kind would be resolved, and how many of all these would be refused.
    pub(super) async fn open_by_kind(
        &self,
        work: &mut Work,
        resolving: &Resolving,
    ) -> Result<(BTreeMap<String, u64>, u64), StoreError> {
        let open = query(&self.statements.open_by_kind)
            .bind(resolving.posting.map(|posting| posting.0))
            .bind(resolving.kind.clone())
            .bind(resolving.resolution.as_str().to_owned());
        let (mut kinds, mut refused) = (BTreeMap::new(), 0);
        for row in &work.rows(open).await? {
            let (kind, counts): (String, [i64; 2]) =
                work.read(row, |row| Ok((row.try_get(0)?, [row.try_get(1)?, row.try_get(2)?])))?;
            let [count, refusals] = counts.map(|count| count.max(0).unsigned_abs());
            kinds.insert(kind, count);
            refused += refusals;
        }
        Ok((kinds, refused))
    }

    /// The statement that resolves them, with its values.
    pub(super) async fn resolve_statement(
        &self,
        work: &mut Work,
        resolving: &Resolving,
    ) -> Result<String, StoreError> {
        let statement = query(&self.statements.resolve_statement)
            .bind(resolving.posting.map(|posting| posting.0))
            .bind(resolving.kind.clone())
            .bind(resolving.resolution.as_str().to_owned())
            .bind(self.who.reason.clone());
        work.value(statement).await
    }

    /// The next open ones behind this one.
    async fn open_ones(
        &self,
        work: &mut Work,
        resolving: &Resolving,
        after: Option<One>,
    ) -> Result<Vec<One>, StoreError> {
        let (posting, kind) = after.unzip();
        let ones = query(&self.statements.open_ones)
            .bind(resolving.posting.map(|posting| posting.0))
            .bind(resolving.kind.clone())
            .bind(posting)
            .bind(kind)
            .bind(AT_ONCE);
        let rows = work.rows(ones).await?;
        let ones =
            rows.iter().map(|row| work.read(row, |row| Ok((row.try_get(0)?, row.try_get(1)?))));
        ones.collect()
    }

    /// Resolves those of a posting, of a kind or all, and answers how many these were; if it is refused,
    /// nothing is written, and the answer is why.
    async fn settle(
        &self,
        work: &mut Work,
        posting: i32,
        kind: Option<String>,
        resolution: &Resolution,
    ) -> Result<Result<u64, String>, CutoverError> {
        run(work, "SAVEPOINT one").await?;
        let resolve = query(&self.statements.resolve)
            .bind(posting)
            .bind(kind)
            .bind(resolution.as_str().to_owned())
            .bind(self.who.reason.clone());
        let resolved = resolve.fetch_one(&mut work.connection).await;
        match resolved.and_then(|row| row.try_get(0)) {
            Ok(count) => {
                run(work, "RELEASE SAVEPOINT one").await?;
                Ok(Ok(count_of(count)))
            }
            Err(error) => {
                let told = told(&error);
                let error = CutoverError::from(work.failed(error));
                run(work, "ROLLBACK TO SAVEPOINT one").await?;
                // whoever is in the way goes
                if error.passes() {
                    return Err(error);
                }
                Ok(Err(told.unwrap_or_else(|| reason_of(&error))))
            }
        }
    }
}

async fn run(work: &mut Work, statement: &'static str) -> Result<(), StoreError> {
    let done = sqlx::raw_sql(statement).execute(&mut work.connection).await;
    done.map_err(|error| work.failed(error))?;
    Ok(())
}

/// An error with what caused it, on one line.
fn reason_of(error: &CutoverError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl Resolving {
    /// Whether it is about rows whose key is no posting's id, too: they can stay as they are, and no more.
    fn is_of_rows_without_posting(&self) -> bool {
        self.posting.is_none()
            && self.kind.as_deref().is_none_or(|kind| kind == UNREADABLE)
            && self.resolution == Resolution::Accepted
    }

    pub(super) fn resolved(&self, count: u64) -> Resolved {
        let Self { posting, kind, resolution } = self.clone();
        Resolved { posting_id: posting, kind, resolution, count }
    }
}
