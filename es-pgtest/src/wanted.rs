//! What the environment asks of the servers of a test run.
//!
//! | Variable            | Meaning                                                           |
//! |---------------------|-------------------------------------------------------------------|
//! | `ES_PGTEST_BINDIR`  | the folder with the server's programs; no other is looked for      |
//! | `ES_PGTEST_LOCALE`  | the locale of clusters and their databases, such as `en_US.UTF-8`, |
//! |                     | or `icu:en-US` for one of ICU (PostgreSQL 15 and later)            |
//! | `ES_PGTEST_STANDBY` | `1`: commits on the shared server wait for a streaming standby     |
//! | `ES_PGTEST_POOLER`  | `pgbouncer`: it takes the place of this crate's own pooler         |
//!
//! What is asked for and cannot be had fails the test.

use std::{env, path::PathBuf};

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder with the server's programs.
pub(crate) fn bindir() -> Option<PathBuf> {
    variable("ES_PGTEST_BINDIR").map(PathBuf::from)
}

/// Whether a real pgbouncer is wanted.
///
/// # Panics
///
/// If another pooler is, which this crate does not know.
pub(crate) fn pgbouncer() -> bool {
    let Some(pooler) = variable("ES_PGTEST_POOLER") else { return false };
    assert!(pooler == "pgbouncer", "ES_PGTEST_POOLER is `{pooler}`; it may be pgbouncer");
    true
}

/// What clusters are to be like. Those that differ in it are not shared.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    locale: Option<String>,
    /// Whether the shared server has a standby.
    pub(crate) standby: bool,
}

impl Wanted {
    pub(crate) fn from_environment() -> Self {
        let standby = variable("ES_PGTEST_STANDBY");
        assert!(
            matches!(standby.as_deref(), None | Some("0" | "1")),
            "ES_PGTEST_STANDBY is neither 0 nor 1"
        );
        Self { locale: variable("ES_PGTEST_LOCALE"), standby: standby.as_deref() == Some("1") }
    }

    /// Whether databases have the locale of the cluster, and not C.
    pub(crate) fn is_natural(&self) -> bool {
        self.locale.is_some()
    }

    /// What `initdb` is told about the locale.
    pub(crate) fn initdb(&self) -> Vec<String> {
        let Some(locale) = &self.locale else { return vec!["--no-locale".to_owned()] };
        match locale.strip_prefix("icu:") {
            Some(icu) => vec![
                "--locale=C".to_owned(),
                "--locale-provider=icu".to_owned(),
                format!("--icu-locale={icu}"),
            ],
            None => vec![format!("--locale={locale}")],
        }
    }
}
