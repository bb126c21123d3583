//! Takes connections on a port of its own.

use std::{
    future::Future,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// A port of this machine and the connections to it, which end when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    port: u16,
    connections: Arc<Mutex<JoinSet<()>>>,
    accepting: AbortHandle,
}

impl Listener {
    /// Listens, and serves every connection in a task of its own.
    pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let accepted = connections.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // a message is sent when it is forwarded
                let _ = stream.set_nodelay(true);
                let mut connections = accepted.lock().unwrap_or_else(PoisonError::into_inner);
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(stream));
            }
        });
        Self { port, connections, accepting: accepting.abort_handle() }
    }

    /// Ends every connection.
    pub(crate) fn cut_all(&self) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Options that connect here and are otherwise those given.
    pub(crate) fn options(&self, options: &PgConnectOptions) -> PgConnectOptions {
        // the way through the URL is the only one that forgets a socket and keeps a password
        let mut url = options.to_url_lossy();
        url.set_host(Some("127.0.0.1")).expect("an address is a host");
        url.set_port(Some(self.port)).expect("a URL with a host may have a port");
        PgConnectOptions::from_url(&url)
            .expect("options make a valid URL")
            .ssl_mode(PgSslMode::Disable)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}
