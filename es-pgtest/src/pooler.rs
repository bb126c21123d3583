//! A pooler that gives every transaction another session.

mod bouncer;
mod pool;
mod session;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use sqlx::postgres::PgConnectOptions;

use crate::{
    listener::Listener,
    server::{Server, encoded, local_url},
    upstream::Upstream,
    wanted,
};

use bouncer::Bouncer;
use pool::Pool;

/// The harshest of poolers in transaction mode: a client has a session of the server only while
/// a transaction lasts, gets another one for the next, and whatever it left in a session is
/// discarded: settings, prepared statements, temporary tables, locks, `LISTEN`.
///
/// With one session per pool the next transaction gets the same one, discarded. Startup
/// parameters other than the usual ones are refused. A client waits while no session is free.
/// Requests to cancel are ignored. The server must trust its clients, as a temporary one does:
/// the pooler has no password. The pooler and its connections end when it is dropped.
///
/// With `ES_PGTEST_POOLER=pgbouncer` a real one takes its place, which discards nothing.
#[derive(Debug)]
pub struct TransactionPooler {
    server: PgConnectOptions,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Own(Listener),
    Pgbouncer(Bouncer),
}

/// The pools of a pooler, by user and database.
#[derive(Debug)]
struct Pools {
    upstream: Upstream,
    size: usize,
    pools: Mutex<HashMap<(String, String), Arc<Pool>>>,
}

impl TransactionPooler {
    /// A pooler in front of a server, with four sessions for each database and user, on the
    /// runtime of the caller.
    pub async fn start(server: &Server) -> Self {
        Self::with_sessions(server, 4).await
    }

    /// A pooler with another number of sessions for each database and user.
    ///
    /// # Panics
    ///
    /// If the number is zero.
    pub async fn with_sessions(server: &Server, size: usize) -> Self {
        Self::in_front_of(server.administrators_options(), size).await
    }

    /// A pooler in front of whatever these options connect to, a [`Proxy`](crate::Proxy) for
    /// instance.
    ///
    /// # Panics
    ///
    /// If the number of sessions is zero, or there is no pgbouncer and one is asked for.
    pub async fn in_front_of(server: PgConnectOptions, size: usize) -> Self {
        assert!(size > 0, "a pool has sessions");
        if wanted::pgbouncer() {
            let behind = server.clone();
            let starting = tokio::task::spawn_blocking(move || Bouncer::start(&behind, size));
            return match starting.await.expect("starting it does not panic") {
                Ok(bouncer) => Self { server, kind: Kind::Pgbouncer(bouncer) },
                Err(error) => panic!("{}", error.chain()),
            };
        }
        let upstream = Upstream::of(&server);
        let pools = Arc::new(Pools { upstream, size, pools: Mutex::default() });
        let listener = Listener::start(move |stream| {
            let pools = pools.clone();
            async move {
                // an error of a socket is the end of the connection, whoever made it
                let _ = session::serve(stream, &pools).await;
            }
        });
        Self { server, kind: Kind::Own(listener.await) }
    }

    /// How to connect to a database through the pooler.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        let options = self.server.clone().database(database);
        match &self.kind {
            Kind::Own(listener) => listener.options(&options),
            Kind::Pgbouncer(bouncer) => bouncer.options(options),
        }
    }

    /// The URL of a database through the pooler, for a user whom the server trusts.
    pub fn url(&self, database: &str) -> String {
        let options = self.options(database);
        let (user, port) = (options.get_username(), options.get_port());
        match &self.kind {
            Kind::Own(_) => {
                let host = options.get_host();
                format!("postgres://{user}@{host}:{port}/{database}?sslmode=disable")
            }
            Kind::Pgbouncer(bouncer) => local_url(&bouncer.sockets(), database),
        }
    }
}

/// A URL of the shared server, led through a pgbouncer if `ES_PGTEST_POOLER` asks for one: all
/// such URLs of a process go through the same, with eight sessions for each database and user.
/// `None` if it does not, or if the URL is another server's.
///
/// # Panics
///
/// If there is no pgbouncer and one is asked for.
pub fn pooled_url(url: &str) -> Option<String> {
    static BOUNCER: OnceLock<Bouncer> = OnceLock::new();
    if !wanted::pgbouncer() {
        return None;
    }
    let server = Server::shared().administrators_options();
    let direct = encoded(&server.get_socket()?.to_string_lossy());
    let bouncer = BOUNCER.get_or_init(|| match Bouncer::start(&server, 8) {
        Ok(bouncer) => bouncer,
        Err(error) => panic!("{}", error.chain()),
    });
    let through = encoded(&bouncer.sockets().to_string_lossy());
    url.contains(&direct).then(|| url.replace(&direct, &through))
}

impl Pools {
    /// The pool of a user and database.
    fn of(&self, user: &str, database: &str) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .entry((user.to_owned(), database.to_owned()))
            .or_insert_with(|| Pool::new(self.upstream.clone(), user, database, self.size))
            .clone()
    }
}
