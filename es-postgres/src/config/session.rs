//! What the sessions of a store's own are set to, so that neither the server's, the database's nor the
//! role's settings change what it promises.

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::{PostgresConfig, Session};
use crate::migrate::MOMENT;

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Synchronous {
    /// When its events are on the server's disk at least: where the server, the database, the role or
    /// the address says `synchronous_commit = off` or `local`, `on` is used. More than that, such as
    /// `remote_apply`, stays.
    #[default]
    Full,
    /// When the server's settings say so. With `synchronous_commit = off` a crash of the server takes
    /// acknowledged events with it, which followers may have read; their positions are then given
    /// to others. A store that is open then answers
    /// [`Diverged`](es_core::backend::StoreErrorKind::Diverged) to every call until it is opened
    /// again.
    AsConfigured,
}

/// How long a statement may wait for a lock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// As long as the configuration says.
    Whole,
    /// That long at most: whoever waits longer is asked again.
    AtMost(Duration),
}

impl PostgresConfig {
    /// What holds in a session or transaction of the store's own, by name and value. All are constants
    /// or numbers.
    fn settings(&self, patience: Patience) -> Vec<(&'static str, String)> {
        let fixed = MEANING.into_iter().chain(PLANS).map(|(name, value)| (name, value.to_owned()));
        self.bounds(patience).into_iter().chain(fixed).collect()
    }

    /// How long a statement, its wait for a lock, and a transaction without one may take.
    fn bounds(&self, patience: Patience) -> [(&'static str, String); 3] {
        // zero would be no bound at all
        let millis = |time: Duration| time.as_millis().clamp(1, i32::MAX as u128).to_string();
        let lock_timeout = match patience {
            Patience::Whole => self.lock_timeout,
            Patience::AtMost(time) => time.min(self.lock_timeout),
        };
        [
            ("statement_timeout", millis(self.statement_timeout)),
            ("lock_timeout", millis(lock_timeout)),
            // a program that stops within a transaction must not hold up everybody's log
            ("idle_in_transaction_session_timeout", millis(self.idle_timeout)),
        ]
    }

    /// The options of a connection that looks at a schema or migrates it. A step may take long, so its
    /// statements have no time-out unless they wait for a lock.
    pub(crate) fn migrating_options(&self, patience: Patience) -> PgConnectOptions {
        match self.session {
            Session::Pooled => self.plain_options(),
            Session::Own => {
                let bounds = self.bounds_of_steps(patience).into_iter();
                self.options.clone().options(bounds.chain(fixed()))
            }
        }
    }

    /// How a transaction of the store's own begins that makes tables, as a step of a migration does.
    pub(crate) fn begin_making(&self) -> SqlStr {
        let bounds = self.bounds_of_steps(Patience::AtMost(MOMENT)).into_iter();
        self.begin_with_all(bounds.chain(MEANING.map(|(name, value)| (name, value.to_owned()))))
    }

    fn bounds_of_steps(&self, patience: Patience) -> [(&'static str, String); 3] {
        self.bounds(patience).map(|(name, value)| match (name, patience) {
            ("statement_timeout", Patience::AtMost(_)) => (name, "0".to_owned()),
            _ => (name, value),
        })
    }

    /// The options of a connection of the store's own.
    pub(crate) fn own_options(&self, patience: Patience) -> PgConnectOptions {
        match self.session {
            Session::Pooled => self.plain_options(),
            Session::Own => {
                let settings = self.settings(patience).into_iter();
                self.options.clone().options(settings.chain(fixed()))
            }
        }
    }

    /// How a transaction of the store's own begins: all in one message. What a session of its own has
    /// already is said only where it differs from that.
    ///
    /// A standby refuses it: what a proxy sends there would not see what was acknowledged.
    pub(crate) fn begin(&self, patience: Patience) -> SqlStr {
        match self.session {
            Session::Own => {
                let [_, lock_timeout, _] = self.bounds(patience);
                AssertSqlSafe(begin_with([lock_timeout])).into_sql_str()
            }
            Session::Pooled => self.begin_with_all(self.settings(patience)),
        }
    }

    /// How a transaction of an application's own in the same database begins, whatever is between it
    /// and the server: with the store's time-outs, and with nothing that the server's, the database's
    /// or the role's settings could make of its statements. Those name schemas: `search_path` is
    /// `pg_catalog`.
    ///
    /// ```no_run
    /// # async fn example(config: es_postgres::PostgresConfig) -> Result<(), Box<dyn std::error::Error>> {
    /// use es_postgres::sqlx::{self, Connection};
    ///
    /// let mut connection = config.connect().await?;
    /// let mut transaction = connection.begin_with(config.begin_pinned()).await?;
    /// sqlx::query("DELETE FROM jobs.reports").execute(&mut *transaction).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn begin_pinned(&self) -> SqlStr {
        let meaning = MEANING.map(|(name, value)| (name, value.to_owned()));
        self.begin_with_all(self.bounds(Patience::Whole).into_iter().chain(meaning))
    }

    /// With what a session of the store's own has besides.
    fn begin_with_all(&self, settings: impl IntoIterator<Item = (&'static str, String)>) -> SqlStr {
        // session settings that a proxy's server connection would keep
        let keep_alive = KEEP_ALIVE.map(|(name, value)| (name, value.to_owned()));
        let mut text = begin_with(settings.into_iter().chain(keep_alive));
        if self.synchronous == Synchronous::Full {
            let _ = write!(text, "; {}", raise("TRUE"));
        }
        AssertSqlSafe(text).into_sql_str()
    }
}

/// The beginning of a transaction in which these settings hold.
fn begin_with(settings: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE".to_owned();
    for (name, value) in settings {
        let _ = write!(text, "; SET LOCAL {name} = '{value}'");
    }
    text
}

impl Synchronous {
    /// What a session of its own is asked first. A standby refuses it.
    pub(crate) fn first(self) -> SqlStr {
        const IS_PRIMARY: &str = "BEGIN READ WRITE; COMMIT";
        let raise = if self == Self::Full { raise("FALSE") } else { String::new() };
        AssertSqlSafe(format!("{IS_PRIMARY}; {raise}")).into_sql_str()
    }
}

/// What decides what a statement means: what the application put first in its path must not change
/// it, and no text in it may be read by the rules of servers before 9.1.
const MEANING: [(&str, &str); 2] =
    [("search_path", "pg_catalog"), ("standard_conforming_strings", "on")];

/// Statements are planned once, and a plan that was made while the table was empty would scan it for
/// ever.
const PLANS: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
];

/// What holds in every session of the store's own, also while it migrates.
fn fixed() -> impl Iterator<Item = (&'static str, String)> {
    let fixed = [
        // a race is judged by the statement, not ended by the server
        ("default_transaction_isolation", "read committed"),
        // a connection that rests is not in doubt
        ("idle_session_timeout", "0"),
        // a refused statement ends no session
        ("exit_on_error", "off"),
        ("quote_all_identifiers", "off"),
    ];
    let all = MEANING.into_iter().chain(fixed).chain(KEEP_ALIVE);
    all.map(|(name, value)| (name, value.to_owned()))
}

/// How a host that is gone is noticed, within about 20 s.
const KEEP_ALIVE: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "2"),
    ("tcp_user_timeout", "20000"),
];

/// Raises the setting for a session or a transaction; one that waits for more stays.
fn raise(is_local: &str) -> String {
    include_str!("../sql/raise_synchronous.sql").trim_end().replace("{is_local}", is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever is cut off or stopped within a transaction of the store's own holds the log of the
    /// others for so long at most.
    const BOUND: Duration = Duration::from_secs(30);

    #[test]
    fn who_stops_within_a_transaction_is_ended_soon() {
        let config: PostgresConfig = "postgres://u@h/d".parse().unwrap();
        assert!(config.idle_timeout <= BOUND);
        let [idle, interval, count, user] =
            KEEP_ALIVE.map(|(_, value)| value.parse::<u64>().unwrap());
        assert!(Duration::from_secs(idle + interval * count) <= BOUND);
        assert!(Duration::from_millis(user) <= BOUND);
    }

    #[test]
    fn every_bound_is_said_in_each_mode() {
        let config: PostgresConfig = "postgres://u@h/d".parse().unwrap();
        let own = format!("{:?}", config.own_options(Patience::Whole).get_options());
        let pooled = config.clone().session(Session::Pooled).begin(Patience::Whole);
        let bounds = [
            ("idle_in_transaction_session_timeout", "20000"),
            ("statement_timeout", "30000"),
            ("lock_timeout", "10000"),
        ];
        for (name, value) in bounds.into_iter().chain(KEEP_ALIVE) {
            assert!(own.contains(&format!("{name}={value}")), "{name}: {own}");
            let said = format!("SET LOCAL {name} = '{value}'");
            assert!(pooled.as_str().contains(&said), "{name}: {}", pooled.as_str());
        }
    }
}
