//! The server that tests use.

use std::{
    env,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, OnceLock},
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{
    binaries::Binaries,
    cluster::USER,
    error::Error,
    folder::{Folder, PORT, STANDBY_PORT},
    guardian::Hold,
    private::Private,
    shared,
    tls::{Authority, Certificate},
};

/// A PostgreSQL server for tests. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Server {
    kind: Arc<Kind>,
}

#[derive(Debug)]
enum Kind {
    /// What `TEST_DATABASE_URL` names.
    Given(Box<PgConnectOptions>),
    /// The cluster of the test run, and that this process uses it.
    Shared(Folder, #[expect(dead_code, reason = "held for life")] Hold),
    /// A cluster of its own.
    Private(Private),
}

impl Server {
    /// The server of the test run: the one that `TEST_DATABASE_URL` names, or else a temporary
    /// cluster that all processes of the run share. The first call in a run takes seconds and
    /// blocks its thread.
    ///
    /// # Panics
    ///
    /// If there is no server and none can be started; the message says what to do.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::of(find()))
    }

    /// A cluster of its own, for a test that kills it. The settings of `postgresql.conf`
    /// override those of this crate. It goes, with all its data, when the last clone and the
    /// last [`TestDatabase`](crate::TestDatabase) are dropped, or the process ends.
    ///
    /// # Panics
    ///
    /// If none can be started; the message says what to do.
    pub fn private(settings: &[(&str, &str)]) -> Self {
        Self::of(Private::start_new(settings).map(Kind::Private))
    }

    /// The same with a streaming standby, for whose answer every commit waits, so that whatever was
    /// acknowledged can be seen there soon.
    ///
    /// # Panics
    ///
    /// If none can be started; the message says what to do.
    pub fn private_with_standby(settings: &[(&str, &str)]) -> Self {
        Self::of(Private::start_with_standby(settings).map(Kind::Private))
    }

    /// A cluster of its own that also takes connections at a port of 127.0.0.1, none of them
    /// encrypted until it has a certificate.
    ///
    /// # Panics
    ///
    /// If none can be started; the message says what to do.
    pub fn private_with_port(settings: &[(&str, &str)]) -> Self {
        Self::of(Private::start_with_port(settings).map(Kind::Private))
    }

    /// Restarts the server with another certificate, or without one; connections are closed. It takes
    /// the certificates of clients that `clients` has signed, if that is given.
    ///
    /// # Panics
    ///
    /// If the server is not [private](Server::private), or does not start.
    pub fn restart_with(&self, certificate: Option<&Certificate>, clients: Option<&Authority>) {
        let private = self.as_private("given a certificate");
        private.stop(false);
        if let Err(error) = private.secure(certificate, clients).and_then(|()| private.start()) {
            panic!("{}", error.chain());
        }
    }

    /// The URL of a database of the server by way of its port, with this name or address for
    /// 127.0.0.1, and without parameters.
    ///
    /// # Panics
    ///
    /// If the server was not made [with a port](Server::private_with_port).
    pub fn port_url(&self, host: &str, user: &str, database: &str) -> String {
        let port = self.as_private("asked for its port").port();
        let port = port.expect("use Server::private_with_port");
        format!("postgres://{}@{host}:{port}/{}", encoded(user), encoded(database))
    }

    /// How to connect to a database on the standby.
    ///
    /// # Panics
    ///
    /// If the server was not made [with a standby](Server::private_with_standby).
    pub fn standby_options(&self, database: &str) -> PgConnectOptions {
        let folder = self.as_private("asked for its standby").folder();
        assert!(folder.standby_socket().exists(), "use Server::private_with_standby");
        local(folder, database).port(STANDBY_PORT)
    }

    /// Kills the server with SIGKILL, and all its processes, and waits until they are gone. It
    /// stays away until [`Server::start`].
    ///
    /// # Panics
    ///
    /// If the server is not [private](Server::private).
    pub fn kill(&self) {
        self.as_private("killed").kill();
    }

    /// Stops the server in order, with a checkpoint; connections are closed.
    ///
    /// # Panics
    ///
    /// If the server is not [private](Server::private).
    pub fn stop(&self) {
        self.as_private("stopped").stop(false);
    }

    /// Stops the server at once: connections are cut, and the next start recovers.
    ///
    /// # Panics
    ///
    /// If the server is not [private](Server::private).
    pub fn stop_at_once(&self) {
        self.as_private("stopped").stop(true);
    }

    /// Starts a server that was killed or stopped, and waits until it answers, after its
    /// recovery. Does nothing if it runs.
    ///
    /// # Panics
    ///
    /// If the server is not [private](Server::private), or does not start.
    pub fn start(&self) {
        if let Err(error) = self.as_private("started").start() {
            panic!("{}", error.chain());
        }
    }

    /// The path of one of the server's own programs, such as `pgbench`.
    ///
    /// # Panics
    ///
    /// If the machine has no PostgreSQL, as when another machine's is used.
    pub fn program(name: &str) -> PathBuf {
        match Binaries::find() {
            Ok(binaries) => binaries.program(name),
            Err(error) => panic!("{}", error.chain()),
        }
    }

    /// How to connect to a database of the server, as a superuser of a temporary one.
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        match &*self.kind {
            Kind::Given(options) => options.as_ref().clone().database(database),
            Kind::Shared(folder, _) => local(folder, database),
            Kind::Private(private) => local(private.folder(), database),
        }
    }

    /// The URL of a database of the server, for sqlx and for PostgreSQL's own programs.
    pub fn url(&self, database: &str) -> String {
        match &*self.kind {
            Kind::Given(options) => {
                options.as_ref().clone().database(database).to_url_lossy().to_string()
            }
            Kind::Shared(folder, _) => local_url(&folder.sockets(), database),
            Kind::Private(private) => local_url(&private.folder().sockets(), database),
        }
    }

    /// Ends one other session of a database, by chance, as an administrator would. False if
    /// there was none.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn terminate_one(&self, database: &str, chance: &mut fastrand::Rng) -> bool {
        let mut connection = self.administrator().await;
        let sessions: Vec<i32> = sqlx::query_scalar(include_str!("sql/other_sessions.sql"))
            .bind(database)
            .fetch_all(&mut connection)
            .await
            .expect("the server lists its sessions");
        let Some(session) = chance.choice(sessions) else { return false };
        let ended: bool = sqlx::query_scalar(include_str!("sql/end_session.sql"))
            .bind(session)
            .fetch_one(&mut connection)
            .await
            .expect("the server ends a session");
        ended
    }

    /// A connection that creates and drops databases.
    pub(crate) async fn administrator(&self) -> PgConnection {
        match PgConnection::connect_with(&self.administrators_options()).await {
            Ok(connection) => connection,
            Err(error) => panic!("no connection to the test server: {error}"),
        }
    }

    /// How [`Server::administrator`] connects.
    pub(crate) fn administrators_options(&self) -> PgConnectOptions {
        match &*self.kind {
            Kind::Given(options) if options.get_database().is_some() => options.as_ref().clone(),
            _ => self.connect_options("postgres"),
        }
    }

    /// Whether all its data goes with the server.
    pub(crate) fn is_private(&self) -> bool {
        matches!(&*self.kind, Kind::Private(_))
    }

    fn as_private(&self, what: &str) -> &Private {
        match &*self.kind {
            Kind::Private(private) => private,
            _ => panic!("a server that others use is not {what}; use Server::private"),
        }
    }

    fn of(kind: Result<Kind, Error>) -> Self {
        match kind {
            Ok(kind) => Self { kind: Arc::new(kind) },
            Err(error) => panic!("{}", error.chain()),
        }
    }
}

fn find() -> Result<Kind, Error> {
    match env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => {
            let options = PgConnectOptions::from_str(&url).map_err(Error::BadUrl)?;
            Ok(Kind::Given(Box::new(options)))
        }
        _ => shared::join().map(|(folder, hold)| Kind::Shared(folder, hold)),
    }
}

fn local(folder: &Folder, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(folder.sockets())
        .port(PORT)
        .username(USER)
        .database(database)
}

pub(crate) fn local_url(sockets: &Path, database: &str) -> String {
    let sockets = encoded(&sockets.to_string_lossy());
    format!("postgres:///{}?host={sockets}&port={PORT}&user={USER}", encoded(database))
}

/// Percent-encoded, except what never needs it.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
