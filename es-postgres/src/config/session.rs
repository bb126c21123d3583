//! What the sessions of a store's own are set to, so that neither the server's, the database's nor the
//! role's settings change what it promises.

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use super::{PostgresConfig, Session};

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
    /// to others.
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
        // zero would be no bound at all
        let millis = |time: Duration| time.as_millis().clamp(1, i32::MAX as u128).to_string();
        let lock_timeout = match patience {
            Patience::Whole => self.lock_timeout,
            Patience::AtMost(time) => time.min(self.lock_timeout),
        };
        vec![
            ("statement_timeout", millis(self.statement_timeout)),
            ("lock_timeout", millis(lock_timeout)),
            // a program that stops within a transaction must not hold up everybody's log
            ("idle_in_transaction_session_timeout", millis(self.idle_timeout)),
            // what the application put first in its path must not change a statement
            ("search_path", "pg_catalog".to_owned()),
            // statements are planned once, and a plan that was made while the table was empty would
            // scan it for ever
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            ("enable_bitmapscan", "off".to_owned()),
            ("jit", "off".to_owned()),
        ]
    }

    /// The options of a connection of the store's own.
    pub(crate) fn own_options(&self, patience: Patience) -> PgConnectOptions {
        match self.session {
            Session::Pooled => self.plain_options(),
            Session::Own => {
                let keep_alive = KEEP_ALIVE.map(|(name, value)| (name, value.to_owned()));
                // a race is judged by the statement, not ended by the server
                let isolation = ("default_transaction_isolation", "read committed".to_owned());
                let settings = self.settings(patience).into_iter().chain(keep_alive);
                self.options.clone().options(settings.chain([isolation]))
            }
        }
    }

    /// How a transaction of the store's own begins: all in one message. What a session of its own has
    /// already is said only where it differs from that.
    ///
    /// A standby refuses it: what a proxy sends there would not see what was acknowledged.
    pub(crate) fn begin(&self, patience: Patience) -> SqlStr {
        let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE".to_owned();
        match self.session {
            Session::Own => {
                let settings = self.settings(patience);
                let lock = settings.iter().find(|(name, _)| *name == "lock_timeout");
                if let Some((name, value)) = lock {
                    let _ = write!(text, "; SET LOCAL {name} = '{value}'");
                }
            }
            Session::Pooled => {
                for (name, value) in self.settings(patience) {
                    let _ = write!(text, "; SET LOCAL {name} = '{value}'");
                }
                // session settings that a proxy's server connection would keep
                for (name, value) in KEEP_ALIVE {
                    let _ = write!(text, "; SET LOCAL {name} = '{value}'");
                }
                if self.synchronous == Synchronous::Full {
                    let _ = write!(text, "; {}", raise("TRUE"));
                }
            }
        }
        AssertSqlSafe(text).into_sql_str()
    }
}

impl Synchronous {
    /// What a session of its own is asked first. A standby refuses it.
    pub(crate) fn first(self) -> SqlStr {
        const IS_PRIMARY: &str = "BEGIN READ WRITE; COMMIT";
        let raise = if self == Self::Full { raise("FALSE") } else { String::new() };
        AssertSqlSafe(format!("{IS_PRIMARY}; {raise}")).into_sql_str()
    }
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
