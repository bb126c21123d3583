//! The one task that looks for the end of the log: when, and on which connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use es_core::backend::StoreError;
use sqlx::Row;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Ask, Shared};
use crate::connection::{Connector, Slot};
use crate::error::{closed, has_code, is_lost, standby};
use crate::frontier::{Frontier, Look};
use crate::row::position;
use crate::sql::Statements;

/// The least pause before a look that nobody asked for, whatever is told: any login of the database
/// can tell this process something as often as it likes.
///
/// While the frontier is about to move and does not, each pause is twice as long as the one before,
/// up to the interval of polling.
const LEAST_PAUSE: Duration = Duration::from_millis(5);

/// How often the frontier is written down at most, for processes that start.
const WATERMARK_INTERVAL: Duration = Duration::from_secs(1);

/// How long after an append somebody looks, though nobody waits, so that it is written down.
const REST: Duration = Duration::from_secs(5);

/// The tracker's connection.
enum Link {
    None,
    /// Told of appends by other processes.
    Listening(Box<PgListener>),
    Polling(Slot),
}

/// The one task of a store that looks.
pub(super) struct Tracker {
    shared: Arc<Shared>,
    connector: Arc<Connector>,
    statements: Arc<Statements>,
    poll_interval: Duration,
    /// Where other processes tell of their appends; `None` behind a pooling proxy.
    channel: Option<String>,
    link: Link,
    frontier: Frontier,
    watermark: Watermark,
}

/// What this process knows of the frontier that is written down.
#[derive(Default)]
struct Watermark {
    /// The frontier at the last try to write it down, and when that was.
    at: i64,
    tried: Option<Instant>,
    /// This user, or this server, lets it not be written down.
    is_refused: bool,
    /// It was told that what is written down cannot be.
    is_told: bool,
}

impl Tracker {
    pub(super) fn new(
        shared: Arc<Shared>,
        connector: Arc<Connector>,
        statements: Arc<Statements>,
        poll_interval: Duration,
        channel: Option<String>,
    ) -> Self {
        Self {
            shared,
            connector,
            statements,
            poll_interval,
            channel,
            link: Link::None,
            frontier: Frontier::default(),
            watermark: Watermark::default(),
        }
    }

    /// Looks when asked, and while somebody waits when told and from time to time, and now and then
    /// while this process appends; ends when the store is gone.
    pub(super) async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Ask>) {
        let mut pause = LEAST_PAUSE;
        // the next look that nobody asks for, and the earliest moment for it
        let mut next = Instant::now();
        let mut earliest = next;
        // the next look for what this process has appended
        let mut rest = None;
        loop {
            let mut asks: Vec<Ask> = Vec::new();
            let is_stale =
                self.shared.is_stale.load(Ordering::Relaxed) && !self.watermark.is_refused;
            rest = is_stale.then(|| rest.unwrap_or_else(|| Instant::now() + REST));
            let is_waited_for = self.is_waited_for();
            let is_told = tokio::select! {
                ask = asked.recv() => match ask {
                    Some(ask) => {
                        asks.push(ask);
                        false
                    }
                    None => return self.end().await,
                },
                () = self.shared.hint.notified() => true,
                // also while nobody waits: what is not taken in makes the server wait
                () = told(&mut self.link) => true,
                () = sleep_until(next), if is_waited_for => false,
                () = sleep_until(rest.unwrap_or(next)), if rest.is_some() => false,
            };
            if is_told {
                pause = LEAST_PAUSE;
                next = next.min(earliest);
            }
            while let Ok(ask) = asked.try_recv() {
                asks.push(ask);
            }
            let is_closed = self.shared.seen.borrow().is_closed;
            let now = Instant::now();
            let is_due = (self.is_waited_for() && now >= next) || rest.is_some_and(|at| now >= at);
            if is_closed || (asks.is_empty() && !is_due) {
                for ask in asks {
                    let _ = ask.answer.send(Err(closed(&self.connector.place)));
                }
                if is_closed {
                    self.link = Link::None;
                }
                continue;
            }
            let before = self.frontier.position();
            rest = None;
            // what is appended from now on may not be in the look
            self.shared.is_stale.store(false, Ordering::Relaxed);
            let looked = self.look().await;
            pause = match &looked {
                Ok(_) if !self.frontier.is_behind() => self.poll_interval,
                Ok(now) if *now > before => LEAST_PAUSE,
                // somebody holds the log back; or the database cannot be reached
                _ => (pause * 2).min(self.poll_interval),
            };
            let is_well = looked.is_ok();
            let (last, asks): (Vec<_>, _) = asks.into_iter().partition(|ask| ask.is_last);
            self.tell(&looked, asks);
            if is_well {
                self.keep_watermark(!last.is_empty()).await;
            }
            if self.frontier.is_behind() || self.watermark.at < self.frontier.position() {
                self.shared.is_stale.store(true, Ordering::Relaxed);
            }
            self.tell(&looked, last);
            let now = Instant::now();
            (next, earliest) = (now + pause, now + LEAST_PAUSE);
        }
    }

    fn is_waited_for(&self) -> bool {
        self.shared.waiters.load(Ordering::Relaxed) > 0
    }

    /// Answers those who asked and wakes those whom it concerns.
    fn tell(&self, looked: &Result<i64, StoreError>, asks: Vec<Ask>) {
        let answer = looked.clone().map(position);
        let losses = self.connector.losses();
        self.shared.seen.send_if_modified(|seen| match &answer {
            Ok(frontier) => {
                let frontier = frontier.to_sequence();
                let is_later = frontier > seen.frontier;
                seen.frontier = frontier;
                seen.losses = losses;
                seen.learn(self.frontier.newest());
                is_later
            }
            Err(error) => {
                seen.fail(error.clone());
                true
            }
        });
        for ask in asks {
            // who has gone does not need it
            let _ = ask.answer.send(answer.clone());
        }
    }

    /// One look; a connection that was lost since the last one is replaced once.
    async fn look(&mut self) -> Result<i64, StoreError> {
        if let Some(diverged) = &self.shared.seen.borrow().diverged {
            return Err(diverged.clone());
        }
        loop {
            let is_new = matches!(self.link, Link::None);
            let error = match self.look_once().await {
                Ok(look) => {
                    self.judge_watermark(&look);
                    return self
                        .frontier
                        .observe(look)
                        .map_err(|found| found.told(&self.connector.place));
                }
                Err(LookError::Store(error)) => return Err(error),
                Err(LookError::Sqlx(error)) => error,
            };
            let lost = is_lost(&error);
            if lost {
                self.connector.lost_one();
                self.link = Link::None;
            }
            if !lost || is_new {
                return Err(self.connector.failure("looking for the end of the log", error));
            }
        }
    }

    async fn look_once(&mut self) -> Result<Look, LookError> {
        if let Link::None = self.link {
            self.link = self.connect().await?;
        }
        let seen = &self.frontier;
        let statement = || {
            sqlx::query(self.statements.look.sql())
                .bind(seen.position)
                .bind(seen.event_id)
                .bind(seen.visible)
                .bind(seen.visible_id)
                .bind(seen.holders.clone())
                .bind(seen.lows.clone())
        };
        let row = match &mut self.link {
            Link::Listening(listener) => {
                self.connector.in_time(statement().fetch_one(&mut **listener)).await?
            }
            Link::Polling(slot) => {
                let mut connection = slot.take(&self.connector).await.map_err(LookError::Store)?;
                let rows = self.connector.rows(&mut connection, statement()).await?;
                slot.keep(connection);
                rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)?
            }
            Link::None => return Err(sqlx::Error::PoolClosed.into()),
        };
        if row.try_get("is_standby")? {
            return Err(LookError::Store(standby(&self.connector.place)));
        }
        Ok(Look {
            is_same: row.try_get("is_same")?,
            drawn: row.try_get("drawn")?,
            visible: row.try_get("visible")?,
            visible_id: row.try_get("visible_id")?,
            holders: row.try_get("holders")?,
            lows: row.try_get("lows")?,
            is_watermark_wrong: row.try_get("is_watermark_wrong")?,
            newest: row.try_get("newest")?,
            newest_id: row.try_get("newest_id")?,
            drawn_since: row.try_get("drawn_since")?,
        })
    }

    async fn connect(&self) -> Result<Link, LookError> {
        let Some(channel) = &self.channel else {
            return Ok(Link::Polling(Slot::empty()));
        };
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.connector.connect_timeout())
            .connect_lazy_with(self.connector.options().clone());
        // a pool waits for a server that is away until its time is up; one's own tells why at once
        drop(self.connector.connect().await.map_err(LookError::Store)?);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.ignore_pool_close_event(true);
            // the look that follows makes another, and does not wait for a server that is away
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let listener = match self.connector.in_time(listening).await {
            Err(sqlx::Error::PoolTimedOut) => {
                drop(self.connector.connect().await.map_err(LookError::Store)?);
                return Err(sqlx::Error::PoolTimedOut.into());
            }
            listener => listener?,
        };
        Ok(Link::Listening(Box::new(listener)))
    }

    /// A frontier that is of no event of this log was written down by hand, or by another history.
    fn judge_watermark(&mut self, look: &Look) {
        if look.is_watermark_wrong && !self.watermark.is_told {
            tracing::warn!(
                place = %self.connector.place,
                "the frontier that is written down is of no event of this log, and not believed"
            );
        }
        self.watermark.is_told = look.is_watermark_wrong;
    }

    /// Has the frontier written down now and then, so that processes that start need not begin at
    /// zero.
    async fn keep_watermark(&mut self, is_last: bool) {
        let frontier = self.frontier.position();
        let known = &mut self.watermark;
        let is_early = !is_last && known.tried.is_some_and(|at| at.elapsed() < WATERMARK_INTERVAL);
        if known.is_refused || frontier <= known.at || is_early {
            return;
        }
        (known.at, known.tried) = (frontier, Some(Instant::now()));
        let statement = sqlx::query(self.statements.raise_watermark.sql());
        let raised = match &mut self.link {
            Link::Listening(listener) => {
                self.connector.in_time(statement.execute(&mut **listener)).await.map(drop)
            }
            Link::Polling(slot) => match slot.take(&self.connector).await {
                Ok(mut connection) => {
                    let raised = self.connector.rows(&mut connection, statement).await;
                    slot.keep(connection);
                    raised.map(drop)
                }
                Err(_) => return,
            },
            Link::None => return,
        };
        if let Err(error) = raised {
            // whoever may only read cannot write it, and need not; nor try for ever
            self.watermark.is_refused = has_code(&error, "42501") || has_code(&error, "25006");
            tracing::debug!(%error, "the frontier was not written down");
            if is_lost(&error) {
                self.link = Link::None;
            }
        }
    }

    async fn end(self) {
        if let Link::Polling(slot) = self.link {
            slot.close().await;
        }
    }
}

/// Waits for another process to tell of an append. Never ends without a connection to listen on.
async fn told(link: &mut Link) {
    match link {
        Link::Listening(listener) => match listener.try_recv().await {
            Ok(Some(_)) => while listener.next_buffered().is_some() {},
            // the look that follows finds out
            Ok(None) | Err(_) => *link = Link::None,
        },
        _ => std::future::pending().await,
    }
}

enum LookError {
    Store(StoreError),
    Sqlx(sqlx::Error),
}

impl From<sqlx::Error> for LookError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}
