//! Who holds the log back.

use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{LogBlockers, StoreError};
use es_core::projection::Blocker;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::time::sleep;

use crate::connection::Doing;
use crate::store::PostgresStore;

const LOOKING: Doing<'static> = Doing("looking for who holds the log back", None);

/// Every append holds the log back until it is committed; who still does so after this time is no
/// longer one among many.
const ORDINARY: Duration = Duration::from_millis(100);

/// A transaction that holds something back.
pub(crate) struct HoldingBack {
    /// What the server calls it; never used twice while the server runs.
    transaction: String,
    pub(crate) blocker: Blocker,
    /// It works at this moment, as far as this user may see.
    pub(crate) is_active: bool,
}

impl PostgresStore {
    /// Who holds back what was committed, the one whose transaction has been open for longest first.
    async fn holding_back(&self) -> Result<Vec<HoldingBack>, StoreError> {
        let reader = self.reader();
        let frontier = reader.log.look().await?.to_sequence();
        let frontier = i64::try_from(frontier).unwrap_or(i64::MAX);
        let statement = || sqlx::query(reader.statements.blockers.sql()).bind(frontier);
        let rows = reader.connections.rows(LOOKING, statement).await?;
        let read = rows.iter().map(holding_back).collect::<Result<_, _>>();
        read.map_err(|error| crate::error::store_error(LOOKING, &self.config().place(), error))
    }
}

/// The session whose transaction has been open for longest, among those that the role of this store
/// may see that of; without any, one that the server does not say more about than its number.
///
/// A session counts if committed events stand behind what it may have inserted, for longer than an
/// append takes; so an answer takes a tenth of a second if there is anybody at all.
#[async_trait]
impl LogBlockers for PostgresStore {
    async fn blocker(&self) -> Result<Option<Blocker>, StoreError> {
        let before = self.holding_back().await?;
        if before.is_empty() {
            return Ok(None);
        }
        sleep(ORDINARY).await;
        let mut now = self.holding_back().await?.into_iter();
        let still = now.find(|it| before.iter().any(|was| was.transaction == it.transaction));
        Ok(still.map(|it| it.blocker))
    }
}

pub(crate) fn holding_back(row: &PgRow) -> Result<HoldingBack, sqlx::Error> {
    let text = |name: &str| row.try_get::<Option<String>, _>(name);
    let pid: Option<i32> = row.try_get("pid")?;
    let session = match (pid, text("prepared_as")?) {
        (Some(pid), _) => format!("pid {pid}"),
        (None, Some(name)) => format!("prepared transaction `{name}`"),
        (None, None) => "a prepared transaction".to_owned(),
    };
    let is_active = text("state")?.as_deref() == Some("active");
    let application = text("application")?.filter(|name| !name.is_empty());
    let hidden = || pid.map(|_| "what it does is shown to its own role only".to_owned());
    let parts = [
        application.map(|name| format!("application `{name}`")),
        text("role")?.map(|name| format!("user `{name}`")),
        text("state")?.or_else(hidden),
    ];
    let open_for = row.try_get::<Option<i64>, _>("open_for")?;
    let open_for = open_for.map(|it| Duration::from_micros(it.max(0).unsigned_abs()));
    Ok(HoldingBack {
        is_active,
        transaction: row.try_get("transaction")?,
        blocker: Blocker {
            session,
            description: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
            open_for,
        },
    })
}
