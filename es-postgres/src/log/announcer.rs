//! Telling other processes that there are new events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::connection::{Connector, FAREWELL, Slot};
use crate::error::is_lost;
use crate::sql::Statements;

/// Tells other processes of appends, after their commits and on a connection of its own: within an
/// append it would make all commits of the database wait for one another.
#[derive(Clone)]
pub(crate) struct Announcer(Arc<Mutex<Option<Working>>>);

struct Working {
    wanted: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Announcer {
    /// All appends within this time are told of at once.
    const PAUSE: Duration = Duration::from_millis(10);

    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        connector: Arc<Connector>,
        statements: Arc<Statements>,
        channel: String,
    ) -> Self {
        let (wanted, mut asked) = mpsc::channel(1);
        let task = runtime.spawn(async move {
            let mut slot = Slot::empty();
            while asked.recv().await.is_some() {
                // a connection that was lost since the last time is replaced once
                for _ in 0..2 {
                    let Ok(mut connection) = slot.take(&connector).await else { break };
                    if announce(&connector, &statements, &mut connection, &channel).await {
                        slot.keep(connection);
                        break;
                    }
                }
                sleep(Self::PAUSE).await;
            }
            slot.close().await;
        });
        Self(Arc::new(Mutex::new(Some(Working { wanted, task }))))
    }

    /// There are new events.
    pub(crate) fn announce(&self) {
        // what is full already tells of this one, too
        if let Some(working) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = working.wanted.try_send(());
        }
    }

    /// Closes its connection; one on which the server does not answer is left alone soon.
    pub(crate) async fn close(&self) {
        let working = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Working { wanted, mut task }) = working else { return };
        drop(wanted);
        if timeout(FAREWELL * 2, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Says whether the connection can be used further. What is not told is noticed by polling.
async fn announce(
    connector: &Connector,
    statements: &Statements,
    connection: &mut PgConnection,
    channel: &str,
) -> bool {
    let statement = sqlx::query(statements.announce.sql()).bind(channel.to_owned());
    match connector.rows(connection, statement).await {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, "other processes were not told of an append");
            !is_lost(&error)
        }
    }
}
