//! A proxy that counts messages and cuts connections.

mod book;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::{
    listener::Listener,
    server::Server,
    upstream::Upstream,
    wire::{Messages, Start},
};

use book::{Book, Fate};

/// A way that messages take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a client to the server.
    ToServer,
    /// From the server to a client.
    ToClient,
}

/// A proxy in front of a server, which hands on every message and does to it what the test asks.
///
/// A message is what the protocol calls so, with a type; the packet that starts a session is
/// handed on and not counted. Connections are not encrypted. The proxy and its connections end
/// when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    server: PgConnectOptions,
    inner: Arc<Inner>,
    listener: Listener,
}

#[derive(Debug)]
struct Inner {
    upstream: Mutex<Upstream>,
    /// Where the next connection leads instead.
    next: Mutex<Option<Upstream>>,
    book: Book,
    swallowing: watch::Sender<bool>,
}

impl Proxy {
    /// A proxy in front of a server, on the runtime of the caller.
    pub async fn start(server: &Server) -> Self {
        Self::in_front_of(server.administrators_options()).await
    }

    /// A proxy in front of whatever these options connect to, another proxy for instance.
    pub async fn in_front_of(server: PgConnectOptions) -> Self {
        let inner = Arc::new(Inner {
            upstream: Mutex::new(Upstream::of(&server)),
            next: Mutex::default(),
            book: Book::default(),
            swallowing: watch::Sender::new(false),
        });
        let serving = inner.clone();
        let listener = Listener::start(move |stream| {
            let inner = serving.clone();
            async move {
                // an error of a socket is the end of the connection, whoever made it
                let _ = inner.serve(stream).await;
            }
        });
        Self { server, inner, listener: listener.await }
    }

    /// How to connect to a database through the proxy.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        self.listener.options(&self.server.clone().database(database))
    }

    /// How many messages of a type clients have sent since the start or the last
    /// [`Proxy::reset`]: `'P'` for Parse, `'B'` for Bind and so on.
    pub fn count(&self, kind: char) -> u64 {
        u8::try_from(kind).map_or(0, |kind| self.inner.book.count(kind))
    }

    /// How many times clients have waited for the server since the start or the last
    /// [`Proxy::reset`]: Sync and simple Query messages.
    pub fn syncs(&self) -> u64 {
        self.count('S') + self.count('Q')
    }

    /// How many messages went one way since the start or the last [`Proxy::reset`]; so many
    /// places there are to cut.
    pub fn messages(&self, direction: Direction) -> u64 {
        self.inner.book.messages(direction)
    }

    /// Counts anew from zero, messages and cuts, and forgets a cut that has not happened.
    pub fn reset(&self) {
        self.inner.book.reset();
    }

    /// Hands on the n-th further message of this direction, of whichever connection, and then
    /// cuts that connection on both sides: it was delivered, and nothing after it. Replaces a
    /// cut that has not happened; connections made afterwards work.
    ///
    /// # Panics
    ///
    /// If n is zero.
    pub fn cut_after(&self, direction: Direction, n: u64) {
        self.inner.book.plan(direction, n, Fate::DeliverAndCut);
    }

    /// Like [`Proxy::cut_after`], but the n-th message is lost with the connection.
    ///
    /// # Panics
    ///
    /// If n is zero.
    pub fn cut_before(&self, direction: Direction, n: u64) {
        self.inner.book.plan(direction, n, Fate::Cut);
    }

    /// How many connections [`Proxy::cut_after`] and [`Proxy::cut_before`] have cut since the
    /// start or the last [`Proxy::reset`].
    pub fn cuts(&self) -> u64 {
        self.inner.book.cuts()
    }

    /// Cuts every connection, and leads new ones to another server, as an address does that moves.
    pub fn lead_to(&self, server: &PgConnectOptions) {
        *self.inner.upstream.lock().unwrap_or_else(PoisonError::into_inner) = Upstream::of(server);
        *self.inner.next.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.cut_all();
    }

    /// Leads one connection, the next that is made, to another server, as a proxy does that spreads
    /// sessions over several.
    pub fn lead_next_to(&self, server: &PgConnectOptions) {
        let server = Upstream::of(server);
        *self.inner.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        self.listener.cut_all();
    }

    /// Takes connections and messages and hands on nothing, until [`Proxy::heal`].
    pub fn black_hole(&self) {
        self.inner.swallowing.send_replace(true);
    }

    /// Hands on what was held back since [`Proxy::black_hole`], and all that follows.
    pub fn heal(&self) {
        self.inner.swallowing.send_replace(false);
    }
}

impl Inner {
    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let (reading, mut to_client) = stream.into_split();
        let mut from_client = Messages::of(reading);
        self.healed().await;
        let Some(start) = from_client.start(&mut to_client).await? else { return Ok(()) };
        let (Start::Session { bytes, .. } | Start::Cancel { bytes }) = start;
        self.healed().await;
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let usual = || self.upstream.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let upstream = next.unwrap_or_else(usual);
        let (mut from_server, mut to_server) = upstream.connect().await?;
        to_server.write_all(&bytes).await?;
        // the end of one way is the end of the connection: both sockets are dropped
        tokio::select! {
            end = self.pump(Direction::ToServer, &mut from_client, &mut to_server) => end,
            end = self.pump(Direction::ToClient, &mut from_server, &mut to_client) => end,
        }
    }

    /// Hands on messages until the connection ends or is cut.
    async fn pump(
        &self,
        direction: Direction,
        from: &mut Messages<impl AsyncRead + Unpin>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        while let Some(message) = from.next().await? {
            self.healed().await;
            let fate = self.book.enter(direction, message.kind());
            if fate != Fate::Cut {
                to.write_all(message.bytes()).await?;
            }
            if fate != Fate::Deliver {
                break;
            }
        }
        Ok(())
    }

    async fn healed(&self) {
        // the sender lives as long as this
        let _ = self.swallowing.subscribe().wait_for(|swallowing| !swallowing).await;
    }
}
