//! Moving an old system over: from a table that holds where postings stand to events, in five phases,
//! and back from each.
//!
//! The database does the work, in SQL (`turing/migrations/postgres`, from `cutovers` on): a view shows the
//! old table in one form, whatever its columns are; two triggers keep it and the events alike; functions
//! import, compare and write back. Here is who carries it on: a [`Mover`], one at a time, each phase in one
//! transaction with its event on the stream `cutover/1`.
//!
//! A program that may be killed at any instant goes on with the same command; [`Mover::status`] says which
//! one that is.

mod archive;
mod back;
mod backfill;
mod dual;
mod error;
mod hold;
mod mapping;
mod measured;
mod phases;
mod plan;
mod progress;
mod resolve;
mod row;
mod spelled;
mod statements;
mod status;
mod switch;
mod validate;
mod work;

use std::sync::Arc;
use std::time::Duration;

use es_core::Repository;
use es_core::environment::Environment;
use es_core::event::Timestamp;
use es_core::execution::{Member, Prepared, StoreError};
use es_postgres::sqlx::Row;
use es_postgres::{PostgresConfig, PostgresStore};
use turing_domain::{Cutover, CutoverEvent, CutoverId, CutoverPhase, CutoverRejection, Who};

pub use back::WentBack;
pub use backfill::{BackfillOptions, Backfilled};
pub use dual::{DualEvent, DualWriteError, DualWritten, dual_write};
pub use error::CutoverError;
pub(crate) use error::command_of;
pub use mapping::{Mapping, MappingError, MappingFile, MappingFinding};
pub use measured::ReadsMeasured;
pub use plan::{Intent, Plan, Warning};
pub use progress::{Doing, Progress};
pub use resolve::{Resolving, Settled, Unsettled};
pub use status::{BackfillStanding, CutoverStatus, Taken};
pub use switch::Switched;
pub use validate::{Discrepancy, OpenKind, Round};

use crate::store::Store;
use hold::Hold;
use row::{CutoverRow, Known};
use statements::{Statements, query};
use work::{LOCK, Line, Work};

/// Somebody who carries the cutover of a store on.
#[derive(Debug, Clone)]
pub struct Mover {
    store: PostgresStore,
    cutovers: Repository<Cutover>,
    environment: Environment,
    /// How its own transactions begin: they may take long, and wait for no lock for long.
    config: PostgresConfig,
    statements: Arc<Statements>,
    who: Who,
}

impl Mover {
    /// Whoever `who` names, in the store.
    ///
    /// # Errors
    ///
    /// [`CutoverError::NotPostgres`] if the store is in a file or in memory.
    pub fn new(store: &Store, who: Who) -> Result<Self, CutoverError> {
        let postgres = store.postgres().ok_or(CutoverError::NotPostgres)?;
        let config = postgres.config().clone().statement_timeout(Duration::MAX).lock_timeout(LOCK);
        Ok(Self {
            store: postgres.clone(),
            cutovers: Repository::new(&store.events),
            environment: Environment::default(),
            statements: Arc::new(Statements::new(config.names())),
            config,
            who,
        })
    }

    /// Replaces the sources of time, ids and chance. The clock says when the old table was taken out of
    /// use, and when it may be dropped.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.cutovers = self.cutovers.with_environment(environment.clone());
        self.environment = environment;
        self
    }

    fn now(&self) -> Timestamp {
        self.environment.clock.now()
    }

    /// Takes the right to carry it on.
    async fn hold(&self) -> Result<Hold, CutoverError> {
        Hold::take(&self.config, &self.statements).await
    }

    /// Begins a transaction, which does `what`.
    async fn begin(&self, what: &'static str) -> Result<Work, StoreError> {
        Work::begin(&self.config, &self.statements, what).await
    }

    /// The same behind another one, on its connection.
    async fn begin_on(&self, line: &mut Line, what: &'static str) -> Result<Work, StoreError> {
        Work::begin_on(line, &self.config, &self.statements, what).await
    }

    /// The stream and the row as they are now; they may be of different moments.
    async fn look(&self, work: &mut Work) -> Result<Known, CutoverError> {
        let row = CutoverRow::look(work).await?;
        let cutover = self.cutovers.load(&CutoverId::ONLY).await?.state;
        Ok(Known { cutover, row })
    }

    /// The same of who carries it on, so that nobody changes them; refused if they disagree.
    async fn known(&self, work: &mut Work) -> Result<Known, CutoverError> {
        self.look(work).await?.agreed()
    }

    /// The same, for whoever needs the old table as it was mapped.
    async fn known_with_table(&self, work: &mut Work) -> Result<Known, CutoverError> {
        let known = self.known(work).await?;
        if known.cutover.phase() > CutoverPhase::None && !known.cutover.is_dropped() {
            self.check_table(work, known.row()?).await?;
        }
        Ok(known)
    }

    /// Refuses an old table that has other columns than when it was mapped.
    async fn check_table(&self, work: &mut Work, row: &CutoverRow) -> Result<(), CutoverError> {
        let table = row.known_as();
        if row.old_table.is_none() {
            return Err(CutoverError::TableGone { table });
        }
        let columns = query(&self.statements.columns).bind(row.mapping.clone());
        let found: Option<String> = work.value(columns).await?;
        match found == row.columns_digest {
            true => Ok(()),
            false => Err(CutoverError::TableChanged { table }),
        }
    }

    /// Decides on the cutover, for a transaction that is open.
    async fn decided(
        &self,
        decide: impl Fn(&Cutover) -> Result<Vec<CutoverEvent>, CutoverRejection> + Send + Sync,
    ) -> Result<Prepared<Member<Cutover>>, CutoverError> {
        let decision = self.cutovers.by_id(&CutoverId::ONLY).decide(decide);
        decision.prepare().await.map_err(CutoverError::of_decision)
    }

    /// Writes what was decided, in the transaction, and answers what the cutover is then.
    async fn record(
        &self,
        work: &mut Work,
        decided: Prepared<Member<Cutover>>,
    ) -> Result<Cutover, CutoverError> {
        let appended = self.store.append_prepared_in(&mut work.connection, decided).await;
        Ok(appended.map_err(CutoverError::of_append)?.state)
    }

    /// Writes the phase, in the transaction.
    async fn enter(&self, work: &mut Work, phase: CutoverPhase) -> Result<(), StoreError> {
        let enter = query(&self.statements.enter_phase).bind(i32::from(phase.number()));
        work.write(enter).await?;
        Ok(())
    }
}

/// The grant that makes this login a member of the role that owns the old table, if it is none.
pub(crate) async fn missing_grant(config: &PostgresConfig) -> Option<String> {
    let statements = Arc::new(Statements::new(config.names()));
    let mut work = Work::begin(config, &statements, "asking for a grant").await.ok()?;
    let rows = work.rows(query(&statements.grant)).await.ok()?;
    let row = rows.first();
    let grant: Option<String> = row.and_then(|row| work.read(row, |row| row.try_get(0)).ok());
    work.undo().await.ok()?;
    grant
}
