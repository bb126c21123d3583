//! A pooler that gives every transaction another session.

mod pool;
mod session;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::postgres::PgConnectOptions;

use crate::{listener::Listener, server::Server, upstream::Upstream};

use pool::Pool;

/// The harshest of poolers in transaction mode: a client has a session of the server only while
/// a transaction lasts, gets another one for the next, and whatever it left in a session is
/// discarded: settings, prepared statements, temporary tables, locks, `LISTEN`.
///
/// With one session per pool the next transaction gets the same one, discarded. Startup
/// parameters other than the usual ones are refused. A client waits while no session is free.
/// Requests to cancel are ignored. The server must trust its clients, as a temporary one does:
/// the pooler has no password. The pooler and its connections end when it is dropped.
#[derive(Debug)]
pub struct TransactionPooler {
    server: PgConnectOptions,
    listener: Listener,
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
    /// If the number of sessions is zero.
    pub async fn in_front_of(server: PgConnectOptions, size: usize) -> Self {
        assert!(size > 0, "a pool has sessions");
        let upstream = Upstream::of(&server);
        let pools = Arc::new(Pools { upstream, size, pools: Mutex::default() });
        let listener = Listener::start(move |stream| {
            let pools = pools.clone();
            async move {
                // an error of a socket is the end of the connection, whoever made it
                let _ = session::serve(stream, &pools).await;
            }
        });
        Self { server, listener: listener.await }
    }

    /// How to connect to a database through the pooler.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        self.listener.options(&self.server.clone().database(database))
    }

    /// Cuts every connection of clients.
    pub fn cut_all(&self) {
        self.listener.cut_all();
    }
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
