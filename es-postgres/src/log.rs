//! Knows how far the log can be read, for all readers of a store at once, and wakes those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use es_core::{Position, StoreError, StoreErrorKind};
use sqlx::Row;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::connection::{Connector, Slot};
use crate::error::{closed, has_code, is_lost, standby};
use crate::frontier::{Divergence, Frontier, Look};
use crate::row::position;
use crate::sql::Statements;

mod announcer;

pub(crate) use announcer::Announcer;

/// The first pause between two looks while the frontier is about to move; each further one is
/// twice as long, up to the interval of polling.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

/// How often the frontier is written down at most, for processes that start.
const WATERMARK_INTERVAL: Duration = Duration::from_secs(1);

/// Somebody who needs a look that begins after now.
type Ask = oneshot::Sender<Result<Position, StoreError>>;

/// The readers' side of the tracker.
pub(crate) struct Log {
    shared: Arc<Shared>,
    asks: mpsc::UnboundedSender<Ask>,
    connector: Arc<Connector>,
}

struct Shared {
    seen: watch::Sender<Seen>,
    waiters: AtomicUsize,
    /// Something has happened for which a look is worth while.
    hint: Notify,
}

/// What is known to everybody.
#[derive(Default)]
struct Seen {
    frontier: u64,
    is_closed: bool,
    failures: u64,
    failure: Option<StoreError>,
    /// Found once, and true for as long as the store is open.
    diverged: Option<StoreError>,
    /// How many connections had been lost when the frontier was seen.
    losses: u64,
}

impl Log {
    /// Starts the tracker.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        connector: Arc<Connector>,
        statements: Arc<Statements>,
        poll_interval: Duration,
        channel: Option<String>,
    ) -> Self {
        let shared = Arc::new(Shared {
            seen: watch::Sender::new(Seen::default()),
            waiters: AtomicUsize::new(0),
            hint: Notify::new(),
        });
        let (asks, asked) = mpsc::unbounded_channel();
        let tracker = Tracker {
            shared: Arc::clone(&shared),
            connector: Arc::clone(&connector),
            statements,
            poll_interval,
            channel,
            link: Link::None,
            frontier: Frontier::default(),
            watermark: Watermark::default(),
        };
        runtime.spawn(tracker.run(asked));
        Self { shared, asks, connector }
    }

    /// How far the log was last known to be readable, if no connection was lost since: another may
    /// lead to another server.
    pub(crate) fn known(&self) -> Position {
        let seen = self.shared.seen.borrow();
        let is_current = seen.losses == self.connector.losses();
        Position::from_sequence(if is_current { seen.frontier } else { 0 })
    }

    /// That the log is the one that was read before, as far as is known.
    ///
    /// # Errors
    ///
    /// With the kind [`Diverged`](StoreErrorKind::Diverged), for ever once it was found.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.shared.seen.borrow().diverged {
            Some(diverged) => Err(diverged.clone()),
            None => Ok(()),
        }
    }

    /// How far the log can be read, by a look that begins now or later.
    pub(crate) async fn look(&self) -> Result<Position, StoreError> {
        let (ask, answer) = oneshot::channel();
        self.asks.send(ask).map_err(|_| closed(&self.connector.place))?;
        answer.await.map_err(|_| closed(&self.connector.place))?
    }

    /// Tells that this process has appended.
    pub(crate) fn appended(&self) {
        if self.shared.waiters.load(Ordering::Relaxed) > 0 {
            self.shared.hint.notify_one();
        }
    }

    /// Waits until the log can be read past `position`.
    pub(crate) async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let position = position.to_sequence();
        let mut seen = self.shared.seen.subscribe();
        let failures = {
            let seen = seen.borrow();
            if seen.is_closed {
                return Err(closed(&self.connector.place));
            }
            if let Some(diverged) = &seen.diverged {
                return Err(diverged.clone());
            }
            if seen.frontier > position {
                return Ok(());
            }
            seen.failures
        };
        let _waiting = Waiting::begin(&self.shared);
        let seen = seen
            .wait_for(|seen| {
                seen.is_closed || seen.frontier > position || seen.failures != failures
            })
            .await
            .map_err(|_| closed(&self.connector.place))?;
        if seen.frontier > position {
            return Ok(());
        }
        match &seen.failure {
            Some(failure) if !seen.is_closed => Err(failure.clone()),
            _ => Err(closed(&self.connector.place)),
        }
    }

    /// Wakes everybody, now and whoever waits later: the store is closed.
    pub(crate) fn close(&self) {
        self.shared.seen.send_modify(|seen| seen.is_closed = true);
        self.shared.hint.notify_one();
    }
}

/// Counts as waiting until dropped: only then is anything looked at without being asked for.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.waiters.fetch_add(1, Ordering::Relaxed);
        shared.hint.notify_one();
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The tracker's connection.
enum Link {
    None,
    /// Told of appends by other processes.
    Listening(Box<PgListener>),
    Polling(Slot),
}

/// The one task of a store that looks.
struct Tracker {
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
    /// Looks when asked, when told, and while somebody waits from time to time; ends when the store
    /// is gone.
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Ask>) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let mut asks = Vec::new();
            let is_waited_for = self.shared.waiters.load(Ordering::Relaxed) > 0;
            tokio::select! {
                ask = asked.recv() => match ask {
                    Some(ask) => asks.push(ask),
                    None => return self.end().await,
                },
                () = self.shared.hint.notified() => pause = SHORTEST_PAUSE,
                // also while nobody waits: what is not taken in makes the server wait
                () = told(&mut self.link) => pause = SHORTEST_PAUSE,
                () = sleep(pause), if is_waited_for => {}
            }
            while let Ok(ask) = asked.try_recv() {
                asks.push(ask);
            }
            let is_closed = self.shared.seen.borrow().is_closed;
            let is_needed = !asks.is_empty() || self.shared.waiters.load(Ordering::Relaxed) > 0;
            if is_closed || !is_needed {
                for ask in asks {
                    let _ = ask.send(Err(closed(&self.connector.place)));
                }
                if is_closed {
                    self.link = Link::None;
                }
                continue;
            }
            let before = self.frontier.position();
            let looked = self.look().await;
            pause = match &looked {
                Ok(_) if !self.frontier.is_behind() => self.poll_interval,
                Ok(now) if *now > before => SHORTEST_PAUSE,
                // somebody holds the log back; or the database cannot be reached
                _ => (pause * 2).min(self.poll_interval),
            };
            let is_well = looked.is_ok();
            self.tell(looked, asks);
            if is_well {
                self.keep_watermark().await;
            }
        }
    }

    /// Answers those who asked and wakes those whom it concerns.
    fn tell(&self, looked: Result<i64, StoreError>, asks: Vec<Ask>) {
        let answer = looked.map(position);
        let losses = self.connector.losses();
        self.shared.seen.send_if_modified(|seen| match &answer {
            Ok(frontier) => {
                let frontier = frontier.to_sequence();
                let is_later = frontier > seen.frontier;
                seen.frontier = frontier;
                seen.losses = losses;
                is_later
            }
            Err(error) => {
                seen.failures += 1;
                seen.failure = Some(error.clone());
                if error.kind() == StoreErrorKind::Diverged {
                    seen.diverged = Some(error.clone());
                }
                true
            }
        });
        for ask in asks {
            // who has gone does not need it
            let _ = ask.send(answer.clone());
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
                    return self.frontier.observe(look).map_err(|found| self.diverged(found));
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
            holders: row.try_get("holders")?,
            lows: row.try_get("lows")?,
            watermark: row.try_get("watermark")?,
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
        let listener = self.connector.in_time(listening).await?;
        Ok(Link::Listening(Box::new(listener)))
    }

    fn diverged(&self, found: Divergence) -> StoreError {
        let place = &self.connector.place;
        let text = match found {
            Divergence::OtherHistory { position: seen } => format!(
                "the event at {} that was read in {place} is there no more: the log went back or is \
                 another one now, as after the restoring of a backup or a failover that lost commits; \
                 open the store again, and rebuild what was derived from its events",
                position(seen)
            ),
            Divergence::SequenceBehind { position: seen, drawn } => format!(
                "the log in {place} was read up to {} and its sequence stands at {drawn}, so that new \
                 events would come before ones that were read; set the sequence of the column position \
                 with setval() to its highest value, open the store again, and check what was derived \
                 from its events",
                position(seen)
            ),
        };
        StoreError::new(StoreErrorKind::Diverged, text)
    }

    /// A frontier beyond everything that was drawn was written down by hand, or by another history.
    fn judge_watermark(&mut self, look: &Look) {
        let is_wrong = look.watermark > look.drawn;
        if is_wrong && !self.watermark.is_told {
            tracing::warn!(
                place = %self.connector.place,
                watermark = look.watermark,
                drawn = look.drawn,
                "the frontier that is written down is beyond the log, and not believed"
            );
        }
        self.watermark.is_told = is_wrong;
    }

    /// Has the frontier written down now and then, so that processes that start need not begin at
    /// zero.
    async fn keep_watermark(&mut self) {
        let frontier = self.frontier.position();
        let known = &mut self.watermark;
        let is_early = known.tried.is_some_and(|at| at.elapsed() < WATERMARK_INTERVAL);
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
