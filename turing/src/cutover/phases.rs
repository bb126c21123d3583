//! The phases that begin with one transaction: the cutover is created, both sides are written, the old
//! table is taken out of use.

use std::ops::ControlFlow;

use es_core::execution::StoreError;
use es_postgres::sqlx::Row;
use turing_domain::{Cutover, CutoverCreation, CutoverPhase, CutoverRejection};

use super::Mover;
use super::error::CutoverError;
use super::mapping::MappingFile;
use super::progress::Progress;
use super::spelled::Spelled;
use super::statements::query;
use super::work::{Work, patiently};

impl Mover {
    /// Begins a cutover: from then on the database knows which column of the old table means what.
    /// Answers how many rows it has.
    ///
    /// # Errors
    ///
    /// When there is a cutover already, or the mapping does not fit the database, with all that is wrong
    /// and the lines.
    pub async fn create(&self, mapping: &MappingFile) -> Result<u64, CutoverError> {
        let hold = self.hold().await?;
        let rows = patiently(async || self.try_create(mapping).await).await?;
        hold.give_back().await;
        Ok(rows)
    }

    async fn try_create(&self, mapping: &MappingFile) -> Result<u64, CutoverError> {
        let mut work = self.begin("creating the cutover").await?;
        let known = self.known(&mut work).await?;
        known.cutover.create(creation(mapping, 0), &self.who)?;
        self.check_mapping(&mut work, mapping).await?;
        self.write_mapping(&mut work, mapping).await?;
        work.carry_out("create").await?;
        let rows = Spelled::look(&mut work).await?.rows(&mut work).await?;
        let decided =
            self.decided(|cutover| cutover.create(creation(mapping, rows), &self.who)).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok(rows)
    }

    /// Has the database say what is wrong with the mapping.
    pub(super) async fn check_mapping(
        &self,
        work: &mut Work,
        mapping: &MappingFile,
    ) -> Result<(), CutoverError> {
        let found = self.found_in(work, mapping.mapping.document().as_str()).await?;
        match mapping.refused(found) {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }

    /// What is wrong with a mapping: the key, what it is, and the cure.
    async fn found_in(
        &self,
        work: &mut Work,
        mapping: &str,
    ) -> Result<Vec<(String, String, String)>, StoreError> {
        let check = query(&self.statements.check_mapping).bind(mapping.to_owned());
        let rows = work.rows(check).await?;
        let found = rows.iter().map(|row| {
            work.read(row, |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
        });
        found.collect()
    }

    /// Writes the row of a new cutover, with its mapping.
    pub(super) async fn write_mapping(
        &self,
        work: &mut Work,
        mapping: &MappingFile,
    ) -> Result<(), StoreError> {
        let document = mapping.mapping.document().as_str().to_owned();
        work.write(query(&self.statements.create).bind(document)).await?;
        Ok(())
    }

    /// How many discrepancies are open.
    pub(super) async fn open_discrepancies(&self, work: &mut Work) -> Result<u64, StoreError> {
        work.count(query(&self.statements.open_count)).await
    }

    /// Has both sides written from now on, and answers how many rows the old table has.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or the old table has changed since.
    pub async fn enable_dual_write(&self) -> Result<u64, CutoverError> {
        let hold = self.hold().await?;
        let rows = patiently(async || self.try_dual_write().await).await?;
        hold.give_back().await;
        Ok(rows)
    }

    async fn try_dual_write(&self) -> Result<u64, CutoverError> {
        let mut work = self.begin("enabling dual writing").await?;
        let known = self.known(&mut work).await?;
        known.cutover.enable_dual_write(0, &self.who)?;
        self.check_table(&mut work, known.row()?).await?;
        // before the first lock, because all who write wait for that
        let rows = Spelled::look(&mut work).await?.rows(&mut work).await?;
        let decided = self.decided(|cutover| cutover.enable_dual_write(rows, &self.who)).await?;
        work.carry_out("dual-write").await?;
        work.write(query(&self.statements.forget_backfill)).await?;
        self.enter(&mut work, CutoverPhase::DualWrite).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok(rows)
    }

    /// Takes the old table out of use, behind a round of comparisons that finds nothing. Answers how many
    /// rows it has.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or discrepancies are open.
    pub async fn deprecate(
        &self,
        mut go_on: impl FnMut(&Progress) -> ControlFlow<()> + Send,
    ) -> Result<u64, CutoverError> {
        let hold = self.hold().await?;
        let may = |cutover: &Cutover| cutover.deprecate(0, 0, self.now(), &self.who).map(drop);
        self.compare_before(may, &mut go_on).await?;
        let rows = patiently(async || self.try_deprecate().await).await?;
        hold.give_back().await;
        Ok(rows)
    }

    async fn try_deprecate(&self) -> Result<u64, CutoverError> {
        let mut work = self.begin("taking the old table out of use").await?;
        self.known_with_table(&mut work).await?;
        let open = self.open_discrepancies(&mut work).await?;
        let rows = Spelled::look(&mut work).await?.rows(&mut work).await?;
        let now = self.now();
        let decided = self.decided(|cutover| cutover.deprecate(open, rows, now, &self.who)).await?;
        work.carry_out("deprecate").await?;
        // an older program's write may have been refused by the events until nobody wrote any more
        let open = self.open_discrepancies(&mut work).await?;
        if open > 0 {
            return Err(CutoverRejection::DiscrepanciesOpen { open }.into());
        }
        self.enter(&mut work, CutoverPhase::Deprecated).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok(rows)
    }
}

/// What is recorded of a new cutover.
pub(super) fn creation(mapping: &MappingFile, rows: u64) -> CutoverCreation {
    CutoverCreation {
        table: mapping.mapping.old_table(),
        mapping: mapping.mapping.document(),
        mapping_digest: mapping.digest.clone(),
        rows,
    }
}
