//! What goes wrong while a server is found, made or started.

use std::{io, path::PathBuf};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "no PostgreSQL server found: looked for initdb and postgres in {looked}; install \
         PostgreSQL (Debian: apt install postgresql), or set TEST_DATABASE_URL to a server on \
         which databases can be created"
    )]
    NoBinaries { looked: String },
    #[error(
        "ES_PGTEST_BINDIR is {}, which lacks initdb or postgres; let it name a folder that has both",
        folder.display()
    )]
    NotThere { folder: PathBuf },
    #[error(
        "no pgbouncer found, which ES_PGTEST_POOLER asks for: looked in PATH and /usr/sbin; install \
         it (Debian: apt install pgbouncer)"
    )]
    NoPgbouncer,
    #[error("TEST_DATABASE_URL is no URL of a PostgreSQL server")]
    BadUrl(#[source] sqlx::Error),
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{} belongs to somebody else, or is no folder; remove it, or set TMPDIR to another folder",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error(
        "no folder for the sockets of the server: neither the temporary folder nor /tmp has a \
         path that is short enough and that the server's user can reach; set TMPDIR"
    )]
    NoPlace,
    #[error("root cannot run PostgreSQL, and /etc/passwd has neither postgres nor nobody")]
    NoAccount,
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    #[error("{program} failed; it said:\n{said}")]
    Failed { program: &'static str, said: String },
    #[error("the server does not answer after {seconds} s; its log ends with:\n{log}")]
    Silent { seconds: u64, log: String },
}

impl Error {
    /// For `map_err`: an operation on a file that failed.
    pub(crate) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// The error and all its sources in one line each.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
