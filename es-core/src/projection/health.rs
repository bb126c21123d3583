//! Whether a projection is well.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::environment::Clock;
use crate::error::StoreError;
use crate::position::Position;
use crate::reaction::has_begun;
use crate::read::{PageLimit, ReadLog};
use crate::store::{EventStore, Store};

use super::{
    Checkpoint, Definition, Holder, SinkError, Trouble, TroubleKind, check_history, models,
    telemetry,
};

/// What a projection does, or what keeps it from doing it; the first that is true, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthState {
    /// Something must be done about it: see [`Health::trouble`].
    Stalled,
    /// Nobody runs it.
    NotRunning,
    /// Events wait under keys that were parked; other keys go on.
    Parked,
    /// It has taken all that can be read, and a writer holds the log back.
    BlockedByWriter,
    /// Somebody runs it, and there are events that it has not taken yet, be it that it tries one again:
    /// then [`Health::trouble`] says why.
    Behind,
    /// It has taken all that there is.
    Idle,
}

impl HealthState {
    /// The word for it, such as `blocked by a writer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::NotRunning => "not running",
            Self::Parked => "parked",
            Self::BlockedByWriter => "blocked by a writer",
            Self::Behind => "behind",
            Self::Idle => "idle",
        }
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a projection is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// How many events that it selects it has not taken.
    pub events: u64,
    /// False if there are more: counting ends at [`Lag::COUNTED`].
    pub is_exact: bool,
    /// How long ago the first of them was recorded, by the clocks of the store and of who asks.
    pub time: Duration,
}

impl Lag {
    /// Up to how many events are counted.
    pub const COUNTED: u64 = 10_000;
}

/// How a projection is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// Its name.
    pub projection: String,
    /// What it does.
    pub state: HealthState,
    /// How far it has come.
    pub position: Position,
    /// How far it is behind.
    pub lag: Lag,
    /// How many events who runs it took in a second lately, as told when it last renewed its lease;
    /// `None` if it took none for some seconds, or nobody runs it.
    pub rate: Option<f64>,
    /// Who runs it.
    pub holder: Option<Holder>,
    /// How many parked events wait.
    pub waiting: u64,
    /// How many parked events were discarded.
    pub discarded: u64,
    /// What keeps it from going on, or from going on at once.
    pub trouble: Option<Trouble>,
    /// Who holds the log back, if anybody does.
    pub blocked_by: Option<Blocker>,
    /// True if a shadow is being filled, or waits to be.
    pub is_rebuilding: bool,
}

/// Somebody because of whom the log cannot be read further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Which session, such as `pid 4711`.
    pub session: String,
    /// What it says about itself, such as the name of its program.
    pub description: String,
    /// For how long its transaction has been open; `None` if the store does not tell who asks.
    pub open_for: Option<Duration>,
}

/// Tells who holds the log back: an ability of stores whose writers overlap.
#[async_trait]
pub trait LogBlockers: Send + Sync {
    /// Who has held the log back for longest; `None` if nobody does.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn blocker(&self) -> Result<Option<Blocker>, StoreError>;
}

/// How a projection is, from any process: it asks the store only.
pub(crate) async fn health_of(
    store: &Store,
    clock: &dyn Clock,
    definition: &Definition,
) -> Result<Health, SinkError> {
    let sink = models(store, definition.name())?;
    let status = sink.status(Some(definition.name())).await?.into_iter().next();
    let is_rebuilding = status.as_ref().is_some_and(|status| status.shadow.is_some());
    let active = status.and_then(|status| status.active);
    let here = active.as_ref().map_or(Checkpoint::START, |active| active.checkpoint().clone());
    // what it will never be given is no lag
    let passes_over = definition.begins_now()
        && here == Checkpoint::START
        && (active.is_none() || !has_begun(&**sink, definition.name()).await?);
    let (lag, diverged) = match check_history(&**store, definition.name(), &here).await {
        Ok(()) if passes_over => (Lag { is_exact: true, ..Lag::default() }, None),
        Ok(()) => (lag(&**store, clock, definition, here.position).await?, None),
        // nobody can tell how far behind it is
        Err(error @ SinkError::Diverged { .. }) => (Lag::default(), Some(error)),
        Err(error) => return Err(error),
    };
    let blocked_by = match &store.capabilities().blockers {
        Some(blockers) => blockers.blocker().await?,
        None => None,
    };
    let mut health = Health {
        projection: definition.name().to_owned(),
        state: HealthState::NotRunning,
        position: here.position,
        lag,
        rate: None,
        holder: None,
        waiting: 0,
        discarded: 0,
        trouble: None,
        blocked_by,
        is_rebuilding,
    };
    if let Some(active) = active {
        health.rate = active.holder.as_ref().and_then(|holder| holder.rate);
        health.holder = active.holder;
        (health.waiting, health.discarded) = (active.waiting, active.discarded);
        let found = |kind, error: SinkError| {
            let message = Trouble::text(kind, &error.to_string());
            Trouble { message, at: clock.now() }
        };
        let is_changed = active.fingerprint != definition.fingerprint();
        let changed = is_changed.then(|| definition.changed(active.fingerprint));
        health.trouble = active
            .trouble
            .or_else(|| diverged.map(|error| found(TroubleKind::Diverged, error)))
            .or_else(|| changed.map(|error| found(TroubleKind::Changed, error)));
    }
    health.state = state(&health);
    telemetry::lag(&health.projection, lag.events, lag.time.as_secs_f64(), health.waiting);
    Ok(health)
}

fn state(health: &Health) -> HealthState {
    let is_behind = health.lag.events > 0;
    // what is tried again may go on by itself
    let is_stalling = |trouble: &Trouble| trouble.kind() != TroubleKind::Retrying;
    if health.trouble.as_ref().is_some_and(is_stalling) {
        HealthState::Stalled
    } else if health.holder.is_none() {
        HealthState::NotRunning
    } else if health.waiting > 0 {
        HealthState::Parked
    } else if is_behind {
        HealthState::Behind
    } else if health.blocked_by.is_some() {
        HealthState::BlockedByWriter
    } else {
        HealthState::Idle
    }
}

async fn lag(
    store: &dyn EventStore,
    clock: &dyn Clock,
    definition: &Definition,
    position: Position,
) -> Result<Lag, StoreError> {
    let mut lag = Lag { is_exact: true, ..Lag::default() };
    let limit = PageLimit::events(1_000);
    let mut read = ReadLog::after(position).filter(definition.selection().clone()).limit(limit);
    loop {
        let page = store.read_log(&read).await?;
        if let (0, Some(first)) = (lag.events, page.events.first()) {
            lag.time = clock.now().since(first.recorded_at);
        }
        lag.events += page.events.len() as u64;
        if page.at_end {
            return Ok(lag);
        }
        if lag.events >= Lag::COUNTED {
            lag.is_exact = false;
            return Ok(lag);
        }
        read.after = page.next;
    }
}
