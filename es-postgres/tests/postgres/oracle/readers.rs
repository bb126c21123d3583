//! Readers that go on from their checkpoint whatever happens to their connections.

use std::sync::Arc;

use es_core::backend::{EventStore, PageLimit, Position, ReadLog};
use es_core::event::{EventFilter, RecordedEvent};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{self, ConnectOptions, Row};
use es_postgres::{PostgresConfig, PostgresStore};
use tokio::sync::watch;

use super::Tally;

/// One event as far as it is compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) position: Position,
    pub(crate) event_id: String,
    pub(crate) stream: String,
    pub(crate) version: u64,
    event_type: String,
}

impl From<RecordedEvent> for Seen {
    fn from(event: RecordedEvent) -> Self {
        Self {
            position: event.position,
            event_id: event.event_id.to_string(),
            stream: event.stream.to_string(),
            version: event.version.as_u64(),
            event_type: event.event_type.to_string(),
        }
    }
}

/// What was committed, as the table has it in the end.
pub(crate) async fn log(database: &TestDatabase) -> Vec<Seen> {
    let mut connection = database.options().connect().await.unwrap();
    let rows = sqlx::query(
        "SELECT position, event_id::text, aggregate_type || '/' || aggregate_id, aggregate_version, event_type
         FROM execution_events ORDER BY position",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let seen = rows.iter().map(|row| Seen {
        position: Position::from_sequence(row.get::<i64, _>(0).unsigned_abs()),
        event_id: row.get(1),
        stream: row.get(2),
        version: u64::from(row.get::<i32, _>(3).unsigned_abs()),
        event_type: row.get(4),
    });
    seen.collect()
}

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reader {
    /// Everything, on one store.
    Steady,
    /// Everything, on a new store for every few pages.
    Restarting,
    /// One type of events.
    Filtered,
    /// Pages of a few events.
    Slow,
    /// Everything, behind a proxy that gives each transaction another session.
    Pooled,
}

impl Reader {
    pub(crate) const ALL: [Self; 5] =
        [Self::Steady, Self::Restarting, Self::Filtered, Self::Slow, Self::Pooled];

    pub(crate) fn wants(self, event: &Seen) -> bool {
        self != Self::Filtered || event.event_type == "amount_paid_in"
    }

    fn first(self) -> ReadLog {
        match self {
            Self::Steady | Self::Restarting | Self::Pooled => ReadLog::from_start(),
            Self::Slow => ReadLog::from_start().limit(PageLimit::events(7)),
            Self::Filtered => {
                ReadLog::from_start().filter(EventFilter::all().stored_name("amount_paid_in"))
            }
        }
    }

    /// Reads until everything up to the target is read, which is told when the writers have ended.
    pub(crate) async fn read(
        self,
        config: PostgresConfig,
        mut target: watch::Receiver<Option<Position>>,
        tally: Arc<Tally>,
    ) -> (Self, Vec<Seen>) {
        let (mut read, mut seen) = (self.first(), Vec::new());
        loop {
            tally.add(&tally.restarts, 1);
            // its session may be ended while it is opened
            let Ok(store) = PostgresStore::open(config.clone()).await else { continue };
            let mut pages = 0;
            while self != Self::Restarting || pages < 5 {
                pages += 1;
                let Ok(page) = store.read_log(&read).await else { break };
                read.after = page.next;
                seen.extend(page.events.into_iter().map(Seen::from));
                if !page.at_end {
                    continue;
                }
                if target.borrow().is_some_and(|target| page.next >= target) {
                    return (self, seen);
                }
                tokio::select! {
                    waited = store.wait_past(page.next) => if waited.is_err() { break },
                    _ = target.changed() => {}
                }
            }
            store.close().await;
        }
    }
}
