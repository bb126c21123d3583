//! What a step would do, before anybody does it.

use std::collections::BTreeMap;
use std::path::Path;

use es_core::execution::StoreError;
use es_postgres::sqlx::Row;
use serde::Serialize;
use turing_domain::{BackfillStatus, CutoverPhase};

use super::Mover;
use super::archive::{digest_of_archive, is_confirmed};
use super::back::undoing;
use super::error::CutoverError;
use super::mapping::MappingFile;
use super::phases::creation;
use super::resolve::Resolving;
use super::row::Known;
use super::spelled::Spelled;
use super::statements::query;
use super::work::Work;

/// A step that somebody thinks of.
#[derive(Debug, Clone, Copy)]
pub enum Intent<'a> {
    /// As [`Mover::create`].
    Create(&'a MappingFile),
    /// As [`Mover::enable_dual_write`].
    DualWrite,
    /// As [`Mover::backfill`].
    Backfill,
    /// As [`Mover::validate`].
    Validate,
    /// As [`Mover::resolve`].
    Resolve(&'a Resolving),
    /// As [`Mover::switch_reads`].
    SwitchReads,
    /// As [`Mover::deprecate`].
    Deprecate,
    /// As that, and then [`Mover::archive`].
    DeprecateAndArchive,
    /// As [`Mover::archive`].
    Archive,
    /// As [`Mover::drop_old_table`].
    Drop {
        /// The name that confirms it.
        confirm: &'a str,
        /// The file of the archive.
        archive: &'a Path,
    },
    /// As [`Mover::roll_back`].
    RollBack(Option<CutoverPhase>),
}

/// What it would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The phase that holds.
    pub phase: CutoverPhase,
    /// The phase that would hold.
    pub then: CutoverPhase,
    /// The statements, in their order. Those that are sent for some postings at a time have places for
    /// these.
    pub statements: Vec<String>,
    /// How many there are of what it is about.
    pub counts: BTreeMap<String, u64>,
    /// What is to be known before it.
    pub warnings: Vec<Warning>,
}

/// Something about the old table that stops no cutover, and is to be known before reads are switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// The key of the mapping that it is about.
    pub key: String,
    /// What it is.
    pub problem: String,
    /// What to do about it.
    pub cure: String,
}

impl Mover {
    /// What a step would do, as things are now; nothing is changed.
    ///
    /// # Errors
    ///
    /// As those of the step, before it does anything.
    pub async fn plan(&self, intent: Intent<'_>) -> Result<Plan, CutoverError> {
        let mut work = self.begin("planning a step of the cutover").await?;
        let known = match intent {
            Intent::Create(_) | Intent::RollBack(_) => self.known(&mut work).await?,
            _ => self.known_with_table(&mut work).await?,
        };
        let phase = known.cutover.phase();
        let (statements, counts) = (Vec::new(), BTreeMap::new());
        let mut plan = Plan { phase, then: phase, statements, counts, warnings: Vec::new() };
        Box::pin(self.fill(&mut plan, &mut work, &known, intent)).await?;
        work.undo().await?;
        Ok(plan)
    }

    async fn fill(
        &self,
        plan: &mut Plan,
        work: &mut Work,
        known: &Known,
        intent: Intent<'_>,
    ) -> Result<(), CutoverError> {
        let (cutover, who) = (&known.cutover, &self.who);
        match intent {
            Intent::Create(mapping) => {
                cutover.create(creation(mapping, 0), who)?;
                self.check_mapping(work, mapping).await?;
                self.write_mapping(work, mapping).await?;
                plan.statements = work.statements_of("create").await?;
                // the old table is known by its name only behind these
                work.carry_out("create").await?;
                plan.then = CutoverPhase::Created;
                plan.count("rows", Spelled::look(work).await?.rows(work).await?);
                let document = mapping.mapping.document();
                plan.warnings = self.warned(work, document.as_str()).await?;
            }
            Intent::DualWrite => {
                cutover.enable_dual_write(0, who)?;
                plan.statements = work.statements_of("dual-write").await?;
                plan.then = CutoverPhase::DualWrite;
                plan.count("rows", Spelled::look(work).await?.rows(work).await?);
                plan.warnings = self.warnings_of(work, known).await?;
            }
            Intent::Backfill => {
                cutover.start_backfill(0, who)?;
                plan.statements = vec![bare(&self.statements.backfill)];
                let done = match cutover.backfill() {
                    BackfillStatus::Started { .. } => known.row()?.backfill_done.max(0),
                    BackfillStatus::NotStarted | BackfillStatus::Completed => 0,
                };
                plan.count("postings", Spelled::look(work).await?.postings(work).await?);
                plan.count("done", done.unsigned_abs());
            }
            Intent::Validate => {
                cutover.complete_validation(0, 0, who)?;
                plan.statements = vec![bare(&self.statements.validate)];
                plan.count("postings", Spelled::look(work).await?.postings(work).await?);
                plan.counts.extend(self.differing(work).await?);
            }
            Intent::Resolve(resolving) => {
                cutover.resolve(resolving.resolved(0), who)?;
                plan.statements = vec![self.resolve_statement(work, resolving).await?];
                let (kinds, refused) = self.open_by_kind(work, resolving).await?;
                plan.count("discrepancies", kinds.values().sum());
                if refused > 0 {
                    plan.count("refused", refused);
                }
                plan.counts.extend(kinds);
            }
            Intent::SwitchReads => {
                let open = self.open_discrepancies(work).await?;
                cutover.may_switch_reads(open)?;
                plan.statements = work.statements_of("switch-reads").await?;
                plan.then = CutoverPhase::ReadsSwitched;
                plan.count("rows", Spelled::look(work).await?.rows(work).await?);
                plan.counts.extend(self.differing(work).await?);
                plan.warnings = self.warnings_of(work, known).await?;
            }
            Intent::Deprecate | Intent::DeprecateAndArchive => {
                let open = self.open_discrepancies(work).await?;
                cutover.deprecate(open, 0, self.now(), who)?;
                plan.statements = work.statements_of("deprecate").await?;
                plan.then = CutoverPhase::Deprecated;
                let spelled = Spelled::look(work).await?;
                plan.count("rows", spelled.rows(work).await?);
                plan.counts.extend(self.differing(work).await?);
                if matches!(intent, Intent::DeprecateAndArchive) {
                    plan.statements.push(spelled.copy_deprecated);
                    plan.warnings.push(takes_out_of_use());
                }
            }
            Intent::Archive => {
                cutover.may_archive()?;
                let spelled = Spelled::look(work).await?;
                plan.count("rows", spelled.rows(work).await?);
                plan.statements = vec![spelled.copy];
            }
            Intent::Drop { confirm, archive } => {
                cutover.may_archive()?;
                is_confirmed(known.row()?, confirm)?;
                let recorded = cutover.archive().map_or("", |archive| archive.sha256.as_str());
                cutover.drop_old_table(recorded, self.now(), who)?;
                cutover.drop_old_table(&digest_of_archive(archive)?, self.now(), who)?;
                plan.statements = work.statements_of("drop").await?;
                plan.count("rows", Spelled::look(work).await?.rows(work).await?);
            }
            Intent::RollBack(to) => self.fill_way_back(plan, work, known, to).await?,
        }
        Ok(())
    }

    async fn fill_way_back(
        &self,
        plan: &mut Plan,
        work: &mut Work,
        known: &Known,
        to: Option<CutoverPhase>,
    ) -> Result<(), CutoverError> {
        let mut phase = known.cutover.phase();
        let to = to.or(phase.before()).unwrap_or(phase);
        known.cutover.roll_back(to, 0, &self.who)?;
        plan.then = to;
        if phase == CutoverPhase::Deprecated {
            plan.counts.extend(self.differing(work).await?);
            plan.statements.push(bare(&self.statements.write_old));
        }
        while let Some(before) = phase.before().filter(|_| phase > to) {
            if let Some(action) = undoing(phase) {
                plan.statements.extend(work.statements_of(action).await?);
            }
            phase = before;
        }
        Ok(())
    }

    /// What is to be known about the old table before reads are switched.
    ///
    /// # Errors
    ///
    /// When the database cannot say.
    pub async fn warnings(&self) -> Result<Vec<Warning>, CutoverError> {
        let mut work = self.begin("asking what depends on the old table").await?;
        let known = self.known(&mut work).await?;
        let warnings = self.warnings_of(&mut work, &known).await?;
        work.undo().await?;
        Ok(warnings)
    }

    async fn warnings_of(
        &self,
        work: &mut Work,
        known: &Known,
    ) -> Result<Vec<Warning>, StoreError> {
        let mapping = known.row.as_ref().and_then(|row| row.mapping.as_deref());
        match mapping {
            Some(mapping) => self.warned(work, mapping).await,
            None => Ok(Vec::new()),
        }
    }

    async fn warned(&self, work: &mut Work, mapping: &str) -> Result<Vec<Warning>, StoreError> {
        let rows = work.rows(query(&self.statements.warnings).bind(mapping.to_owned())).await?;
        let warnings = rows.iter().map(|row| {
            work.read(row, |row| {
                let (key, problem) = (row.try_get(0)?, row.try_get(1)?);
                Ok(Warning { key, problem, cure: row.try_get(2)? })
            })
        });
        warnings.collect()
    }
}

impl Plan {
    fn count(&mut self, what: &str, count: u64) {
        self.counts.insert(what.to_owned(), count);
    }
}

/// What is to be known of an archive of a table that is in use.
fn takes_out_of_use() -> Warning {
    Warning {
        key: "archive".to_owned(),
        problem: "the old table is in use still, and this takes it out of use before it is written to the file"
            .to_owned(),
        cure: "to look at it first, take it out of use by the same command without --archive".to_owned(),
    }
}

/// A statement without its comments.
fn bare(statement: &str) -> String {
    let lines = statement.lines().filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_shown_without_its_comments() {
        assert_eq!(bare("-- $1 what\n--\n-- more\nSELECT\n    1\n"), "SELECT\n    1");
    }
}
